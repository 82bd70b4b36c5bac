/* recorder.c: the recorder's making and state, and the records that have no tensors. */
#include "recorder.h"

#include <stdlib.h>
#include <string.h>

enum { RING_BYTES_MIN = 65536, RING_BYTES_MAX = 1 << 30 };

int er_recorder_new(size_t ring_bytes, er_recorder **out) {
    if (ring_bytes < RING_BYTES_MIN || ring_bytes > RING_BYTES_MAX || (ring_bytes & (ring_bytes - 1)) != 0) {
        return ER_EINVAL;
    }
    er_recorder *recorder = aligned_alloc(_Alignof(er_recorder), sizeof *recorder);
    if (recorder == NULL) {
        return ER_ENOMEM;
    }
    memset(recorder, 0, sizeof *recorder);
    if (er_log_ring_init(&recorder->ring, ring_bytes, ER_RECORD_BYTES_MAX) != ER_OK) {
        free(recorder);
        return ER_ENOMEM;
    }
    atomic_store(&recorder->wake_at, ER_WAKE_NEVER);
    er_shapes_init(&recorder->shapes);
    *out = recorder;
    return ER_OK;
}

void er_recorder_free(er_recorder *recorder) {
    if (recorder == NULL) {
        return;
    }
    er_log_ring_release(&recorder->ring);
    er_shapes_release(&recorder->shapes);
    free(recorder);
}

void er_recorder_reset(er_recorder *recorder) {
    er_log_ring_reset(&recorder->ring, ER_RECORD_BYTES_MAX);
    atomic_store(&recorder->wake_at, ER_WAKE_NEVER);
    atomic_store(&recorder->woken, 0);
    for (size_t i = 0; i < ER_LOSS_KINDS; i++) {
        atomic_store(&recorder->losses[i], 0);
    }
    /* The shapes stay where they are: the parent's thread may have been within them, so they are not freed. */
    er_shapes_init(&recorder->shapes);
}

static size_t loss_of(int kind) {
    switch (kind) {
    case ER_EVENT_CALL: return 0;
    case ER_EVENT_SHADOW: return 1;
    case ER_EVENT_ERROR: return 2;
    case ER_EVENT_CAPTURE: return 3;
    default: return kind >= ER_EVENT_LABEL ? 4 : 5;
    }
}

void er_recorder_losses(const er_recorder *recorder, er_losses *out) {
    uint64_t counts[ER_LOSS_KINDS];
    for (size_t i = 0; i < ER_LOSS_KINDS; i++) {
        counts[i] = atomic_load_explicit(&recorder->losses[i], memory_order_relaxed);
    }
    *out = (er_losses){.calls = counts[0],
                       .shadows = counts[1],
                       .errors = counts[2],
                       .captures = counts[3],
                       .journal = counts[4],
                       .profiles = counts[5]};
}

uint64_t er_recorder_head(const er_recorder *recorder) {
    return er_log_ring_head(&recorder->ring);
}

uint64_t er_recorder_tail(const er_recorder *recorder) {
    return atomic_load_explicit(&recorder->ring.tail, memory_order_acquire);
}

struct er_record *er_record_begin(er_recorder *recorder, int kind, size_t size, const er_event *event, uint32_t source,
                                  struct er_log_claim *claim, int *code) {
    size_t bytes = recorder->ring.bytes;
    *code = ER_ELIMIT;
    claim->record = NULL;
    if (size <= ER_RECORD_BYTES_MAX) {
        *code = ER_EFULL;
        *claim = er_log_ring_claim(&recorder->ring, size, kind >= ER_EVENT_LABEL ? bytes : bytes - bytes / 8);
    }
    if (claim->record == NULL) {
        atomic_fetch_add_explicit(&recorder->losses[loss_of(kind)], 1, memory_order_relaxed);
        return NULL;
    }
    struct er_record *record = (struct er_record *)(void *)claim->record;
    record->kind = (uint8_t)kind;
    record->flags = event->flags;
    record->source = source;
    record->sequence = event->sequence;
    record->unit = event->unit;
    record->time_ns = event->time_ns;
    record->latency_ns = event->latency_ns;
    *code = ER_OK;
    return record;
}

void er_record_end(er_recorder *recorder, const struct er_log_claim *claim, size_t size) {
    er_log_ring_publish(claim->record, size);
    uint32_t wake_at = atomic_load(&recorder->wake_at);
    int32_t left = (int32_t)(wake_at - claim->number);
    if (left > 0 && !(claim->crowded && left < ER_WAKE_NEVER / 2)) {
        return;
    }
    /* One of those who come here wakes it. */
    if (atomic_compare_exchange_strong(&recorder->wake_at, &wake_at, claim->number + ER_WAKE_NEVER)) {
        er_recorder_ring_bell(recorder);
    }
}

int er_record_note(er_recorder *recorder, int kind, const er_event *event, uint32_t source, const void *value,
                   size_t len) {
    if (kind <= ER_EVENT_SHADOW || kind > UINT8_MAX) {
        return ER_EINVAL;
    }
    struct er_log_claim claim;
    int code;
    size_t size = len <= ER_RECORD_BYTES_MAX ? er_padded(sizeof(struct er_record) + len) : SIZE_MAX;
    struct er_record *record = er_record_begin(recorder, kind, size, event, source, &claim, &code);
    if (record == NULL) {
        return code;
    }
    record->length = len;
    if (len > 0) {
        memcpy(record + 1, value, len);
    }
    er_record_end(recorder, &claim, size);
    return ER_OK;
}
