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
