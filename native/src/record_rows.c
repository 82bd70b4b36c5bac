/* record_rows.c: the calls that a batch stands for, one record for each of its rows. */
#include <stdlib.h>
#include <string.h>

#include "record.h"

/* 1 if the first axis of a value is the row: of a tensor its first dimension, of a sequence its items. */
static int has_rows(const er_value_info *info, size_t rows) {
    if (info->kind == ER_KIND_SEQUENCE) {
        return info->count == rows;
    }
    return info->kind == ER_KIND_TENSOR && info->rank > 0 && (size_t)info->dims[0] == rows;
}

/* The whole of what is in rows, once for all of them. Maps are read row by row. */
static void give_whole(er_lane *lane, const struct slot *slot, size_t rows, struct er_given *whole) {
    if (!has_rows(&slot->info, rows) || slot->info.kind != ER_KIND_TENSOR) {
        return;
    }
    if (er_type_bytes(slot->info.type) == 0) {
        er_given_read(lane->runtime, er_from_ort(slot->value), &slot->info, 0, 1, whole);
    } else {
        whole->data = slot->info.data;
        whole->count = slot->info.count;
        whole->type = slot->info.type;
    }
    whole->last = slot->info.rank > 1 ? (size_t)slot->info.dims[slot->info.rank - 1] : 1;
}

static void give_row(er_lane *lane, const struct slot *slot, const struct er_given *whole, size_t row, size_t rows,
                     struct er_given *given) {
    if (slot->info.kind == ER_KIND_SEQUENCE) {
        er_given_read(lane->runtime, er_from_ort(slot->value), &slot->info, row, rows, given);
        return;
    }
    *given = *whole;
    given->owned = NULL;
    given->count = whole->count / rows;
    if (whole->type == 0 || given->count == 0) {
        return;
    }
    if (whole->offsets != NULL) {
        given->offsets = whole->offsets + row * given->count;
    } else {
        given->data = (const unsigned char *)whole->data + row * given->count * er_type_bytes(whole->type);
    }
}

static int record_row(const er_source *source, const er_event *event, er_lane *lane, const struct er_given *whole,
                      size_t row, size_t rows) {
    struct er_given given[2 * ER_PORTS_MAX];
    size_t n = lane->n_feeds + lane->n_outputs, left_out = source->profile == NULL ? lane->n_feeds : 0;
    struct er_ports ports = {lane->n_feeds - left_out, lane->n_outputs, given};
    for (size_t i = left_out; i < n; i++) {
        give_row(lane, &lane->slots[i], &whole[i], row, rows, &given[i - left_out]);
    }
    int code = er_record_ports(source, ER_EVENT_CALL, event, &ports, lane->n_feeds, 0.0);
    for (size_t i = 0; i < n - left_out; i++) {
        free(given[i].owned);
    }
    if (source->capture_below > 0) {
        er_record_capture(source, event, lane, row, rows);
    }
    return code;
}

int er_record_rows(const er_source *source, const er_event *events, const uint32_t *rows, size_t n, er_lane *lane) {
    if (lane == NULL || lane->n_feeds == 0) {
        return ER_EINVAL;
    }
    if (!lane->prepared) {
        er_record_describe(lane);
    }
    const er_value_info *first = &lane->slots[0].info;
    size_t n_rows = first->kind == ER_KIND_TENSOR && first->rank > 0 ? (size_t)first->dims[0] : 0;
    for (size_t i = 0; i < n; i++) {
        if (rows[i] >= n_rows) {
            return ER_EINVAL;
        }
    }
    struct er_given whole[2 * ER_PORTS_MAX];
    size_t n_ports = lane->n_feeds + lane->n_outputs;
    for (size_t i = 0; i < n_ports; i++) {
        whole[i] = (struct er_given){0};
        if (i >= lane->n_feeds || source->profile != NULL) {
            give_whole(lane, &lane->slots[i], n_rows, &whole[i]);
        }
    }
    int recorded = 0;
    for (size_t i = 0; i < n; i++) {
        recorded += record_row(source, &events[i], lane, whole, rows[i], n_rows) == ER_OK;
    }
    for (size_t i = 0; i < n_ports; i++) {
        free(whole[i].owned);
    }
    return recorded;
}
