/* crc32c.c: CRC-32C by the processor's instruction where it has one, else eight bytes at a time through tables.
 *
 * Source of the tables: Kounavis and Berry, "A Systematic Approach to Building High Performance, Software-based, CRC
 * Generators" (slicing-by-8). */
#include <stddef.h>

#include "bytes.h"
#include "edgerun_log.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

/* A table is linear: what a byte adds is the XOR of what its bits add. So eight numbers say a table of 256. */
#define CRC_BYTE(i, a, b, c, d, e, f, g, h)                                                                    \
    (((i)&1 ? a : 0) ^ ((i)&2 ? b : 0) ^ ((i)&4 ? c : 0) ^ ((i)&8 ? d : 0) ^ ((i)&16 ? e : 0) ^                \
     ((i)&32 ? f : 0) ^ ((i)&64 ? g : 0) ^ ((i)&128 ? h : 0))
#define CRC_4(i, ...)                                                                                          \
    CRC_BYTE(i, __VA_ARGS__), CRC_BYTE((i) + 1, __VA_ARGS__), CRC_BYTE((i) + 2, __VA_ARGS__),                  \
        CRC_BYTE((i) + 3, __VA_ARGS__)
#define CRC_16(i, ...)                                                                                         \
    CRC_4(i, __VA_ARGS__), CRC_4((i) + 4, __VA_ARGS__), CRC_4((i) + 8, __VA_ARGS__), CRC_4((i) + 12, __VA_ARGS__)
#define CRC_64(i, ...)                                                                                         \
    CRC_16(i, __VA_ARGS__), CRC_16((i) + 16, __VA_ARGS__), CRC_16((i) + 32, __VA_ARGS__),                      \
        CRC_16((i) + 48, __VA_ARGS__)
#define CRC_TABLE(...)                                                                                         \
    { CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__), CRC_64(192, __VA_ARGS__) }

/* Table k: what a byte does to the CRC when k more bytes follow it. */
static const uint32_t crc_tables[8][256] = {
    CRC_TABLE(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    CRC_TABLE(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    CRC_TABLE(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    CRC_TABLE(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    CRC_TABLE(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    CRC_TABLE(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    CRC_TABLE(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    CRC_TABLE(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};

static uint32_t crc_by_tables(uint32_t crc, const uint8_t *bytes, size_t len) {
    const uint32_t(*t)[256] = crc_tables;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word = er_load64(bytes) ^ crc;
        crc = t[7][word & 255] ^ t[6][word >> 8 & 255] ^ t[5][word >> 16 & 255] ^ t[4][word >> 24 & 255] ^
              t[3][word >> 32 & 255] ^ t[2][word >> 40 & 255] ^ t[1][word >> 48 & 255] ^ t[0][word >> 56];
    }
    for (; len > 0; bytes++, len--) {
        crc = t[0][(crc ^ *bytes) & 255] ^ crc >> 8;
    }
    return crc;
}

#if defined(__x86_64__)

static int crc_has_instruction(void) {
    return __builtin_cpu_supports("sse4.2");
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *bytes, size_t len) {
    uint64_t wide = crc;
    for (; len >= 8; bytes += 8, len -= 8) {
        wide = _mm_crc32_u64(wide, er_load64(bytes));
    }
    crc = (uint32_t)wide;
    for (; len > 0; bytes++, len--) {
        crc = _mm_crc32_u8(crc, *bytes);
    }
    return crc;
}

#elif defined(__aarch64__) && defined(__linux__)

static int crc_has_instruction(void) {
    return (getauxval(AT_HWCAP) & 1UL << 7) != 0; /* HWCAP_CRC32 */
}

/* In assembly, since compilers disagree on how a function asks for the extension. */
static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *bytes, size_t len) {
    for (; len >= 8; bytes += 8, len -= 8) {
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(er_load64(bytes)));
    }
    for (; len > 0; bytes++, len--) {
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)*bytes));
    }
    return crc;
}

#else

static int crc_has_instruction(void) {
    return 0;
}

static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *bytes, size_t len) {
    return crc_by_tables(crc, bytes, len);
}

#endif

uint32_t er_crc32c(uint32_t crc, const void *data, size_t len) {
    return ~(crc_has_instruction() ? crc_by_instruction(~crc, data, len) : crc_by_tables(~crc, data, len));
}
