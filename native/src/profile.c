/* profile.c: the life of a profile, and taking data in.
 *
 * Numbers become doubles and wait until there are ER_MOMENTS_ROWS_MAX rows of them: what a row costs is the copy, and its
 * share of loops that run over many rows at once. Whoever takes or copies a profile takes in what waits. */
#include "profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

enum { PROFILE_ROWS = ER_MOMENTS_ROWS_MAX };

int er_profile_new(size_t n_inputs, size_t n_outputs, size_t pages_max, er_profile **out) {
    if (out == NULL) {
        return ER_EINVAL;
    }
    if (n_inputs > ER_PORTS_MAX || n_outputs > ER_PORTS_MAX || pages_max > ER_PROFILE_PAGES_MAX) {
        return ER_ELIMIT;
    }
    size_t n_slots = n_inputs + n_outputs;
    struct er_profile *profile = calloc(1, sizeof *profile + n_slots * sizeof profile->slots[0]);
    if (profile == NULL) {
        return ER_ENOMEM;
    }
    if (pthread_mutex_init(&profile->lock, NULL) != 0) {
        free(profile);
        return ER_ENOMEM;
    }
    for (size_t i = 0; i < ER_LATENCY_CELLS; i++) {
        atomic_init(&profile->latencies[i], 0);
    }
    profile->n_slots = n_slots;
    profile->pool.pages_max = pages_max;
    *out = profile;
    return ER_OK;
}

void er_profile_free(er_profile *profile) {
    if (profile == NULL) {
        return;
    }
    for (size_t i = 0; i < profile->n_slots; i++) {
        free(profile->slots[i].block);
    }
    er_sketch_release(&profile->pool);
    pthread_mutex_destroy(&profile->lock);
    free(profile);
}

/* Where a slot's parts lie in its block; returns the block's size. The widest types come first. */
static size_t slot_lay(struct er_profile_slot *slot, char *block) {
    size_t columns = slot->columns, at = 0;
#define LAY(field, n) (slot->field = block != NULL ? (void *)(block + at) : NULL, at += (n) * sizeof slot->field[0])
    LAY(moments.count, columns);
    LAY(moments.missing, columns);
    if (slot->type == ER_TYPE_STRING) {
        LAY(texts, columns);
        LAY(registers, columns * ER_TEXTS_REGISTERS);
        return at;
    }
    LAY(moments.infinite, columns);
    LAY(moments.zero, columns);
    LAY(moments.min, columns);
    LAY(moments.max, columns);
    LAY(moments.mean, columns);
    LAY(moments.m2, columns);
    LAY(unsketched, columns);
    LAY(staged, columns * PROFILE_ROWS);
    LAY(tables, columns * ER_SKETCH_OCTAVES);
#undef LAY
    return at;
}

static int slot_begin(struct er_profile *profile, struct er_profile_slot *slot, int32_t type, uint32_t columns) {
    struct er_profile_slot begun = {.type = type, .columns = columns, .unlike = slot->unlike};
    begun.block = calloc(1, slot_lay(&begun, NULL));
    if (begun.block == NULL || (type != ER_TYPE_STRING && er_sketch_prepare(&profile->pool) != ER_OK)) {
        free(begun.block);
        return ER_ENOMEM;
    }
    slot_lay(&begun, begun.block);
    if (type != ER_TYPE_STRING) {
        er_sketch_clear(begun.tables, columns);
        for (uint32_t i = 0; i < columns; i++) {
            begun.moments.min[i] = INFINITY;
            begun.moments.max[i] = -INFINITY;
        }
    }
    *slot = begun;
    return ER_OK;
}

/* Numbers that the sketch leaves out though they are finite. Rare: the extremes tell whether to look. */
static void slot_count_too_large(struct er_profile_slot *slot) {
    for (size_t i = 0; i < slot->columns; i++) {
        if (slot->moments.max[i] < ER_SKETCH_TOO_LARGE && slot->moments.min[i] > -ER_SKETCH_TOO_LARGE) {
            continue;
        }
        for (size_t row = 0; row < slot->rows_staged; row++) {
            double size = fabs(slot->staged[row * slot->columns + i]);
            slot->unsketched[i] += size >= ER_SKETCH_TOO_LARGE && isfinite(size);
        }
    }
}

static void slot_take_in(struct er_profile *profile, struct er_profile_slot *slot) {
    if (slot->rows_staged > 0) {
        er_moments_add(&slot->moments, slot->staged, slot->rows_staged, slot->columns);
        er_sketch_add(&profile->pool, slot->tables, slot->unsketched, slot->staged, slot->rows_staged, slot->columns);
        slot_count_too_large(slot);
        slot->rows_staged = 0;
    }
}

/* One loop for each type, so that they vectorise. Data may lie at any address. */
static void widen(int32_t type, const uint8_t *data, size_t n, double *restrict out) {
#define WIDEN(type_of, expression)                               \
    {                                                            \
        for (size_t i = 0; i < n; i++) {                         \
            type_of value;                                       \
            memcpy(&value, data + i * sizeof value, sizeof value); \
            out[i] = (double)(expression);                       \
        }                                                        \
        break;                                                   \
    }
    switch (type) {
    case ER_TYPE_FLOAT: WIDEN(float, value)
    case ER_TYPE_DOUBLE: WIDEN(double, value)
    case ER_TYPE_FLOAT16: WIDEN(uint16_t, er_half_to_float(value))
    case ER_TYPE_BOOL: WIDEN(uint8_t, value != 0)
    case ER_TYPE_UINT8: WIDEN(uint8_t, value)
    case ER_TYPE_INT8: WIDEN(int8_t, value)
    case ER_TYPE_UINT16: WIDEN(uint16_t, value)
    case ER_TYPE_INT16: WIDEN(int16_t, value)
    case ER_TYPE_UINT32: WIDEN(uint32_t, value)
    case ER_TYPE_INT32: WIDEN(int32_t, value)
    case ER_TYPE_UINT64: WIDEN(uint64_t, value)
    default: WIDEN(int64_t, value)
    }
#undef WIDEN
}

static void slot_add_numbers(struct er_profile *profile, struct er_profile_slot *slot, const er_profile_data *data) {
    size_t columns = slot->columns, row_bytes = columns * er_type_bytes(data->type);
    const uint8_t *bytes = data->data;
    for (size_t row = 0; row < data->rows;) {
        size_t rows = data->rows - row, room = PROFILE_ROWS - slot->rows_staged;
        rows = rows < room ? rows : room;
        widen(data->type, bytes + row * row_bytes, rows * columns, slot->staged + slot->rows_staged * columns);
        slot->rows_staged += (uint32_t)rows;
        row += rows;
        if (slot->rows_staged == PROFILE_ROWS) {
            slot_take_in(profile, slot);
        }
    }
}

static void slot_add_texts(struct er_profile_slot *slot, const er_profile_data *data) {
    const uint32_t *offsets = data->offsets;
    for (size_t row = 0; row < data->rows; row++) {
        for (size_t i = 0; i < slot->columns; i++, offsets++) {
            size_t len = offsets[1] - offsets[0];
            const char *text = len > 0 ? (const char *)data->data + offsets[0] : "";
            slot->moments.count[i]++;
            slot->moments.missing[i] += len == 0;
            er_texts_add(&slot->texts[i], slot->registers + i * ER_TEXTS_REGISTERS, text, len);
        }
    }
}

static int slot_update(struct er_profile *profile, struct er_profile_slot *slot, const er_profile_data *data) {
    if (slot->type == 0 && (data->type == ER_TYPE_STRING || er_type_bytes(data->type) != 0)) {
        int code = slot_begin(profile, slot, data->type, data->columns);
        if (code != ER_OK) {
            return code;
        }
    }
    if (data->type != slot->type || data->columns != slot->columns) {
        slot->unlike++;
        return ER_OK;
    }
    slot->seen++;
    if (slot->type == ER_TYPE_STRING) {
        slot_add_texts(slot, data);
    } else {
        slot_add_numbers(profile, slot, data);
    }
    return ER_OK;
}

int er_profile_update(er_profile *profile, size_t port, const er_profile_data *data) {
    if (profile == NULL || port >= profile->n_slots || data == NULL || data->columns == 0 ||
        data->columns > ER_PROFILE_COLUMNS_MAX || (data->rows > 0 && data->data == NULL) ||
        (data->rows > 0 && data->type == ER_TYPE_STRING && data->offsets == NULL)) {
        return ER_EINVAL;
    }
    pthread_mutex_lock(&profile->lock);
    int code = slot_update(profile, &profile->slots[port], data);
    pthread_mutex_unlock(&profile->lock);
    return code;
}

void er_profile_latency(er_profile *profile, int64_t latency_ns) {
    int64_t cell = (int64_t)er_sketch_key((double)(latency_ns > 0 ? latency_ns : 0)) - ER_LATENCY_FIRST;
    cell = cell < 0 ? 0 : cell >= ER_LATENCY_CELLS ? ER_LATENCY_CELLS - 1 : cell;
    atomic_fetch_add_explicit(&profile->latencies[cell], 1, memory_order_relaxed);
}

static void take_in_all(struct er_profile *profile) {
    for (size_t i = 0; i < profile->n_slots; i++) {
        slot_take_in(profile, &profile->slots[i]);
    }
}

int er_profile_take(er_profile *profile, er_profile **out) {
    er_profile *taken = NULL;
    int code = profile == NULL || out == NULL ? ER_EINVAL
                                              : er_profile_new(profile->n_slots, 0, profile->pool.pages_max, &taken);
    if (code != ER_OK) {
        return code;
    }
    pthread_mutex_lock(&profile->lock);
    take_in_all(profile);
    struct er_sketch_pool none = {.pages_max = profile->pool.pages_max};
    taken->pool = profile->pool;
    profile->pool = none;
    memcpy(taken->slots, profile->slots, profile->n_slots * sizeof profile->slots[0]);
    memset(profile->slots, 0, profile->n_slots * sizeof profile->slots[0]);
    pthread_mutex_unlock(&profile->lock);
    *out = taken;
    return ER_OK;
}

static int slot_copy(const struct er_profile_slot *slot, struct er_profile_slot *out) {
    struct er_profile_slot copy = *slot;
    if (slot->block != NULL) {
        size_t bytes = slot_lay(&copy, NULL);
        copy.block = malloc(bytes);
        if (copy.block == NULL) {
            return ER_ENOMEM;
        }
        memcpy(copy.block, slot->block, bytes);
        slot_lay(&copy, copy.block);
    }
    *out = copy;
    return ER_OK;
}

int er_profile_copy(er_profile *profile, er_profile **out) {
    er_profile *copy = NULL;
    int code = profile == NULL || out == NULL ? ER_EINVAL
                                              : er_profile_new(profile->n_slots, 0, profile->pool.pages_max, &copy);
    if (code != ER_OK) {
        return code;
    }
    pthread_mutex_lock(&profile->lock);
    take_in_all(profile);
    if (profile->pool.room > 0) {
        code = er_sketch_copy(&profile->pool, &copy->pool);
    }
    for (size_t i = 0; code == ER_OK && i < profile->n_slots; i++) {
        code = slot_copy(&profile->slots[i], &copy->slots[i]);
    }
    for (size_t i = 0; i < ER_LATENCY_CELLS; i++) {
        uint64_t weight = atomic_load_explicit(&profile->latencies[i], memory_order_relaxed);
        atomic_store_explicit(&copy->latencies[i], weight, memory_order_relaxed);
    }
    pthread_mutex_unlock(&profile->lock);
    if (code != ER_OK) {
        er_profile_free(copy);
        return code;
    }
    *out = copy;
    return ER_OK;
}
