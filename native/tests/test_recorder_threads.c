/* test_recorder_threads.c: many producers and one consumer tear and reorder nothing, and lose nothing that is not
 * counted; and whoever drains sleeps until there is work. A wake that is missed shows as a test that hangs. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "fake_lane.h"
#include "fake_profile.h"
#include "recorder.h"

enum { PRODUCERS = 4, RECORDS_EACH = 40000, LENGTH_MAX = 200, ROWS = 512, HOUR_MS = 3600000 };

static er_recorder *recorder;
static er_batch *batch;
static atomic_int producing;

static void set_up(size_t ring_bytes) {
    CHECK(er_recorder_new(ring_bytes, &recorder) == ER_OK && er_batch_new(recorder, ROWS, &batch) == ER_OK);
}

static void tear_down(void) {
    er_batch_free(batch);
    er_recorder_free(recorder);
}

struct producer {
    uint64_t number, recorded, lost;
};

static void *produce(void *of) {
    struct producer *producer = of;
    uint64_t random = producer->number + 1;
    unsigned char value[LENGTH_MAX];
    for (uint64_t i = 0; i < RECORDS_EACH; i++) {
        er_event event = {.sequence = i, .unit = producer->number, .time_ns = (int64_t)i * 1000};
        size_t len = check_random_below(&random, LENGTH_MAX);
        memset(value, (int)(i + producer->number), len);
        int code = er_record_note(recorder, ER_EVENT_ERROR, &event, (uint32_t)len, value, len);
        CHECK(code == ER_OK || code == ER_EFULL);
        producer->recorded += code == ER_OK;
        producer->lost += code != ER_OK;
        if (i % 64 == 0) {
            sched_yield();
        }
    }
    if (atomic_fetch_sub(&producing, 1) == 1) {
        er_recorder_wake(recorder);
    }
    return NULL;
}

static void check_row(size_t row, uint64_t *next, uint64_t *drained) {
    uint64_t producer = batch->unit[row], sequence = batch->sequence[row];
    size_t from = batch->bytes_at[row], to = batch->bytes_at[row + 1];
    CHECK(producer < PRODUCERS && sequence >= next[producer] && batch->time_us[row] == (int64_t)sequence);
    CHECK(to - from == batch->source[row]);
    for (size_t i = from; i < to; i++) {
        CHECK(batch->bytes[i] == (unsigned char)(sequence + producer));
    }
    next[producer] = sequence + 1;
    drained[producer]++;
}

static void drain_all(uint64_t *next, uint64_t *drained) {
    while (er_recorder_drain(recorder, batch) > 0) {
        for (size_t row = 0; row < batch->rows; row++) {
            check_row(row, next, drained);
        }
    }
}

static void test_recorded_and_lost_is_what_was_offered(size_t ring_bytes, size_t gather_records) {
    pthread_t threads[PRODUCERS];
    struct producer producers[PRODUCERS];
    uint64_t next[PRODUCERS] = {0}, drained[PRODUCERS] = {0};
    set_up(ring_bytes);
    atomic_store(&producing, PRODUCERS);
    for (size_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.number = i};
        CHECK(pthread_create(&threads[i], NULL, produce, &producers[i]) == 0);
    }
    while (atomic_load(&producing) > 0) { /* who waits an hour for what is there, or for a wake that came, hangs */
        (void)er_recorder_wait(recorder, -1, HOUR_MS, gather_records);
        drain_all(next, drained);
    }
    er_losses lost;
    uint64_t all_lost = 0;
    for (size_t i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    drain_all(next, drained);
    for (size_t i = 0; i < PRODUCERS; i++) {
        CHECK(producers[i].recorded == drained[i] && producers[i].recorded + producers[i].lost == RECORDS_EACH);
        all_lost += producers[i].lost;
    }
    er_recorder_losses(recorder, &lost);
    CHECK(lost.errors == all_lost && lost.calls + lost.shadows + lost.captures + lost.journal + lost.profiles == 0);
    CHECK(er_recorder_head(recorder) == er_recorder_tail(recorder));
    tear_down();
}

struct waiter {
    int64_t gather_ms;
    size_t gather_records;
    int result;
};

static void *wait_for_records(void *of) {
    struct waiter *waiter = of;
    waiter->result = er_recorder_wait(recorder, -1, waiter->gather_ms, waiter->gather_records);
    return NULL;
}

static void put_note(void) {
    er_event event = {0};
    CHECK(er_record_note(recorder, ER_EVENT_LABEL, &event, 0, "1234567", 7) == ER_OK);
}

/* Until the waiter has said at which record it wants to be woken: from then on no wake may be missed. */
static void let_it_wait_for(uint32_t record) {
    while (atomic_load(&recorder->wake_at) != record) {
        sched_yield();
    }
}

/* Start a waiter, do things, and return what it returned. */
static int waited_while(struct waiter waiter, void (*act)(pthread_t thread)) {
    pthread_t thread;
    set_up(65536);
    CHECK(pthread_create(&thread, NULL, wait_for_records, &waiter) == 0);
    let_it_wait_for(1);
    act(thread);
    CHECK(pthread_join(thread, NULL) == 0);
    return waiter.result;
}

static void put_one(pthread_t thread) {
    (void)thread;
    put_note();
}

static void put_ten(pthread_t thread) {
    put_one(thread);
    let_it_wait_for(10);
    for (int i = 1; i < 10; i++) {
        put_one(thread);
    }
}

static void put_half_a_ring(pthread_t thread) {
    put_one(thread);
    let_it_wait_for(ER_WAKE_NEVER / 4); /* as many as it can be told to gather */
    while (er_recorder_head(recorder) <= 65536 / 2) {
        put_one(thread);
    }
}

static void wake(pthread_t thread) {
    (void)thread;
    er_recorder_wake(recorder);
}

static void put_one_and_wake(pthread_t thread) {
    put_one(thread);
    wake(thread);
}

static void wake_from_handler(int number) {
    (void)number;
    er_recorder_wake(recorder);
}

static void ignore_signal(int number) {
    (void)number;
}

static void handle(void (*handler)(int)) {
    struct sigaction action = {0};
    action.sa_handler = handler; /* no SA_RESTART */
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void signal_it(pthread_t thread) {
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
}

static void signal_it_and_put_one(pthread_t thread) {
    for (int i = 0; i < 50; i++) {
        signal_it(thread);
        sched_yield();
    }
    put_one(thread);
}

static void test_a_sleeper_wakes_for_what_it_waits_for(void) {
    CHECK(waited_while((struct waiter){0, 1, -1}, put_one) == 1);
    tear_down();
    CHECK(waited_while((struct waiter){0, 0, -1}, put_one) == 1);
    tear_down();
    CHECK(waited_while((struct waiter){HOUR_MS, 1, -1}, put_one) == 1);
    tear_down();
    CHECK(waited_while((struct waiter){HOUR_MS, 10, -1}, put_ten) == 10);
    tear_down();
    CHECK(waited_while((struct waiter){1, 1000, -1}, put_one) == 1); /* a millisecond has to pass */
    tear_down();
    CHECK(waited_while((struct waiter){HOUR_MS, SIZE_MAX, -1}, put_half_a_ring) > 300);
    tear_down();
    CHECK(waited_while((struct waiter){HOUR_MS, SIZE_MAX, -1}, wake) == 0);
    tear_down();
    CHECK(waited_while((struct waiter){HOUR_MS, SIZE_MAX, -1}, put_one_and_wake) == 0);
    CHECK(er_recorder_wait(recorder, 0, 0, 1) == 1 && er_recorder_drain(recorder, batch) == 1);
    tear_down();
    handle(wake_from_handler);
    CHECK(waited_while((struct waiter){HOUR_MS, SIZE_MAX, -1}, signal_it) == 0);
    tear_down();
    handle(ignore_signal);
    CHECK(waited_while((struct waiter){0, 1, -1}, signal_it_and_put_one) == 1);
    tear_down();
}

static void test_calls_beside_one_who_gathers_wake_nobody(void) {
    pthread_t thread;
    struct waiter waiter = {HOUR_MS, SIZE_MAX, -1};
    set_up(1 << 20);
    CHECK(pthread_create(&thread, NULL, wait_for_records, &waiter) == 0);
    put_note();
    let_it_wait_for(ER_WAKE_NEVER / 4);
    uint32_t bell = atomic_load(&recorder->bell);
    for (int i = 0; i < 1000; i++) {
        put_note();
    }
    CHECK(atomic_load(&recorder->bell) == bell); /* each ring of it is a system call */
    er_recorder_wake(recorder);
    CHECK(pthread_join(thread, NULL) == 0 && waiter.result == 0);
    tear_down();
}

static void test_a_wake_is_remembered_and_used_once(void) {
    set_up(65536);
    er_recorder_wake(recorder);
    er_recorder_wake(recorder);
    CHECK(er_recorder_wait(recorder, -1, HOUR_MS, 5) == 0);
    CHECK(er_recorder_wait(recorder, 0, HOUR_MS, 5) == 0);  /* no time */
    CHECK(er_recorder_wait(recorder, 1, HOUR_MS, 5) == 0);  /* too little time */
    put_note();
    CHECK(er_recorder_wait(recorder, 1, HOUR_MS, 5) == 1);  /* the time bounds the gathering too */
    CHECK(er_recorder_wait(recorder, -1, 1, 5) == 1);
    CHECK(er_recorder_wait(recorder, INT64_MAX, INT64_MAX, 1) == 1);
    tear_down();
}

/* A watched model's run, as the shadow's worker records it, beside calls that are served. */
static void *serve(void *of) {
    er_lane *lane = of;
    er_source source = {.recorder = recorder};
    for (uint64_t i = 0; i < RECORDS_EACH; i++) {
        er_event event = {.sequence = i};
        while (er_record_call(&source, &event, lane) != ER_OK) {
            sched_yield();
        }
    }
    atomic_fetch_sub(&producing, 1);
    return NULL;
}

static void test_calls_from_many_threads_are_whole(void) {
    static const int64_t labels[PRODUCERS][3] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}};
    er_lane *lanes[PRODUCERS];
    pthread_t threads[PRODUCERS];
    uint64_t next[PRODUCERS] = {0};
    set_up(65536);
    atomic_store(&producing, PRODUCERS);
    for (size_t i = 0; i < PRODUCERS; i++) {
        struct fake_tensor tensor = {ER_TYPE_INT64, 1, {3}, labels[i]};
        lanes[i] = fake_lane(&tensor, 0, 1);
        CHECK(pthread_create(&threads[i], NULL, serve, lanes[i]) == 0);
    }
    for (uint64_t rows = 0; rows < (uint64_t)PRODUCERS * RECORDS_EACH; rows += batch->rows) {
        if (er_recorder_drain(recorder, batch) == 0) {
            sched_yield();
        }
        for (size_t i = 0; i < batch->rows; i++) {
            const uint64_t *numbers = batch->numbers + batch->numbers_at[i];
            CHECK(numbers[0] < PRODUCERS && numbers[1] == numbers[0] && numbers[2] == numbers[0]);
            CHECK(batch->sequence[i] == next[numbers[0]]++ && batch->shape[i] == 1);
        }
    }
    for (size_t i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
        free(lanes[i]);
    }
    tear_down();
}

int main(void) {
    test_recorded_and_lost_is_what_was_offered(65536, 1);
    test_recorded_and_lost_is_what_was_offered(65536, 100);
    test_recorded_and_lost_is_what_was_offered(1 << 20, SIZE_MAX);
    test_calls_from_many_threads_are_whole();
    test_a_sleeper_wakes_for_what_it_waits_for();
    test_calls_beside_one_who_gathers_wake_nobody();
    test_a_wake_is_remembered_and_used_once();
    return 0;
}
