/* record_port.c: what of one input or output is held in a record, and how it is written there. */
#include "record_port.h"

#include <string.h>

enum { OUTPUT_NUMBERS_MAX = 16 };

/* The fraction of the golden ratio, times 2^64: its multiples fall evenly between 0 and 1, and so do those at any equal
 * distances. So every row is seen in time, even by a model that answers every second call. */
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static void plan_rows(struct er_plan *plan, uint32_t elements_max, uint64_t sequence) {
    size_t rows = plan->given->count / plan->columns;
    uint32_t kept = elements_max / plan->columns;
    if (kept == 0 || rows > UINT32_MAX) {
        plan->rows = 0;
        return;
    }
    plan->stride = (uint32_t)((rows + kept - 1) / kept);
    plan->first = (uint32_t)((sequence * GOLDEN >> 32) * plan->stride >> 32);
    plan->rows = ((uint32_t)rows - plan->first + plan->stride - 1) / plan->stride;
}

/* Whole rows of texts, as many as go into the room that so many numbers would have. */
static void plan_texts(struct er_plan *plan, uint32_t elements_max) {
    size_t room = (size_t)elements_max * sizeof(uint64_t), bytes = sizeof(uint32_t);
    const size_t *offsets = plan->given->offsets;
    uint32_t row = 0;
    for (; row < plan->rows; row++) {
        size_t from = ((size_t)plan->first + (size_t)row * plan->stride) * plan->columns;
        size_t row_bytes = offsets[from + plan->columns] - offsets[from] + plan->columns * sizeof(uint32_t);
        if (row_bytes > room - bytes) {
            plan->hold = ER_HELD_ROWS;
            break;
        }
        bytes += row_bytes;
    }
    plan->rows = row;
    if (row == 0) {
        plan->hold = ER_HELD_NOTHING;
        bytes = 0;
    }
    plan->bytes = (uint32_t)er_padded(bytes);
}

void er_plan(const struct er_given *given, int is_output, uint32_t elements_max, uint64_t sequence,
             struct er_plan *plan) {
    size_t element = er_type_bytes(given->type);
    plan->given = given;
    plan->element_bytes = (uint8_t)element;
    plan->columns = given->last >= 1 && given->last <= ER_PROFILE_COLUMNS_MAX ? (uint32_t)given->last : 1;
    plan->first = 0;
    plan->stride = 1;
    plan->bytes = 0;
    plan->hold = ER_HELD_NOTHING;
    if (given->type == 0 || given->count == 0) {
        plan->rows = 0;
        return;
    }
    if (given->count <= elements_max || (is_output && given->best == NULL && given->count <= OUTPUT_NUMBERS_MAX)) {
        plan->hold = ER_HELD_WHOLE;
        plan->rows = given->count == plan->columns ? 1 : (uint32_t)given->count / plan->columns;
    } else {
        plan->hold = is_output && given->offsets == NULL ? ER_HELD_SUMMARY : ER_HELD_ROWS;
        plan_rows(plan, elements_max, sequence);
    }
    if (given->offsets != NULL) {
        plan_texts(plan, elements_max);
        return;
    }
    size_t bytes = (size_t)plan->rows * plan->columns * element;
    if (given->best != NULL) {
        plan->hold = ER_HELD_CLASS;
        bytes += sizeof *given->best + er_padded(given->best->length);
    } else if (plan->hold == ER_HELD_SUMMARY) {
        bytes += sizeof(struct er_summary);
    }
    plan->bytes = (uint32_t)er_padded(bytes);
    if (bytes == 0) {
        plan->hold = ER_HELD_NOTHING;
    }
}

static void write_texts(const struct er_plan *plan, unsigned char *to) {
    size_t n = (size_t)plan->rows * plan->columns;
    const char *texts = plan->given->data;
    unsigned char *text = to + (n + 1) * sizeof(uint32_t);
    uint32_t *offsets = (uint32_t *)(void *)to;
    uint32_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        size_t row = (size_t)plan->first + i / plan->columns * plan->stride;
        size_t from = row * plan->columns + i % plan->columns;
        size_t length = plan->given->offsets[from + 1] - plan->given->offsets[from];
        offsets[i] = offset;
        if (length > 0) {
            memcpy(text + offset, texts + plan->given->offsets[from], length);
        }
        offset += (uint32_t)length;
    }
    offsets[n] = offset;
}

/* One loop for each size, so that it is a load and a store. */
#define DEFINE_GATHER(name, T)                                                         \
    static void name(const void *data, size_t stride, size_t n, unsigned char *to) {   \
        const T *from = data;                                                          \
        T *out = (T *)(void *)to;                                                      \
        for (size_t i = 0; i < n; i++) {                                               \
            out[i] = from[i * stride];                                                 \
        }                                                                              \
    }

DEFINE_GATHER(gather_1, uint8_t)
DEFINE_GATHER(gather_2, uint16_t)
DEFINE_GATHER(gather_4, uint32_t)
DEFINE_GATHER(gather_8, uint64_t)

static void write_rows(const struct er_plan *plan, unsigned char *to) {
    size_t row_bytes = (size_t)plan->columns * plan->element_bytes;
    const unsigned char *from = (const unsigned char *)plan->given->data + plan->first * row_bytes;
    if (plan->stride == 1) {
        memcpy(to, from, plan->rows * row_bytes);
        return;
    }
    if (plan->columns > 1) {
        for (size_t i = 0; i < plan->rows; i++) {
            memcpy(to + i * row_bytes, from + i * plan->stride * row_bytes, row_bytes);
        }
        return;
    }
    switch (plan->element_bytes) {
    case 1: gather_1(from, plan->stride, plan->rows, to); break;
    case 2: gather_2(from, plan->stride, plan->rows, to); break;
    case 4: gather_4(from, plan->stride, plan->rows, to); break;
    default: gather_8(from, plan->stride, plan->rows, to); break;
    }
}

unsigned char *er_plan_write(const struct er_plan *plan, const struct er_summary *summary, unsigned char *to) {
    struct er_held *held = (struct er_held *)(void *)to;
    held->type = (uint8_t)plan->given->type;
    held->hold = plan->hold;
    held->columns = (uint16_t)plan->columns;
    held->rows = plan->rows;
    held->bytes = plan->bytes;
    unsigned char *data = to + sizeof *held;
    unsigned char *next = data + plan->bytes;
    if (plan->hold == ER_HELD_NOTHING) {
        return next;
    }
    if (plan->given->offsets != NULL) {
        write_texts(plan, data);
        return next;
    }
    if (plan->hold == ER_HELD_SUMMARY) {
        memcpy(data, summary, sizeof *summary);
        data += sizeof *summary;
    } else if (plan->hold == ER_HELD_CLASS) {
        const struct er_class *best = plan->given->best;
        memcpy(data, best, sizeof *best + best->length);
        data += sizeof *best + er_padded(best->length);
    }
    if (plan->rows > 0) {
        write_rows(plan, data);
    }
    return next;
}
