/* test_split_arguments.c: every argument outside its domain is refused, at its limit and one past it. */
#include "check.h"
#include "edgerun.h"

static const uint32_t halves[] = {0, UINT32_C(1) << 31};
static const int32_t two_arms[] = {0, 1};

static er_split *make_halves(void) {
    er_split *split = NULL;
    CHECK(er_split_new("salt", 4, halves, two_arms, 2, &split) == ER_OK);
    return split;
}

static void test_new_refuses_bad_ranges(void) {
    static const uint32_t late[] = {1, 2};
    static const uint32_t repeated[] = {0, 7, 7};
    static const uint32_t falling[] = {0, 7, 6};
    static const int32_t arms[] = {0, 1, 0};
    static const int32_t negative[] = {0, -1};
    er_split *split = (er_split *)(uintptr_t)8;
    er_split *const untouched = split;
    CHECK(er_split_new("salt", 4, late, arms, 2, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, repeated, arms, 3, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, falling, arms, 3, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, halves, negative, 2, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, halves, arms, 0, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, NULL, arms, 2, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, halves, NULL, 2, &split) == ER_EINVAL);
    CHECK(er_split_new(NULL, 1, halves, arms, 2, &split) == ER_EINVAL);
    CHECK(er_split_new("salt", 4, halves, arms, 2, NULL) == ER_EINVAL);
    CHECK(split == untouched);
}

static void test_the_empty_salt_may_be_null(void) {
    er_split *split;
    CHECK(er_split_new(NULL, 0, halves, two_arms, 2, &split) == ER_OK);
    CHECK(er_split_seed(split) == er_xxh64("", 0, 42));
    er_split_free(split);
}

static void test_new_takes_the_most_ranges_and_no_more(void) {
    size_t n = ER_SPLIT_MAX_RANGES + 1;
    uint32_t *starts = malloc(n * sizeof *starts);
    int32_t *arms = malloc(n * sizeof *arms);
    CHECK(starts != NULL && arms != NULL);
    for (size_t i = 0; i < n; i++) {
        starts[i] = (uint32_t)i;
        arms[i] = INT32_MAX - (int32_t)i;
    }
    er_split *split;
    CHECK(er_split_new("salt", 4, starts, arms, n, &split) == ER_ELIMIT);
    CHECK(er_split_new("salt", 4, starts, arms, n - 1, &split) == ER_OK);
    CHECK(er_split_assign(split, "key", 3, NULL) == INT32_MAX - (int32_t)(n - 2));
    er_split_free(split);
    free(starts);
    free(arms);
}

static void test_assign_refuses_missing_arguments(void) {
    er_split *split = make_halves();
    uint64_t hash = 5;
    CHECK(er_split_assign(NULL, "key", 3, &hash) == ER_EINVAL);
    CHECK(er_split_assign(split, NULL, 3, &hash) == ER_EINVAL);
    CHECK(hash == 5);
    CHECK(er_split_assign(split, NULL, 0, &hash) >= 0);
    CHECK(hash == er_xxh64(NULL, 0, er_split_seed(split)));
    er_split_free(split);
    er_split_free(NULL);
}

static void test_fixed_refuses_sizes_that_overflow(void) {
    er_split *split = make_halves();
    int32_t arms[2] = {-1, -1};
    CHECK(er_split_assign_fixed(split, "ab", SIZE_MAX / 2 + 1, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_fixed(NULL, "ab", 1, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_fixed(split, NULL, 1, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_fixed(split, "ab", 1, 2, NULL) == ER_EINVAL);
    CHECK(er_split_assign_fixed(split, NULL, 0, 2, arms) == ER_OK);
    CHECK(arms[0] == er_split_assign(split, "", 0, NULL) && arms[1] == arms[0]);
    CHECK(er_split_assign_fixed(split, NULL, 16, 0, NULL) == ER_OK);
    er_split_free(split);
}

static void test_offsets_must_rise_within_the_data(void) {
    er_split *split = make_halves();
    int32_t arms[2];
    static const char data[] = "abcdef";
    static const int32_t good32[] = {1, 1, 6}, past32[] = {0, 3, 7}, falling32[] = {0, 3, 2}, negative32[] = {-1, 3, 4};
    static const int64_t good64[] = {1, 1, 6}, past64[] = {0, 3, 7}, falling64[] = {0, 3, 2}, negative64[] = {-1, 3, 4};
    static const int64_t far64[] = {0, 3, INT64_MAX}, below64[] = {INT64_MIN, INT64_MAX, 0};
    CHECK(er_split_assign_offsets32(split, data, 6, good32, 2, arms) == ER_OK);
    CHECK(arms[0] == er_split_assign(split, "", 0, NULL) && arms[1] == er_split_assign(split, "bcdef", 5, NULL));
    CHECK(er_split_assign_offsets32(split, data, 6, past32, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, data, 6, falling32, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, data, 6, negative32, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, NULL, 6, good32, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, data, 6, NULL, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, data, 6, good32, 2, NULL) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(NULL, data, 6, good32, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets32(split, data, 6, past32, 1, arms) == ER_OK);
    CHECK(er_split_assign_offsets64(split, data, 6, good64, 2, arms) == ER_OK);
    CHECK(arms[0] == er_split_assign(split, "", 0, NULL) && arms[1] == er_split_assign(split, "bcdef", 5, NULL));
    CHECK(er_split_assign_offsets64(split, data, 6, past64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, falling64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, negative64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, far64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, below64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, NULL, 6, good64, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, NULL, 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(split, data, 6, good64, 2, NULL) == ER_EINVAL);
    CHECK(er_split_assign_offsets64(NULL, data, 6, good64, 2, arms) == ER_EINVAL);
    er_split_free(split);
}

static void test_no_offsets_are_needed_for_no_keys_but_one(void) {
    er_split *split = make_halves();
    static const int32_t zero32[] = {0};
    static const int64_t zero64[] = {0};
    CHECK(er_split_assign_offsets32(split, NULL, 0, zero32, 0, NULL) == ER_OK);
    CHECK(er_split_assign_offsets64(split, NULL, 0, zero64, 0, NULL) == ER_OK);
    er_split_free(split);
}

static void test_separated_needs_exactly_n_keys(void) {
    er_split *split = make_halves();
    int32_t arms[3] = {-1, -1, -1};
    CHECK(er_split_assign_separated(split, "a,,b", 4, ',', 3, arms) == ER_OK);
    CHECK(arms[0] == er_split_assign(split, "a", 1, NULL));
    CHECK(arms[1] == er_split_assign(split, "", 0, NULL));
    CHECK(arms[2] == er_split_assign(split, "b", 1, NULL));
    CHECK(er_split_assign_separated(split, "a,,b", 4, ',', 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, "a,,b", 4, ',', 4, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, ",,", 2, ',', 3, arms) == ER_OK);
    CHECK(er_split_assign_separated(split, NULL, 0, ',', 1, arms) == ER_OK);
    CHECK(er_split_assign_separated(split, NULL, 0, ',', 2, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, NULL, 0, ',', 0, NULL) == ER_OK);
    CHECK(er_split_assign_separated(split, "a", 1, ',', 0, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, NULL, 1, ',', 1, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, "a", 1, ',', 1, NULL) == ER_EINVAL);
    CHECK(er_split_assign_separated(NULL, "a", 1, ',', 1, arms) == ER_EINVAL);
    CHECK(er_split_assign_separated(split, "a\xff" "b", 3, (char)0xff, 2, arms) == ER_OK);
    er_split_free(split);
}

static void test_int64_refuses_missing_arguments(void) {
    er_split *split = make_halves();
    static const int64_t keys[] = {1};
    int32_t arms[1];
    CHECK(er_split_assign_int64(NULL, keys, 1, arms) == ER_EINVAL);
    CHECK(er_split_assign_int64(split, NULL, 1, arms) == ER_EINVAL);
    CHECK(er_split_assign_int64(split, keys, 1, NULL) == ER_EINVAL);
    CHECK(er_split_assign_int64(split, NULL, 0, NULL) == ER_OK);
    er_split_free(split);
}

static void test_every_code_has_its_own_text(void) {
    for (int code = ER_ELIBRARY; code <= 0; code++) {
        CHECK(strcmp(er_strerror(code), er_strerror(INT32_MIN)) != 0);
    }
}

int main(void) {
    test_new_refuses_bad_ranges();
    test_the_empty_salt_may_be_null();
    test_new_takes_the_most_ranges_and_no_more();
    test_assign_refuses_missing_arguments();
    test_fixed_refuses_sizes_that_overflow();
    test_offsets_must_rise_within_the_data();
    test_no_offsets_are_needed_for_no_keys_but_one();
    test_separated_needs_exactly_n_keys();
    test_int64_refuses_missing_arguments();
    test_every_code_has_its_own_text();
    return 0;
}
