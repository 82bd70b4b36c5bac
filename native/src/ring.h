/* ring.h: a bounded queue of pointers for many producers and consumers, without locks.
 *
 * Source of the algorithm: Dmitry Vyukov, "Bounded MPMC queue": each cell carries a turn number that tells whether
 * it waits for a push or for a pop, so both sides claim a cell with one compare-and-swap. */
#ifndef ER_RING_H
#define ER_RING_H

#include <stdatomic.h>
#include <stddef.h>

struct er_ring_cell {
    atomic_size_t turn;
    void *item;
};

struct er_ring {
    size_t mask;
    struct er_ring_cell *cells;
    _Alignas(64) atomic_size_t head; /* next to push; on a cache line of its own */
    _Alignas(64) atomic_size_t tail; /* next to pop */
};

/* capacity: a power of two. Returns ER_OK or ER_ENOMEM. */
int er_ring_init(struct er_ring *ring, size_t capacity);
void er_ring_release(struct er_ring *ring);

/* 1 if the item went in, 0 if the ring is full. */
int er_ring_push(struct er_ring *ring, void *item);

/* NULL if the ring is empty. */
void *er_ring_pop(struct er_ring *ring);

#endif
