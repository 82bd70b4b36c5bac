/* bytes.h: little-endian integers at any address, on any processor. */
#ifndef ER_BYTES_H
#define ER_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t er_little64(uint64_t value) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(value);
#else
    return value;
#endif
}

static inline uint64_t er_load64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return er_little64(value);
}

static inline void er_store64(uint8_t *bytes, uint64_t value) {
    value = er_little64(value);
    memcpy(bytes, &value, sizeof value);
}

#endif
