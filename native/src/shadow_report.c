/* shadow_report.c: what the shadow queue tells: its results, its counters, and when it is idle. */
#include <time.h>

#include "shadow.h"

void er_shadow_append(er_shadow *shadow, const er_shadow_result *result) {
    pthread_mutex_lock(&shadow->mutex);
    if (shadow->n_results == ER_SHADOW_RESULTS_MAX) {
        uint32_t lost = shadow->results[shadow->first_result].slot;
        atomic_fetch_add(&shadow->counters[lost].results_lost, 1);
        shadow->first_result = (shadow->first_result + 1) % ER_SHADOW_RESULTS_MAX;
        shadow->n_results--;
    }
    shadow->results[(shadow->first_result + shadow->n_results++) % ER_SHADOW_RESULTS_MAX] = *result;
    pthread_mutex_unlock(&shadow->mutex);
}

static struct timespec deadline_after(int64_t timeout_ms) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t ns = deadline.tv_nsec + timeout_ms % 1000 * 1000000;
    deadline.tv_sec += (time_t)(timeout_ms / 1000 + ns / 1000000000);
    deadline.tv_nsec = (long)(ns % 1000000000);
    return deadline;
}

int er_shadow_wait(er_shadow *shadow, int64_t timeout_ms) {
    struct timespec deadline = deadline_after(timeout_ms > 0 ? timeout_ms : 0);
    int failed = 0;
    pthread_mutex_lock(&shadow->mutex);
    atomic_fetch_add(&shadow->waiters, 1);
    while (!failed && atomic_load(&shadow->pending) > 0 && !atomic_load(&shadow->closed)) {
        failed = timeout_ms < 0 ? pthread_cond_wait(&shadow->idle, &shadow->mutex)
                                : pthread_cond_timedwait(&shadow->idle, &shadow->mutex, &deadline);
    }
    atomic_fetch_sub(&shadow->waiters, 1);
    pthread_mutex_unlock(&shadow->mutex);
    return failed ? ER_ETIMEOUT : ER_OK;
}

int er_shadow_results(er_shadow *shadow, er_shadow_result *out, size_t max) {
    pthread_mutex_lock(&shadow->mutex);
    size_t count = shadow->n_results < max ? shadow->n_results : max;
    for (size_t i = 0; i < count; i++) {
        out[i] = shadow->results[shadow->first_result];
        shadow->first_result = (shadow->first_result + 1) % ER_SHADOW_RESULTS_MAX;
    }
    shadow->n_results -= count;
    pthread_mutex_unlock(&shadow->mutex);
    return (int)count;
}

int er_shadow_count(er_shadow *shadow, size_t slot, er_shadow_counts *out) {
    if (slot >= shadow->n_slots) {
        return ER_EINVAL;
    }
    struct er_shadow_counters *counters = &shadow->counters[slot];
#define ER_COUNT(name) out->name = atomic_load(&counters->name)
    ER_COUNT(done);
    ER_COUNT(disagreed);
    ER_COUNT(failed);
    ER_COUNT(nonfinite);
    ER_COUNT(dropped_full);
    ER_COUNT(dropped_bytes);
    ER_COUNT(dropped_closed);
    ER_COUNT(results_lost);
    ER_COUNT(offered); /* last: whatever was done or dropped was offered before */
#undef ER_COUNT
    return ER_OK;
}
