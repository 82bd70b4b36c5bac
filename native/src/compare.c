/* compare.c: the comparison of a watched model's outputs with those that were served. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

enum { DEPTH_MAX = 8 }; /* of sequences of maps of ...; ONNX-ML needs two */

float er_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 0x1fu;
    uint32_t fraction = half & 0x3ffu;
    uint32_t bits;
    if (exponent == 0x1f) {
        bits = sign | 0x7f800000u | (fraction << 13);
    } else if (exponent != 0) {
        bits = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else {
        float tiny = (float)fraction * 0x1p-24f; /* a subnormal half is a normal float */
        return sign != 0 ? -tiny : tiny;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* All-ones exponents mark NaN and infinity. One loop a type without early exit, so that it vectorises. */
int er_data_nonfinite(int32_t type, const void *data, size_t count) {
    int found = 0;
    if (type == ER_TYPE_FLOAT) {
        const uint32_t *bits = data;
        for (size_t i = 0; i < count; i++) {
            found |= (bits[i] & 0x7f800000u) == 0x7f800000u;
        }
    } else if (type == ER_TYPE_DOUBLE) {
        const uint64_t *bits = data;
        for (size_t i = 0; i < count; i++) {
            found |= (bits[i] & 0x7ff0000000000000u) == 0x7ff0000000000000u;
        }
    } else if (type == ER_TYPE_FLOAT16) {
        const uint16_t *bits = data;
        for (size_t i = 0; i < count; i++) {
            found |= (bits[i] & 0x7c00u) == 0x7c00u;
        }
    }
    return found;
}

static int nonfinite(er_runtime *runtime, OrtValue *value, int depth, int *found, er_message *why) {
    er_value_info info;
    int code = er_value_describe(runtime, er_from_ort(value), &info, why);
    if (code != ER_OK || depth == DEPTH_MAX) {
        return code;
    }
    if (info.kind == ER_KIND_TENSOR) {
        *found |= er_data_nonfinite(info.type, info.data, info.count);
    } else if (info.kind == ER_KIND_SEQUENCE || info.kind == ER_KIND_MAP) {
        for (size_t i = 0; code == ER_OK && !*found && i < info.count; i++) {
            er_value *child = NULL;
            code = er_value_child(runtime, er_from_ort(value), i, &child, why);
            if (code == ER_OK) {
                code = nonfinite(runtime, er_to_ort(child), depth + 1, found, why);
                er_value_free(runtime, child);
            }
        }
    }
    return code;
}

int er_value_nonfinite(er_runtime *runtime, OrtValue *value, int *found, er_message *why) {
    *found = 0;
    return nonfinite(runtime, value, 0, found, why);
}

static double number_at(const er_value_info *info, size_t index) {
    switch (info->type) {
    case ER_TYPE_FLOAT: return ((const float *)info->data)[index];
    case ER_TYPE_DOUBLE: return ((const double *)info->data)[index];
    default: return er_half_to_float(((const uint16_t *)info->data)[index]);
    }
}

static double distance(double a, double b) {
    if (a == b || (isnan(a) && isnan(b))) {
        return 0.0;
    }
    double d = fabs(a - b);
    return isfinite(d) ? d : INFINITY;
}

static void compare_floats(const er_value_info *a, const er_value_info *b, double tolerance, struct difference *out) {
    size_t width = a->rank > 0 ? (size_t)a->dims[a->rank - 1] : 1;
    size_t step = width > 1 ? width : 1;
    for (size_t row = 0; row < a->count; row += step) {
        size_t best_a = row, best_b = row;
        double row_distance = 0.0;
        for (size_t i = row; i < row + step; i++) {
            double d = distance(number_at(a, i), number_at(b, i));
            row_distance = d > row_distance ? d : row_distance;
            best_a = number_at(a, i) > number_at(a, best_a) ? i : best_a;
            best_b = number_at(b, i) > number_at(b, best_b) ? i : best_b;
        }
        out->max_abs_diff = row_distance > out->max_abs_diff ? row_distance : out->max_abs_diff;
        out->disagree |= step > 1 ? best_a != best_b : row_distance > tolerance;
    }
}

static int compare_texts(er_runtime *runtime, OrtValue *a, OrtValue *b, size_t count, struct difference *out) {
    size_t bytes_a = 0, bytes_b = 0;
    int code = er_value_text_bytes(runtime, er_from_ort(a), &bytes_a, NULL);
    if (code == ER_OK) {
        code = er_value_text_bytes(runtime, er_from_ort(b), &bytes_b, NULL);
    }
    if (code != ER_OK || count == 0) {
        return code;
    }
    if (bytes_a != bytes_b) {
        out->disagree = 1;
        return ER_OK;
    }
    size_t offsets_bytes = count * sizeof(size_t);
    char *memory = malloc(2 * (offsets_bytes + bytes_a));
    if (memory == NULL) {
        return ER_ENOMEM;
    }
    size_t *offsets = (size_t *)(void *)memory;
    char *texts = memory + 2 * offsets_bytes;
    code = er_value_text(runtime, er_from_ort(a), texts, bytes_a, offsets, count, NULL);
    if (code == ER_OK) {
        code = er_value_text(runtime, er_from_ort(b), texts + bytes_a, bytes_a, offsets + count, count, NULL);
    }
    if (code == ER_OK) {
        out->disagree |= memcmp(offsets, offsets + count, offsets_bytes) != 0 ||
                         memcmp(texts, texts + bytes_a, bytes_a) != 0;
    }
    free(memory);
    return code;
}

static int compare_tensors(er_runtime *runtime, OrtValue *a, OrtValue *b, const er_value_info *info_a,
                           const er_value_info *info_b, double tolerance, struct difference *out) {
    switch (info_a->type) {
    case ER_TYPE_STRING: return compare_texts(runtime, a, b, info_a->count, out);
    case ER_TYPE_FLOAT:
    case ER_TYPE_DOUBLE:
    case ER_TYPE_FLOAT16: compare_floats(info_a, info_b, tolerance, out); return ER_OK;
    default:
        if (info_a->count > 0) {
            size_t bytes = info_a->count * er_type_bytes(info_a->type);
            out->disagree |= memcmp(info_a->data, info_b->data, bytes) != 0;
        }
        return ER_OK;
    }
}

static int compare(er_runtime *runtime, OrtValue *a, OrtValue *b, double tolerance, int depth,
                   struct difference *out) {
    er_value_info info_a, info_b;
    int code = er_value_describe(runtime, er_from_ort(a), &info_a, NULL);
    if (code == ER_OK) {
        code = er_value_describe(runtime, er_from_ort(b), &info_b, NULL);
    }
    if (code != ER_OK) {
        return code;
    }
    if (depth == DEPTH_MAX || info_a.kind != info_b.kind || info_a.type != info_b.type ||
        info_a.rank != info_b.rank || info_a.count != info_b.count ||
        memcmp(info_a.dims, info_b.dims, (size_t)info_a.rank * sizeof info_a.dims[0]) != 0) {
        out->disagree = 1;
        out->max_abs_diff = INFINITY;
        return ER_OK;
    }
    if (info_a.kind == ER_KIND_TENSOR) {
        return compare_tensors(runtime, a, b, &info_a, &info_b, tolerance, out);
    }
    for (size_t i = 0; code == ER_OK && i < info_a.count; i++) {
        er_value *child_a = NULL, *child_b = NULL;
        code = er_value_child(runtime, er_from_ort(a), i, &child_a, NULL);
        if (code == ER_OK) {
            code = er_value_child(runtime, er_from_ort(b), i, &child_b, NULL);
        }
        if (code == ER_OK) {
            code = compare(runtime, er_to_ort(child_a), er_to_ort(child_b), tolerance, depth + 1, out);
        }
        er_value_free(runtime, child_a);
        er_value_free(runtime, child_b);
    }
    return code;
}

int er_value_compare(er_runtime *runtime, OrtValue *a, OrtValue *b, double tolerance, struct difference *out) {
    return compare(runtime, a, b, tolerance, 0, out);
}
