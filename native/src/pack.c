/* pack.c: integers as lengths and bits; edgerun/log/FORMAT.md, Columns.
 *
 * A value of length L >= 2 leaves its L - 1 bits below the highest one in the stream; the others leave none. */
#include "bytes.h"
#include "edgerun_log.h"

static inline unsigned pack_length(uint64_t value) {
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* How many bits a length leaves in the stream. */
static inline unsigned pack_width(unsigned length) {
    return length - (length != 0);
}

int er_pack_u64(const uint64_t *values, size_t n, uint8_t *lengths, uint8_t *bits, size_t *bits_len) {
    if (bits_len == NULL || (n > 0 && (values == NULL || lengths == NULL || bits == NULL))) {
        return ER_EINVAL;
    }
    uint64_t word = 0;
    unsigned used = 0; /* bits of word; below 64 */
    uint8_t *at = bits;
    for (size_t i = 0; i < n; i++) {
        unsigned length = pack_length(values[i]), width = pack_width(length);
        uint64_t rest = values[i] & ((UINT64_C(1) << width) - 1);
        lengths[i] = (uint8_t)length;
        word |= rest << used;
        /* Written before it is full, to go without a branch: i values need less than 8 * i bytes, so there is room. */
        er_store64(at, word);
        uint64_t over = rest >> 1 >> (63 - used);
        unsigned full = (used + width) / 64;
        at += 8 * full;
        word = full != 0 ? over : word;
        used = (used + width) % 64;
    }
    for (; used > 0; used -= used < 8 ? used : 8) {
        *at++ = (uint8_t)word;
        word >>= 8;
    }
    *bits_len = (size_t)(at - bits);
    return ER_OK;
}

/* Eight bytes from an address, and zeros past the end. */
static uint64_t pack_load_tail(const uint8_t *bytes, size_t left) {
    uint8_t padded[8] = {0};
    memcpy(padded, bytes, left < 8 ? left : 8);
    return er_load64(padded);
}

int er_unpack_u64(const uint8_t *lengths, size_t n, const uint8_t *bits, size_t bits_len, uint64_t *values) {
    if (n > 0 && (lengths == NULL || values == NULL)) {
        return ER_EINVAL;
    }
    uint64_t total = 0;
    unsigned longest = 0;
    for (size_t i = 0; i < n; i++) {
        total += pack_width(lengths[i]);
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    if (longest > 64 || total / 8 + (total % 8 != 0) != bits_len || (bits_len > 0 && bits == NULL) ||
        (total % 8 != 0 && bits[bits_len - 1] >> total % 8 != 0)) {
        return ER_EINVAL;
    }
    uint64_t position = 0; /* in bits */
    for (size_t i = 0; i < n; i++) {
        unsigned width = pack_width(lengths[i]), shift = position % 8;
        uint64_t high = (uint64_t)(lengths[i] != 0) << width;
        if (width == 0) {
            values[i] = high;
            continue;
        }
        const uint8_t *at = bits + position / 8;
        size_t left = bits_len - (size_t)(position / 8);
        uint64_t word = (left >= 8 ? er_load64(at) : pack_load_tail(at, left)) >> shift;
        if (shift + width > 64) {
            word |= (uint64_t)at[8] << (64 - shift);
        }
        values[i] = (word & (high - 1)) | high;
        position += width;
    }
    return ER_OK;
}
