/* test_recorder_ring.c: what the recorder does at its bounds: a full ring, a full batch, too many shapes, a fork. */
#include <sys/wait.h>
#include <unistd.h>

#include "fake_lane.h"
#include "fake_profile.h"

enum { RING = 65536, ROWS = 64 };

static er_recorder *recorder;
static er_batch *batch;

static void set_up(size_t rows_max) {
    CHECK(er_recorder_new(RING, &recorder) == ER_OK);
    CHECK(er_batch_new(recorder, rows_max, &batch) == ER_OK);
}

static void tear_down(void) {
    er_batch_free(batch);
    er_recorder_free(recorder);
}

static int note(int kind, uint64_t sequence, size_t len) {
    static unsigned char value[2 * ER_RECORD_BYTES_MAX];
    er_event event = {.sequence = sequence};
    memset(value, (int)sequence, len);
    return er_record_note(recorder, kind, &event, 9, value, len);
}

static er_losses losses(void) {
    er_losses out;
    er_recorder_losses(recorder, &out);
    return out;
}

static void check_note(size_t row, int kind, uint64_t sequence, size_t len) {
    CHECK(batch->kind[row] == kind && batch->sequence[row] == sequence && batch->source[row] == 9);
    CHECK(batch->bytes_at[row + 1] - batch->bytes_at[row] == len && batch->numbers_at[row + 1] == 0);
    for (size_t i = batch->bytes_at[row]; i < batch->bytes_at[row + 1]; i++) {
        CHECK(batch->bytes[i] == (unsigned char)sequence);
    }
}

static void test_notes_of_any_length_go_around_the_ring(void) {
    uint64_t random = 1, sequence = 0;
    set_up(ROWS);
    for (int round = 0; round < 500; round++) {
        size_t lengths[ROWS], n = 1 + check_random_below(&random, 6);
        for (size_t i = 0; i < n; i++) {
            lengths[i] = check_random_below(&random, 6000);
            CHECK(note(ER_EVENT_LABEL, sequence + i, lengths[i]) == ER_OK);
        }
        CHECK(er_recorder_drain(recorder, batch) == (int)n);
        for (size_t i = 0; i < n; i++) {
            check_note(i, ER_EVENT_LABEL, sequence++, lengths[i]);
        }
    }
    CHECK(er_recorder_head(recorder) > 20 * (uint64_t)RING && er_recorder_tail(recorder) == er_recorder_head(recorder));
    tear_down();
}

static void test_the_journal_may_use_the_last_eighth(void) {
    set_up(4096);
    size_t events = 0, labels = 0;
    while (note(ER_EVENT_ERROR, events, 100) == ER_OK) {
        events++;
    }
    CHECK(er_recorder_head(recorder) <= RING - RING / 8 && er_recorder_head(recorder) > RING - RING / 8 - 200);
    while (note(ER_EVENT_LABEL, events + labels, 100) == ER_OK) {
        labels++;
    }
    CHECK(labels > 40 && er_recorder_head(recorder) <= RING && er_recorder_head(recorder) > RING - 200);
    CHECK(note(ER_EVENT_OUTCOME, 0, 100) == ER_EFULL && note(ER_EVENT_PROFILE, 0, 1) == ER_EFULL);
    er_source source = {.recorder = recorder};
    er_event event = {0};
    CHECK(er_record_call(&source, &event, NULL) == ER_EFULL && er_record_call(&source, &event, NULL) == ER_EFULL);
    er_losses lost = losses();
    CHECK(lost.errors == 1 && lost.journal == 2 && lost.profiles == 1 && lost.calls == 2);
    CHECK(lost.shadows == 0 && lost.captures == 0);
    CHECK(er_recorder_drain(recorder, batch) == (int)(events + labels));
    for (size_t i = 0; i < events + labels; i++) {
        check_note(i, i < events ? ER_EVENT_ERROR : ER_EVENT_LABEL, i, 100);
    }
    CHECK(note(ER_EVENT_ERROR, 5, 100) == ER_OK && losses().errors == 1);
    tear_down();
}

static void test_a_record_may_be_as_large_as_the_limit_and_no_larger(void) {
    size_t most = ER_RECORD_BYTES_MAX - 64; /* a record's head */
    set_up(ROWS);
    CHECK(note(ER_EVENT_LABEL, 1, most + 1) == ER_ELIMIT && note(ER_EVENT_LABEL, 1, 2 * most) == ER_ELIMIT);
    CHECK(losses().journal == 2 && er_recorder_head(recorder) == 0);
    CHECK(note(ER_EVENT_LABEL, 2, 1) == ER_OK && er_recorder_drain(recorder, batch) == 1);
    CHECK(note(ER_EVENT_LABEL, 3, most) == ER_OK); /* from anywhere in the ring */
    CHECK(note(ER_EVENT_LABEL, 3, 0) == ER_EFULL);
    CHECK(er_recorder_drain(recorder, batch) == 1);
    check_note(0, ER_EVENT_LABEL, 3, most);
    tear_down();
}

static void test_what_a_batch_cannot_hold_waits(void) {
    set_up(3);
    for (uint64_t i = 0; i < 7; i++) {
        CHECK(note(ER_EVENT_LOSS, i, (size_t)i) == ER_OK);
    }
    uint64_t next = 0;
    static const int drained[] = {3, 3, 1, 0};
    for (size_t round = 0; round < 4; round++) {
        CHECK(er_recorder_drain(recorder, batch) == drained[round]);
        for (size_t i = 0; i < batch->rows; i++, next++) {
            check_note(i, ER_EVENT_LOSS, next, (size_t)next);
        }
    }
    tear_down();
}

static void test_outputs_that_fill_the_numbers_wait_too(void) {
    static struct fake_tensor tensors[ER_PORTS_MAX];
    static int32_t numbers[16];
    set_up(2);
    for (size_t i = 0; i < ER_PORTS_MAX; i++) {
        tensors[i] = (struct fake_tensor){ER_TYPE_INT32, 1, {16}, numbers};
    }
    er_lane *lane = fake_lane(tensors, 0, ER_PORTS_MAX);
    er_source source = {.recorder = recorder};
    er_event event = {0};
    CHECK(er_record_call(&source, &event, lane) == ER_OK && er_record_call(&source, &event, lane) == ER_OK);
    CHECK(er_recorder_drain(recorder, batch) == 1 && batch->numbers_at[1] == 16 * ER_PORTS_MAX);
    CHECK(er_recorder_drain(recorder, batch) == 1 && er_recorder_drain(recorder, batch) == 0);
    free(lane);
    tear_down();
}

/* Nine outputs that are each a distribution or not: 512 shapes. */
static void test_shapes_beyond_the_limit_keep_no_outputs(void) {
    enum { OUTPUTS = 9 };
    static const float sure[] = {0, 1}, unsure[] = {2, 3};
    set_up(ROWS);
    er_source source = {.recorder = recorder};
    er_output_shape shape[OUTPUTS];
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < 1 << OUTPUTS; i++) {
            struct fake_tensor tensors[OUTPUTS];
            for (size_t j = 0; j < OUTPUTS; j++) {
                tensors[j] = (struct fake_tensor){ER_TYPE_FLOAT, 1, {2}, (i >> j & 1) != 0 ? sure : unsure};
            }
            er_lane *lane = fake_lane(tensors, 0, OUTPUTS);
            er_event event = {.sequence = i};
            CHECK(er_record_call(&source, &event, lane) == ER_OK && er_recorder_drain(recorder, batch) == 1);
            CHECK(er_recorder_shape(recorder, batch->shape[0], shape, OUTPUTS) == OUTPUTS);
            CHECK(batch->shape[0] == 1 + (i < ER_SHAPES_MAX ? i : ER_SHAPES_MAX) && batch->sequence[0] == i);
            CHECK(batch->numbers_at[1] == (i < ER_SHAPES_MAX ? 2 * OUTPUTS : 0));
            for (size_t j = 0; j < OUTPUTS; j++) {
                CHECK(shape[j].form == (i >= ER_SHAPES_MAX ? 0 : (i >> j & 1) != 0 ? 2 : 1));
            }
            free(lane);
        }
    }
    CHECK(er_recorder_shape(recorder, ER_SHAPES_MAX + 2, shape, OUTPUTS) == ER_EINVAL);
    tear_down();
}

/* A capture as edgerun_log.h describes it. */
static size_t read_capture_input(const unsigned char *at, int32_t type, const int64_t *dims, uint8_t rank,
                                 const void *data, uint32_t bytes) {
    uint16_t is_there;
    uint32_t size;
    memcpy(&is_there, at + 2, sizeof is_there);
    memcpy(&size, at + 4, sizeof size);
    CHECK(at[0] == type && at[1] == rank && is_there == (data != NULL) && size == bytes);
    CHECK(rank == 0 || memcmp(at + 8, dims, rank * sizeof *dims) == 0);
    CHECK(bytes == 0 || memcmp(at + 8 + rank * 8, data, bytes) == 0);
    return 8 + rank * 8u + bytes;
}

static void test_a_sample_of_inputs_is_captured_whole_but_for_what_is_redacted(void) {
    enum { CALLS = 2000 };
    static const float image[2][3] = {{1, 2, 3}, {4, 5, 6}};
    static const int64_t age = 41;
    static const double scores[2] = {0.5, 0.5};
    const struct fake_tensor tensors[] = {{ER_TYPE_FLOAT, 2, {2, 3}, image},
                                          {ER_TYPE_DOUBLE, 1, {2}, scores},
                                          {ER_TYPE_INT64, 0, {0}, &age},
                                          {ER_TYPE_DOUBLE, 1, {2}, scores}};
    set_up(2);
    er_lane *lane = fake_lane(tensors, 3, 1);
    er_source source = {.recorder = recorder, .number = 5, .capture_below = UINT32_C(1) << 30, .redact = {2}};
    int captured = 0;
    for (uint64_t sequence = 0; sequence < CALLS; sequence++) {
        er_event event = {.sequence = sequence, .time_ns = 7000, .latency_ns = 1};
        unsigned char id[8];
        for (int i = 0; i < 8; i++) {
            id[i] = (unsigned char)(sequence >> 8 * i);
        }
        int is_sampled = er_xxh64(id, 8, 42) >> 32 < UINT32_C(1) << 30;
        CHECK(er_record_call(&source, &event, lane) == ER_OK);
        CHECK(er_recorder_drain(recorder, batch) == 1 + is_sampled && batch->kind[0] == ER_EVENT_CALL);
        captured += is_sampled;
        if (is_sampled) {
            CHECK(batch->kind[1] == ER_EVENT_CAPTURE && batch->sequence[1] == sequence && batch->source[1] == 5);
            CHECK(batch->time_us[1] == 7);
            const unsigned char *at = batch->bytes + batch->bytes_at[1];
            at += read_capture_input(at, ER_TYPE_FLOAT, tensors[0].dims, 2, image, sizeof image);
            at += read_capture_input(at, ER_TYPE_DOUBLE, tensors[1].dims, 1, NULL, 0);
            at += read_capture_input(at, ER_TYPE_INT64, tensors[2].dims, 0, &age, sizeof age);
            CHECK(at == batch->bytes + batch->bytes_at[2]);
        }
    }
    CHECK(captured > CALLS / 5 && captured < CALLS * 3 / 10);

    const er_event events[2] = {{.sequence = 0}, {.sequence = 1}};
    const uint32_t row = 1;
    source.capture_below = UINT32_MAX;
    CHECK(er_record_rows(&source, events, &row, 1, lane) == 1 && er_recorder_drain(recorder, batch) == 2);
    const unsigned char *at = batch->bytes + batch->bytes_at[1];
    at += read_capture_input(at, ER_TYPE_FLOAT, (const int64_t[]){1, 3}, 2, image[1], sizeof image[1]);
    at += read_capture_input(at, ER_TYPE_DOUBLE, (const int64_t[]){1}, 1, NULL, 0);
    at += read_capture_input(at, ER_TYPE_INT64, NULL, 0, &age, sizeof age);
    CHECK(at == batch->bytes + batch->bytes_at[2]);
    free(lane);
    tear_down();
}

static void test_inputs_too_large_to_capture_lose_only_the_capture(void) {
    static float image[20000];
    const struct fake_tensor tensors[] = {{ER_TYPE_FLOAT, 2, {1, 20000}, image}, {ER_TYPE_FLOAT, 1, {1}, image}};
    set_up(ROWS);
    er_lane *lane = fake_lane(tensors, 1, 1);
    er_source source = {.recorder = recorder, .capture_below = UINT32_MAX};
    er_event event = {.sequence = 1};
    CHECK(er_record_call(&source, &event, lane) == ER_OK && er_recorder_drain(recorder, batch) == 1);
    CHECK(batch->kind[0] == ER_EVENT_CALL && losses().captures == 1 && losses().calls == 0);
    free(lane);
    tear_down();
}

static void test_a_forked_child_forgets_what_its_parent_recorded(void) {
    set_up(ROWS);
    for (int i = 0; i < 4000; i++) {
        (void)note(ER_EVENT_ERROR, 1, 30);
    }
    uint64_t lost = losses().errors;
    CHECK(lost > 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        er_recorder_reset(recorder);
        CHECK(er_recorder_drain(recorder, batch) == 0 && losses().errors == 0 && er_recorder_head(recorder) == 0);
        CHECK(note(ER_EVENT_ERROR, 2, 30) == ER_OK && er_recorder_wait(recorder, -1, 0, 1) == 1);
        CHECK(er_recorder_drain(recorder, batch) == 1);
        check_note(0, ER_EVENT_ERROR, 2, 30);
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(losses().errors == lost && er_recorder_drain(recorder, batch) == ROWS);
    tear_down();
}

int main(void) {
    test_notes_of_any_length_go_around_the_ring();
    test_the_journal_may_use_the_last_eighth();
    test_a_record_may_be_as_large_as_the_limit_and_no_larger();
    test_what_a_batch_cannot_hold_waits();
    test_outputs_that_fill_the_numbers_wait_too();
    test_shapes_beyond_the_limit_keep_no_outputs();
    test_a_sample_of_inputs_is_captured_whole_but_for_what_is_redacted();
    test_inputs_too_large_to_capture_lose_only_the_capture();
    test_a_forked_child_forgets_what_its_parent_recorded();
    return 0;
}
