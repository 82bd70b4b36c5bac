/* record_read.c: texts and maps, which only onnxruntime can read. They come by lanes that allocate anyway. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record_port.h"

enum { CLASS_TEXT_MAX = 1024 };

/* Texts end to end with count + 1 offsets before them; NULL where that is not possible. */
static size_t *read_texts(er_runtime *runtime, const er_value *value, size_t count) {
    size_t bytes = 0;
    if (count == 0 || er_value_text_bytes(runtime, value, &bytes, NULL) != ER_OK) {
        return NULL;
    }
    size_t *offsets = malloc((count + 1) * sizeof *offsets + bytes + 1);
    if (offsets == NULL) {
        return NULL;
    }
    if (er_value_text(runtime, value, (char *)(offsets + count + 1), bytes, offsets, count, NULL) != ER_OK) {
        free(offsets);
        return NULL;
    }
    offsets[count] = bytes;
    return offsets;
}

static double number_of(int32_t type, const void *data, size_t i) {
    switch (type) {
    case ER_TYPE_FLOAT: return (double)((const float *)data)[i];
    case ER_TYPE_DOUBLE: return ((const double *)data)[i];
    default: return (double)((const int64_t *)data)[i];
    }
}

static size_t greatest(int32_t type, const void *data, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        double number = number_of(type, data, i), greatest_yet = number_of(type, data, best);
        int more = type == ER_TYPE_INT64 ? ((const int64_t *)data)[i] > ((const int64_t *)data)[best]
                                         : number > greatest_yet || (isnan(greatest_yet) && !isnan(number));
        best = more ? i : best;
    }
    return best;
}

/* The text of key i. Returns its length, or CLASS_TEXT_MAX + 1 where there is none that can be held. */
static size_t key_text(er_runtime *runtime, const er_value *keys, const er_value_info *info, size_t i,
                       char text[CLASS_TEXT_MAX + 1]) {
    if (info->type == ER_TYPE_INT64) {
        return (size_t)snprintf(text, CLASS_TEXT_MAX, "%" PRId64, ((const int64_t *)info->data)[i]);
    }
    size_t *offsets = info->type == ER_TYPE_STRING ? read_texts(runtime, keys, info->count) : NULL;
    if (offsets == NULL) {
        return CLASS_TEXT_MAX + 1;
    }
    size_t length = offsets[i + 1] - offsets[i];
    if (length <= CLASS_TEXT_MAX) {
        memcpy(text, (const char *)(offsets + info->count + 1) + offsets[i], length);
    }
    free(offsets);
    return length;
}

static void hold_map(er_runtime *runtime, const er_value *keys, const er_value_info *key_info,
                     const er_value_info *info, struct er_given *given) {
    char text[CLASS_TEXT_MAX + 1];
    size_t element = er_type_bytes(info->type);
    if ((info->type != ER_TYPE_FLOAT && info->type != ER_TYPE_DOUBLE && info->type != ER_TYPE_INT64) ||
        info->count == 0 || key_info->count != info->count) {
        return;
    }
    size_t best = greatest(info->type, info->data, info->count);
    size_t length = key_text(runtime, keys, key_info, best, text);
    if (length > CLASS_TEXT_MAX) {
        return;
    }
    size_t head = sizeof(struct er_class) + er_padded(length);
    unsigned char *memory = calloc(1, head + info->count * element);
    if (memory == NULL) {
        return;
    }
    struct er_class *found = (struct er_class *)(void *)memory;
    memcpy(found->number, (const unsigned char *)info->data + best * element, element);
    found->length = (uint32_t)length;
    memcpy(found + 1, text, length);
    memcpy(memory + head, info->data, info->count * element);
    *given = (struct er_given){.data = memory + head, .best = found, .count = info->count, .last = info->count,
                               .type = info->type, .owned = memory};
}

static void read_map(er_runtime *runtime, const er_value *map, struct er_given *given) {
    er_value *keys = NULL, *values = NULL;
    er_value_info key_info, info;
    int code = er_value_child(runtime, map, 0, &keys, NULL);
    if (code == ER_OK) {
        code = er_value_child(runtime, map, 1, &values, NULL);
    }
    if (code == ER_OK) {
        code = er_value_describe(runtime, keys, &key_info, NULL);
    }
    if (code == ER_OK) {
        code = er_value_describe(runtime, values, &info, NULL);
    }
    if (code == ER_OK && key_info.kind == ER_KIND_TENSOR && info.kind == ER_KIND_TENSOR) {
        hold_map(runtime, keys, &key_info, &info, given);
    }
    er_value_free(runtime, keys);
    er_value_free(runtime, values);
}

void er_given_read(er_runtime *runtime, const er_value *value, const er_value_info *info, size_t item, size_t items,
                   struct er_given *given) {
    *given = (struct er_given){0};
    if (info->kind == ER_KIND_TENSOR && info->type == ER_TYPE_STRING) {
        size_t *offsets = read_texts(runtime, value, info->count);
        if (offsets != NULL) {
            size_t last = info->rank > 0 ? (size_t)info->dims[info->rank - 1] : 1;
            *given = (struct er_given){.data = offsets + info->count + 1, .offsets = offsets, .count = info->count,
                                       .last = last, .type = ER_TYPE_STRING, .owned = offsets};
        }
    } else if (info->kind == ER_KIND_MAP && items == 1) {
        read_map(runtime, value, given);
    } else if (info->kind == ER_KIND_SEQUENCE && info->count == items) {
        er_value *child = NULL;
        er_value_info child_info;
        if (er_value_child(runtime, value, item, &child, NULL) == ER_OK &&
            er_value_describe(runtime, child, &child_info, NULL) == ER_OK && child_info.kind == ER_KIND_MAP) {
            read_map(runtime, child, given);
        }
        er_value_free(runtime, child);
    }
}
