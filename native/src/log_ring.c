/* log_ring.c: see log_ring.h. */
#include "log_ring.h"

#include <stdlib.h>
#include <string.h>

#include "edgerun.h"

static uint32_t words_of(uint64_t head) {
    return (uint32_t)head;
}

static uint32_t records_of(uint64_t head) {
    return (uint32_t)(head >> 32);
}

int er_log_ring_init(struct er_log_ring *ring, size_t bytes, size_t record_max) {
    ring->bytes = bytes;
    ring->memory = aligned_alloc(64, bytes + (record_max + 63) / 64 * 64);
    if (ring->memory == NULL) {
        return ER_ENOMEM;
    }
    er_log_ring_reset(ring, record_max);
    return ER_OK;
}

void er_log_ring_release(struct er_log_ring *ring) {
    free(ring->memory);
}

void er_log_ring_reset(struct er_log_ring *ring, size_t record_max) {
    memset(ring->memory, 0, ring->bytes + record_max); /* and no call will be the first to touch a page */
    atomic_store(&ring->head, 0);
    atomic_store(&ring->tail, 0);
    ring->read = 0;
    ring->records = 0;
}

struct er_log_claim er_log_ring_claim(struct er_log_ring *ring, size_t size, size_t limit) {
    struct er_log_claim claim = {0};
    uint32_t words = (uint32_t)(size / ER_LOG_WORD), limit_words = (uint32_t)(limit / ER_LOG_WORD);
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    for (;;) {
        uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
        uint32_t used = words_of(head) - (uint32_t)(tail / ER_LOG_WORD) + words;
        if (used > limit_words) {
            uint64_t now = atomic_load_explicit(&ring->head, memory_order_relaxed);
            if (now == head) {
                return claim;
            }
            head = now; /* it was so old that the tail had passed it */
            continue;
        }
        uint64_t next = (uint64_t)(records_of(head) + 1) << 32 | (uint32_t)(words_of(head) + words);
        /* In one order with the consumer's look at the head before it sleeps; see recorder_wait.c. */
        if (atomic_compare_exchange_weak_explicit(&ring->head, &head, next, memory_order_seq_cst,
                                                  memory_order_relaxed)) {
            claim.record = ring->memory + ((size_t)words_of(head) * ER_LOG_WORD & (ring->bytes - 1));
            claim.number = records_of(next);
            claim.crowded = used > ring->bytes / ER_LOG_WORD / 2;
            return claim;
        }
    }
}

void er_log_ring_take(struct er_log_ring *ring, unsigned char *record, size_t size) {
    memset(record, 0, size);
    ring->read += size;
    ring->records++;
}

void er_log_ring_yield(struct er_log_ring *ring) {
    atomic_store_explicit(&ring->tail, ring->read, memory_order_release);
}

uint32_t er_log_ring_waiting(struct er_log_ring *ring, int *crowded) {
    uint64_t head = atomic_load(&ring->head);
    uint32_t used = words_of(head) - (uint32_t)(ring->read / ER_LOG_WORD);
    *crowded = used > ring->bytes / ER_LOG_WORD / 2;
    return records_of(head) - ring->records;
}

uint64_t er_log_ring_head(const struct er_log_ring *ring) {
    uint64_t tail = atomic_load(&ring->tail); /* first: the head is then ahead of it by no more than the ring */
    uint32_t words = words_of(atomic_load(&ring->head)) - (uint32_t)(tail / ER_LOG_WORD);
    return tail + (uint64_t)words * ER_LOG_WORD;
}
