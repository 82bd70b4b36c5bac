/* lane.c: the inputs and outputs of one call at a time, reused from call to call. */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "lane.h"

static struct slot *outputs_of(er_lane *lane) {
    return lane->slots + lane->n_feeds;
}

static int describe(const er_lane *lane, struct slot *slot, er_message *why) {
    if (slot->value == NULL) {
        return ER_EINVAL;
    }
    int code = er_value_describe(lane->runtime, er_from_ort(slot->value), &slot->info, why);
    slot->bytes = slot->info.kind == ER_KIND_TENSOR ? slot->info.count * er_type_bytes(slot->info.type) : 0;
    return code;
}

static int new_lane(er_runtime *runtime, size_t n_feeds, size_t n_outputs, er_lane **out, er_message *why) {
    if (n_feeds > ER_PORTS_MAX || n_outputs > ER_PORTS_MAX) {
        return ER_ELIMIT;
    }
    er_lane *lane = calloc(1, sizeof *lane + (n_feeds + n_outputs) * sizeof lane->slots[0]);
    if (lane == NULL) {
        return ER_ENOMEM;
    }
    int code = er_ort_check(runtime, runtime->create_run_options(&lane->options), why);
    if (code != ER_OK) {
        free(lane);
        return code;
    }
    lane->runtime = runtime;
    lane->n_feeds = n_feeds;
    lane->n_outputs = n_outputs;
    *out = lane;
    return ER_OK;
}

int er_lane_new(er_runtime *runtime, er_value *const *feeds, size_t n_feeds, er_value *const *outputs,
                size_t n_outputs, er_lane **out, er_message *why) {
    er_lane *lane = NULL;
    int code = new_lane(runtime, n_feeds, n_outputs, &lane, why);
    if (code != ER_OK) {
        return code;
    }
    for (size_t i = 0; i < n_feeds; i++) {
        lane->slots[i].value = er_to_ort(feeds[i]);
    }
    if (outputs != NULL) {
        lane->prepared = 1;
        for (size_t i = 0; i < n_outputs; i++) {
            outputs_of(lane)[i].value = er_to_ort(outputs[i]);
        }
        code = er_lane_describe(lane);
    }
    if (code != ER_OK) {
        lane->n_feeds = lane->n_outputs = 0; /* the caller keeps the values */
        er_lane_free(lane);
        return code;
    }
    *out = lane;
    return ER_OK;
}

void er_lane_free(er_lane *lane) {
    if (lane == NULL) {
        return;
    }
    for (size_t i = 0; i < lane->n_feeds + lane->n_outputs; i++) {
        if (lane->slots[i].value != NULL) {
            lane->runtime->release_value(lane->slots[i].value);
        }
    }
    lane->runtime->release_run_options(lane->options);
    free(lane->job);
    free(lane);
}

int er_lane_run_into(er_lane *lane, er_model *model, OrtValue **outputs, er_run *out, er_message *why) {
    if (model->n_inputs != lane->n_feeds || model->n_outputs != lane->n_outputs) {
        return ER_EINVAL;
    }
    const OrtValue *feeds[ER_PORTS_MAX];
    for (size_t i = 0; i < lane->n_feeds; i++) {
        feeds[i] = lane->slots[i].value;
    }
    const er_runtime *ort = lane->runtime;
    out->start_ns = er_clock_ns();
    OrtStatus *status = ort->run(model->session, lane->options, model->input_names, feeds, lane->n_feeds,
                                 model->output_names, lane->n_outputs, outputs);
    out->latency_ns = er_clock_ns() - out->start_ns;
    int code = er_ort_check(ort, status, why);
    er_model_note_run(model, code, out->latency_ns);
    if (atomic_exchange(&lane->stopped, 0)) {
        int unset = er_ort_check(ort, ort->unset_terminate(lane->options), why);
        code = code != ER_OK ? ER_ETIMEOUT : unset;
    }
    return code;
}

static int any_nonfinite(er_lane *lane, uint32_t *flags, er_message *why) {
    for (size_t i = 0; i < lane->n_outputs; i++) {
        struct slot *slot = &outputs_of(lane)[i];
        int found = 0;
        if (lane->prepared) {
            found = er_data_nonfinite(slot->info.type, slot->info.data, slot->info.count);
        } else {
            int code = er_value_nonfinite(lane->runtime, slot->value, &found, why);
            if (code != ER_OK) {
                return code;
            }
        }
        if (found) {
            *flags |= ER_RUN_NONFINITE;
            return ER_OK;
        }
    }
    return ER_OK;
}

int er_lane_run(er_lane *lane, er_model *model, int check_finite, er_run *out, er_message *why) {
    OrtValue *outputs[ER_PORTS_MAX];
    for (size_t i = 0; i < lane->n_outputs; i++) {
        struct slot *slot = &outputs_of(lane)[i];
        if (!lane->prepared && slot->value != NULL) {
            lane->runtime->release_value(slot->value);
            slot->value = NULL;
        }
        outputs[i] = slot->value;
    }
    out->flags = 0;
    int code = er_lane_run_into(lane, model, outputs, out, why);
    for (size_t i = 0; i < lane->n_outputs; i++) {
        outputs_of(lane)[i].value = outputs[i];
    }
    if (code == ER_OK && check_finite) {
        code = any_nonfinite(lane, &out->flags, why);
        atomic_fetch_add_explicit(&model->nonfinite, out->flags & ER_RUN_NONFINITE, memory_order_relaxed);
    }
    return code;
}

er_value *er_lane_output(const er_lane *lane, size_t index) {
    return index < lane->n_outputs ? er_from_ort(lane->slots[lane->n_feeds + index].value) : NULL;
}

int er_lane_stop(er_lane *lane) {
    atomic_store(&lane->stopped, 1);
    return er_ort_check(lane->runtime, lane->runtime->set_terminate(lane->options), NULL);
}

int er_lane_describe(er_lane *lane) {
    int code = ER_OK;
    for (size_t i = 0; code == ER_OK && i < lane->n_feeds + lane->n_outputs; i++) {
        code = describe(lane, &lane->slots[i], NULL);
    }
    return code;
}

size_t er_lane_bytes(const er_lane *lane) {
    size_t bytes = 0;
    for (size_t i = 0; i < lane->n_feeds + lane->n_outputs; i++) {
        bytes += lane->slots[i].bytes;
    }
    return bytes;
}

static int same_tensor(const er_value_info *a, const er_value_info *b) {
    return a->kind == ER_KIND_TENSOR && b->kind == ER_KIND_TENSOR && a->type == b->type &&
           er_type_bytes(a->type) > 0 && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0;
}

int er_lane_same_shape(const er_lane *lane, const er_lane *copy) {
    if (lane->n_feeds != copy->n_feeds || lane->n_outputs != copy->n_outputs) {
        return 0;
    }
    for (size_t i = 0; i < lane->n_feeds + lane->n_outputs; i++) {
        if (copy->slots[i].bytes != lane->slots[i].bytes || !same_tensor(&lane->slots[i].info, &copy->slots[i].info)) {
            return 0;
        }
    }
    return 1;
}

static void copy_bytes(const struct slot *from, struct slot *to) {
    void *target = (void *)(uintptr_t)to->info.data; /* the copy owns this memory */
    if (from->bytes > 0) {
        memcpy(target, from->info.data, from->bytes);
    }
}

void er_lane_copy_data(const er_lane *lane, er_lane *copy) {
    for (size_t i = 0; i < lane->n_feeds + lane->n_outputs; i++) {
        copy_bytes(&lane->slots[i], &copy->slots[i]);
    }
}

static int copy_slot(er_lane *lane, struct slot *from, struct slot *to) {
    if (from->info.kind != ER_KIND_TENSOR || er_type_bytes(from->info.type) == 0) {
        *to = *from;
        from->value = NULL;
        return ER_OK;
    }
    const er_runtime *ort = lane->runtime;
    int code = er_ort_check(ort,
                            ort->create_tensor(ort->allocator, from->info.dims, (size_t)from->info.rank,
                                               from->info.type, &to->value),
                            NULL);
    if (code == ER_OK) {
        code = describe(lane, to, NULL);
    }
    if (code == ER_OK) {
        copy_bytes(from, to);
    }
    return code;
}

int er_lane_copy(er_lane *lane, er_lane **out) {
    er_lane *copy = NULL;
    int code = new_lane(lane->runtime, lane->n_feeds, lane->n_outputs, &copy, NULL);
    for (size_t i = 0; code == ER_OK && i < lane->n_feeds + lane->n_outputs; i++) {
        code = copy_slot(lane, &lane->slots[i], &copy->slots[i]);
    }
    if (code != ER_OK) {
        er_lane_free(copy);
        return code;
    }
    *out = copy;
    return ER_OK;
}
