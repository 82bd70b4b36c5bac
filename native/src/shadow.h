/* shadow.h: the shadow queue's state, shared by its parts. */
#ifndef ER_SHADOW_H
#define ER_SHADOW_H

#include <pthread.h>
#include <semaphore.h>

#include "lane.h"
#include "ring.h"

enum { ER_SHADOW_RESULTS_MAX = 4096 };

/* What the worker shall do with a copy of a call. */
struct er_job {
    uint64_t sequence;
    size_t bytes, n_watches;
    er_watch watches[ER_WATCHES_MAX];
};

struct er_shadow_counters {
    _Atomic uint64_t offered, done, disagreed, failed, nonfinite;
    _Atomic uint64_t dropped_full, dropped_bytes, dropped_closed, results_lost;
};

struct er_shadow {
    er_runtime *runtime;
    size_t capacity, bytes_max, n_slots;
    struct er_ring queue, spare; /* lanes to run, and lanes to copy into */
    atomic_size_t pending;       /* queued or in the worker's hands */
    atomic_size_t bytes;
    atomic_int closed, sleeping, waiters;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    sem_t work;                /* posted to a worker that sleeps */
    er_lane *running;          /* under the mutex: what er_shadow_close() shall stop */
    er_shadow_result *results; /* a ring of ER_SHADOW_RESULTS_MAX results, under the mutex */
    size_t first_result, n_results;
    const er_source **sources; /* of every slot, what its runs are recorded as; NULL where nothing is */
    struct er_shadow_counters counters[];
};

/* Room that a job claimed is free again. */
void er_shadow_leave(er_shadow *shadow, size_t bytes);

/* Keep a result until it is fetched; the oldest gives way. */
void er_shadow_append(er_shadow *shadow, const er_shadow_result *result);

#endif
