/* fuzz_recorder.c: any calls, batches and notes, drained now and then. Rows come in the order of the records, as many
 * as were not lost; each output has the form and columns that a plain walk over its numbers says.
 *
 * Input: a byte for what to do, then what that needs: tensors' types, dimensions and numbers; a note's kind and bytes.
 */
#include <math.h>

#include "fake_lane.h"
#include "fake_profile.h"
#include "fuzz.h"

enum { OUTPUTS_MAX = 3, EXPECTED_MAX = 4096, ROWS_MAX = 7, RING = 65536, NOTE_MAX = 70000 };

struct expected {
    int kind;
    uint64_t sequence;
    size_t n_outputs, bytes;
    er_output_shape outputs[OUTPUTS_MAX];
    uint64_t numbers[OUTPUTS_MAX][16];
};

static struct expected expected[EXPECTED_MAX];
static size_t n_expected;
static er_profile profile;

static double half_at(uint16_t bits) {
    int exponent = bits >> 10 & 31;
    double fraction = (double)(bits & 1023) / 1024.0;
    double size = exponent == 31  ? (fraction > 0.0 ? (double)NAN : (double)INFINITY)
                  : exponent == 0 ? ldexp(fraction, -14)
                                  : ldexp(1.0 + fraction, exponent - 15);
    return bits & 0x8000 ? -size : size;
}

static double value_at(int32_t type, const void *data, size_t i) {
    switch (type) {
    case ER_TYPE_FLOAT: return (double)((const float *)data)[i];
    case ER_TYPE_DOUBLE: return ((const double *)data)[i];
    case ER_TYPE_FLOAT16: return half_at(((const uint16_t *)data)[i]);
    case ER_TYPE_INT8: return ((const int8_t *)data)[i];
    case ER_TYPE_INT16: return ((const int16_t *)data)[i];
    case ER_TYPE_INT32: return ((const int32_t *)data)[i];
    case ER_TYPE_INT64: return (double)((const int64_t *)data)[i];
    case ER_TYPE_UINT16: return ((const uint16_t *)data)[i];
    case ER_TYPE_UINT32: return ((const uint32_t *)data)[i];
    case ER_TYPE_UINT64: return (double)((const uint64_t *)data)[i];
    default: return ((const uint8_t *)data)[i];
    }
}

/* The bits of an element, sign-extended for a signed integer, then a float's made to keep its order. */
static uint64_t bits_at(int32_t type, const void *data, size_t i) {
    size_t bytes = er_type_bytes(type);
    uint64_t bits = 0, sign = UINT64_C(1) << (8 * bytes - 1);
    for (size_t j = 0; j < bytes; j++) {
        uint64_t byte = ((const uint8_t *)data)[i * bytes + j];
        bits |= byte << 8 * j; /* fuzzing is done on little-endian machines */
    }
    if (type == ER_TYPE_FLOAT || type == ER_TYPE_DOUBLE || type == ER_TYPE_FLOAT16) {
        return bits & sign ? bits ^ (sign | (sign - 1)) : bits | sign;
    }
    int is_signed = type == ER_TYPE_INT8 || type == ER_TYPE_INT16 || type == ER_TYPE_INT32 || type == ER_TYPE_INT64;
    return is_signed && (bits & sign) ? bits | ~(sign | (sign - 1)) : bits;
}

static uint64_t ordered_double(double value) {
    return bits_at(ER_TYPE_DOUBLE, &value, 0);
}

/* The form and columns by FORMAT.md. A mean is not looked at: its last bit depends on the order of the sum. */
static void expect_output(int32_t type, const void *data, size_t count, er_output_shape *shape, uint64_t *numbers) {
    int is_float = type == ER_TYPE_FLOAT || type == ER_TYPE_DOUBLE || type == ER_TYPE_FLOAT16;
    int in_range = is_float && count >= 2, any = 0;
    double sum = 0.0, min = (double)NAN, max = (double)NAN;
    size_t argmax = 0;
    for (size_t i = 0; i < count; i++) {
        double value = value_at(type, data, i);
        in_range &= value >= 0.0 && value <= 1.0;
        if (!isfinite(value)) {
            continue;
        }
        sum += value;
        /* int64 values that are one double still differ */
        int more = !any || (er_type_bytes(type) == 8 && !is_float
                                ? type == ER_TYPE_INT64
                                      ? ((const int64_t *)data)[i] > ((const int64_t *)data)[argmax]
                                      : ((const uint64_t *)data)[i] > ((const uint64_t *)data)[argmax]
                                : value > max);
        argmax = more ? i : argmax;
        max = more ? value : max;
        min = !any || value < min ? value : min;
        any = 1;
    }
    *shape = (er_output_shape){0, (uint8_t)type, 0};
    if (count == 0) {
        return;
    }
    if (in_range && fabs(sum - 1.0) <= 0.001) {
        *shape = (er_output_shape){2, (uint8_t)type, 2};
        numbers[0] = argmax;
        numbers[1] = bits_at(type, data, argmax);
    } else if (count <= 16) {
        *shape = (er_output_shape){1, (uint8_t)type, (uint8_t)count};
        for (size_t i = 0; i < count; i++) {
            numbers[i] = bits_at(type, data, i);
        }
    } else {
        *shape = (er_output_shape){3, (uint8_t)type, 4};
        numbers[0] = argmax;
        numbers[1] = ordered_double(min + 0.0); /* which of two zeros is met first is left open */
        numbers[2] = ordered_double(max + 0.0);
    }
}

/* A sum so near the border that its order decides is nobody's fault. */
static int is_borderline(int32_t type, const void *data, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += value_at(type, data, i);
    }
    return fabs(fabs(sum - 1.0) - 0.001) < 1e-9;
}

static void take_tensor(struct fuzz_input *input, int64_t rows, struct fake_tensor *tensor, size_t *count) {
    static const int32_t types[] = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13};
    uint8_t head[3], pattern[64];
    fuzz_take(input, head, sizeof head);
    tensor->type = types[head[0] % 12];
    tensor->rank = 2 + (head[0] >= 128);
    tensor->dims[0] = rows;
    tensor->dims[1] = head[1] < 128 ? head[1] % 20 : (int64_t)head[1] * 17 % 400;
    tensor->dims[2] = 1 + head[2] % (head[2] < 192 ? 3 : 24);
    *count = (size_t)(rows * tensor->dims[1] * (tensor->rank == 3 ? tensor->dims[2] : 1));
    size_t bytes = *count * er_type_bytes(tensor->type), n = 1 + head[0] / 12 % 8 * 8u;
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    fuzz_require(data != NULL);
    fuzz_take(input, pattern, n);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = tensor->type == ER_TYPE_BOOL ? pattern[i % n] & 1 : pattern[i % n];
    }
    tensor->data = data;
}

/* A call, or a batch of rows of it, whose records are expected unless they were lost. */
static void do_calls(er_recorder *recorder, struct fuzz_input *input, uint64_t *sequence) {
    struct fake_tensor tensors[1 + OUTPUTS_MAX];
    size_t counts[1 + OUTPUTS_MAX];
    uint8_t what = fuzz_take_byte(input);
    size_t n_outputs = what % (OUTPUTS_MAX + 1), rows = 1 + what / 4 % 4;
    int is_batch = what >= 128, is_borderline_case = 0;
    for (size_t i = 0; i <= n_outputs; i++) {
        take_tensor(input, (int64_t)rows, &tensors[i], &counts[i]);
    }
    er_lane *lane = fake_lane(tensors, 1, n_outputs);
    er_source source = {.recorder = recorder, .profile = what & 64 ? &profile : NULL};
    size_t n = is_batch ? rows : 1;
    for (size_t row = 0; row < n && n_expected < EXPECTED_MAX; row++) {
        er_event event = {.sequence = ++*sequence};
        struct expected *next = &expected[n_expected];
        *next = (struct expected){.kind = ER_EVENT_CALL, .sequence = *sequence, .n_outputs = n_outputs};
        for (size_t i = 0; i < n_outputs; i++) {
            const struct fake_tensor *tensor = &tensors[1 + i];
            size_t count = counts[1 + i] / n;
            const uint8_t *data = (const uint8_t *)tensor->data + row * count * er_type_bytes(tensor->type);
            expect_output(tensor->type, data, count, &next->outputs[i], next->numbers[i]);
            is_borderline_case |= is_borderline(tensor->type, data, count);
        }
        if (is_borderline_case) {
            break;
        }
        uint32_t number = (uint32_t)row;
        int code = is_batch ? er_record_rows(&source, &event, &number, 1, lane) : er_record_call(&source, &event, lane);
        fuzz_require(code == ER_OK || code == ER_EFULL || code == 1);
        n_expected += is_batch ? code == 1 : code == ER_OK;
    }
    for (size_t i = 0; i <= n_outputs; i++) {
        free((void *)(uintptr_t)tensors[i].data);
    }
    free(lane);
}

static void do_note(er_recorder *recorder, struct fuzz_input *input, uint64_t *sequence) {
    static uint8_t value[NOTE_MAX];
    uint8_t head[3];
    fuzz_take(input, head, sizeof head);
    size_t len = (head[1] | (size_t)head[2] << 8) % (head[0] & 1 ? NOTE_MAX : 100);
    int kind = 3 + head[0] % 17;
    er_event event = {.sequence = ++*sequence};
    memset(value, (int)(uint8_t)*sequence, len);
    int code = er_record_note(recorder, kind, &event, 0, value, len);
    fuzz_require(code == ER_OK || code == ER_EFULL || (code == ER_ELIMIT && len > ER_RECORD_BYTES_MAX - 64));
    if (code == ER_OK && n_expected < EXPECTED_MAX) {
        expected[n_expected++] = (struct expected){.kind = kind, .sequence = *sequence, .bytes = len};
    }
}

static void check_row(const er_recorder *recorder, const er_batch *batch, size_t row, const struct expected *want) {
    er_output_shape shape[OUTPUTS_MAX];
    const uint64_t *numbers = batch->numbers + batch->numbers_at[row];
    const uint8_t *bytes = batch->bytes + batch->bytes_at[row];
    size_t n_numbers = batch->numbers_at[row + 1] - batch->numbers_at[row], used = 0;
    fuzz_require(batch->kind[row] == want->kind && batch->sequence[row] == want->sequence);
    fuzz_require(batch->bytes_at[row + 1] - batch->bytes_at[row] == want->bytes);
    for (size_t i = 0; i < want->bytes; i++) {
        fuzz_require(bytes[i] == (uint8_t)want->sequence);
    }
    if (want->kind != ER_EVENT_CALL) {
        fuzz_require(n_numbers == 0);
        return;
    }
    fuzz_require(er_recorder_shape(recorder, batch->shape[row], shape, OUTPUTS_MAX) == (int)want->n_outputs);
    if (batch->shape[row] > ER_SHAPES_MAX) { /* shape 0 is that of no outputs */
        fuzz_require(n_numbers == 0);
        return;
    }
    for (size_t i = 0; i < want->n_outputs; i++) {
        size_t compared = want->outputs[i].form == 3 ? 3 : want->outputs[i].count;
        fuzz_require(memcmp(&shape[i], &want->outputs[i], sizeof shape[i]) == 0);
        fuzz_require(memcmp(numbers + used, want->numbers[i], compared * sizeof *numbers) == 0);
        used += shape[i].count;
    }
    fuzz_require(used == n_numbers);
}

static void do_drain(er_recorder *recorder, er_batch *batch) {
    size_t done = 0;
    while (er_recorder_drain(recorder, batch) > 0) {
        fuzz_require(batch->rows <= ROWS_MAX && done + batch->rows <= n_expected);
        for (size_t row = 0; row < batch->rows; row++) {
            check_row(recorder, batch, row, &expected[done++]);
        }
    }
    fuzz_require(done == n_expected && er_recorder_head(recorder) == er_recorder_tail(recorder));
    n_expected = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    er_recorder *recorder = NULL;
    er_batch *batch = NULL;
    uint64_t sequence = 0;
    fuzz_require(er_recorder_new(RING, &recorder) == ER_OK && er_batch_new(recorder, ROWS_MAX, &batch) == ER_OK);
    while (input.size > 0) {
        uint8_t what = fuzz_take_byte(&input);
        if (what % 8 == 0 || n_expected + 4 > EXPECTED_MAX) {
            do_drain(recorder, batch);
        } else if (what % 8 < 6) {
            do_calls(recorder, &input, &sequence);
        } else {
            do_note(recorder, &input, &sequence);
        }
    }
    do_drain(recorder, batch);
    er_batch_free(batch);
    er_recorder_free(recorder);
    return 0;
}
