/* ring.c: see ring.h. */
#include "ring.h"

#include <stdint.h>
#include <stdlib.h>

#include "edgerun.h"

int er_ring_init(struct er_ring *ring, size_t capacity) {
    ring->cells = calloc(capacity, sizeof ring->cells[0]);
    if (ring->cells == NULL) {
        return ER_ENOMEM;
    }
    ring->mask = capacity - 1;
    for (size_t i = 0; i < capacity; i++) {
        atomic_init(&ring->cells[i].turn, i);
    }
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    return ER_OK;
}

void er_ring_release(struct er_ring *ring) {
    free(ring->cells);
}

/* Claim the cell whose turn is position + offset; NULL when it is not that cell's turn yet. */
static struct er_ring_cell *claim(struct er_ring *ring, atomic_size_t *end, size_t offset, size_t *position) {
    *position = atomic_load_explicit(end, memory_order_relaxed);
    for (;;) {
        struct er_ring_cell *cell = &ring->cells[*position & ring->mask];
        size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        intptr_t lag = (intptr_t)(turn - (*position + offset));
        if (lag < 0) {
            return NULL;
        }
        if (lag > 0) {
            *position = atomic_load_explicit(end, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(end, position, *position + 1, memory_order_relaxed,
                                                         memory_order_relaxed)) {
            return cell;
        }
    }
}

int er_ring_push(struct er_ring *ring, void *item) {
    size_t position;
    struct er_ring_cell *cell = claim(ring, &ring->head, 0, &position);
    if (cell == NULL) {
        return 0;
    }
    cell->item = item;
    atomic_store_explicit(&cell->turn, position + 1, memory_order_release);
    return 1;
}

void *er_ring_pop(struct er_ring *ring) {
    size_t position;
    struct er_ring_cell *cell = claim(ring, &ring->tail, 1, &position);
    if (cell == NULL) {
        return NULL;
    }
    void *item = cell->item;
    atomic_store_explicit(&cell->turn, position + ring->mask + 1, memory_order_release);
    return item;
}
