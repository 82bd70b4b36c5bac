/* record_capture.c: the inputs of a sampled call, whole, in the form that er_batch hands on. */
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "xxh64.h"

enum { CAPTURE_SEED = 42 };

/* What stands before the dimensions and data of an input. */
struct capture_head {
    uint8_t type, rank;
    uint16_t is_there;
    uint32_t bytes;
};

/* What of an input is captured: numbers, or `count` texts. */
struct captured {
    struct capture_head head;
    const int64_t *dims;
    int64_t first_dim;
    const void *data;
    const size_t *offsets; /* of texts, else NULL */
    size_t count;
    void *owned;
};

/* Which row of how many is captured; all of an input whose first axis is not the row. */
struct cut {
    size_t row, rows;
};

static int is_sampled(const er_source *source, uint64_t sequence) {
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(sequence >> 8 * i);
    }
    return xxh64_short(bytes, sizeof bytes, CAPTURE_SEED) >> 32 < source->capture_below;
}

/* What is larger than any record is as large as the largest, and so too large together with its head. */
static void set_bytes(struct captured *out, size_t bytes) {
    out->head.is_there = 1;
    out->head.bytes = bytes <= ER_RECORD_BYTES_MAX ? (uint32_t)bytes : ER_RECORD_BYTES_MAX;
}

static void take_texts(const er_lane *lane, const struct slot *slot, struct cut cut, struct captured *out) {
    struct er_given given;
    er_given_read(lane->runtime, er_from_ort(slot->value), &slot->info, 0, 1, &given);
    out->owned = given.owned;
    if (given.type != 0) {
        out->data = given.data;
        out->count = given.count / cut.rows;
        out->offsets = given.offsets + cut.row * out->count;
        set_bytes(out, out->offsets[out->count] - out->offsets[0] + out->count * sizeof(uint32_t));
    }
}

static void take_input(const er_lane *lane, const struct slot *slot, int is_redacted, struct cut cut,
                       struct captured *out) {
    const er_value_info *info = &slot->info;
    memset(out, 0, sizeof *out);
    if (info->kind != ER_KIND_TENSOR) {
        return;
    }
    if (info->rank == 0 || (size_t)info->dims[0] != cut.rows) {
        cut = (struct cut){0, 1};
    }
    out->head.type = (uint8_t)info->type;
    out->head.rank = (uint8_t)info->rank;
    out->dims = info->dims;
    out->first_dim = cut.rows == 1 ? info->dims[0] : 1;
    if (is_redacted) {
        return;
    }
    if (info->type == ER_TYPE_STRING) {
        take_texts(lane, slot, cut, out);
        return;
    }
    size_t bytes = info->count / cut.rows * er_type_bytes(info->type);
    if (bytes > 0) {
        out->data = (const unsigned char *)info->data + cut.row * bytes;
    }
    set_bytes(out, bytes);
}

static unsigned char *write_bytes(unsigned char *to, const void *from, size_t bytes) {
    if (bytes > 0) {
        memcpy(to, from, bytes);
    }
    return to + bytes;
}

static unsigned char *write_input(unsigned char *to, const struct captured *input) {
    to = write_bytes(to, &input->head, sizeof input->head);
    if (input->head.rank > 0) {
        to = write_bytes(to, &input->first_dim, sizeof input->first_dim);
        to = write_bytes(to, input->dims + 1, (input->head.rank - 1u) * sizeof input->dims[0]);
    }
    if (input->offsets == NULL) {
        return write_bytes(to, input->data, input->head.bytes);
    }
    for (size_t i = 0; i < input->count; i++) {
        uint32_t length = (uint32_t)(input->offsets[i + 1] - input->offsets[i]);
        to = write_bytes(to, &length, sizeof length);
        to = write_bytes(to, (const char *)input->data + input->offsets[i], length);
    }
    return to;
}

static void write_capture(const er_source *source, const er_event *event, const struct captured *inputs, size_t n) {
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        length += sizeof inputs[i].head + inputs[i].head.rank * sizeof(int64_t) + inputs[i].head.bytes;
    }
    size_t size = er_padded(sizeof(struct er_record) + length);
    struct er_log_claim claim;
    int code;
    struct er_record *record =
        er_record_begin(source->recorder, ER_EVENT_CAPTURE, size, event, source->number, &claim, &code);
    if (record == NULL) {
        return;
    }
    record->length = length;
    unsigned char *to = (unsigned char *)(record + 1);
    for (size_t i = 0; i < n; i++) {
        to = write_input(to, &inputs[i]);
    }
    er_record_end(source->recorder, &claim, size);
}

void er_record_capture(const er_source *source, const er_event *event, const er_lane *lane, size_t row, size_t rows) {
    struct captured inputs[ER_PORTS_MAX];
    if (!is_sampled(source, event->sequence)) {
        return;
    }
    for (size_t i = 0; i < lane->n_feeds; i++) {
        int is_redacted = (source->redact[i / 64] >> i % 64 & 1) != 0;
        take_input(lane, &lane->slots[i], is_redacted, (struct cut){row, rows}, &inputs[i]);
    }
    write_capture(source, event, inputs, lane->n_feeds);
    for (size_t i = 0; i < lane->n_feeds; i++) {
        free(inputs[i].owned);
    }
}
