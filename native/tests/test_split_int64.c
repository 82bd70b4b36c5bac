/* test_split_int64.c: each compiled form of the integer loop hashes what printf would have written.
 *
 * The loops are private to split_int64.c, which is therefore part of this program; one of them exists only where
 * the processor has AVX-512.
 */
#include "check.h"
#include "split_int64.c"

static void check_block(int64_points_function *hash_points, const int64_t *keys, size_t n) {
    static const uint64_t seeds[] = {0, 42, UINT64_MAX};
    uint32_t points[INT64_BLOCK];
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        hash_points(keys, n, seeds[s], points);
        for (size_t i = 0; i < n; i++) {
            char text[32];
            int length = snprintf(text, sizeof text, "%lld", (long long)keys[i]);
            CHECK(points[i] == split_point_of_hash(er_xxh64(text, (size_t)length, seeds[s])));
        }
    }
}

static void test_around_powers_of_ten(int64_points_function *hash_points) {
    int64_t keys[8] = {INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1, 0, 1, -1, 42};
    check_block(hash_points, keys, 8);
    int64_t power = 1;
    for (int exponent = 0; exponent <= 18; exponent++) {
        for (int64_t i = 0; i < 4; i++) {
            keys[2 * i] = power + i - 2;
            keys[2 * i + 1] = -keys[2 * i];
        }
        check_block(hash_points, keys, 8);
        power = exponent < 18 ? power * 10 : power;
    }
}

static void test_every_four_and_eight_digits(void) {
    for (uint32_t value = 0; value < 10000; value++) {
        char text[16];
        uint64_t characters = int64_four_characters(value);
        snprintf(text, sizeof text, "0000%04u", value);
        for (int i = 0; i < 8; i++) {
            CHECK((char)(characters >> (8 * i) & 0xff) == text[i]);
        }
    }
    for (uint32_t value = 0; value < INT64_TEN_TO_8; value += value < 20000 ? 1 : 9973) {
        char text[16];
        uint64_t characters = int64_eight_characters(value);
        snprintf(text, sizeof text, "%08u", value);
        for (int i = 0; i < 8; i++) {
            CHECK((char)(characters >> (8 * i) & 0xff) == text[i]);
        }
    }
}

static void test_random_lengths_and_blocks(int64_points_function *hash_points) {
    int64_t keys[INT64_BLOCK];
    uint64_t state = 31;
    for (int round = 0; round < 400; round++) {
        size_t n = 1 + check_random_below(&state, INT64_BLOCK);
        for (size_t i = 0; i < n; i++) {
            keys[i] = (int64_t)check_random(&state) >> check_random_below(&state, 64);
        }
        check_block(hash_points, keys, n);
    }
}

int main(void) {
    int64_points_function *forms[] = {int64_points, int64_fastest_points()};
    test_every_four_and_eight_digits();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        test_around_powers_of_ten(forms[i]);
        test_random_lengths_and_blocks(forms[i]);
    }
    printf(forms[0] == forms[1] ? "one form\n" : "two forms\n");
    return 0;
}
