/* test_ring.c: the ring keeps order, refuses when full, and loses or doubles nothing between threads. */
#include <pthread.h>
#include <sched.h>

#include "check.h"
#include "edgerun.h"
#include "ring.h"

enum { CAPACITY = 8, PRODUCERS = 3, CONSUMERS = 3, ITEMS_EACH = 20000 };

static void test_order_and_bounds(void) {
    struct er_ring ring;
    int items[CAPACITY + 1];
    CHECK(er_ring_init(&ring, CAPACITY) == ER_OK);
    for (int round = 0; round < 5; round++) {
        CHECK(er_ring_pop(&ring) == NULL);
        for (int i = 0; i < CAPACITY; i++) {
            CHECK(er_ring_push(&ring, &items[i]));
        }
        CHECK(!er_ring_push(&ring, &items[CAPACITY]));
        for (int i = 0; i < CAPACITY; i++) {
            CHECK(er_ring_pop(&ring) == &items[i]);
        }
    }
    er_ring_release(&ring);
}

static struct er_ring shared;
static atomic_int seen[PRODUCERS * ITEMS_EACH];
static atomic_int taken;

static void *produce(void *first) {
    for (int i = 0; i < ITEMS_EACH; i++) {
        while (!er_ring_push(&shared, (atomic_int *)first + i)) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consume(void *unused) {
    (void)unused;
    while (atomic_load(&taken) < PRODUCERS * ITEMS_EACH) {
        atomic_int *item = er_ring_pop(&shared);
        if (item == NULL) {
            sched_yield();
        } else {
            atomic_fetch_add(item, 1);
            atomic_fetch_add(&taken, 1);
        }
    }
    return NULL;
}

static void test_threads(void) {
    pthread_t threads[PRODUCERS + CONSUMERS];
    CHECK(er_ring_init(&shared, CAPACITY) == ER_OK);
    for (int i = 0; i < PRODUCERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, produce, &seen[i * ITEMS_EACH]) == 0);
    }
    for (int i = 0; i < CONSUMERS; i++) {
        CHECK(pthread_create(&threads[PRODUCERS + i], NULL, consume, NULL) == 0);
    }
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < PRODUCERS * ITEMS_EACH; i++) {
        CHECK(atomic_load(&seen[i]) == 1);
    }
    er_ring_release(&shared);
}

int main(void) {
    test_order_and_bounds();
    test_threads();
    return 0;
}
