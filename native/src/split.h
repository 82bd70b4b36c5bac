/* split.h: the split's own layout, shared by the files that assign; no part of the interface. */
#ifndef EDGERUN_SPLIT_H
#define EDGERUN_SPLIT_H

#include "edgerun.h"

/* The points are cut into equal buckets. A bucket that lies within one range stores that range's arm; one that a
 * cut crosses stores ~i, where i is the range that holds its first point, and is searched. */
struct er_split {
    uint64_t seed;
    uint32_t bucket_shift; /* point >> bucket_shift is the point's bucket */
    uint32_t n_ranges;
    const uint32_t *starts;
    const int32_t *arms;
    const int32_t *buckets;
};

/* The arm of a point in a bucket that a cut crosses; `first` is the range that holds the bucket's first point. */
int32_t er_split_search(const struct er_split *split, uint32_t point, uint32_t first);

static inline int32_t split_arm_of_point(const struct er_split *split, uint32_t point) {
    int32_t entry = split->buckets[point >> split->bucket_shift];
    return entry >= 0 ? entry : er_split_search(split, point, (uint32_t)~entry);
}

static inline uint32_t split_point_of_hash(uint64_t hash) {
    return (uint32_t)(hash >> 32);
}

#endif
