#include "edgerun.h"
#include "edgerun_log.h"
#include "edgerun_runtime.h"

/* Calls that Python makes before every inference take as few arguments as they can (17 ns each) and report failure
 * as an index past every arm, which Python's own bounds check turns into an exception at no cost. */

#define ER_PY_KEY_MAX_BYTES 1048576
#define ER_PY_KEY_TOO_LONG INT32_MAX

static int er_py_split_assign(const er_split *split, const void *key, size_t len) {
    return len > ER_PY_KEY_MAX_BYTES ? ER_PY_KEY_TOO_LONG : er_split_assign(split, key, len, NULL);
}

#define ER_PY_NONFINITE INT64_MIN

/* The time of a run in nanoseconds; or a negative code, or ER_PY_NONFINITE. */
static int64_t er_py_lane_run(er_lane *lane, er_model *model, int check_finite) {
    er_run run;
    int code = er_lane_run(lane, model, check_finite, &run, NULL);
    return code < 0 ? code : run.flags != 0 ? ER_PY_NONFINITE : run.latency_ns;
}

/* The unit of the call that this thread is about to serve: from where the way is decided to where it is recorded. */
static _Thread_local uint64_t er_py_thread_unit;

#define ER_PY_UNIT_SEED 42

static uint64_t er_py_unit(void) {
    return er_py_thread_unit;
}

/* Note the unit of a key that no split hashes. */
static void er_py_note_unit(const void *key, size_t len) {
    er_py_thread_unit = er_xxh64(key, len, ER_PY_UNIT_SEED);
}

/* er_py_split_assign(), which also notes the key's unit for er_py_serve(). */
static int er_py_split_assign_keyed(const er_split *split, const void *key, size_t len) {
    if (len > ER_PY_KEY_MAX_BYTES) {
        return ER_PY_KEY_TOO_LONG;
    }
    er_py_thread_unit = er_xxh64(key, len, ER_PY_UNIT_SEED);
    return er_split_assign(split, key, len, NULL);
}

/* er_py_lane_run() of the source's model, and a good run's record: what found no room is counted. */
static int64_t er_py_serve(er_lane *lane, const er_source *source, uint64_t sequence) {
    er_run run;
    int code = er_lane_run(lane, source->model, source->check_finite, &run, NULL);
    if (code < 0 || run.flags != 0) {
        return code < 0 ? code : ER_PY_NONFINITE;
    }
    if (source->recorder != NULL) {
        er_event event = {.sequence = sequence, .time_ns = run.start_ns, .latency_ns = run.latency_ns};
        if (source->keyed) {
            event.unit = er_py_thread_unit;
            event.flags = ER_FLAG_KEYED;
        }
        (void)er_record_call(source, &event, lane);
    }
    if (source->profile != NULL) {
        er_profile_latency(source->profile, run.latency_ns);
    }
    return run.latency_ns;
}
