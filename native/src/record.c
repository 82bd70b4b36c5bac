/* record.c: one call, one copy. What a call waits for is here: it claims room, copies, publishes, and is gone. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_HEAD = sizeof(struct er_record) };

/* What a port may take at most besides its elements. */
enum { PORT_HEAD = sizeof(struct er_held) + sizeof(struct er_summary) };

static size_t plan_ports(const struct er_ports *ports, uint32_t elements_max, uint64_t sequence,
                         struct er_plan *plans) {
    size_t size = RECORD_HEAD;
    for (size_t i = 0; i < ports->n_inputs + ports->n_outputs; i++) {
        er_plan(&ports->given[i], i >= ports->n_inputs, elements_max, sequence, &plans[i]);
        size += sizeof(struct er_held) + plans[i].bytes;
    }
    return size;
}

/* Elements of each port, so that so many ports fit a record: a profile will see less of the call. */
static uint32_t elements_that_fit(size_t n_ports) {
    return (uint32_t)((ER_RECORD_BYTES_MAX - RECORD_HEAD - n_ports * PORT_HEAD) / (n_ports * sizeof(uint64_t)));
}

int er_record_ports(const er_source *source, int kind, const er_event *event, const struct er_ports *ports,
                    size_t first_output, double difference) {
    struct er_plan plans[2 * ER_PORTS_MAX];
    struct er_summary summaries[ER_PORTS_MAX];
    size_t n = ports->n_inputs + ports->n_outputs;
    size_t size = plan_ports(ports, ER_PROFILE_ELEMENTS_MAX, event->sequence, plans);
    if (size > ER_RECORD_BYTES_MAX) {
        size = plan_ports(ports, elements_that_fit(n), event->sequence, plans);
    }
    if (size > ER_RECORD_BYTES_MAX) { /* hundreds of maps with long names: but no call is too large to be recorded */
        n = 0;
        size = RECORD_HEAD;
    }
    for (size_t i = ports->n_inputs; i < n; i++) { /* before the room is claimed: others wait behind it */
        if (plans[i].hold == ER_HELD_SUMMARY) {
            const struct er_given *given = plans[i].given;
            er_summarise(given->type, given->data, given->count, &summaries[i - ports->n_inputs]);
        }
    }
    struct er_log_claim claim;
    int code;
    struct er_record *record = er_record_begin(source->recorder, kind, size, event, source->number, &claim, &code);
    if (record == NULL) {
        return code;
    }
    record->first_output = (uint16_t)first_output;
    record->n_inputs = (uint16_t)(n > 0 ? ports->n_inputs : 0);
    record->n_outputs = (uint16_t)(n > 0 ? ports->n_outputs : 0);
    record->profile = source->profile;
    record->difference = difference;
    unsigned char *to = (unsigned char *)(record + 1);
    for (size_t i = 0; i < n; i++) {
        to = er_plan_write(&plans[i], &summaries[i < ports->n_inputs ? 0 : i - ports->n_inputs], to);
    }
    er_record_end(source->recorder, &claim, size);
    return ER_OK;
}

static void give_tensor(const er_value_info *info, struct er_given *given) {
    given->data = info->data;
    given->offsets = NULL;
    given->best = NULL;
    given->count = info->count;
    given->last = info->rank > 0 ? (size_t)info->dims[info->rank - 1] : 1;
    given->type = info->type;
    given->owned = NULL;
}

static int is_numeric(const er_value_info *info) {
    return info->kind == ER_KIND_TENSOR && er_type_bytes(info->type) > 0;
}

static void give_value(er_runtime *runtime, const er_value *value, const er_value_info *info, struct er_given *given) {
    if (is_numeric(info)) {
        give_tensor(info, given);
    } else {
        er_given_read(runtime, value, info, 0, 1, given);
    }
}

static void free_given(const struct er_ports *ports) {
    for (size_t i = 0; i < ports->n_inputs + ports->n_outputs; i++) {
        free(ports->given[i].owned);
    }
}

void er_record_describe(er_lane *lane) {
    for (size_t i = 0; i < lane->n_feeds + lane->n_outputs; i++) {
        struct slot *slot = &lane->slots[i];
        int code = slot->value == NULL
                       ? ER_EINVAL
                       : er_value_describe(lane->runtime, er_from_ort(slot->value), &slot->info, NULL);
        if (code != ER_OK) {
            slot->info.kind = slot->info.type = 0;
        }
    }
}

int er_record_call(const er_source *source, const er_event *event, er_lane *lane) {
    struct er_given given[2 * ER_PORTS_MAX];
    struct er_ports ports = {.given = given};
    if (lane == NULL) {
        return er_record_ports(source, ER_EVENT_CALL, event, &ports, 0, 0.0);
    }
    if (!lane->prepared) {
        er_record_describe(lane);
    }
    size_t left_out = source->profile == NULL ? lane->n_feeds : 0;
    ports.n_inputs = lane->n_feeds - left_out;
    ports.n_outputs = lane->n_outputs;
    for (size_t i = left_out; i < lane->n_feeds + lane->n_outputs; i++) {
        const struct slot *slot = &lane->slots[i];
        if (lane->prepared) {
            give_tensor(&slot->info, &given[i - left_out]);
        } else {
            give_value(lane->runtime, er_from_ort(slot->value), &slot->info, &given[i - left_out]);
        }
    }
    int code = er_record_ports(source, ER_EVENT_CALL, event, &ports, lane->n_feeds, 0.0);
    if (!lane->prepared) {
        free_given(&ports);
    }
    if (source->capture_below > 0) {
        er_record_capture(source, event, lane, 0, 1);
    }
    return code;
}

void er_record_shadow(const er_source *source, const er_event *event, double difference, er_runtime *runtime,
                      OrtValue *const *outputs, size_t n_inputs, size_t n_outputs) {
    struct er_given given[ER_PORTS_MAX];
    struct er_ports ports = {.n_outputs = outputs == NULL ? 0 : n_outputs, .given = given};
    for (size_t i = 0; i < ports.n_outputs; i++) {
        er_value_info info;
        given[i] = (struct er_given){0};
        if (outputs[i] != NULL && er_value_describe(runtime, er_from_ort(outputs[i]), &info, NULL) == ER_OK) {
            give_value(runtime, er_from_ort(outputs[i]), &info, &given[i]);
        }
    }
    (void)er_record_ports(source, ER_EVENT_SHADOW, event, &ports, n_inputs, difference); /* a loss is counted */
    free_given(&ports);
}
