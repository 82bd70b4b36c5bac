/* test_pack.c: packed integers are the bits that FORMAT.md says, and come back; what is not such bits is refused. */
#include "check.h"
#include "edgerun_log.h"

enum { N_MAX = 300 };

/* FORMAT.md word by word: one bit after the other. */
static size_t by_bits(const uint64_t *values, size_t n, uint8_t *lengths, uint8_t *bits) {
    size_t position = 0;
    memset(bits, 0, 8 * n);
    for (size_t i = 0; i < n; i++) {
        lengths[i] = 0;
        while (lengths[i] < 64 && values[i] >> lengths[i] != 0) {
            lengths[i]++;
        }
        for (int bit = 0; bit + 1 < lengths[i]; bit++, position++) {
            bits[position / 8] = (uint8_t)(bits[position / 8] | (values[i] >> bit & 1) << position % 8);
        }
    }
    return (position + 7) / 8;
}

/* Memory of exactly the promised size, so that a sanitizer sees a byte too many. */
static void check_round(const uint64_t *values, size_t n) {
    static uint8_t expected_lengths[N_MAX], expected_bits[8 * N_MAX];
    size_t expected = by_bits(values, n, expected_lengths, expected_bits), bits_len = SIZE_MAX;
    uint8_t *lengths = malloc(n + 1), *bits = malloc(8 * n + 1);
    uint64_t *again = malloc(8 * n + 1);
    CHECK(lengths != NULL && bits != NULL && again != NULL);
    memset(bits, 0xff, 8 * n + 1);
    CHECK(er_pack_u64(values, n, lengths, bits, &bits_len) == ER_OK);
    CHECK(bits_len == expected && memcmp(lengths, expected_lengths, n) == 0 && memcmp(bits, expected_bits, expected) == 0);
    CHECK(bits[8 * n] == 0xff);
    uint8_t *exact = malloc(bits_len + 1);
    CHECK(exact != NULL);
    memcpy(exact, bits, bits_len);
    CHECK(er_unpack_u64(lengths, n, exact, bits_len, again) == ER_OK && memcmp(values, again, 8 * n) == 0);
    CHECK(er_unpack_u64(lengths, n, exact, bits_len + 1, again) == ER_EINVAL);
    CHECK(bits_len == 0 || er_unpack_u64(lengths, n, exact, bits_len - 1, again) == ER_EINVAL);
    free(exact);
    free(again);
    free(bits);
    free(lengths);
}

static void test_any_values_of_any_lengths_come_back(void) {
    static uint64_t values[N_MAX];
    uint64_t state = 7;
    for (int round = 0; round < 4000; round++) {
        size_t n = check_random_below(&state, N_MAX), narrowest = check_random_below(&state, 64);
        for (size_t i = 0; i < n; i++) {
            values[i] = check_random(&state) >> (narrowest + check_random_below(&state, 64 - narrowest));
        }
        check_round(values, n);
    }
}

static void test_the_widest_values_fill_every_bit_of_the_room(void) {
    uint64_t values[64];
    for (size_t n = 0; n <= 64; n++) {
        memset(values, 0xff, sizeof values);
        check_round(values, n);
        memset(values, 0, sizeof values);
        check_round(values, n);
    }
}

static void test_bits_that_do_not_belong_are_refused(void) {
    const uint8_t length_of_3[] = {2}, length_of_65[] = {65}, clean[] = {1}, dirty[] = {3};
    uint64_t value = 99;
    CHECK(er_unpack_u64(length_of_3, 1, clean, 1, &value) == ER_OK && value == 3);
    CHECK(er_unpack_u64(length_of_3, 1, dirty, 1, &value) == ER_EINVAL);
    CHECK(er_unpack_u64(length_of_65, 1, clean, 8, &value) == ER_EINVAL);
    CHECK(er_unpack_u64(length_of_3, 1, NULL, 1, &value) == ER_EINVAL);
    CHECK(er_unpack_u64(NULL, 1, clean, 1, &value) == ER_EINVAL);
    CHECK(er_unpack_u64(NULL, 0, NULL, 0, NULL) == ER_OK);
    CHECK(er_unpack_u64(NULL, 0, clean, 1, NULL) == ER_EINVAL);
    size_t bits_len = 9;
    CHECK(er_pack_u64(NULL, 0, NULL, NULL, &bits_len) == ER_OK && bits_len == 0);
    CHECK(er_pack_u64(NULL, 1, NULL, NULL, &bits_len) == ER_EINVAL);
    CHECK(er_pack_u64(&value, 0, NULL, NULL, NULL) == ER_EINVAL);
}

int main(void) {
    test_any_values_of_any_lengths_come_back();
    test_the_widest_values_fill_every_bit_of_the_room();
    test_bits_that_do_not_belong_are_refused();
    return 0;
}
