/* shadow_work.c: the shadow's worker: it runs watched models, compares, and tells the log. */
#include <math.h>

#include "compare.h"
#include "recorder.h"
#include "shadow.h"

enum { LOOK_NS = 50000, LOOKS_BETWEEN_CLOCKS = 64 };

/* Tell the processor that this thread only waits. */
static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
    __asm__ volatile("yield");
#endif
}

static int judge(er_lane *lane, double tolerance, OrtValue **outputs, er_shadow_result *result) {
    struct difference difference = {0};
    int nonfinite = 0;
    for (size_t i = 0; i < lane->n_outputs; i++) {
        int found = 0;
        int code = er_value_nonfinite(lane->runtime, outputs[i], &found, NULL);
        if (code == ER_OK) {
            code = er_value_compare(lane->runtime, lane->slots[lane->n_feeds + i].value, outputs[i],
                                    tolerance, &difference);
        }
        if (code != ER_OK) {
            return code;
        }
        nonfinite |= found;
    }
    result->nonfinite = (uint8_t)nonfinite;
    result->disagree = (uint8_t)difference.disagree;
    result->max_abs_diff = difference.max_abs_diff;
    return ER_OK;
}

/* Tell the log what a watched model made of a call; the outputs are those of a run that ended well. */
static void record_watch(er_shadow *shadow, const er_lane *lane, const er_run *run, OrtValue **outputs,
                         const er_shadow_result *result) {
    const er_source *source = shadow->sources == NULL ? NULL : shadow->sources[result->slot];
    if (source == NULL || source->recorder == NULL) {
        return;
    }
    int failed = result->code != ER_OK;
    int flags = (result->nonfinite ? ER_FLAG_NONFINITE : 0) | (failed ? ER_FLAG_FAILED : 0) |
                (result->disagree ? ER_FLAG_DISAGREE : 0);
    er_event event = {.sequence = result->sequence,
                      .time_ns = run->start_ns,
                      .latency_ns = run->latency_ns,
                      .flags = (uint8_t)flags};
    er_record_shadow(source, &event, failed ? (double)NAN : result->max_abs_diff, shadow->runtime,
                     failed ? NULL : outputs, lane->n_feeds, lane->n_outputs);
    if (!failed && source->profile != NULL) {
        er_profile_latency(source->profile, run->latency_ns);
    }
}

/* Let er_shadow_close() see which run to stop, NULL for none. */
static void show_running(er_shadow *shadow, er_lane *lane) {
    pthread_mutex_lock(&shadow->mutex);
    shadow->running = lane;
    pthread_mutex_unlock(&shadow->mutex);
}

static void run_watch(er_shadow *shadow, er_lane *lane, const er_watch *watch) {
    struct er_shadow_counters *counters = &shadow->counters[watch->slot];
    er_shadow_result result = {.sequence = lane->job->sequence, .slot = watch->slot};
    OrtValue *outputs[ER_PORTS_MAX] = {0};
    show_running(shadow, lane);
    if (atomic_load(&shadow->closed)) { /* closed before it could see this run */
        show_running(shadow, NULL);
        atomic_fetch_add(&counters->dropped_closed, 1);
        return;
    }
    er_run run = {.start_ns = er_clock_ns()};
    result.code = er_lane_run_into(lane, watch->model, outputs, &run, NULL);
    result.latency_ns = run.latency_ns;
    show_running(shadow, NULL);
    if (result.code == ER_OK) {
        result.code = judge(lane, (double)watch->tolerance, outputs, &result);
    }
    record_watch(shadow, lane, &run, outputs, &result);
    for (size_t i = 0; i < lane->n_outputs; i++) {
        er_value_free(shadow->runtime, er_from_ort(outputs[i]));
    }
    atomic_fetch_add(&counters->done, 1);
    atomic_fetch_add(&counters->failed, result.code != ER_OK);
    atomic_fetch_add(&counters->nonfinite, result.nonfinite);
    atomic_fetch_add(&counters->disagreed, result.disagree);
    er_shadow_append(shadow, &result);
}

static void run_job(er_shadow *shadow, er_lane *lane) {
    for (size_t i = 0; i < lane->job->n_watches; i++) {
        run_watch(shadow, lane, &lane->job->watches[i]);
    }
}

/* Jobs come in trains, and to wake a sleeper costs the call that does it some microseconds: look for a while first. */
static er_lane *look_for_work(er_shadow *shadow) {
    int64_t until = er_clock_ns() + LOOK_NS;
    do {
        for (int i = 0; i < LOOKS_BETWEEN_CLOCKS; i++) {
            er_lane *lane = er_ring_pop(&shadow->queue);
            if (lane != NULL || atomic_load_explicit(&shadow->closed, memory_order_relaxed)) {
                return lane;
            }
            relax();
        }
    } while (er_clock_ns() < until);
    return NULL;
}

static void wait_for_wake(er_shadow *shadow) {
    while (sem_wait(&shadow->work) != 0) { /* only a signal handler can end it early */
    }
}

static er_lane *sleep_until_work(er_shadow *shadow) {
    for (;;) {
        atomic_store(&shadow->sleeping, 1);
        atomic_thread_fence(memory_order_seq_cst); /* sleeping is seen before the ring is looked at */
        er_lane *lane = er_ring_pop(&shadow->queue);
        if (lane != NULL || atomic_load(&shadow->closed)) {
            if (!atomic_exchange(&shadow->sleeping, 0)) {
                wait_for_wake(shadow); /* somebody saw a sleeper: the post that is on its way is taken */
            }
            return lane;
        }
        wait_for_wake(shadow);
    }
}

/* Keep a lane to copy later calls into, unless as many of its size would be more than may be queued. */
static void retire(er_shadow *shadow, er_lane *lane) {
    size_t bytes = lane->job->bytes;
    if (bytes > shadow->bytes_max / shadow->capacity || !er_ring_push(&shadow->spare, lane)) {
        er_lane_free(lane);
    }
    er_shadow_leave(shadow, bytes);
}

int er_shadow_work(er_shadow *shadow) {
    for (;;) {
        er_lane *lane = look_for_work(shadow);
        if (lane == NULL) {
            lane = sleep_until_work(shadow);
        }
        if (lane == NULL) {
            return ER_OK;
        }
        run_job(shadow, lane);
        retire(shadow, lane);
    }
}
