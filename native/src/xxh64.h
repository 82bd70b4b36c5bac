/* xxh64.h: XXH64 of short keys, inlined into the loops of the split.
 *
 * Written from the public specification of xxHash (XXH64). Right on any byte order and alignment: every load
 * goes through memcpy and is read as little-endian.
 */
#ifndef EDGERUN_XXH64_H
#define EDGERUN_XXH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH64_PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define XXH64_PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define XXH64_PRIME_3 UINT64_C(0x165667B19E3779F9)
#define XXH64_PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define XXH64_PRIME_5 UINT64_C(0x27D4EB2F165667C5)

/* The number of bytes from which the four accumulators of the long form are used. */
#define XXH64_STRIPE 32

static inline uint64_t xxh64_rotate(uint64_t value, int bits) {
    return (value << bits) | (value >> (64 - bits));
}

static inline uint64_t xxh64_load64(const unsigned char *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline uint64_t xxh64_load32(const unsigned char *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap32(value);
#endif
    return value;
}

static inline uint64_t xxh64_round(uint64_t accumulator, uint64_t lane) {
    return xxh64_rotate(accumulator + lane * XXH64_PRIME_2, 31) * XXH64_PRIME_1;
}

static inline uint64_t xxh64_mix8(uint64_t hash, uint64_t lane) {
    return xxh64_rotate(hash ^ xxh64_round(0, lane), 27) * XXH64_PRIME_1 + XXH64_PRIME_4;
}

static inline uint64_t xxh64_mix4(uint64_t hash, uint64_t lane) {
    return xxh64_rotate(hash ^ (lane * XXH64_PRIME_1), 23) * XXH64_PRIME_2 + XXH64_PRIME_3;
}

static inline uint64_t xxh64_mix1(uint64_t hash, uint64_t lane) {
    return xxh64_rotate(hash ^ (lane * XXH64_PRIME_5), 11) * XXH64_PRIME_1;
}

static inline uint64_t xxh64_avalanche(uint64_t hash) {
    hash = (hash ^ (hash >> 33)) * XXH64_PRIME_2;
    hash = (hash ^ (hash >> 29)) * XXH64_PRIME_3;
    return hash ^ (hash >> 32);
}

/* Consumes the last `left` < XXH64_STRIPE bytes and finishes the hash. One test for each bit of `left`: no loop. */
static inline uint64_t xxh64_finish(uint64_t hash, const unsigned char *bytes, size_t left) {
    if ((left & 16) != 0) {
        hash = xxh64_mix8(hash, xxh64_load64(bytes));
        hash = xxh64_mix8(hash, xxh64_load64(bytes + 8));
        bytes += 16;
    }
    if ((left & 8) != 0) {
        hash = xxh64_mix8(hash, xxh64_load64(bytes));
        bytes += 8;
    }
    if ((left & 4) != 0) {
        hash = xxh64_mix4(hash, xxh64_load32(bytes));
        bytes += 4;
    }
    if ((left & 2) != 0) {
        hash = xxh64_mix1(xxh64_mix1(hash, bytes[0]), bytes[1]);
        bytes += 2;
    }
    if ((left & 1) != 0) {
        hash = xxh64_mix1(hash, *bytes);
    }
    return xxh64_avalanche(hash);
}

/* The hash of `length` bytes where length < XXH64_STRIPE. */
static inline uint64_t xxh64_short(const unsigned char *bytes, size_t length, uint64_t seed) {
    return xxh64_finish(seed + XXH64_PRIME_5 + length, bytes, length);
}

#endif
