/* test_split_ranges.c: the arm of a point is that of the last range that starts at or below it, whatever the ranges.
 *
 * Points near every cut are looked up past the hash, through the split's own header: no key is known for each.
 */
#include "check.h"
#include "split.h"

static int32_t arm_by_walking(const uint32_t *starts, const int32_t *arms, size_t n, uint32_t point) {
    size_t low = 0;
    size_t high = n;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (starts[middle] <= point) {
            low = middle;
        } else {
            high = middle;
        }
    }
    CHECK(starts[low] <= point && (low + 1 == n || starts[low + 1] > point));
    return arms[low];
}

static void check_lookup(const uint32_t *starts, const int32_t *arms, size_t n, uint64_t *state) {
    er_split *split;
    CHECK(er_split_new("salt", 4, starts, arms, n, &split) == ER_OK);
    for (size_t i = 0; i < n; i++) {
        for (uint32_t step = 0; step < 3; step++) {
            uint32_t point = starts[i] + step - 1; /* one below 0 is the last point */
            CHECK(split_arm_of_point(split, point) == arm_by_walking(starts, arms, n, point));
        }
    }
    for (int i = 0; i < 1000; i++) {
        uint32_t point = (uint32_t)check_random(state);
        CHECK(split_arm_of_point(split, point) == arm_by_walking(starts, arms, n, point));
    }
    CHECK(split_arm_of_point(split, UINT32_MAX) == arms[n - 1]);
    er_split_free(split);
}

static int compare_starts(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* n starts, or fewer where some fall together, all with their upper `fixed_bits` bits zero but the first's. */
static size_t random_starts(uint32_t *starts, size_t n, unsigned fixed_bits, uint64_t *state) {
    uint32_t base = (uint32_t)check_random(state) & ~(UINT32_MAX >> fixed_bits);
    starts[0] = 0;
    for (size_t i = 1; i < n; i++) {
        starts[i] = (base | (uint32_t)check_random(state) >> fixed_bits);
    }
    qsort(starts, n, sizeof *starts, compare_starts);
    size_t kept = 1;
    for (size_t i = 1; i < n; i++) {
        if (starts[i] != starts[kept - 1]) {
            starts[kept++] = starts[i];
        }
    }
    return kept;
}

static void test_random_ranges(void) {
    static const size_t counts[] = {1, 2, 3, 5, 17, 64, 65, 1000, 4096, ER_SPLIT_MAX_RANGES};
    static uint32_t starts[ER_SPLIT_MAX_RANGES];
    static int32_t arms[ER_SPLIT_MAX_RANGES];
    uint64_t state = 11;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (unsigned fixed_bits = 0; fixed_bits <= 16; fixed_bits += 4) {
            size_t n = random_starts(starts, counts[c], fixed_bits, &state);
            for (size_t i = 0; i < n; i++) {
                arms[i] = (int32_t)(check_random(&state) % 9);
            }
            check_lookup(starts, arms, n, &state);
        }
    }
}

static void test_cuts_on_equal_steps(void) {
    static uint32_t starts[ER_SPLIT_MAX_RANGES];
    static int32_t arms[ER_SPLIT_MAX_RANGES];
    uint64_t state = 12;
    for (unsigned bits = 0; bits <= 16; bits++) {
        size_t n = (size_t)1 << bits;
        for (size_t i = 0; i < n; i++) {
            starts[i] = bits == 0 ? 0 : (uint32_t)(i << (32 - bits));
            arms[i] = (int32_t)i;
        }
        check_lookup(starts, arms, n, &state);
    }
}

int main(void) {
    test_random_ranges();
    test_cuts_on_equal_steps();
    return 0;
}
