/* drain.c: records become columns, and bring the profiles up to date. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "outputs.h"
#include "summary.h"

enum {
    NUMBERS_PER_ROW = 16,
    RECORD_NUMBERS_MAX = ER_PORTS_MAX * ER_OUTPUT_COLUMNS_MAX + 1,
    YIELDS_PER_RING = 16,
    LATENCY_BITS = 11
};

/* A batch and how much fits in. */
struct batch {
    er_batch shown;
    const er_recorder *recorder;
    size_t rows_max, numbers_max, bytes_max;
};

int er_batch_new(const er_recorder *recorder, size_t rows_max, er_batch **out) {
    if (rows_max == 0 || rows_max > UINT32_MAX / (2 * NUMBERS_PER_ROW)) {
        return ER_EINVAL;
    }
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) {
        return ER_ENOMEM;
    }
    batch->recorder = recorder;
    batch->rows_max = rows_max;
    batch->numbers_max = rows_max * NUMBERS_PER_ROW + RECORD_NUMBERS_MAX;
    batch->bytes_max = recorder->ring.bytes;
    er_batch *b = &batch->shown;
    b->kind = malloc(rows_max);
    b->flags = malloc(rows_max);
    b->source = malloc(rows_max * sizeof *b->source);
    b->sequence = malloc(rows_max * sizeof *b->sequence);
    b->unit = malloc(rows_max * sizeof *b->unit);
    b->time_us = malloc(rows_max * sizeof *b->time_us);
    b->latency = malloc(rows_max * sizeof *b->latency);
    b->shape = malloc(rows_max * sizeof *b->shape);
    b->numbers = malloc(batch->numbers_max * sizeof *b->numbers);
    b->numbers_at = malloc((rows_max + 1) * sizeof *b->numbers_at);
    b->bytes = malloc(batch->bytes_max);
    b->bytes_at = malloc((rows_max + 1) * sizeof *b->bytes_at);
    if (b->kind == NULL || b->flags == NULL || b->source == NULL || b->sequence == NULL || b->unit == NULL ||
        b->time_us == NULL || b->latency == NULL || b->shape == NULL || b->numbers == NULL || b->numbers_at == NULL ||
        b->bytes == NULL || b->bytes_at == NULL) {
        er_batch_free(b);
        return ER_ENOMEM;
    }
    b->numbers_at[0] = b->bytes_at[0] = 0;
    *out = b;
    return ER_OK;
}

void er_batch_free(er_batch *batch) {
    if (batch == NULL) {
        return;
    }
    free(batch->kind);
    free(batch->flags);
    free(batch->source);
    free(batch->sequence);
    free(batch->unit);
    free(batch->time_us);
    free(batch->latency);
    free(batch->shape);
    free(batch->numbers);
    free(batch->numbers_at);
    free(batch->bytes);
    free(batch->bytes_at);
    free(batch); /* the first member of a struct batch */
}

static uint32_t latency_code(int64_t latency_ns) {
    uint64_t ns = latency_ns > 0 ? (uint64_t)latency_ns : 0;
    uint32_t exponent = 0;
    while (ns >> exponent >= UINT64_C(1) << LATENCY_BITS) {
        exponent++;
    }
    if (exponent == 0) {
        return (uint32_t)ns;
    }
    uint64_t rounded = (ns >> exponent) + (ns >> (exponent - 1) & 1);
    return (exponent << (LATENCY_BITS - 1)) + (uint32_t)rounded; /* 2048 << e is the code of 1024 << (e + 1) */
}

static int64_t microseconds(int64_t ns) {
    return ns / 1000 - (ns % 1000 < 0);
}

static int has_outputs(const struct er_record *record) {
    return record->kind == ER_EVENT_CALL || record->kind == ER_EVENT_SHADOW;
}

/* Whether a batch that may already hold something has room for whatever the record can turn into. */
static int fits(const struct batch *batch, const struct er_record *record, size_t size) {
    size_t numbers = has_outputs(record) ? record->n_outputs * (size_t)ER_OUTPUT_COLUMNS_MAX + 1 : 0;
    const er_batch *b = &batch->shown;
    return b->numbers_at[b->rows] + numbers <= batch->numbers_max && b->bytes_at[b->rows] + size <= batch->bytes_max;
}

static void update_profile(const struct er_record *record, size_t port, const struct er_held *held) {
    er_profile_data data;
    if (record->profile != NULL && er_held_data(held, &data)) {
        (void)er_profile_update(record->profile, port, &data); /* what it cannot take it counts */
    }
}

/* The columns of a call's or shadow's outputs. Returns the number of their shape, or ER_ENOMEM. */
static int take_outputs(er_recorder *recorder, const struct er_record *record, struct er_columns *to, uint8_t *flags) {
    er_output_shape outputs[ER_PORTS_MAX];
    struct er_columns start = *to;
    const unsigned char *at = (const unsigned char *)(record + 1);
    int nonfinite = 0, fits_known = 1;
    for (size_t i = 0; i < (size_t)record->n_inputs + record->n_outputs; i++) {
        const struct er_held *held = (const struct er_held *)(const void *)at;
        if (i >= record->n_inputs) {
            er_output_columns(held, to, &outputs[i - record->n_inputs], &nonfinite);
        }
        at += sizeof *held + held->bytes;
    }
    *flags |= nonfinite ? ER_FLAG_NONFINITE : 0;
    int shape = er_shapes_number(&recorder->shapes, outputs, record->n_outputs, &fits_known);
    if (!fits_known) {
        *to = start;
    }
    return shape;
}

static void take_profiles(const struct er_record *record) {
    const unsigned char *at = (const unsigned char *)(record + 1);
    for (size_t i = 0; i < (size_t)record->n_inputs + record->n_outputs; i++) {
        const struct er_held *held = (const struct er_held *)(const void *)at;
        size_t port = i < record->n_inputs ? i : record->first_output + i - record->n_inputs;
        update_profile(record, port, held);
        at += sizeof *held + held->bytes;
    }
}

/* Append a record as a row. ER_OK, or ER_ENOMEM with nothing appended. */
static int take_record(er_recorder *recorder, const struct er_record *record, er_batch *b) {
    size_t row = b->rows;
    struct er_columns to = {b->numbers + b->numbers_at[row], b->bytes + b->bytes_at[row]};
    b->flags[row] = record->flags;
    b->shape[row] = 0; /* no outputs */
    if (has_outputs(record)) {
        int shape = take_outputs(recorder, record, &to, &b->flags[row]);
        if (shape < 0) {
            return shape;
        }
        b->shape[row] = (uint16_t)shape;
        take_profiles(record);
    } else if (record->length > 0) {
        memcpy(to.bytes, record + 1, (size_t)record->length);
        to.bytes += record->length;
    }
    if (record->kind == ER_EVENT_SHADOW) {
        *to.numbers++ = er_double_bits(record->difference);
    }
    b->kind[row] = record->kind;
    b->source[row] = record->source;
    b->sequence[row] = record->sequence;
    b->unit[row] = record->unit;
    b->time_us[row] = microseconds(record->time_ns);
    b->latency[row] = latency_code(record->latency_ns);
    b->numbers_at[row + 1] = (uint32_t)(to.numbers - b->numbers);
    b->bytes_at[row + 1] = (uint32_t)(to.bytes - b->bytes);
    b->rows++;
    return ER_OK;
}

int er_recorder_drain(er_recorder *recorder, er_batch *shown) {
    struct batch *batch = (struct batch *)(void *)shown;
    struct er_log_ring *ring = &recorder->ring;
    uint64_t yielded = ring->read;
    int code = ER_OK;
    if (batch->recorder != recorder) {
        return ER_EINVAL;
    }
    shown->rows = 0;
    while (shown->rows < batch->rows_max) {
        uint32_t size;
        unsigned char *at = er_log_ring_peek(ring, &size);
        const struct er_record *record = (const struct er_record *)(void *)at;
        if (record == NULL || !fits(batch, record, size)) {
            break;
        }
        code = take_record(recorder, record, shown);
        if (code != ER_OK) {
            break;
        }
        er_log_ring_take(ring, at, size);
        if (ring->read - yielded >= ring->bytes / YIELDS_PER_RING) {
            er_log_ring_yield(ring);
            yielded = ring->read;
        }
    }
    er_log_ring_yield(ring);
    return shown->rows > 0 ? (int)shown->rows : code;
}
