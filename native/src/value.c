/* value.c: onnxruntime values made from the caller's data, and read back. */
#include <stdlib.h>
#include <string.h>

#include "ort.h"

size_t er_type_bytes(int32_t type) {
    switch (type) {
    case ER_TYPE_UINT8:
    case ER_TYPE_INT8:
    case ER_TYPE_BOOL: return 1;
    case ER_TYPE_UINT16:
    case ER_TYPE_INT16:
    case ER_TYPE_FLOAT16: return 2;
    case ER_TYPE_FLOAT:
    case ER_TYPE_INT32:
    case ER_TYPE_UINT32: return 4;
    case ER_TYPE_DOUBLE:
    case ER_TYPE_INT64:
    case ER_TYPE_UINT64: return 8;
    default: return 0;
    }
}

int er_value_borrow(er_runtime *runtime, int32_t type, const int64_t *dims, size_t rank, void *data, size_t bytes,
                    er_value **out, er_message *why) {
    if (er_type_bytes(type) == 0 || rank > ER_RANK_MAX) {
        return ER_EINVAL;
    }
    OrtValue *value = NULL;
    int code = er_ort_check(
        runtime, runtime->create_tensor_over(runtime->memory, data, bytes, dims, rank, type, &value), why);
    if (code == ER_OK) {
        *out = er_from_ort(value);
    }
    return code;
}

/* onnxruntime takes NUL-terminated texts, one pointer each. */
static const char **terminated_copies(const char *texts, const size_t *offsets, size_t count) {
    size_t pointers = count * sizeof(char *);
    const char **list = malloc(pointers + offsets[count] + count + 1);
    if (list == NULL) {
        return NULL;
    }
    char *copy = (char *)(list + count);
    for (size_t i = 0; i < count; i++) {
        size_t length = offsets[i + 1] - offsets[i];
        memcpy(copy, texts + offsets[i], length);
        copy[length] = '\0';
        list[i] = copy;
        copy += length + 1;
    }
    return list;
}

int er_value_strings(er_runtime *runtime, const int64_t *dims, size_t rank, const char *texts, const size_t *offsets,
                     size_t count, er_value **out, er_message *why) {
    if (rank > ER_RANK_MAX) {
        return ER_EINVAL;
    }
    const char **list = terminated_copies(texts, offsets, count);
    if (list == NULL) {
        return ER_ENOMEM;
    }
    OrtValue *value = NULL;
    int code = er_ort_check(
        runtime, runtime->create_tensor(runtime->allocator, dims, rank, ER_TYPE_STRING, &value), why);
    if (code == ER_OK) {
        code = er_ort_check(runtime, runtime->fill_strings(value, list, count), why);
    }
    free(list);
    if (code != ER_OK) {
        er_value_free(runtime, er_from_ort(value));
        return code;
    }
    *out = er_from_ort(value);
    return ER_OK;
}

void er_value_free(er_runtime *runtime, er_value *value) {
    if (value != NULL) {
        runtime->release_value(er_to_ort(value));
    }
}

static int describe_tensor(const er_runtime *ort, OrtValue *value, er_value_info *out, er_message *why) {
    OrtShape *shape = NULL;
    int code = er_ort_check(ort, ort->tensor_shape(value, &shape), why);
    if (code != ER_OK) {
        return code;
    }
    int type = 0;
    size_t rank = 0;
    code = er_ort_check(ort, ort->element_type(shape, &type), why);
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->rank(shape, &rank), why);
    }
    if (code == ER_OK && rank > ER_RANK_MAX) {
        code = ER_ELIMIT;
    }
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->dims(shape, out->dims, rank), why);
    }
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->element_count(shape, &out->count), why);
    }
    ort->release_shape(shape);
    out->type = type;
    out->rank = (int32_t)rank;
    if (code == ER_OK && type != ER_TYPE_STRING) {
        void *data = NULL;
        code = er_ort_check(ort, ort->tensor_data(value, &data), why);
        out->data = data;
    }
    return code;
}

int er_value_describe(er_runtime *runtime, const er_value *value, er_value_info *out, er_message *why) {
    OrtValue *ort_value = er_to_ort(value);
    out->kind = out->type = out->rank = 0;
    out->count = 0;
    out->data = NULL;
    int kind = 0;
    int code = er_ort_check(runtime, runtime->kind_of_value(ort_value, &kind), why);
    if (code != ER_OK) {
        return code;
    }
    out->kind = kind;
    if (kind == ER_KIND_TENSOR) {
        return describe_tensor(runtime, ort_value, out, why);
    }
    if (kind == ER_KIND_SEQUENCE || kind == ER_KIND_MAP) {
        return er_ort_check(runtime, runtime->child_count(ort_value, &out->count), why);
    }
    return ER_OK;
}

int er_value_text_bytes(er_runtime *runtime, const er_value *value, size_t *bytes, er_message *why) {
    return er_ort_check(runtime, runtime->strings_bytes(er_to_ort(value), bytes), why);
}

int er_value_text(er_runtime *runtime, const er_value *value, char *texts, size_t bytes, size_t *offsets,
                  size_t count, er_message *why) {
    return er_ort_check(runtime, runtime->strings_content(er_to_ort(value), texts, bytes, offsets, count), why);
}

int er_value_child(er_runtime *runtime, const er_value *value, size_t index, er_value **out, er_message *why) {
    if (index > INT32_MAX) {
        return ER_ELIMIT;
    }
    OrtValue *child = NULL;
    int code = er_ort_check(runtime, runtime->child(er_to_ort(value), (int)index, runtime->allocator, &child), why);
    if (code == ER_OK) {
        *out = er_from_ort(child);
    }
    return code;
}
