/* profile_read.c: what a profile that nobody updates any more holds. */
#include <stdlib.h>
#include <string.h>

#include "profile.h"

/* The slot of a port that can be read: one that has taken in all that it was given. */
static const struct er_profile_slot *slot_to_read(const er_profile *profile, size_t port) {
    if (profile == NULL || port >= profile->n_slots || profile->slots[port].rows_staged > 0) {
        return NULL;
    }
    return &profile->slots[port];
}

int er_profile_read(const er_profile *profile, size_t port, er_profile_port *out) {
    const struct er_profile_slot *slot = slot_to_read(profile, port);
    if (slot == NULL || out == NULL) {
        return ER_EINVAL;
    }
    er_profile_port found = {.type = slot->type,
                             .columns = slot->columns,
                             .seen = slot->seen,
                             .unlike = slot->unlike,
                             .count = slot->moments.count,
                             .missing = slot->moments.missing,
                             .infinite = slot->moments.infinite,
                             .zero = slot->moments.zero,
                             .unsketched = slot->unsketched,
                             .min = slot->moments.min,
                             .max = slot->moments.max,
                             .mean = slot->moments.mean,
                             .m2 = slot->moments.m2,
                             .registers = slot->registers};
    *out = found;
    return ER_OK;
}

int er_profile_cells(const er_profile *profile, size_t port, uint32_t column, int32_t *cells, uint64_t *weights,
                     size_t max) {
    const struct er_profile_slot *slot = slot_to_read(profile, port);
    if (slot == NULL || slot->tables == NULL || column >= slot->columns ||
        (max > 0 && (cells == NULL || weights == NULL))) {
        return ER_EINVAL;
    }
    return er_sketch_cells(&profile->pool, slot->tables + (size_t)column * ER_SKETCH_OCTAVES, cells, weights, max);
}

/* The greatest weight first; equal ones by their text, so that the order says nothing of chance. */
static int frequent_order(const void *left, const void *right) {
    const er_frequent *a = left, *b = right;
    if (a->weight != b->weight) {
        return a->weight > b->weight ? -1 : 1;
    }
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

int er_profile_frequent(const er_profile *profile, size_t port, uint32_t column, er_frequent *out, size_t max,
                        uint64_t *error) {
    const struct er_profile_slot *slot = slot_to_read(profile, port);
    if (slot == NULL || slot->texts == NULL || column >= slot->columns || error == NULL || (max > 0 && out == NULL)) {
        return ER_EINVAL;
    }
    const struct er_texts *texts = &slot->texts[column];
    size_t found = 0;
    for (size_t i = 0; i < ER_TEXTS_FREQUENT; i++) {
        if (texts->weights[i] <= texts->error) {
            continue;
        }
        if (found == max) {
            return ER_ELIMIT;
        }
        er_frequent *item = &out[found++];
        memset(item, 0, sizeof *item);
        item->len = texts->lengths[i];
        item->weight = texts->weights[i] - texts->error;
        memcpy(item->text, texts->texts[i], item->len);
    }
    qsort(out, found, sizeof out[0], frequent_order);
    *error = texts->error;
    return (int)found;
}

int er_profile_latencies(const er_profile *profile, int32_t *cells, uint64_t *weights, size_t max) {
    if (profile == NULL || (max > 0 && (cells == NULL || weights == NULL))) {
        return ER_EINVAL;
    }
    size_t found = 0;
    for (int32_t i = 0; i < ER_LATENCY_CELLS; i++) {
        uint64_t weight = atomic_load_explicit(&profile->latencies[i], memory_order_relaxed);
        if (weight == 0) {
            continue;
        }
        if (found == max) {
            return ER_ELIMIT;
        }
        cells[found] = ER_LATENCY_FIRST + i;
        weights[found++] = weight;
    }
    return (int)found;
}
