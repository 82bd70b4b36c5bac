/* test_profile_memory.c: whichever allocation fails, a profile says so or counts what it could not keep, and goes on. */
#include <stdlib.h>

/* Allocations until the one that fails; below 0 none does. The parts that allocate are built into this program, over these functions. */
static long allocations_left = -1;

static int may_allocate(void) {
    return allocations_left < 0 || allocations_left-- > 0;
}

static void *failing_malloc(size_t bytes) {
    return may_allocate() ? malloc(bytes) : NULL;
}

static void *failing_calloc(size_t n, size_t bytes) {
    return may_allocate() ? calloc(n, bytes) : NULL;
}

static void *failing_realloc(void *memory, size_t bytes) {
    return may_allocate() ? realloc(memory, bytes) : NULL;
}

#define malloc failing_malloc
#define calloc failing_calloc
#define realloc failing_realloc
#include "../src/profile.c"
#include "../src/sketch.c"
#undef malloc
#undef calloc
#undef realloc

#include "check.h"

enum { ROUNDS = 70, REPEATED = 70000 };

static uint64_t sketched(const er_profile *profile, uint32_t column) {
    static int32_t cells[40000];
    static uint64_t weights[40000];
    uint64_t sum = 0;
    int n = er_profile_cells(profile, 0, column, cells, weights, 40000);
    CHECK(n >= 0);
    for (int i = 0; i < n; i++) {
        sum += weights[i];
    }
    return sum;
}

/* Numbers of many octaves, so that pages are needed; one so often that it carries. Returns rows that were taken in. */
static uint64_t feed(er_profile *profile) {
    static float same[2 * REPEATED];
    uint64_t rows = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const double octave = (double)(UINT64_C(1) << (i % 62));
        const float row[2] = {(float)octave, (float)(-1.0 / octave)};
        er_profile_data data = {ER_TYPE_FLOAT, 2, 1, row, NULL};
        int code = er_profile_update(profile, 0, &data);
        CHECK(code == ER_OK || code == ER_ENOMEM);
        rows += code == ER_OK;
    }
    for (size_t i = 0; i < 2 * REPEATED; i++) {
        same[i] = 1.5f;
    }
    er_profile_data data = {ER_TYPE_FLOAT, 2, REPEATED, same, NULL};
    int code = er_profile_update(profile, 0, &data);
    CHECK(code == ER_OK || code == ER_ENOMEM);
    const uint32_t offsets[] = {0, 1};
    er_profile_data text = {ER_TYPE_STRING, 1, 1, "a", offsets};
    CHECK(er_profile_update(profile, 1, &text) == ER_OK || er_profile_read(profile, 1, &(er_profile_port){0}) == ER_OK);
    return rows + (code == ER_OK ? REPEATED : 0);
}

static void check_all_was_counted(const er_profile *profile, uint64_t rows) {
    er_profile_port port;
    CHECK(er_profile_read(profile, 0, &port) == ER_OK);
    CHECK(port.type == 0 ? rows == 0 : port.columns == 2);
    for (uint32_t i = 0; i < port.columns; i++) {
        CHECK(port.count[i] == rows && sketched(profile, i) + port.unsketched[i] == rows);
    }
}

/* Returns whether the allocation that was to fail came. */
static int fail_one(long nth) {
    er_profile *profile = NULL, *copy = NULL, *taken = NULL;
    allocations_left = nth;
    int code = er_profile_new(1, 1, 1000, &profile);
    if (code != ER_OK) {
        CHECK(code == ER_ENOMEM && profile == NULL);
        return 1;
    }
    uint64_t rows = feed(profile);
    int copied = er_profile_copy(profile, &copy), took = er_profile_take(profile, &taken);
    CHECK(copied == ER_OK || (copied == ER_ENOMEM && copy == NULL));
    CHECK(took == ER_OK || (took == ER_ENOMEM && taken == NULL));
    int failed = allocations_left < 0;
    allocations_left = -1;
    if (took != ER_OK) {
        CHECK(er_profile_take(profile, &taken) == ER_OK);
    }
    if (copied == ER_OK) {
        check_all_was_counted(copy, rows);
    }
    check_all_was_counted(taken, rows);
    er_profile_free(copy);
    er_profile_free(taken);
    er_profile_free(profile);
    return failed;
}

int main(void) {
    long nth = 0;
    while (fail_one(nth)) {
        nth++;
    }
    printf("%ld allocations\n", nth);
    CHECK(nth > 10);
    return 0;
}
