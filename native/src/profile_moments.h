/* profile_moments.h: counts, extremes, means and central second moments of the columns of a table of numbers. */
#ifndef ER_PROFILE_MOMENTS_H
#define ER_PROFILE_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

/* Arrays with an entry for each column. Of no numbers min is infinity, max minus infinity, mean and m2 are 0. */
struct er_moments {
    uint64_t *count, *missing, *infinite, *zero;
    double *min, *max, *mean, *m2;
};

#define ER_MOMENTS_ROWS_MAX 64

/* Take in at most ER_MOMENTS_ROWS_MAX rows of `columns` numbers. */
void er_moments_add(const struct er_moments *moments, const double *values, size_t rows, size_t columns);

#endif
