/* split_int64.c: the arms of many integers, whose keys are their decimal texts.
 *
 * The text is never written to memory: a text of at most 20 characters lives in three words, the first character
 * in the lowest byte, and is hashed from there. Neither the digits nor the hash take a branch, so that lengths that
 * vary from key to key cost no mispredictions and a compiler can turn the loop into vector instructions. AVX-512
 * has the 64-bit multiplication that this needs; with AVX2 it was not faster than without.
 */
#include "split.h"
#include "xxh64.h"

#define INT64_BLOCK 128
#define INT64_TEN_TO_8 UINT64_C(100000000)

/* The characters of "00000000", and how far '0' is above '-'. */
#define INT64_ZEROS UINT64_C(0x3030303030303030)
#define INT64_ZERO_ABOVE_MINUS 3

#if defined(__GNUC__)
#define INT64_INLINE static inline __attribute__((always_inline))
#else
#define INT64_INLINE static inline
#endif

/* Magnitudes as base-10^8 digits, and the lengths of their texts, one array each for the vector loads. */
struct int64_block {
    uint64_t high[INT64_BLOCK];
    uint64_t middle[INT64_BLOCK];
    uint64_t low[INT64_BLOCK];
    uint64_t length[INT64_BLOCK];
    uint64_t is_negative[INT64_BLOCK];
};

static inline uint32_t int64_bit_length(uint64_t value) {
#if defined(__GNUC__)
    return 64 - (uint32_t)__builtin_clzll(value | 1);
#else
    uint32_t bits = 1;
    while (value >>= 1) {
        bits++;
    }
    return bits;
#endif
}

static inline uint64_t int64_count_digits(uint64_t value) {
    static const uint64_t power[20] = {
        0, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, UINT64_C(1000000000), UINT64_C(10000000000),
        UINT64_C(100000000000), UINT64_C(1000000000000), UINT64_C(10000000000000), UINT64_C(100000000000000),
        UINT64_C(1000000000000000), UINT64_C(10000000000000000), UINT64_C(100000000000000000),
        UINT64_C(1000000000000000000), UINT64_C(10000000000000000000)};
    uint32_t guess = int64_bit_length(value) * 1233 >> 12; /* 1233 / 2^12 is log10(2), near enough for 64 bits */
    return guess + (value >= power[guess]);
}

INT64_INLINE void int64_take_apart(const int64_t *keys, size_t n, struct int64_block *block) {
    for (size_t i = 0; i < n; i++) {
        uint64_t is_negative = (uint64_t)keys[i] >> 63;
        uint64_t magnitude = ((uint64_t)keys[i] ^ (0 - is_negative)) + is_negative;
        uint64_t upper = magnitude / INT64_TEN_TO_8;
        block->high[i] = upper / INT64_TEN_TO_8;
        block->middle[i] = upper % INT64_TEN_TO_8;
        block->low[i] = magnitude % INT64_TEN_TO_8;
        block->length[i] = int64_count_digits(magnitude) + is_negative;
        block->is_negative[i] = is_negative;
    }
}

/* Each 32-bit half of `fours` is below 10^4; its four digits become four bytes, the first digit lowest. The
 * products stand for divisions by 100 and by 10, exact for such small dividends. */
INT64_INLINE uint64_t int64_spread_fours(uint64_t fours) {
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x0000007f0000007f);
    uint64_t pairs = hundreds | (fours - 100 * hundreds) << 16;
    uint64_t tens = (pairs * 103 >> 10) & UINT64_C(0x000f000f000f000f);
    return tens | (pairs - 10 * tens) << 8;
}

/* The text of value < 10^8, with leading zeros. */
INT64_INLINE uint64_t int64_eight_characters(uint64_t value) {
    uint64_t upper = value * 109951163 >> 40; /* value / 10^4, exact below 10^8 */
    return int64_spread_fours(upper | (value - upper * 10000) << 32) | INT64_ZEROS;
}

/* The same for value < 10^4. */
INT64_INLINE uint64_t int64_four_characters(uint64_t value) {
    return int64_spread_fours(value << 32) | INT64_ZEROS;
}

INT64_INLINE uint64_t int64_hash_text(uint64_t first, uint64_t second, uint64_t third, uint64_t length,
                                      uint64_t seed) {
    uint64_t hash = seed + XXH64_PRIME_5 + length;
    uint64_t mixed = xxh64_mix8(hash, first);
    hash = length >= 8 ? mixed : hash;
    mixed = xxh64_mix8(hash, second);
    hash = length >= 16 ? mixed : hash;
    uint64_t tail = length >= 16 ? third : length >= 8 ? second : first;
    mixed = xxh64_mix4(hash, tail & UINT32_MAX);
    hash = (length & 4) != 0 ? mixed : hash;
    tail = (length & 4) != 0 ? tail >> 32 : tail;
    mixed = xxh64_mix1(hash, tail & 0xff);
    hash = (length & 3) > 0 ? mixed : hash;
    mixed = xxh64_mix1(hash, tail >> 8 & 0xff);
    hash = (length & 3) > 1 ? mixed : hash;
    mixed = xxh64_mix1(hash, tail >> 16 & 0xff);
    hash = (length & 3) > 2 ? mixed : hash;
    return xxh64_avalanche(hash);
}

INT64_INLINE void int64_hash_block(const struct int64_block *block, size_t n, uint64_t seed, uint32_t *points) {
    for (size_t i = 0; i < n; i++) {
        uint64_t a = int64_four_characters(block->high[i]);
        uint64_t b = int64_eight_characters(block->middle[i]);
        uint64_t c = int64_eight_characters(block->low[i]);
        /* Drop the leading zeros, but one for the sign to stand on: whole words first, then what is left in bits,
         * at most 56. A shift by 64 is not defined, so the upper word moves in two steps. */
        uint64_t drop = 24 - block->length[i];
        uint64_t words = drop >> 3;
        uint64_t bits = (drop & 7) << 3;
        uint64_t first = words == 0 ? a : words == 1 ? b : c;
        uint64_t second = words == 0 ? b : words == 1 ? c : 0;
        uint64_t third = words == 0 ? c : 0;
        first = first >> bits | second << 1 << (63 - bits);
        second = second >> bits | third << 1 << (63 - bits);
        third = third >> bits;
        first -= block->is_negative[i] * INT64_ZERO_ABOVE_MINUS;
        points[i] = split_point_of_hash(int64_hash_text(first, second, third, block->length[i], seed));
    }
}

typedef void int64_points_function(const int64_t *keys, size_t n, uint64_t seed, uint32_t *points);

static void int64_points(const int64_t *keys, size_t n, uint64_t seed, uint32_t *points) {
    struct int64_block block;
    int64_take_apart(keys, n, &block);
    int64_hash_block(&block, n, seed, points);
}

#if defined(__GNUC__) && defined(__x86_64__)

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) static void
int64_points_avx512(const int64_t *keys, size_t n, uint64_t seed, uint32_t *points) {
    struct int64_block block;
    int64_take_apart(keys, n, &block);
    int64_hash_block(&block, n, seed, points);
}

static int64_points_function *int64_fastest_points(void) {
    int has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return has_avx512 ? int64_points_avx512 : int64_points;
}

#else

static int64_points_function *int64_fastest_points(void) {
    return int64_points;
}

#endif

int er_split_assign_int64(const er_split *split, const int64_t *keys, size_t n, int32_t *arms) {
    if (split == NULL || (n > 0 && (keys == NULL || arms == NULL))) {
        return ER_EINVAL;
    }
    int64_points_function *hash_points = int64_fastest_points();
    uint32_t points[INT64_BLOCK];
    while (n > 0) {
        size_t count = n < INT64_BLOCK ? n : INT64_BLOCK;
        hash_points(keys, count, split->seed, points);
        for (size_t i = 0; i < count; i++) {
            arms[i] = split_arm_of_point(split, points[i]);
        }
        keys += count;
        arms += count;
        n -= count;
    }
    return ER_OK;
}
