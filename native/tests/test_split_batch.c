/* test_split_batch.c: a batch gives each key the arm it gets alone, whatever its length, place and neighbours. */
#include "check.h"
#include "edgerun.h"

#define N 5000
#define LENGTH_MAX 70

static const uint32_t starts[] = {0, 1000000000, 1000000001, 2147483648u, 3000000000u};
static const int32_t range_arms[] = {0, 1, 2, 3, 0};

static unsigned char data[N * (LENGTH_MAX + 1)];
static int64_t offsets64[N + 1];
static int32_t offsets32[N + 1];
static int32_t arms[N];

static er_split *make_split(void) {
    er_split *split;
    CHECK(er_split_new("batch", 5, starts, range_arms, 5, &split) == ER_OK);
    return split;
}

static void forget_arms(void) {
    memset(arms, 0xff, sizeof arms);
}

static void test_fixed_of_every_width(void) {
    er_split *split = make_split();
    uint64_t state = 21;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)check_random(&state);
    }
    for (size_t width = 0; width <= LENGTH_MAX; width++) {
        for (size_t shift = 0; shift < 3; shift++) {
            const unsigned char *keys = data + shift;
            size_t n = 301 + shift;
            forget_arms();
            CHECK(er_split_assign_fixed(split, keys, width, n, arms) == ER_OK);
            for (size_t i = 0; i < n; i++) {
                CHECK(arms[i] == er_split_assign(split, keys + i * width, width, NULL));
            }
            CHECK(arms[n] == -1);
        }
    }
    er_split_free(split);
}

/* Random keys of mixed lengths without the separator, each followed by one; the last offset leaves it out. */
static size_t fill_mixed(uint64_t *state, unsigned char separator, size_t gap) {
    size_t at = 0;
    for (size_t i = 0; i < N; i++) {
        offsets64[i] = (int64_t)at;
        for (size_t left = check_random_below(state, LENGTH_MAX + 1); left > 0; left--) {
            unsigned char byte = (unsigned char)check_random(state);
            data[at++] = byte == separator ? (unsigned char)(separator + 1) : byte;
        }
        if (i + 1 < N && gap > 0) {
            data[at++] = separator;
        }
    }
    offsets64[N] = (int64_t)at;
    for (size_t i = 0; i <= N; i++) {
        offsets32[i] = (int32_t)offsets64[i];
    }
    return at;
}

static void test_offsets_of_mixed_lengths(void) {
    er_split *split = make_split();
    uint64_t state = 22;
    size_t length = fill_mixed(&state, 0, 0);
    forget_arms();
    CHECK(er_split_assign_offsets64(split, data, length, offsets64, N, arms) == ER_OK);
    for (size_t i = 0; i < N; i++) {
        size_t width = (size_t)(offsets64[i + 1] - offsets64[i]);
        CHECK(arms[i] == er_split_assign(split, data + offsets64[i], width, NULL));
    }
    static int32_t again[N];
    CHECK(er_split_assign_offsets32(split, data, length, offsets32, N, again) == ER_OK);
    CHECK(memcmp(arms, again, sizeof arms) == 0);
    er_split_free(split);
}

static void test_separated_by_any_byte(void) {
    er_split *split = make_split();
    uint64_t state = 23;
    for (unsigned separator = 0; separator < 256; separator += 51) {
        size_t length = fill_mixed(&state, (unsigned char)separator, 1);
        forget_arms();
        CHECK(er_split_assign_separated(split, (const char *)data, length, (char)separator, N, arms) == ER_OK);
        for (size_t i = 0; i < N; i++) {
            size_t width = (size_t)(offsets64[i + 1] - offsets64[i]) - (i + 1 < N ? 1 : 0);
            CHECK(arms[i] == er_split_assign(split, data + offsets64[i], width, NULL));
        }
        CHECK(er_split_assign_separated(split, (const char *)data, length, (char)separator, N - 1, arms) == ER_EINVAL);
        CHECK(er_split_assign_separated(split, (const char *)data, length, (char)separator, N + 1, arms) == ER_EINVAL);
    }
    er_split_free(split);
}

static void test_integers_in_batches_of_every_size(void) {
    er_split *split = make_split();
    static int64_t keys[N];
    uint64_t state = 24;
    for (size_t i = 0; i < N; i++) {
        keys[i] = (int64_t)check_random(&state) >> check_random_below(&state, 64);
    }
    for (size_t n = 0; n <= N; n = n < 300 ? n + 1 : n + 1000) {
        forget_arms();
        CHECK(er_split_assign_int64(split, keys, n, arms) == ER_OK);
        for (size_t i = 0; i < n; i++) {
            char text[32];
            int length = snprintf(text, sizeof text, "%lld", (long long)keys[i]);
            CHECK(arms[i] == er_split_assign(split, text, (size_t)length, NULL));
        }
        CHECK(n == N || arms[n] == -1);
    }
    er_split_free(split);
}

int main(void) {
    test_fixed_of_every_width();
    test_offsets_of_mixed_lengths();
    test_separated_by_any_byte();
    test_integers_in_batches_of_every_size();
    return 0;
}
