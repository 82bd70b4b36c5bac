/* summary.h: what is kept of an output of many numbers. */
#ifndef ER_SUMMARY_H
#define ER_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

struct er_summary {
    uint64_t argmax; /* the first of the greatest that are finite; 0 where none is */
    uint64_t count, finite;
    double min, max, sum; /* of those that are finite; NaN, NaN and 0 where none is */
    uint64_t best;        /* er_number_bits() of number argmax */
};

/* Sum up count > 0 numbers of a numeric type. */
void er_summarise(int32_t type, const void *data, size_t count, struct er_summary *out);

/* 1 if these are a distribution: two or more floats, each from 0 to 1, whose sum is 1 within 0.001. */
int er_is_distribution(int32_t type, const struct er_summary *summary);

/* Number i of a numeric type as the log keeps it: an integer, or the order-preserving bits of a float. */
uint64_t er_number_bits(int32_t type, const void *data, size_t i);
uint64_t er_double_bits(double value);

#endif
