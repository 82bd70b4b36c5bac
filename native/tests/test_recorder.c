/* test_recorder.c: a record becomes a row, and nothing is lost without being counted. */
#include <math.h>

#include "fake_lane.h"
#include "fake_profile.h"

enum { RING = 65536, ROWS = 256 };

static er_recorder *recorder;
static er_batch *batch;
static er_profile profile;

static void set_up(size_t ring_bytes) {
    CHECK(er_recorder_new(ring_bytes, &recorder) == ER_OK);
    CHECK(er_batch_new(recorder, ROWS, &batch) == ER_OK);
    memset(&profile, 0, sizeof profile);
}

static void tear_down(void) {
    er_batch_free(batch);
    er_recorder_free(recorder);
}

static void test_bad_arguments(void) {
    er_recorder *none = NULL;
    er_batch *no_batch = NULL;
    CHECK(er_recorder_new(0, &none) == ER_EINVAL && er_recorder_new(RING / 2, &none) == ER_EINVAL);
    CHECK(er_recorder_new(RING + 8, &none) == ER_EINVAL && er_recorder_new((size_t)1 << 31, &none) == ER_EINVAL);
    set_up(RING);
    CHECK(er_batch_new(recorder, 0, &no_batch) == ER_EINVAL);
    er_event event = {0};
    CHECK(er_record_note(recorder, ER_EVENT_CALL, &event, 0, "", 0) == ER_EINVAL);
    CHECK(er_record_note(recorder, ER_EVENT_SHADOW, &event, 0, "", 0) == ER_EINVAL);
    CHECK(er_record_note(recorder, 256, &event, 0, "", 0) == ER_EINVAL);
    CHECK(er_recorder_shape(recorder, 0, NULL, 0) == 0 && er_recorder_shape(recorder, 1, NULL, 0) == ER_EINVAL);
    CHECK(er_recorder_drain(recorder, batch) == 0);
    tear_down();
}

static void test_a_call_without_a_lane_is_a_row(void) {
    set_up(RING);
    er_source source = {.recorder = recorder, .number = 77};
    er_event event = {.sequence = UINT64_C(1) << 40,
                      .unit = UINT64_MAX - 3,
                      .time_ns = 5999,
                      .latency_ns = 2049,
                      .flags = ER_FLAG_KEYED};
    CHECK(er_record_call(&source, &event, NULL) == ER_OK);
    event = (er_event){.sequence = 1, .time_ns = -1, .latency_ns = -5};
    CHECK(er_record_call(&source, &event, NULL) == ER_OK);
    CHECK(er_recorder_drain(recorder, batch) == 2 && batch->rows == 2);
    CHECK(batch->kind[0] == ER_EVENT_CALL && batch->source[0] == 77 && batch->flags[0] == ER_FLAG_KEYED);
    CHECK(batch->sequence[0] == UINT64_C(1) << 40 && batch->unit[0] == UINT64_MAX - 3);
    CHECK(batch->time_us[0] == 5 && batch->time_us[1] == -1); /* rounded down */
    CHECK(batch->latency[0] == 1024 + 1025 && batch->latency[1] == 0);
    CHECK(batch->numbers_at[2] == 0 && batch->bytes_at[2] == 0);
    CHECK(er_recorder_shape(recorder, batch->shape[0], NULL, 0) == 0);
    CHECK(er_recorder_head(recorder) == er_recorder_tail(recorder) && er_recorder_tail(recorder) > 0);
    CHECK(er_recorder_drain(recorder, batch) == 0 && batch->rows == 0);
    tear_down();
}

/* What FORMAT.md says that a code stands for. */
static double latency_of(uint32_t code) {
    return code < 2048 ? (double)code : ldexp((double)(1024 + code % 1024), (int)(code / 1024) - 1);
}

static void test_a_latency_keeps_eleven_bits(void) {
    set_up(RING);
    er_source source = {.recorder = recorder};
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        int64_t ns = (int64_t)(check_random(&random) >> 1 >> check_random_below(&random, 63));
        er_event event = {.latency_ns = ns};
        CHECK(er_record_call(&source, &event, NULL) == ER_OK && er_recorder_drain(recorder, batch) == 1);
        double error = fabs(latency_of(batch->latency[0]) - (double)ns);
        CHECK(ns < 2048 ? error == 0.0 : error <= (double)ns / 2048.0);
    }
    tear_down();
}

/* One output of one call, and the columns that it must become. */
struct form_case {
    struct fake_tensor tensor;
    er_output_shape shape;
    uint64_t numbers[16];
    int nonfinite;
};

static uint64_t bits_of(double value) { /* of a float64 that is not negative */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits | UINT64_C(1) << 63;
}

static void check_form(const struct form_case *want) {
    er_lane *lane = fake_lane(&want->tensor, 0, 1);
    er_source source = {.recorder = recorder};
    er_event event = {0};
    er_output_shape shape;
    CHECK(er_record_call(&source, &event, lane) == ER_OK && er_recorder_drain(recorder, batch) == 1);
    CHECK(er_recorder_shape(recorder, batch->shape[0], &shape, 1) == 1);
    CHECK(memcmp(&shape, &want->shape, sizeof shape) == 0);
    CHECK(batch->numbers_at[1] == shape.count && batch->bytes_at[1] == 0);
    CHECK(memcmp(batch->numbers, want->numbers, shape.count * sizeof(uint64_t)) == 0);
    CHECK(batch->flags[0] == (want->nonfinite ? ER_FLAG_NONFINITE : 0));
    free(lane);
}

static void test_every_form_and_type(void) {
    static const float pair[] = {0.25f, 0.75f}, no_pair[] = {0.25f, 0.752f}, minus[] = {-0.5f, 1.5f}, one[] = {1.0f};
    static const float odd[] = {-1.0f, NAN};
    static const double doubles[] = {-2.0, 0.0};
    static const double sure[] = {0.0, 1.0, 0.0};
    static const uint16_t halves[] = {0x3800, 0x3800}, more_halves[] = {0x8001, 0x7c00}; /* 0.5; -2^-24, infinity */
    static const int8_t i8[] = {-1, 127};
    static const int16_t i16[] = {-2};
    static const int32_t i32[] = {INT32_MIN};
    static const int64_t i64[] = {-3, 4};
    static const uint8_t u8[] = {255}, yes[] = {1, 0};
    static const uint16_t u16[] = {65535};
    static const uint32_t u32[] = {UINT32_MAX};
    static const uint64_t u64[] = {UINT64_MAX};
    const struct form_case cases[] = {
        {{ER_TYPE_FLOAT, 2, {1, 2}, pair}, {2, ER_TYPE_FLOAT, 2}, {1, 0xbf400000}, 0},
        {{ER_TYPE_FLOAT, 2, {1, 2}, no_pair}, {1, ER_TYPE_FLOAT, 2}, {0xbe800000, 0xbf408312}, 0},
        {{ER_TYPE_FLOAT, 2, {1, 2}, minus}, {1, ER_TYPE_FLOAT, 2}, {0x40ffffff, 0xbfc00000}, 0},
        {{ER_TYPE_FLOAT, 1, {1}, one}, {1, ER_TYPE_FLOAT, 1}, {0xbf800000}, 0},
        {{ER_TYPE_FLOAT, 0, {0}, one}, {1, ER_TYPE_FLOAT, 1}, {0xbf800000}, 0},
        {{ER_TYPE_FLOAT, 1, {2}, odd}, {1, ER_TYPE_FLOAT, 2}, {0x407fffff, 0xffc00000}, 1},
        {{ER_TYPE_FLOAT, 2, {0, 3}, NULL}, {0, ER_TYPE_FLOAT, 0}, {0}, 0},
        {{ER_TYPE_DOUBLE, 1, {2}, doubles},
         {1, ER_TYPE_DOUBLE, 2},
         {UINT64_C(0x3fffffffffffffff), UINT64_C(0x8000000000000000)},
         0},
        {{ER_TYPE_DOUBLE, 2, {1, 3}, sure}, {2, ER_TYPE_DOUBLE, 2}, {1, UINT64_C(0xbff0000000000000)}, 0},
        {{ER_TYPE_FLOAT16, 1, {2}, halves}, {2, ER_TYPE_FLOAT16, 2}, {0, 0xb800}, 0},
        {{ER_TYPE_FLOAT16, 1, {2}, more_halves}, {1, ER_TYPE_FLOAT16, 2}, {0x7ffe, 0xfc00}, 1},
        {{ER_TYPE_INT8, 1, {2}, i8}, {1, ER_TYPE_INT8, 2}, {UINT64_MAX, 127}, 0},
        {{ER_TYPE_INT16, 1, {1}, i16}, {1, ER_TYPE_INT16, 1}, {UINT64_MAX - 1}, 0},
        {{ER_TYPE_INT32, 1, {1}, i32}, {1, ER_TYPE_INT32, 1}, {UINT64_C(0xffffffff80000000)}, 0},
        {{ER_TYPE_INT64, 1, {2}, i64}, {1, ER_TYPE_INT64, 2}, {UINT64_MAX - 2, 4}, 0},
        {{ER_TYPE_UINT8, 1, {1}, u8}, {1, ER_TYPE_UINT8, 1}, {255}, 0},
        {{ER_TYPE_BOOL, 1, {2}, yes}, {1, ER_TYPE_BOOL, 2}, {1, 0}, 0},
        {{ER_TYPE_UINT16, 1, {1}, u16}, {1, ER_TYPE_UINT16, 1}, {65535}, 0},
        {{ER_TYPE_UINT32, 1, {1}, u32}, {1, ER_TYPE_UINT32, 1}, {UINT32_MAX}, 0},
        {{ER_TYPE_UINT64, 1, {1}, u64}, {1, ER_TYPE_UINT64, 1}, {UINT64_MAX}, 0},
    };
    set_up(RING);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_form(&cases[i]);
    }
    tear_down();
}

/* Large outputs, copied whole (up to 1,024) and not: the greatest is there twice. */
static void test_a_large_output_is_summed_up(void) {
    static float some[70000];
    static int64_t whole[70000];
    static const size_t counts[] = {17, 1024, 1025, 70000};
    set_up(RING);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        size_t n = counts[c], top = n / 2;
        for (size_t i = 0; i < n; i++) {
            some[i] = i % 2 == 0 ? 1.0f : -1.0f;
            whole[i] = -5;
        }
        some[top] = some[n - 1] = 8.0f; /* the first of the greatest counts */
        whole[top] = 9;
        double sum = (n % 2 == 0 ? 0.0 : 1.0) + 16.0 - (top % 2 == 0 ? 1.0 : -1.0) - ((n - 1) % 2 == 0 ? 1.0 : -1.0);
        uint64_t minus_one = ~bits_of(1.0);
        const struct form_case of_floats = {{ER_TYPE_FLOAT, 2, {1, (int64_t)n}, some},
                                            {3, ER_TYPE_FLOAT, 4},
                                            {top, minus_one, bits_of(8.0), bits_of(sum / (double)n)},
                                            0};
        check_form(&of_floats);
        double mean = (9.0 - 5.0 * (double)(n - 1)) / (double)n;
        const struct form_case of_integers = {{ER_TYPE_INT64, 1, {(int64_t)n}, whole},
                                              {3, ER_TYPE_INT64, 4},
                                              {top, ~bits_of(5.0), bits_of(9.0), ~bits_of(-mean)},
                                              0};
        check_form(&of_integers);
        some[0] = (float)INFINITY; /* in place of 1 and -1, so the sum is the same */
        some[1] = (float)NAN;
        const struct form_case of_odd = {{ER_TYPE_FLOAT, 1, {(int64_t)n}, some},
                                         {3, ER_TYPE_FLOAT, 4},
                                         {top, minus_one, bits_of(8.0), bits_of(sum / (double)(n - 2))},
                                         1};
        check_form(&of_odd);
        for (size_t i = 0; i < n; i++) {
            some[i] = i == top ? 0.5f : 0.5f / (float)(n - 1);
        }
        const struct form_case of_classes = {
            {ER_TYPE_FLOAT, 2, {1, (int64_t)n}, some}, {2, ER_TYPE_FLOAT, 2}, {top, 0xbf000000}, 0};
        check_form(&of_classes);
    }
    tear_down();
}

static void test_an_output_without_a_finite_number_has_no_least(void) {
    uint16_t halves[20];
    for (size_t i = 0; i < 20; i++) {
        halves[i] = i % 2 == 0 ? 0x7e00 : 0xfc00;
    }
    set_up(RING);
    uint64_t nan = bits_of((double)NAN);
    const struct form_case want = {{ER_TYPE_FLOAT16, 1, {20}, halves}, {3, ER_TYPE_FLOAT16, 4}, {0, nan, nan, nan}, 1};
    check_form(&want);
    tear_down();
}

/* The profile sees some rows at equal distances, and after a while all of them, whatever model answers. */
static void test_all_rows_of_a_large_tensor_are_seen_in_time(void) {
    enum { WIDTH = 3, HEIGHT = 5000, LONG = 3001 };
    static int32_t table[HEIGHT * WIDTH], wide[5 * 300];
    static uint8_t seen[HEIGHT], seen_wide[5 * 300];
    static int64_t line[LONG];
    static uint8_t seen_line[LONG];
    set_up(1 << 20);
    for (int32_t i = 0; i < HEIGHT * WIDTH; i++) {
        table[i] = i;
    }
    for (int32_t i = 0; i < 5 * 300; i++) {
        wide[i] = i;
    }
    for (int64_t i = 0; i < LONG; i++) {
        line[i] = i;
    }
    const struct fake_tensor tensors[] = {{ER_TYPE_INT32, 3, {2, HEIGHT / 2, WIDTH}, table},
                                          {ER_TYPE_INT32, 2, {5, 300}, wide}, /* more than 256 columns: one */
                                          {ER_TYPE_INT64, 2, {LONG, 1}, line}};
    er_lane *lane = fake_lane(tensors, 2, 1);
    er_source source = {.recorder = recorder, .profile = &profile};
    for (uint64_t sequence = 0; sequence < 400; sequence += 4) {
        er_event event = {.sequence = sequence};
        CHECK(er_record_call(&source, &event, lane) == ER_OK && er_recorder_drain(recorder, batch) == 1);
        const er_profile_data *of_table = &profile.last[0], *of_wide = &profile.last[1], *of_line = &profile.last[2];
        CHECK(of_table->columns == WIDTH && of_table->rows > 300 && of_table->rows * WIDTH <= 1024);
        CHECK(of_wide->columns == 1 && of_wide->rows == 750 && of_line->columns == 1 && of_line->rows >= 1000);
        const int32_t *numbers = of_table->data, *wide_numbers = of_wide->data;
        int32_t distance = numbers[WIDTH] - numbers[0];
        for (int32_t row = 0; row < (int32_t)of_table->rows; row++) {
            CHECK(numbers[row * WIDTH] == numbers[0] + row * distance);
            CHECK(numbers[row * WIDTH] % WIDTH == 0 && numbers[row * WIDTH + 2] == numbers[row * WIDTH] + 2);
            seen[numbers[row * WIDTH] / WIDTH] = 1;
        }
        for (uint32_t i = 0; i < of_wide->rows; i++) {
            seen_wide[wide_numbers[i]] = 1;
        }
        for (uint32_t i = 0; i < of_line->rows; i++) {
            seen_line[((const int64_t *)of_line->data)[i]] = 1;
        }
    }
    CHECK(memchr(seen, 0, sizeof seen) == NULL && memchr(seen_wide, 0, sizeof seen_wide) == NULL);
    CHECK(memchr(seen_line, 0, sizeof seen_line) == NULL);
    CHECK(profile.updates[0] == 100 && profile.updates[1] == 100 && profile.updates[2] == 100);
    free(lane);
    tear_down();
}

static void test_a_call_with_the_most_ports_is_recorded(void) {
    static struct fake_tensor tensors[2 * ER_PORTS_MAX];
    static double numbers[2000];
    set_up(1 << 17);
    for (size_t i = 0; i < 2 * ER_PORTS_MAX; i++) {
        int64_t columns = i < ER_PORTS_MAX ? 2000 : i % 2 == 0 ? 16 : 2000;
        tensors[i] = (struct fake_tensor){ER_TYPE_DOUBLE, 2, {columns, 1}, numbers};
    }
    er_lane *lane = fake_lane(tensors, ER_PORTS_MAX, ER_PORTS_MAX);
    er_source source = {.recorder = recorder, .profile = &profile};
    er_event event = {.sequence = 3};
    CHECK(er_record_call(&source, &event, lane) == ER_OK && er_recorder_drain(recorder, batch) == 1);
    CHECK(batch->numbers_at[1] == ER_PORTS_MAX / 2 * (16 + 4));
    for (size_t i = 0; i < 2 * ER_PORTS_MAX; i++) {
        CHECK(profile.updates[i] == 1 && profile.last[i].rows >= 6);
    }
    free(lane);
    tear_down();
}

static void test_rows_of_a_batch_are_calls(void) {
    static const float features[3][2] = {{1, 2}, {3, 4}, {5, 6}}, scores[3][2] = {{0.5f, 0.5f}, {0, 1}, {2, 3}};
    static const int64_t labels[3] = {7, 8, 9}, total[1] = {1};
    const struct fake_tensor tensors[] = {{ER_TYPE_FLOAT, 2, {3, 2}, features},
                                          {ER_TYPE_FLOAT, 2, {3, 2}, scores},
                                          {ER_TYPE_INT64, 1, {3}, labels},
                                          {ER_TYPE_INT64, 1, {1}, total}};
    set_up(RING);
    er_lane *lane = fake_lane(tensors, 1, 3);
    er_source source = {.recorder = recorder, .profile = &profile, .number = 4};
    const er_event events[] = {{.sequence = 20}, {.sequence = 10, .unit = 6, .flags = ER_FLAG_KEYED}};
    const uint32_t rows[] = {2, 1}, stray[] = {0, 3};
    CHECK(er_record_rows(&source, events, stray, 2, lane) == ER_EINVAL);
    CHECK(er_record_rows(&source, events, rows, 2, NULL) == ER_EINVAL);
    CHECK(er_record_rows(&source, events, rows, 0, lane) == 0);
    CHECK(er_record_rows(&source, events, rows, 2, lane) == 2 && er_recorder_drain(recorder, batch) == 2);
    CHECK(batch->sequence[0] == 20 && batch->sequence[1] == 10 && batch->unit[1] == 6 && batch->source[1] == 4);
    er_output_shape shape[3];
    CHECK(er_recorder_shape(recorder, batch->shape[0], shape, 2) == ER_ELIMIT);
    CHECK(er_recorder_shape(recorder, batch->shape[0], shape, 3) == 3);
    CHECK(shape[0].form == 1 && shape[0].count == 2 && shape[1].form == 1 && shape[1].count == 1 && shape[2].form == 0);
    CHECK(batch->numbers_at[1] == 3 && batch->numbers[2] == 9);
    CHECK(er_recorder_shape(recorder, batch->shape[1], shape, 3) == 3 && shape[0].form == 2);
    CHECK(batch->numbers[3] == 1 && batch->numbers[4] == 0xbf800000 && batch->numbers[5] == 8);
    CHECK(profile.updates[0] == 2 && profile.last[0].rows == 1 && profile.last[0].columns == 2);
    CHECK(memcmp(profile.last[0].data, features[1], sizeof features[1]) == 0);
    free(lane);
    tear_down();
}

int main(void) {
    test_bad_arguments();
    test_a_call_without_a_lane_is_a_row();
    test_a_latency_keeps_eleven_bits();
    test_every_form_and_type();
    test_a_large_output_is_summed_up();
    test_an_output_without_a_finite_number_has_no_least();
    test_all_rows_of_a_large_tensor_are_seen_in_time();
    test_a_call_with_the_most_ports_is_recorded();
    test_rows_of_a_batch_are_calls();
    return 0;
}
