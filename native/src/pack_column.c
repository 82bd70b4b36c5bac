/* pack_column.c: the shortest of the ways to write a column of integers; edgerun/log/FORMAT.md, Columns, codes 0 to 4.
 *
 * Each way makes unsigned integers of the values; what they cost is the bits below their highest ones, which do not
 * compress, and their lengths, which do: about their entropy, or less where they come in runs. */
#include <string.h>

#include "edgerun_log.h"

enum { HEAD_SMALL_BITS = 8, HEAD_BITS = 72, RUN_BITS = 24, GLANCE = 256, GLANCE_SLOTS = 1024, WAYS = 5 };

#define LINE_UNIT 65536
#define LINE_SPAN_MAX (INT64_C(1) << 46) /* so that the products of a line stay within 64 bits */
#define LINE_VALUES_MAX (1U << 20)       /* likewise */

static unsigned bit_length(uint64_t value) {
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static uint64_t zigzag(uint64_t word) {
    return (word << 1) ^ (uint64_t)((int64_t)word >> 63);
}

/* An integer's logarithm of base 2 in 65536ths, at most 0.09 too small. */
static uint64_t log2_fixed(uint64_t value) {
    unsigned high = bit_length(value) - 1;
    uint64_t rest = value - (UINT64_C(1) << high);
    return ((uint64_t)high << 16) + (high <= 16 ? rest << (16 - high) : rest >> (high - 16));
}

static uint64_t cost_of_integer(uint64_t word, int is_signed) {
    int64_t number = (int64_t)word;
    return (is_signed ? number >= -32 && number < 128 : word < 128) ? HEAD_SMALL_BITS : HEAD_BITS;
}

/* What n unsigned integers cost in bits. */
static uint64_t cost_of(const uint64_t *numbers, size_t n) {
    uint64_t counts[65] = {0}, widths = 0, runs = 1;
    unsigned before = n > 0 ? bit_length(numbers[0]) : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned length = bit_length(numbers[i]);
        counts[length]++;
        widths += length - (length != 0);
        runs += length != before;
        before = length;
    }
    uint64_t entropy = 0, whole = n > 0 ? log2_fixed(n) : 0; /* in 65536ths */
    for (size_t i = 0; i < 65; i++) {
        entropy += counts[i] > 0 ? counts[i] * (whole - log2_fixed(counts[i])) : 0;
    }
    uint64_t lengths = entropy >> 16;
    return widths + (lengths < RUN_BITS * runs ? lengths : RUN_BITS * runs);
}

static int is_below(uint64_t a, uint64_t b, int is_signed) {
    return is_signed ? (int64_t)a < (int64_t)b : a < b;
}

/* The middle one of n values, which change places (Hoare's selection). */
static uint64_t middle_of(uint64_t *values, size_t n, int is_signed) {
    size_t low = 0, high = n - 1, wanted = n / 2;
    while (low < high) {
        uint64_t pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (is_below(values[i], pivot, is_signed)) {
                i++;
            }
            while (is_below(pivot, values[j], is_signed)) {
                j--;
            }
            if (i >= j) {
                break;
            }
            uint64_t other = values[i];
            values[i++] = values[j];
            values[j--] = other;
        }
        if (wanted <= j) {
            high = j;
        } else {
            low = j + 1;
        }
    }
    return values[wanted];
}

/* The slope of a line through the values by least squares, in 65536ths; 0 where they do not rise steadily. */
static int64_t slope_of(const uint64_t *values, size_t n, uint64_t least, uint64_t span) {
    if (n < 3 || n > LINE_VALUES_MAX || span >= (uint64_t)LINE_SPAN_MAX) {
        return 0;
    }
    double sum = 0, centre = ((double)n - 1) / 2, first = (double)(int64_t)(values[0] - least);
    for (size_t i = 0; i < n; i++) {
        sum += ((double)i - centre) * ((double)(int64_t)(values[i] - least) - first);
    }
    double slope = sum / ((double)n * ((double)n * (double)n - 1) / 12);
    double rise = slope * (double)n;
    if (!((rise < 0 ? -rise : rise) > (double)span / 4)) {
        return 0;
    }
    return (int64_t)(slope * LINE_UNIT + (slope < 0 ? -0.5 : 0.5));
}

/* floor(i * step / 65536) */
static uint64_t line_at(size_t i, int64_t step) {
    int64_t product = (int64_t)i * step;
    return (uint64_t)(product >= 0 ? product / LINE_UNIT : -((-product + LINE_UNIT - 1) / LINE_UNIT));
}

/* Write the unsigned integers of one way. */
static void transform(const uint64_t *values, size_t n, const er_packed_column *way, uint64_t *out) {
    uint64_t before = way->base;
    for (size_t i = 0; i < n; i++) {
        switch (way->code) {
        case 0: out[i] = values[i] - way->base; break;
        case 1: out[i] = way->base - values[i]; break;
        case 2: out[i] = zigzag(values[i] - way->base); break;
        case 3:
            out[i] = zigzag(values[i] - before);
            before = values[i];
            break;
        default: out[i] = zigzag(values[i] - way->base - line_at(i, way->step)); break;
        }
    }
}

/* Whether a glance at some of the values shows few distinct ones. */
static int seems_repetitive(const uint64_t *values, size_t n) {
    size_t stride = n / GLANCE > 0 ? n / GLANCE : 1, looked = 0, distinct = 0;
    uint64_t slots[GLANCE_SLOTS];
    uint8_t taken[GLANCE_SLOTS] = {0};
    for (size_t i = 0; i < n && looked < GLANCE; i += stride, looked++) {
        size_t slot = (size_t)((values[i] * UINT64_C(0x9E3779B97F4A7C15)) >> 54);
        while (taken[slot] && slots[slot] != values[i]) {
            slot = (slot + 1) % GLANCE_SLOTS;
        }
        distinct += !taken[slot];
        taken[slot] = 1;
        slots[slot] = values[i];
    }
    return n >= 8 && 2 * distinct <= looked + GLANCE / 2;
}

int er_pack_column(const uint64_t *values, size_t n, int is_signed, uint64_t *scratch, uint8_t *lengths,
                   uint8_t *bits, er_packed_column *out) {
    if (n == 0 || values == NULL || scratch == NULL || lengths == NULL || bits == NULL || out == NULL) {
        return ER_EINVAL;
    }
    uint64_t least = values[0], most = values[0];
    for (size_t i = 1; i < n; i++) {
        least = is_below(values[i], least, is_signed) ? values[i] : least;
        most = is_below(most, values[i], is_signed) ? values[i] : most;
    }
    er_packed_column ways[WAYS] = {{.code = 0, .base = least}, {.code = 1, .base = most},
                                   {.code = 3, .base = values[0]}, {.code = 2}, {.code = 4}};
    memcpy(scratch, values, n * sizeof values[0]);
    ways[3].base = middle_of(scratch, n, is_signed);
    size_t n_ways = WAYS - 1;
    int64_t step = slope_of(values, n, least, most - least);
    if (step != 0) {
        for (size_t i = 0; i < n; i++) {
            scratch[i] = values[i] - least - line_at(i, step);
        }
        uint64_t rest = middle_of(scratch, n, 1);
        ways[4].base = least + rest;
        ways[4].step = step;
        /* A base is written as a number of the column's own kind, so it must not have gone round. */
        if (is_below(ways[4].base, least, is_signed) == ((int64_t)rest < 0)) {
            n_ways++;
        }
    }
    *out = (er_packed_column){.cost_bits = UINT64_MAX};
    for (size_t i = 0; i < n_ways; i++) {
        transform(values, n, &ways[i], scratch);
        ways[i].cost_bits = cost_of(scratch, n) + cost_of_integer(ways[i].base, is_signed) +
                            (ways[i].code == 4 ? cost_of_integer((uint64_t)ways[i].step, 1) : 0);
        if (ways[i].cost_bits < out->cost_bits) {
            *out = ways[i];
        }
    }
    transform(values, n, out, scratch);
    out->is_repetitive = seems_repetitive(values, n);
    return er_pack_u64(scratch, n, lengths, bits, &out->bits_len);
}
