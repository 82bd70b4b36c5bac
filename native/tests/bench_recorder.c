/* bench_recorder.c: what a record costs the caller, and what it costs to drain; medians of 31 runs, one thread.
 *
 * It prints and asserts nothing about time. Run it alone on a quiet machine: `bench_recorder [records]`. The profile
 * only counts what it is given, so that this is the recorder's own cost. */
#include <time.h>

#include "fake_lane.h"

#define BENCH_RUNS 31
#define BENCH_RECORDS 2000u

struct er_profile {
    uint64_t elements;
};

int er_profile_update(er_profile *profile, size_t port, const er_profile_data *data) {
    (void)port;
    profile->elements += (uint64_t)data->rows * data->columns;
    return ER_OK;
}

void er_profile_latency(er_profile *profile, int64_t latency_ns) {
    (void)profile;
    (void)latency_ns;
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_lane(const char *name, const struct fake_tensor *tensors, size_t n_feeds, size_t n_outputs,
                       er_profile *profile, size_t records) {
    double record_ns[BENCH_RUNS], drain_ns[BENCH_RUNS];
    er_recorder *recorder = NULL;
    er_batch *batch = NULL;
    er_lane *lane = fake_lane(tensors, n_feeds, n_outputs);
    CHECK(er_recorder_new(1 << 20, &recorder) == ER_OK && er_batch_new(recorder, 4096, &batch) == ER_OK);
    er_source source = {.recorder = recorder, .profile = profile};
    uint64_t bytes = 0;
    for (int run = 0; run < BENCH_RUNS; run++) {
        uint64_t before = er_recorder_head(recorder);
        int64_t start = er_clock_ns();
        size_t recorded = 0;
        for (size_t i = 0; i < records; i++) {
            er_event event = {.sequence = i, .time_ns = start, .latency_ns = 3000};
            recorded += er_record_call(&source, &event, lane) == ER_OK;
        }
        int64_t middle = er_clock_ns();
        size_t drained = 0;
        for (int n = 1; n > 0; drained += (size_t)n) {
            n = er_recorder_drain(recorder, batch);
        }
        int64_t end = er_clock_ns();
        CHECK(drained == recorded && recorded > 0);
        record_ns[run] = (double)(middle - start) / (double)records;
        drain_ns[run] = (double)(end - middle) / (double)recorded;
        bytes = (er_recorder_head(recorder) - before) / recorded;
    }
    qsort(record_ns, BENCH_RUNS, sizeof *record_ns, bench_compare);
    qsort(drain_ns, BENCH_RUNS, sizeof *drain_ns, bench_compare);
    printf("%-44s %8.1f ns to record, %8.1f ns to drain, %6llu bytes\n", name, record_ns[BENCH_RUNS / 2],
           drain_ns[BENCH_RUNS / 2], (unsigned long long)bytes);
    er_batch_free(batch);
    er_recorder_free(recorder);
    free(lane);
}

int main(int argc, char **argv) {
    static float numbers[1 << 20];
    static uint16_t some_halves[1 << 20];
    size_t records = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : BENCH_RECORDS;
    size_t few = records < BENCH_RECORDS ? 1 : 20;
    uint64_t random = 1;
    er_profile profile = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        numbers[i] = (float)check_random_below(&random, 1000) / 1000.0f;
        some_halves[i] = (uint16_t)check_random_below(&random, 0x7c00);
    }
    numbers[0] = 0.25f;
    numbers[1] = 0.75f;
    const struct fake_tensor small[] = {{ER_TYPE_FLOAT, 2, {1, 30}, numbers}, {ER_TYPE_FLOAT, 2, {1, 2}, numbers}};
    const struct fake_tensor image[] = {{ER_TYPE_FLOAT, 4, {1, 3, 224, 224}, numbers},
                                        {ER_TYPE_FLOAT, 2, {1, 1000}, numbers}};
    const struct fake_tensor large[] = {{ER_TYPE_FLOAT, 2, {1, 30}, numbers},
                                        {ER_TYPE_FLOAT, 2, {1, 1 << 20}, numbers}};
    const struct fake_tensor halves[] = {{ER_TYPE_FLOAT, 2, {1, 30}, numbers},
                                         {ER_TYPE_FLOAT16, 2, {1, 1 << 20}, some_halves}};
    const struct fake_tensor masks[] = {{ER_TYPE_FLOAT, 2, {1, 30}, numbers},
                                        {ER_TYPE_INT64, 2, {1, 1 << 18}, numbers}};
    bench_lane("30 inputs, 2 outputs", small, 1, 1, &profile, records);
    bench_lane("30 inputs, 2 outputs, no profile", small, 1, 1, NULL, records);
    bench_lane("image of 150,528, 1,000 classes", image, 1, 1, &profile, few);
    bench_lane("30 inputs, 1,048,576 floats", large, 1, 1, &profile, few);
    bench_lane("30 inputs, 1,048,576 halves", halves, 1, 1, &profile, few);
    bench_lane("30 inputs, 262,144 int64", masks, 1, 1, &profile, few);
    return 0;
}
