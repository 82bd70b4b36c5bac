/* recorder_wait.c: how the thread that drains the ring sleeps, and who wakes it.
 *
 * The consumer names the record at whose claim it wants to be woken, looks whether it was claimed meanwhile, and
 * sleeps; a producer claims first and then looks at the name. Both in one order, so that one of them sees the other. It
 * sleeps on a futex: of what POSIX offers to a caller that takes no lock, the timed wait is by the wall clock, which
 * steps. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "recorder.h"

enum { NAP_NS_FIRST = 20000, NAP_NS_LAST = 2000000 };

static int64_t awake_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The deadline ms from now; never for a negative ms. */
static int64_t deadline_in(int64_t ms) {
    int64_t now = awake_ns();
    return ms < 0 || ms > (INT64_MAX - now) / 1000000 ? INT64_MAX : now + ms * 1000000;
}

/* The system call's own timespec: two longs, whatever the C library's time_t is. */
struct futex_time {
    long seconds, nanoseconds;
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct futex_time *timeout) {
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

/* Sleep until the bell changes from what it was, at most until the deadline; or less: the caller looks again. */
static void sleep_on_bell(er_recorder *recorder, uint32_t was, int64_t deadline) {
    if (deadline == INT64_MAX) {
        (void)futex(&recorder->bell, FUTEX_WAIT, was, NULL);
        return;
    }
    int64_t left = deadline - awake_ns();
    if (left > 0) {
        int64_t seconds = left / 1000000000;
        struct futex_time timeout = {seconds < INT_MAX ? (long)seconds : INT_MAX, (long)(left % 1000000000)};
        (void)futex(&recorder->bell, FUTEX_WAIT, was, &timeout);
    }
}

void er_recorder_ring_bell(er_recorder *recorder) {
    atomic_fetch_add(&recorder->bell, 1);
    int error = errno; /* a signal handler may be who wakes */
    (void)futex(&recorder->bell, FUTEX_WAKE, INT_MAX, NULL);
    errno = error;
}

void er_recorder_wake(er_recorder *recorder) {
    atomic_store(&recorder->woken, 1);
    er_recorder_ring_bell(recorder);
}

/* Sleep until so many records wait, the ring is crowded, er_recorder_wake(), or the deadline; returns how many wait. */
static uint32_t sleep_until(er_recorder *recorder, uint32_t records, int64_t deadline) {
    for (;;) {
        int crowded;
        uint32_t bell = atomic_load(&recorder->bell);
        atomic_store(&recorder->wake_at, recorder->ring.records + records);
        uint32_t waiting = er_log_ring_waiting(&recorder->ring, &crowded);
        if (waiting >= records || crowded || atomic_load(&recorder->woken) ||
            (deadline != INT64_MAX && awake_ns() >= deadline)) {
            atomic_store(&recorder->wake_at, recorder->ring.records + waiting + ER_WAKE_NEVER);
            return waiting;
        }
        sleep_on_bell(recorder, bell, deadline);
    }
}

/* Whoever claimed the oldest record may have been put off before it could publish: let it run. */
static void nap_until_published(er_recorder *recorder, int64_t deadline) {
    uint32_t size;
    struct timespec nap = {.tv_nsec = NAP_NS_FIRST};
    while (er_log_ring_peek(&recorder->ring, &size) == NULL && !atomic_load(&recorder->woken) &&
           (deadline == INT64_MAX || awake_ns() < deadline)) {
        nanosleep(&nap, NULL);
        nap.tv_nsec = nap.tv_nsec < NAP_NS_LAST / 2 ? nap.tv_nsec * 2 : NAP_NS_LAST;
    }
}

int er_recorder_wait(er_recorder *recorder, int64_t timeout_ms, int64_t gather_ms, size_t gather_records) {
    int64_t deadline = deadline_in(timeout_ms);
    uint32_t waiting = sleep_until(recorder, 1, deadline);
    if (waiting > 0 && !atomic_load(&recorder->woken)) {
        int64_t gathered = deadline_in(gather_ms < 0 ? 0 : gather_ms);
        size_t records = gather_records < ER_WAKE_NEVER / 4 ? gather_records : ER_WAKE_NEVER / 4;
        waiting = sleep_until(recorder, records > 0 ? (uint32_t)records : 1, gathered < deadline ? gathered : deadline);
        nap_until_published(recorder, deadline);
    }
    return atomic_exchange(&recorder->woken, 0) ? 0 : waiting < INT_MAX ? (int)waiting : INT_MAX;
}
