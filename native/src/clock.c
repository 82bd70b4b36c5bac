/* clock.c: the one clock that latencies and the times of events are of. */
#include <time.h>

#include "edgerun_log.h"

#ifdef CLOCK_BOOTTIME
#define ER_CLOCK CLOCK_BOOTTIME /* counts sleep */
#else
#define ER_CLOCK CLOCK_MONOTONIC
#endif

int64_t er_clock_ns(void) {
    struct timespec now;
    clock_gettime(ER_CLOCK, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
