/* xxh64.c: the hash of any number of bytes. */
#include "xxh64.h"

#include "edgerun.h"

static uint64_t xxh64_merge(uint64_t hash, uint64_t accumulator) {
    return (hash ^ xxh64_round(0, accumulator)) * XXH64_PRIME_1 + XXH64_PRIME_4;
}

static uint64_t xxh64_long(const unsigned char *bytes, size_t length, uint64_t seed) {
    uint64_t a = seed + XXH64_PRIME_1 + XXH64_PRIME_2;
    uint64_t b = seed + XXH64_PRIME_2;
    uint64_t c = seed;
    uint64_t d = seed - XXH64_PRIME_1;
    size_t left = length;
    for (; left >= XXH64_STRIPE; bytes += XXH64_STRIPE, left -= XXH64_STRIPE) {
        a = xxh64_round(a, xxh64_load64(bytes));
        b = xxh64_round(b, xxh64_load64(bytes + 8));
        c = xxh64_round(c, xxh64_load64(bytes + 16));
        d = xxh64_round(d, xxh64_load64(bytes + 24));
    }
    uint64_t hash = xxh64_rotate(a, 1) + xxh64_rotate(b, 7) + xxh64_rotate(c, 12) + xxh64_rotate(d, 18);
    hash = xxh64_merge(hash, a);
    hash = xxh64_merge(hash, b);
    hash = xxh64_merge(hash, c);
    hash = xxh64_merge(hash, d);
    return xxh64_finish(hash + length, bytes, left);
}

uint64_t er_xxh64(const void *data, size_t len, uint64_t seed) {
    return len < XXH64_STRIPE ? xxh64_short(data, len, seed) : xxh64_long(data, len, seed);
}
