/* split_batch.c: the arms of many keys in one call, by the layout in which the keys lie in memory. */
#include "split.h"
#include "xxh64.h"

#include <string.h>

/* '-' and the 19 digits of -2^63. */
#define BATCH_INT64_TEXT_MAX 20

static int32_t batch_arm_of_key(const struct er_split *split, const unsigned char *key, size_t length) {
    return split_arm_of_point(split, split_point_of_hash(er_xxh64(key, length, split->seed)));
}

int er_split_assign_fixed(const er_split *split, const void *keys, size_t width, size_t n, int32_t *arms) {
    if (split == NULL || (n > 0 && (arms == NULL || (keys == NULL && width > 0) || width > SIZE_MAX / n))) {
        return ER_EINVAL;
    }
    const unsigned char *key = keys;
    for (size_t i = 0; i < n; i++) {
        arms[i] = batch_arm_of_key(split, width > 0 ? key + i * width : key, width);
    }
    return ER_OK;
}

int er_split_assign_offsets32(const er_split *split, const void *data, size_t data_len, const int32_t *offsets,
                              size_t n, int32_t *arms) {
    if (split == NULL || offsets == NULL || (data == NULL && data_len > 0) || (n > 0 && arms == NULL)) {
        return ER_EINVAL;
    }
    const unsigned char *bytes = data;
    if (offsets[0] < 0) {
        return ER_EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (offsets[i + 1] < offsets[i] || (uint32_t)offsets[i + 1] > data_len) {
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
    const unsigned char *bytes = data;
    if (offsets[0] < 0) {
        return ER_EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (offsets[i + 1] < offsets[i] || (uint64_t)offsets[i + 1] > data_len) {
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
    const char *end = data + len;
    for (size_t i = 0; i < n; i++) {
        const char *stop = data < end ? memchr(data, separator, (size_t)(end - data)) : NULL;
        int is_last = i + 1 == n;
        if ((stop == NULL) != is_last) {
            return ER_EINVAL;
        }
        size_t length = (size_t)((is_last ? end : stop) - data);
        arms[i] = batch_arm_of_key(split, (const unsigned char *)data, length);
        data = is_last ? end : stop + 1;
    }
    return ER_OK;
}

static size_t batch_decimal_text(int64_t value, unsigned char text[BATCH_INT64_TEXT_MAX], unsigned char **first) {
    unsigned char *end = text + BATCH_INT64_TEXT_MAX;
    unsigned char *at = end;
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--at = (unsigned char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    if (value < 0) {
        *--at = '-';
    }
    *first = at;
    return (size_t)(end - at);
}

int er_split_assign_int64(const er_split *split, const int64_t *keys, size_t n, int32_t *arms) {
    if (split == NULL || (n > 0 && (keys == NULL || arms == NULL))) {
        return ER_EINVAL;
    }
    unsigned char text[BATCH_INT64_TEXT_MAX];
    for (size_t i = 0; i < n; i++) {
        unsigned char *first;
        size_t length = batch_decimal_text(keys[i], text, &first);
        arms[i] = batch_arm_of_key(split, first, length);
    }
    return ER_OK;
}
