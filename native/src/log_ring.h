/* log_ring.h: a ring of records of any length, for many producers and one consumer, without locks.
 *
 * A producer claims room with one compare-and-swap of the head, writes, and publishes the record by a release store of
 * its first word, its size. The consumer takes records in the order of their claims and zeroes behind itself, so that
 * a size which was not yet published is 0. Records begin at a multiple of 8 bytes and are never cut: one that begins
 * near the end runs on into memory behind the ring, and its room at the ring's start stays unused for that lap. */
#ifndef ER_LOG_RING_H
#define ER_LOG_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ER_LOG_WORD 8

struct er_log_ring {
    size_t bytes; /* a power of two */
    unsigned char *memory;
    _Alignas(64) _Atomic uint64_t head; /* records claimed, and words claimed below: both modulo 2^32 */
    _Alignas(64) _Atomic uint64_t tail; /* bytes drained, as producers may know */
    _Alignas(64) uint64_t read;         /* the consumer's: bytes drained */
    uint32_t records;                   /* records drained, modulo 2^32 */
};

/* bytes: a power of two; record_max: bytes of the largest record. Returns ER_OK or ER_ENOMEM. */
int er_log_ring_init(struct er_log_ring *ring, size_t bytes, size_t record_max);
void er_log_ring_release(struct er_log_ring *ring);
/* Empty it, whatever state it is in. Nobody else may use it meanwhile. */
void er_log_ring_reset(struct er_log_ring *ring, size_t record_max);

struct er_log_claim {
    unsigned char *record; /* zeroed, and aligned to 8; NULL where there is no room */
    uint32_t number;       /* of records claimed, with this one */
    int crowded;           /* the ring is more than half full */
};

/* Claim size bytes, a multiple of 8, where no more than limit bytes are in use with them. */
struct er_log_claim er_log_ring_claim(struct er_log_ring *ring, size_t size, size_t limit);

static inline void er_log_ring_publish(unsigned char *record, size_t size) {
    atomic_store_explicit((_Atomic uint32_t *)(void *)record, (uint32_t)size, memory_order_release);
}

/* The consumer's: the oldest record, NULL where none is published. */
static inline unsigned char *er_log_ring_peek(struct er_log_ring *ring, uint32_t *size) {
    unsigned char *record = ring->memory + (ring->read & (ring->bytes - 1));
    *size = atomic_load_explicit((_Atomic uint32_t *)(void *)record, memory_order_acquire);
    return *size == 0 ? NULL : record;
}

/* Be done with the record that er_log_ring_peek() gave; producers learn of it by er_log_ring_yield(). */
void er_log_ring_take(struct er_log_ring *ring, unsigned char *record, size_t size);
void er_log_ring_yield(struct er_log_ring *ring);

/* Records claimed, published or not, that were not drained; and whether the ring is more than half full. */
uint32_t er_log_ring_waiting(struct er_log_ring *ring, int *crowded);

/* Bytes claimed since the ring was made. */
uint64_t er_log_ring_head(const struct er_log_ring *ring);

#endif
