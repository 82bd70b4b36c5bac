/* shadow.c: the queue between the calls that are served and the models that are only watched.
 *
 * A call never waits here: it claims room with one atomic add, copies its tensors into a spare lane, pushes it and
 * posts a semaphore if the worker sleeps. The mutex is for the worker, readers of results and closing. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shadow.h"

enum { CAPACITY_MAX = 65536, SLOTS_MAX = 4096 };

int er_shadow_new(er_runtime *runtime, size_t capacity, size_t bytes_max, size_t slots, er_shadow **out) {
    if (capacity == 0 || (capacity & (capacity - 1)) != 0 || slots == 0) {
        return ER_EINVAL;
    }
    if (capacity > CAPACITY_MAX || slots > SLOTS_MAX) {
        return ER_ELIMIT;
    }
    size_t size = sizeof(er_shadow) + slots * sizeof(struct er_shadow_counters);
    size = (size + _Alignof(er_shadow) - 1) / _Alignof(er_shadow) * _Alignof(er_shadow);
    er_shadow *shadow = aligned_alloc(_Alignof(er_shadow), size);
    if (shadow == NULL) {
        return ER_ENOMEM;
    }
    *shadow = (er_shadow){.runtime = runtime, .capacity = capacity, .bytes_max = bytes_max, .n_slots = slots};
    for (size_t i = 0; i < slots; i++) {
        shadow->counters[i] = (struct er_shadow_counters){0};
    }
    pthread_mutex_init(&shadow->mutex, NULL);
    sem_init(&shadow->work, 0, 0);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&shadow->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    shadow->results = calloc(ER_SHADOW_RESULTS_MAX, sizeof shadow->results[0]);
    int code = shadow->results == NULL ? ER_ENOMEM : er_ring_init(&shadow->queue, capacity);
    if (code == ER_OK) {
        code = er_ring_init(&shadow->spare, capacity);
    }
    if (code != ER_OK) {
        er_shadow_free(shadow);
        return code;
    }
    *out = shadow;
    return ER_OK;
}

static void free_lanes(struct er_ring *ring) {
    if (ring->cells != NULL) {
        for (er_lane *lane = er_ring_pop(ring); lane != NULL; lane = er_ring_pop(ring)) {
            er_lane_free(lane);
        }
    }
    er_ring_release(ring);
}

void er_shadow_free(er_shadow *shadow) {
    if (shadow == NULL) {
        return;
    }
    free_lanes(&shadow->queue);
    free_lanes(&shadow->spare);
    pthread_cond_destroy(&shadow->idle);
    sem_destroy(&shadow->work);
    pthread_mutex_destroy(&shadow->mutex);
    free(shadow->results);
    free(shadow->sources);
    free(shadow);
}

int er_shadow_record(er_shadow *shadow, const er_source *const *sources) {
    size_t bytes = shadow->n_slots * sizeof *sources;
    if (shadow->sources == NULL) {
        shadow->sources = malloc(bytes);
    }
    if (shadow->sources == NULL) {
        return ER_ENOMEM;
    }
    memcpy(shadow->sources, sources, bytes);
    return ER_OK;
}

static int copy_for_queue(er_shadow *shadow, er_lane *lane, er_lane **out) {
    er_lane *spare = lane->prepared ? er_ring_pop(&shadow->spare) : NULL;
    if (spare != NULL && er_lane_same_shape(lane, spare)) {
        er_lane_copy_data(lane, spare);
        *out = spare;
        return ER_OK;
    }
    er_lane_free(spare);
    return er_lane_copy(lane, out);
}

/* A semaphore and no mutex: a worker that was put off while it held one would make the call wait. */
static void wake(er_shadow *shadow) {
    atomic_thread_fence(memory_order_seq_cst); /* the push is seen before sleeping is read */
    if (atomic_load(&shadow->sleeping) && atomic_exchange(&shadow->sleeping, 0)) {
        sem_post(&shadow->work);
    }
}

void er_shadow_leave(er_shadow *shadow, size_t bytes) {
    atomic_fetch_sub(&shadow->bytes, bytes);
    if (atomic_fetch_sub(&shadow->pending, 1) == 1 && atomic_load(&shadow->waiters) > 0) {
        pthread_mutex_lock(&shadow->mutex);
        pthread_cond_broadcast(&shadow->idle);
        pthread_mutex_unlock(&shadow->mutex);
    }
}

static int enqueue(er_shadow *shadow, er_lane *lane, const struct er_job *job) {
    er_lane *copy = NULL;
    int code = copy_for_queue(shadow, lane, &copy);
    if (code != ER_OK) {
        return code;
    }
    if (copy->job == NULL) {
        copy->job = malloc(sizeof *copy->job);
    }
    if (copy->job == NULL) {
        er_lane_free(copy);
        return ER_ENOMEM;
    }
    *copy->job = *job;
    if (!er_ring_push(&shadow->queue, copy)) {
        er_lane_free(copy);
        return ER_EFULL;
    }
    wake(shadow);
    return ER_OK;
}

/* Claim room for a job, copy it in, or say why not. */
static int admit(er_shadow *shadow, er_lane *lane, struct er_job *job) {
    if (atomic_load_explicit(&shadow->closed, memory_order_relaxed)) {
        return ER_ECLOSED;
    }
    if (atomic_fetch_add(&shadow->pending, 1) >= shadow->capacity) {
        er_shadow_leave(shadow, 0);
        return ER_EFULL;
    }
    int code = lane->prepared ? ER_OK : er_lane_describe(lane);
    job->bytes = code == ER_OK ? er_lane_bytes(lane) : 0;
    if (atomic_fetch_add(&shadow->bytes, job->bytes) + job->bytes > shadow->bytes_max) {
        code = ER_ELIMIT;
    }
    if (code == ER_OK) {
        code = enqueue(shadow, lane, job);
    }
    if (code != ER_OK) {
        er_shadow_leave(shadow, job->bytes);
    }
    return code;
}

static _Atomic uint64_t *drop_counter(struct er_shadow_counters *counters, int code) {
    switch (code) {
    case ER_ECLOSED: return &counters->dropped_closed;
    case ER_ELIMIT: return &counters->dropped_bytes;
    default: return &counters->dropped_full;
    }
}

int er_shadow_offer(er_shadow *shadow, er_lane *lane, uint64_t sequence, const er_watch *watches, size_t n_watches) {
    struct er_job job = {.sequence = sequence, .n_watches = n_watches};
    if (n_watches == 0 || n_watches > ER_WATCHES_MAX) {
        return ER_EINVAL;
    }
    for (size_t i = 0; i < n_watches; i++) {
        if (watches[i].slot >= shadow->n_slots) {
            return ER_EINVAL;
        }
        job.watches[i] = watches[i];
    }
    for (size_t i = 0; i < n_watches; i++) { /* first, so that no reader ever sees more done than offered */
        atomic_fetch_add(&shadow->counters[watches[i].slot].offered, 1);
    }
    int code = admit(shadow, lane, &job);
    for (size_t i = 0; code != ER_OK && i < n_watches; i++) {
        atomic_fetch_add(drop_counter(&shadow->counters[watches[i].slot], code), 1);
    }
    return code;
}

void er_shadow_close(er_shadow *shadow) {
    atomic_store(&shadow->closed, 1);
    pthread_mutex_lock(&shadow->mutex);
    if (shadow->running != NULL) {
        (void)er_lane_stop(shadow->running); /* a run that cannot be stopped is waited for */
    }
    pthread_cond_broadcast(&shadow->idle);
    pthread_mutex_unlock(&shadow->mutex);
    wake(shadow);
}
