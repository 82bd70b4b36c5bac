/* split.c: which arm owns a key. SPLIT.md is the specification.
 *
 * Integer arithmetic only: the same salt, ranges and key give the same arm on every machine.
 */
#include "split.h"

#include <stdlib.h>
#include <string.h>

#include "xxh64.h"

#define SPLIT_SALT_SEED 42

/* Enough buckets that a cut crosses few of them, few enough that the table of a usual split stays in the first
 * level cache: 4 KiB for up to 64 ranges. */
#define SPLIT_BUCKET_BITS_MIN 10
#define SPLIT_BUCKET_BITS_MAX 16
#define SPLIT_BUCKETS_PER_RANGE 16

int32_t er_split_search(const struct er_split *split, uint32_t point, uint32_t first) {
    uint32_t low = first;
    uint32_t past_bucket = point >> split->bucket_shift;
    uint32_t high = split->n_ranges;
    if (past_bucket + 1 < UINT32_C(1) << (32 - split->bucket_shift)) {
        int32_t next = split->buckets[past_bucket + 1];
        if (next < 0) {
            high = (uint32_t)~next + 1;
        }
    }
    /* Invariant: starts[low] <= point, and high is past the end or starts[high] > point. */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (split->starts[middle] <= point) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return split->arms[low];
}

static uint32_t split_bucket_bits(size_t n_ranges) {
    uint32_t bits = SPLIT_BUCKET_BITS_MIN;
    while (bits < SPLIT_BUCKET_BITS_MAX && ((size_t)1 << bits) < n_ranges * SPLIT_BUCKETS_PER_RANGE) {
        bits++;
    }
    return bits;
}

static void split_fill_buckets(int32_t *buckets, uint32_t bits, const uint32_t *starts, const int32_t *arms,
                               uint32_t n_ranges) {
    uint32_t range = 0;
    uint32_t last_offset = (UINT32_C(1) << (32 - bits)) - 1;
    for (uint32_t bucket = 0; bucket < UINT32_C(1) << bits; bucket++) {
        uint32_t first_point = bucket << (32 - bits);
        while (range + 1 < n_ranges && starts[range + 1] <= first_point) {
            range++;
        }
        int crossed = range + 1 < n_ranges && starts[range + 1] <= first_point + last_offset;
        buckets[bucket] = crossed ? ~(int32_t)range : arms[range];
    }
}

static int split_check_ranges(const uint32_t *starts, const int32_t *arms, size_t n_ranges) {
    if (starts == NULL || arms == NULL || n_ranges == 0) {
        return ER_EINVAL;
    }
    if (n_ranges > ER_SPLIT_MAX_RANGES) {
        return ER_ELIMIT;
    }
    if (starts[0] != 0) {
        return ER_EINVAL;
    }
    for (size_t i = 0; i < n_ranges; i++) {
        if (arms[i] < 0 || (i > 0 && starts[i] <= starts[i - 1])) {
            return ER_EINVAL;
        }
    }
    return ER_OK;
}

int er_split_new(const void *salt, size_t salt_len, const uint32_t *starts, const int32_t *arms, size_t n_ranges,
                 er_split **out) {
    if (out == NULL || (salt == NULL && salt_len > 0)) {
        return ER_EINVAL;
    }
    int checked = split_check_ranges(starts, arms, n_ranges);
    if (checked != ER_OK) {
        return checked;
    }
    uint32_t bits = split_bucket_bits(n_ranges);
    size_t n_buckets = (size_t)1 << bits;
    size_t size = sizeof(struct er_split) + n_ranges * (sizeof *starts + sizeof *arms) + n_buckets * sizeof(int32_t);
    struct er_split *split = malloc(size);
    if (split == NULL) {
        return ER_ENOMEM;
    }
    uint32_t *own_starts = (uint32_t *)(split + 1);
    int32_t *own_arms = (int32_t *)(own_starts + n_ranges);
    int32_t *buckets = own_arms + n_ranges;
    memcpy(own_starts, starts, n_ranges * sizeof *starts);
    memcpy(own_arms, arms, n_ranges * sizeof *arms);
    split_fill_buckets(buckets, bits, starts, arms, (uint32_t)n_ranges);
    split->seed = er_xxh64(salt, salt_len, SPLIT_SALT_SEED);
    split->bucket_shift = 32 - bits;
    split->n_ranges = (uint32_t)n_ranges;
    split->starts = own_starts;
    split->arms = own_arms;
    split->buckets = buckets;
    *out = split;
    return ER_OK;
}

void er_split_free(er_split *split) {
    free(split);
}

uint64_t er_split_seed(const er_split *split) {
    return split->seed;
}

int er_split_assign(const er_split *split, const void *key, size_t len, uint64_t *hash_out) {
    if (split == NULL || (key == NULL && len > 0)) {
        return ER_EINVAL;
    }
    uint64_t hash = er_xxh64(key, len, split->seed);
    if (hash_out != NULL) {
        *hash_out = hash;
    }
    return split_arm_of_point(split, split_point_of_hash(hash));
}
