#include "edgerun.h"
#include "edgerun_runtime.h"

/* Calls that Python makes before every inference take as few arguments as they can (17 ns each) and report failure
 * as an index past every arm, which Python's own bounds check turns into an exception at no cost. */

#define ER_PY_KEY_MAX_BYTES 1048576
#define ER_PY_KEY_TOO_LONG INT32_MAX

static int er_py_split_assign(const er_split *split, const void *key, size_t len) {
    return len > ER_PY_KEY_MAX_BYTES ? ER_PY_KEY_TOO_LONG : er_split_assign(split, key, len, NULL);
}
