/* summary.c: see summary.h.
 *
 * A call waits for this where an output is large. So a block of numbers is first gone through as if all were finite,
 * LANES at a time without a branch; its sum tells if they are. Where in it the greatest stands is looked up only for a
 * block that has a greater one than those before. */
#include "summary.h"

#include <math.h>
#include <string.h>

#include "edgerun_runtime.h"

enum { LANES = 16, BLOCK = 4096 };

/* A half as a float without a branch. */
static inline float half_value(uint16_t half) {
    uint32_t shifted = (uint32_t)(half & 0x7fffu) << 13;
    uint32_t top = shifted >= 0x1fu << 23 ? 112u << 23 : 0; /* NaN and infinities keep the greatest exponent */
    uint32_t tiny_bits = shifted + (113u << 23), normal_bits = shifted + (112u << 23) + top;
    float tiny, normal;
    memcpy(&tiny, &tiny_bits, sizeof tiny);
    memcpy(&normal, &normal_bits, sizeof normal);
    float size = shifted < (1u << 23) ? tiny - 0x1p-14f : normal;
    return (half & 0x8000u) != 0 ? -size : size;
}

static inline int is_finite_half(uint16_t bits) {
    return (bits & 0x7c00u) != 0x7c00u;
}

static inline int is_finite_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7f800000u) != 0x7f800000u;
}

static inline int is_finite_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

#define SAME(x) (x)
#define ALWAYS(x) 1

/* What is known of a block or of all blocks so far. */
#define DEFINE_PART(part, V)  \
    struct part {             \
        V least, most;        \
        double sum;           \
        size_t finite;        \
    };

/* Define name() for numbers of type T, which VALUE turns into type V, whose values lie between LEAST and MOST. */
#define DEFINE_SUMMARISE(name, T, V, VALUE, FINITE, LEAST, MOST)                                      \
    DEFINE_PART(name##_part, V)                                                                       \
    static struct name##_part name##_unchecked(const T *numbers, size_t n) {                          \
        V least[LANES], most[LANES];                                                                  \
        double sum[LANES];                                                                            \
        struct name##_part part = {(MOST), (LEAST), 0.0, n};                                          \
        size_t whole = n / LANES * LANES;                                                             \
        for (size_t j = 0; j < LANES; j++) {                                                          \
            least[j] = (MOST);                                                                        \
            most[j] = (LEAST);                                                                        \
            sum[j] = 0.0;                                                                             \
        }                                                                                             \
        for (size_t i = 0; i < whole; i += LANES) {                                                   \
            for (size_t j = 0; j < LANES; j++) {                                                      \
                V value = VALUE(numbers[i + j]);                                                      \
                least[j] = value < least[j] ? value : least[j];                                       \
                most[j] = value > most[j] ? value : most[j];                                          \
                sum[j] += (double)value;                                                              \
            }                                                                                         \
        }                                                                                             \
        for (size_t j = 0; whole > 0 && j < LANES; j++) {                                             \
            part.least = least[j] < part.least ? least[j] : part.least;                               \
            part.most = most[j] > part.most ? most[j] : part.most;                                    \
            part.sum += sum[j];                                                                       \
        }                                                                                             \
        for (size_t i = whole; i < n; i++) {                                                          \
            V value = VALUE(numbers[i]);                                                              \
            part.least = value < part.least ? value : part.least;                                     \
            part.most = value > part.most ? value : part.most;                                        \
            part.sum += (double)value;                                                                \
        }                                                                                             \
        return part;                                                                                  \
    }                                                                                                 \
    static struct name##_part name##_checked(const T *numbers, size_t n) {                            \
        struct name##_part part = {(MOST), (LEAST), 0.0, 0};                                          \
        for (size_t i = 0; i < n; i++) {                                                              \
            V value = VALUE(numbers[i]);                                                              \
            if (FINITE(numbers[i])) {                                                                 \
                part.least = value < part.least ? value : part.least;                                 \
                part.most = value > part.most ? value : part.most;                                    \
                part.sum += (double)value;                                                            \
                part.finite++;                                                                        \
            }                                                                                         \
        }                                                                                             \
        return part;                                                                                  \
    }                                                                                                 \
    static size_t name##_find(const T *numbers, V value) {                                            \
        size_t i = 0;                                                                                 \
        while (!(FINITE(numbers[i]) && VALUE(numbers[i]) == value)) {                                 \
            i++;                                                                                      \
        }                                                                                             \
        return i;                                                                                     \
    }                                                                                                 \
    static void name(const void *data, size_t count, struct er_summary *out) {                        \
        const T *numbers = data;                                                                      \
        struct name##_part all = {(MOST), (LEAST), 0.0, 0};                                           \
        for (size_t start = 0; start < count; start += BLOCK) {                                       \
            size_t n = count - start < BLOCK ? count - start : BLOCK;                                 \
            struct name##_part part = name##_unchecked(numbers + start, n);                           \
            if (!isfinite(part.sum)) {                                                                \
                part = name##_checked(numbers + start, n);                                            \
            }                                                                                         \
            if (part.finite > 0 && (all.finite == 0 || part.most > all.most)) {                       \
                out->argmax = start + name##_find(numbers + start, part.most);                        \
                all.most = part.most;                                                                 \
            }                                                                                         \
            all.least = part.least < all.least ? part.least : all.least;                              \
            all.sum += part.sum;                                                                      \
            all.finite += part.finite;                                                                \
        }                                                                                             \
        out->finite = all.finite;                                                                     \
        out->sum = all.sum;                                                                           \
        out->min = all.finite > 0 ? (double)all.least + 0.0 : (double)NAN; /* a zero is never -0.0 */ \
        out->max = all.finite > 0 ? (double)all.most + 0.0 : (double)NAN;                             \
    }

DEFINE_SUMMARISE(summarise_float, float, float, SAME, is_finite_float, -INFINITY, INFINITY)
DEFINE_SUMMARISE(summarise_double, double, double, SAME, is_finite_double, (double)-INFINITY, (double)INFINITY)
DEFINE_SUMMARISE(summarise_half, uint16_t, float, half_value, is_finite_half, -INFINITY, INFINITY)
DEFINE_SUMMARISE(summarise_u8, uint8_t, uint8_t, SAME, ALWAYS, 0, UINT8_MAX)
DEFINE_SUMMARISE(summarise_i8, int8_t, int8_t, SAME, ALWAYS, INT8_MIN, INT8_MAX)
DEFINE_SUMMARISE(summarise_u16, uint16_t, uint16_t, SAME, ALWAYS, 0, UINT16_MAX)
DEFINE_SUMMARISE(summarise_i16, int16_t, int16_t, SAME, ALWAYS, INT16_MIN, INT16_MAX)
DEFINE_SUMMARISE(summarise_u32, uint32_t, uint32_t, SAME, ALWAYS, 0, UINT32_MAX)
DEFINE_SUMMARISE(summarise_i32, int32_t, int32_t, SAME, ALWAYS, INT32_MIN, INT32_MAX)
DEFINE_SUMMARISE(summarise_u64, uint64_t, uint64_t, SAME, ALWAYS, 0, UINT64_MAX)
DEFINE_SUMMARISE(summarise_i64, int64_t, int64_t, SAME, ALWAYS, INT64_MIN, INT64_MAX)

void er_summarise(int32_t type, const void *data, size_t count, struct er_summary *out) {
    out->argmax = 0;
    switch (type) {
    case ER_TYPE_FLOAT: summarise_float(data, count, out); break;
    case ER_TYPE_DOUBLE: summarise_double(data, count, out); break;
    case ER_TYPE_FLOAT16: summarise_half(data, count, out); break;
    case ER_TYPE_UINT8:
    case ER_TYPE_BOOL: summarise_u8(data, count, out); break;
    case ER_TYPE_INT8: summarise_i8(data, count, out); break;
    case ER_TYPE_UINT16: summarise_u16(data, count, out); break;
    case ER_TYPE_INT16: summarise_i16(data, count, out); break;
    case ER_TYPE_UINT32: summarise_u32(data, count, out); break;
    case ER_TYPE_INT32: summarise_i32(data, count, out); break;
    case ER_TYPE_UINT64: summarise_u64(data, count, out); break;
    default: summarise_i64(data, count, out); break;
    }
    out->count = count;
    out->best = er_number_bits(type, data, (size_t)out->argmax);
}

int er_is_distribution(int32_t type, const struct er_summary *summary) {
    int is_float = type == ER_TYPE_FLOAT || type == ER_TYPE_DOUBLE || type == ER_TYPE_FLOAT16;
    return is_float && summary->count >= 2 && summary->finite == summary->count && summary->min >= 0.0 &&
           summary->max <= 1.0 && fabs(summary->sum - 1.0) <= 0.001;
}

static uint64_t ordered(uint64_t bits, uint64_t sign, uint64_t all) {
    return (bits & sign) != 0 ? ~bits & all : bits | sign;
}

uint64_t er_double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return ordered(bits, UINT64_C(1) << 63, UINT64_MAX);
}

uint64_t er_number_bits(int32_t type, const void *data, size_t i) {
    switch (type) {
    case ER_TYPE_FLOAT: return ordered(((const uint32_t *)data)[i], UINT32_C(1) << 31, UINT32_MAX);
    case ER_TYPE_DOUBLE: return ordered(((const uint64_t *)data)[i], UINT64_C(1) << 63, UINT64_MAX);
    case ER_TYPE_FLOAT16: return ordered(((const uint16_t *)data)[i], UINT32_C(1) << 15, UINT16_MAX);
    case ER_TYPE_UINT8:
    case ER_TYPE_BOOL: return ((const uint8_t *)data)[i];
    case ER_TYPE_INT8: return (uint64_t)(int64_t)((const int8_t *)data)[i];
    case ER_TYPE_UINT16: return ((const uint16_t *)data)[i];
    case ER_TYPE_INT16: return (uint64_t)(int64_t)((const int16_t *)data)[i];
    case ER_TYPE_UINT32: return ((const uint32_t *)data)[i];
    case ER_TYPE_INT32: return (uint64_t)(int64_t)((const int32_t *)data)[i];
    default: return ((const uint64_t *)data)[i];
    }
}
