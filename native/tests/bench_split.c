/* bench_split.c: how many keys per second each layout is assigned, one thread, medians of 31 runs.
 *
 * It prints and asserts nothing. Run it alone on a quiet machine: `bench_split [keys]`.
 */
#include <time.h>

#include "check.h"
#include "edgerun.h"

#define BENCH_RUNS 31
#define BENCH_KEYS (1u << 18)

struct bench {
    er_split *split;
    size_t n;
    unsigned char *data;
    size_t data_len;
    size_t width;
    int32_t *offsets32;
    int64_t *offsets64;
    int64_t *integers;
    int32_t *arms;
};

static double bench_now_s(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_run(const char *name, struct bench *bench, int (*call)(struct bench *)) {
    double seconds[BENCH_RUNS];
    for (int run = 0; run < BENCH_RUNS; run++) {
        double start = bench_now_s();
        CHECK(call(bench) == ER_OK);
        seconds[run] = bench_now_s() - start;
    }
    qsort(seconds, BENCH_RUNS, sizeof *seconds, bench_compare);
    printf("%-28s %7.1f M keys/s\n", name, (double)bench->n / seconds[BENCH_RUNS / 2] / 1e6);
}

static int bench_fixed(struct bench *b) {
    return er_split_assign_fixed(b->split, b->data, b->width, b->n, b->arms);
}

static int bench_offsets32(struct bench *b) {
    return er_split_assign_offsets32(b->split, b->data, b->data_len, b->offsets32, b->n, b->arms);
}

static int bench_offsets64(struct bench *b) {
    return er_split_assign_offsets64(b->split, b->data, b->data_len, b->offsets64, b->n, b->arms);
}

static int bench_separated(struct bench *b) {
    return er_split_assign_separated(b->split, (const char *)b->data, b->data_len, '\n', b->n, b->arms);
}

static int bench_int64(struct bench *b) {
    return er_split_assign_int64(b->split, b->integers, b->n, b->arms);
}

static int bench_one(struct bench *b) {
    int bad = 0;
    for (size_t i = 0; i < b->n; i++) {
        b->arms[i] = er_split_assign(b->split, b->data + i * b->width, b->width, NULL);
        bad |= b->arms[i] < 0;
    }
    return bad;
}

/* Keys of lengths low to high, random letters, each followed by a newline when `separated`. */
static void bench_fill(struct bench *b, size_t low, size_t high, int separated) {
    uint64_t state = 1;
    size_t at = 0;
    for (size_t i = 0; i < b->n; i++) {
        size_t length = low + check_random_below(&state, high - low + 1);
        b->offsets32[i] = (int32_t)at;
        b->offsets64[i] = (int64_t)at;
        for (size_t j = 0; j < length; j++) {
            b->data[at++] = (unsigned char)('a' + check_random_below(&state, 26));
        }
        if (separated && i + 1 < b->n) {
            b->data[at++] = '\n';
        }
    }
    b->offsets32[b->n] = (int32_t)at;
    b->offsets64[b->n] = (int64_t)at;
    b->data_len = at;
    b->width = high;
}

static void bench_bytes(struct bench *b) {
    static const size_t widths[] = {8, 10, 16, 36};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char name[64];
        bench_fill(b, widths[i], widths[i], 0);
        snprintf(name, sizeof name, "one by one, %zu bytes", widths[i]);
        bench_run(name, b, bench_one);
        snprintf(name, sizeof name, "fixed, %zu bytes", widths[i]);
        bench_run(name, b, bench_fixed);
        snprintf(name, sizeof name, "offsets32, %zu bytes", widths[i]);
        bench_run(name, b, bench_offsets32);
        snprintf(name, sizeof name, "offsets64, %zu bytes", widths[i]);
        bench_run(name, b, bench_offsets64);
        bench_fill(b, widths[i], widths[i], 1);
        snprintf(name, sizeof name, "separated, %zu bytes", widths[i]);
        bench_run(name, b, bench_separated);
    }
    bench_fill(b, 1, 20, 0);
    bench_run("offsets32, 1 to 20 bytes", b, bench_offsets32);
    bench_fill(b, 1, 20, 1);
    bench_run("separated, 1 to 20 bytes", b, bench_separated);
}

static void bench_integers(struct bench *b) {
    uint64_t state = 2;
    for (size_t i = 0; i < b->n; i++) {
        b->integers[i] = (int64_t)i;
    }
    bench_run("int64, 0 to n", b, bench_int64);
    for (size_t i = 0; i < b->n; i++) {
        b->integers[i] = (int64_t)check_random(&state);
    }
    bench_run("int64, any", b, bench_int64);
    for (size_t i = 0; i < b->n; i++) {
        b->integers[i] = (int64_t)check_random(&state) >> check_random_below(&state, 64);
    }
    bench_run("int64, any length", b, bench_int64);
}

int main(int argc, char **argv) {
    static const uint32_t starts[] = {0, UINT32_C(1431655766), UINT32_C(2863311531)};
    static const int32_t arms[] = {0, 1, 2};
    struct bench b = {0};
    b.n = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : BENCH_KEYS;
    b.data = malloc(b.n * 40);
    b.offsets32 = malloc((b.n + 1) * sizeof *b.offsets32);
    b.offsets64 = malloc((b.n + 1) * sizeof *b.offsets64);
    b.integers = malloc(b.n * sizeof *b.integers);
    b.arms = malloc(b.n * sizeof *b.arms);
    CHECK(b.data && b.offsets32 && b.offsets64 && b.integers && b.arms);
    CHECK(er_split_new("bench", 5, starts, arms, 3, &b.split) == ER_OK);
    bench_bytes(&b);
    bench_integers(&b);
    er_split_free(b.split);
    free(b.data);
    free(b.offsets32);
    free(b.offsets64);
    free(b.integers);
    free(b.arms);
    return 0;
}
