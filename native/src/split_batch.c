/* split_batch.c: the arms of many keys that are bytes, by the layout in which the keys lie in memory.
 *
 * Every layout becomes a run of (bytes, length); integers have split_int64.c.
 */
#include <string.h>

#include "split.h"
#include "xxh64.h"

/* Stands in for a NULL that comes with no bytes: no arithmetic is done on a null pointer. */
static const unsigned char batch_no_bytes[1] = {0};

static inline int32_t batch_arm_of_hash(const struct er_split *split, uint64_t hash) {
    return split_arm_of_point(split, split_point_of_hash(hash));
}

static inline int32_t batch_arm_of_key(const struct er_split *split, const unsigned char *key, size_t length) {
    uint64_t seed = split->seed;
    return batch_arm_of_hash(split,
                             length < XXH64_STRIPE ? xxh64_short(key, length, seed) : er_xxh64(key, length, seed));
}

/* The width of binary UUIDs: a length known to the compiler leaves neither loops nor branches in the hash. */
static void batch_assign_16(const struct er_split *split, const unsigned char *keys, size_t n, int32_t *arms) {
    for (size_t i = 0; i < n; i++) {
        arms[i] = batch_arm_of_hash(split, xxh64_short(keys + i * 16, 16, split->seed));
    }
}

int er_split_assign_fixed(const er_split *split, const void *keys, size_t width, size_t n, int32_t *arms) {
    if (split == NULL || (n > 0 && (arms == NULL || (keys == NULL && width > 0) || width > SIZE_MAX / n))) {
        return ER_EINVAL;
    }
    const unsigned char *bytes = keys != NULL ? keys : batch_no_bytes;
    if (width == 16) {
        batch_assign_16(split, bytes, n, arms);
        return ER_OK;
    }
    for (size_t i = 0; i < n; i++) {
        arms[i] = batch_arm_of_key(split, bytes + i * width, width);
    }
    return ER_OK;
}

/* Whether [begin, end) lies within data_len bytes. */
static inline int batch_is_slice(int64_t begin, int64_t end, size_t data_len) {
    return begin >= 0 && end >= begin && (uint64_t)end <= data_len;
}

int er_split_assign_offsets32(const er_split *split, const void *data, size_t data_len, const int32_t *offsets,
                              size_t n, int32_t *arms) {
    if (split == NULL || offsets == NULL || (data == NULL && data_len > 0) || (n > 0 && arms == NULL)) {
        return ER_EINVAL;
    }
    const unsigned char *bytes = data != NULL ? data : batch_no_bytes;
    for (size_t i = 0; i < n; i++) {
        if (!batch_is_slice(offsets[i], offsets[i + 1], data_len)) {
            return ER_EINVAL;
        }
        arms[i] = batch_arm_of_key(split, bytes + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
    }
    return ER_OK;
}

int er_split_assign_offsets64(const er_split *split, const void *data, size_t data_len, const int64_t *offsets,
                              size_t n, int32_t *arms) {
    if (split == NULL || offsets == NULL || (data == NULL && data_len > 0) || (n > 0 && arms == NULL)) {
        return ER_EINVAL;
    }
    const unsigned char *bytes = data != NULL ? data : batch_no_bytes;
    for (size_t i = 0; i < n; i++) {
        if (!batch_is_slice(offsets[i], offsets[i + 1], data_len)) {
            return ER_EINVAL;
        }
        arms[i] = batch_arm_of_key(split, bytes + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
    }
    return ER_OK;
}

int er_split_assign_separated(const er_split *split, const char *data, size_t len, char separator, size_t n,
                              int32_t *arms) {
    if (split == NULL || (data == NULL && len > 0) || (n > 0 && arms == NULL)) {
        return ER_EINVAL;
    }
    if (n == 0) {
        return len == 0 ? ER_OK : ER_EINVAL;
    }
    const unsigned char *key = data != NULL ? (const unsigned char *)data : batch_no_bytes;
    const unsigned char *end = key + len;
    for (size_t i = 0; i + 1 < n; i++) {
        const unsigned char *stop = memchr(key, separator, (size_t)(end - key));
        if (stop == NULL) {
            return ER_EINVAL;
        }
        arms[i] = batch_arm_of_key(split, key, (size_t)(stop - key));
        key = stop + 1;
    }
    if (memchr(key, separator, (size_t)(end - key)) != NULL) {
        return ER_EINVAL;
    }
    arms[n - 1] = batch_arm_of_key(split, key, (size_t)(end - key));
    return ER_OK;
}
