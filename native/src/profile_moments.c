/* profile_moments.c: see profile_moments.h.
 *
 * Some rows are summed up first, as differences to one of them: since that one is among them, the sum of squares loses at
 * most log2(rows + 1) bits to cancellation. The result joins the columns by the formula of Chan, Golub and LeVeque. Where
 * a sum is not finite, which NaN and infinity see to, its column is gone through number by number. */
#include "profile_moments.h"

#include <math.h>

#include "edgerun_log.h"

enum { LANES_MIN = 8, LANES_MAX = ER_PROFILE_COLUMNS_MAX + 8 };

/* Lane l sums up column l % columns: a loop over few columns would not fill the processor's registers. */
struct lanes {
    double shift[LANES_MAX], sum[LANES_MAX], squares[LANES_MAX], min[LANES_MAX], max[LANES_MAX], zero[LANES_MAX];
};

/* What some numbers of one column come to. */
struct summary {
    double count, mean, m2, min, max, zero;
};

static void moments_begin(struct lanes *lanes, const double *values, size_t width, size_t columns) {
    for (size_t i = 0; i < width; i++) {
        lanes->shift[i] = i < columns ? values[i] : lanes->shift[i - columns];
        lanes->sum[i] = lanes->squares[i] = lanes->zero[i] = 0.0;
        lanes->min[i] = INFINITY;
        lanes->max[i] = -INFINITY;
    }
}

/* One pass without branches over the lanes, so that it vectorises. */
static void moments_sum(struct lanes *restrict lanes, const double *restrict values, size_t rows, size_t width) {
    for (size_t row = 0; row < rows; row++, values += width) {
        for (size_t i = 0; i < width; i++) {
            double value = values[i], difference = value - lanes->shift[i];
            lanes->sum[i] += difference;
            lanes->squares[i] += difference * difference;
            lanes->min[i] = value < lanes->min[i] ? value : lanes->min[i];
            lanes->max[i] = value > lanes->max[i] ? value : lanes->max[i];
            lanes->zero[i] += value == 0.0 ? 1.0 : 0.0;
        }
    }
}

static void moments_fold(struct lanes *lanes, size_t width, size_t columns) {
    for (size_t i = width; i-- > columns;) {
        size_t to = i - columns;
        lanes->sum[to] += lanes->sum[i];
        lanes->squares[to] += lanes->squares[i];
        lanes->zero[to] += lanes->zero[i];
        lanes->min[to] = lanes->min[i] < lanes->min[to] ? lanes->min[i] : lanes->min[to];
        lanes->max[to] = lanes->max[i] > lanes->max[to] ? lanes->max[i] : lanes->max[to];
    }
}

/* What a number of new numbers is beside those before: most columns ask the same, and dividing takes long. */
struct share {
    uint64_t before;
    double of, between; /* of the new ones in all; and before * of */
};

static inline void moments_share(struct share *share, uint64_t before, double count) {
    share->before = before;
    share->of = count / ((double)before + count);
    share->between = (double)before * share->of;
}

/* Chan's formula; where a difference of means is too large for a double, their weighted sum. */
static inline void moments_join(const struct er_moments *to, size_t i, const struct summary *from,
                                const struct share *share) {
    double difference = from->mean - to->mean[i];
    to->m2[i] += from->m2 + (share->between > 0.0 ? difference * difference * share->between : 0.0);
    to->mean[i] = isfinite(difference) ? to->mean[i] + difference * share->of
                                       : to->mean[i] * (1.0 - share->of) + from->mean * share->of;
    to->count[i] += (uint64_t)(int64_t)from->count;
    to->zero[i] += (uint64_t)(int64_t)from->zero;
    /* Adding 0 makes a negative zero positive, which of two zeros is met first being chance. */
    to->min[i] = from->min < to->min[i] ? from->min + 0.0 : to->min[i];
    to->max[i] = from->max > to->max[i] ? from->max + 0.0 : to->max[i];
}

/* A column with NaN, infinities or numbers whose sum is too large: scaled down, ER_MOMENTS_ROWS_MAX cannot overflow. */
static void moments_add_slowly(const struct er_moments *to, size_t i, const double *values, size_t rows,
                               size_t columns) {
    struct summary found = {0.0, 0.0, 0.0, INFINITY, -INFINITY, 0.0};
    const double scale = 1.0 / ER_MOMENTS_ROWS_MAX;
    double sum = 0.0, scaled = 0.0, rest = 0.0;
    for (size_t row = 0; row < rows; row++) {
        double value = values[row * columns + i];
        if (isfinite(value)) {
            found.count += 1.0;
            found.zero += value == 0.0 ? 1.0 : 0.0;
            found.min = value < found.min ? value : found.min;
            found.max = value > found.max ? value : found.max;
            sum += value;
            scaled += value * scale;
        } else if (isnan(value)) {
            to->missing[i]++;
        } else {
            to->infinite[i]++;
        }
    }
    if (found.count == 0.0) {
        return;
    }
    found.mean = isfinite(sum) ? sum / found.count : scaled / (found.count * scale);
    for (size_t row = 0; row < rows; row++) {
        double value = values[row * columns + i];
        if (isfinite(value)) {
            double difference = value - found.mean;
            rest += difference;
            found.m2 += difference * difference;
        }
    }
    if (isfinite(found.m2)) {
        found.m2 -= rest * rest / found.count;
        found.m2 = found.m2 > 0.0 ? found.m2 : 0.0;
    }
    struct share share;
    moments_share(&share, to->count[i], found.count);
    moments_join(to, i, &found, &share);
}

static void moments_finish(const struct er_moments *to, const struct lanes *lanes, const double *values, size_t rows,
                           size_t columns) {
    double count = (double)rows, one = 1.0 / count;
    struct share share;
    moments_share(&share, to->count[0], count);
    for (size_t i = 0; i < columns; i++) {
        double sum = lanes->sum[i], mean = lanes->shift[i] + sum * one, m2 = lanes->squares[i] - sum * (sum * one);
        if (!isfinite(lanes->squares[i]) || !isfinite(mean)) {
            moments_add_slowly(to, i, values, rows, columns);
            continue;
        }
        if (to->count[i] != share.before) {
            moments_share(&share, to->count[i], count);
        }
        struct summary found = {count, mean, m2 > 0.0 ? m2 : 0.0, lanes->min[i], lanes->max[i], lanes->zero[i]};
        moments_join(to, i, &found, &share);
    }
}

void er_moments_add(const struct er_moments *moments, const double *values, size_t rows, size_t columns) {
    _Alignas(64) struct lanes lanes;
    size_t at_once = columns < LANES_MIN ? LANES_MIN / columns : 1, width = columns * at_once;
    size_t whole = rows / at_once;
    moments_begin(&lanes, values, width, columns);
    moments_sum(&lanes, values, whole, width);
    moments_sum(&lanes, values + whole * width, 1, (rows - whole * at_once) * columns);
    moments_fold(&lanes, width, columns);
    moments_finish(moments, &lanes, values, rows, columns);
}
