/* test_runtime.c: models, lanes and the shadow queue on a real onnxruntime and a real model (the digits recipe's).
 *
 * Arguments: the path of onnxruntime's shared library, and of the recipe's bundle folder. */
#include <pthread.h>

#include "check.h"
#include "edgerun_runtime.h"

enum { PIXELS = 64, CLASSES = 10, CALLS = 400, THREADS = 3 };

static er_runtime *runtime;
static er_model *champion, *challenger;
static er_message why;

static er_model *open_model(const char *folder, const char *name) {
    char path[4096];
    er_model *model = NULL;
    snprintf(path, sizeof path, "%s/models/%s.onnx", folder, name);
    CHECK(er_model_open(runtime, path, 1, &model, &why) == ER_OK);
    return model;
}

static void test_bad_arguments(const char *library, const char *folder) {
    er_runtime *no_runtime = NULL;
    er_model *no_model = NULL;
    CHECK(er_runtime_open("/nowhere/libonnxruntime.so", &no_runtime, &why) == ER_ELIBRARY && no_runtime == NULL);
    CHECK(strstr(why.text, "nowhere") != NULL);
    CHECK(er_runtime_open(NULL, &no_runtime, NULL) == ER_EINVAL);
    CHECK(er_model_open(runtime, folder, 1, &no_model, &why) == ER_ERUNTIME && no_model == NULL && why.text[0] != '\0');
    CHECK(er_model_open(runtime, library, 1, &no_model, NULL) == ER_ERUNTIME);
    CHECK(er_model_open(runtime, folder, 0, &no_model, NULL) == ER_EINVAL);
    CHECK(er_model_arrange(champion, (uint32_t[]){1}, (uint32_t[]){0, 1}) == ER_EINVAL);
    CHECK(er_model_arrange(champion, (uint32_t[]){0}, (uint32_t[]){1, 1}) == ER_EINVAL);
    er_port port;
    CHECK(er_model_input(champion, 1, &port) == ER_EINVAL && er_model_output(champion, 2, &port) == ER_EINVAL);
    er_shadow *no_shadow = NULL;
    CHECK(er_shadow_new(runtime, 3, 1024, 1, &no_shadow) == ER_EINVAL);
    CHECK(er_shadow_new(runtime, 4, 1024, 0, &no_shadow) == ER_EINVAL);
    CHECK(er_shadow_new(runtime, 131072, 1024, 1, &no_shadow) == ER_ELIMIT);
}

static void test_signature(void) {
    er_port port;
    CHECK(er_model_input_count(champion) == 1 && er_model_output_count(champion) == 2);
    CHECK(er_model_input(champion, 0, &port) == ER_OK);
    CHECK(strcmp(port.name, "image") == 0 && port.kind == ER_KIND_TENSOR && port.type == ER_TYPE_FLOAT);
    CHECK(port.rank == 2 && port.dims[0] == -1 && port.dims[1] == PIXELS);
    CHECK(er_model_output(champion, 0, &port) == ER_OK);
    CHECK(strcmp(port.name, "label") == 0 && port.type == ER_TYPE_INT64 && port.rank == 1);
}

static er_value *borrow(int32_t type, const int64_t *dims, size_t rank, void *data, size_t bytes) {
    er_value *value = NULL;
    CHECK(er_value_borrow(runtime, type, dims, rank, data, bytes, &value, &why) == ER_OK);
    return value;
}

/* The memory that one lane reads and writes. */
struct frame {
    float image[PIXELS];
    int64_t label;
    float probabilities[CLASSES];
};

static er_lane *new_lane(struct frame *frame, int prepared) {
    er_value *feed = borrow(ER_TYPE_FLOAT, (int64_t[]){1, PIXELS}, 2, frame->image, sizeof frame->image);
    er_value *outputs[2] = {NULL, NULL};
    if (prepared) {
        outputs[0] = borrow(ER_TYPE_INT64, (int64_t[]){1}, 1, &frame->label, sizeof frame->label);
        outputs[1] = borrow(ER_TYPE_FLOAT, (int64_t[]){1, CLASSES}, 2, frame->probabilities, sizeof frame->probabilities);
    }
    er_lane *lane = NULL;
    CHECK(er_lane_new(runtime, &feed, 1, prepared ? outputs : NULL, 2, &lane, &why) == ER_OK);
    return lane;
}

static void draw_image(struct frame *frame, uint64_t *random) {
    for (size_t i = 0; i < PIXELS; i++) {
        frame->image[i] = (float)(check_random(random) % 17);
    }
}

static void test_prepared_and_free_lanes_agree(void) {
    struct frame prepared_frame, free_frame;
    er_lane *prepared = new_lane(&prepared_frame, 1), *unprepared = new_lane(&free_frame, 0);
    uint64_t random = 1;
    er_run run;
    for (int call = 0; call < CALLS; call++) {
        draw_image(&prepared_frame, &random);
        memcpy(free_frame.image, prepared_frame.image, sizeof free_frame.image);
        CHECK(er_lane_run(prepared, champion, 1, &run, &why) == ER_OK && run.flags == 0 && run.latency_ns > 0);
        CHECK(er_lane_run(unprepared, champion, 1, &run, &why) == ER_OK && run.flags == 0);
        er_value_info info;
        CHECK(er_value_describe(runtime, er_lane_output(unprepared, 1), &info, &why) == ER_OK);
        CHECK(info.kind == ER_KIND_TENSOR && info.type == ER_TYPE_FLOAT && info.count == CLASSES && info.rank == 2);
        CHECK(memcmp(info.data, prepared_frame.probabilities, sizeof prepared_frame.probabilities) == 0);
    }
    er_model_counts counts;
    er_model_count(champion, &counts);
    CHECK(counts.runs >= 2 * CALLS && counts.failures == 0 && counts.latency_ns > 0);
    er_lane_free(prepared);
    er_lane_free(unprepared);
}

static void test_a_wrong_shape_is_refused_and_a_stopped_lane_recovers(void) {
    struct frame frame = {0};
    er_value *feed = borrow(ER_TYPE_FLOAT, (int64_t[]){1, PIXELS}, 2, frame.image, sizeof frame.image);
    er_value *outputs[2] = {
        borrow(ER_TYPE_INT64, (int64_t[]){1}, 1, &frame.label, sizeof frame.label),
        borrow(ER_TYPE_FLOAT, (int64_t[]){1, 5}, 2, frame.probabilities, 5 * sizeof(float)),
    };
    er_lane *wrong = NULL;
    er_run run;
    CHECK(er_lane_new(runtime, &feed, 1, outputs, 2, &wrong, &why) == ER_OK);
    CHECK(er_lane_run(wrong, champion, 0, &run, &why) == ER_ERUNTIME && why.text[0] != '\0');
    er_lane_free(wrong);

    er_lane *lane = new_lane(&frame, 1);
    CHECK(er_lane_stop(lane) == ER_OK);
    CHECK(er_lane_run(lane, champion, 0, &run, &why) == ER_ETIMEOUT);
    CHECK(er_lane_run(lane, champion, 0, &run, &why) == ER_OK);
    er_lane_free(lane);
}

static void test_strings_go_in_and_come_out(void) {
    const char texts[] = "gr\xc3\xbc" "n" "" "red";
    const size_t offsets[] = {0, 5, 5, 8};
    er_value *value = NULL;
    CHECK(er_value_strings(runtime, (int64_t[]){3, 1}, 2, texts, offsets, 3, &value, &why) == ER_OK);
    size_t bytes = 0, starts[3];
    char copy[8];
    CHECK(er_value_text_bytes(runtime, value, &bytes, &why) == ER_OK && bytes == 8);
    CHECK(er_value_text(runtime, value, copy, bytes, starts, 3, &why) == ER_OK);
    CHECK(memcmp(copy, texts, 8) == 0 && starts[0] == 0 && starts[1] == 5 && starts[2] == 5);
    er_value_free(runtime, value);
}

static er_shadow *shadow;

static void *work(void *unused) {
    (void)unused;
    CHECK(er_shadow_work(shadow) == ER_OK);
    return NULL;
}

static void *serve(void *seed) {
    struct frame prepared_frame;
    er_lane *prepared = new_lane(&prepared_frame, 1);
    uint64_t random = *(uint64_t *)seed;
    const er_watch watches[2] = {{challenger, 0, 0.0f}, {champion, 1, 0.0f}};
    er_run run;
    for (uint64_t call = 0; call < CALLS; call++) {
        draw_image(&prepared_frame, &random);
        CHECK(er_lane_run(prepared, champion, 0, &run, NULL) == ER_OK);
        int code = er_shadow_offer(shadow, prepared, call, watches, 2);
        CHECK(code == ER_OK || code == ER_EFULL || code == ER_ELIMIT);
        struct frame frame = prepared_frame;
        er_lane *once = new_lane(&frame, 0);
        CHECK(er_lane_run(once, champion, 0, &run, NULL) == ER_OK);
        code = er_shadow_offer(shadow, once, call, watches, 1);
        CHECK(code == ER_OK || code == ER_EFULL || code == ER_ELIMIT);
        er_lane_free(once);
    }
    er_lane_free(prepared);
    return NULL;
}

static void check_counts(size_t slot, int agrees) {
    er_shadow_counts counts;
    CHECK(er_shadow_count(shadow, slot, &counts) == ER_OK);
    uint64_t dropped = counts.dropped_full + counts.dropped_bytes + counts.dropped_closed;
    CHECK(counts.offered == counts.done + dropped && counts.done > 0 && counts.failed == 0 && counts.nonfinite == 0);
    CHECK(!agrees || counts.disagreed == 0);
}

static void test_the_shadow_accounts_for_every_offer(size_t bytes_max) {
    pthread_t worker, servers[THREADS];
    uint64_t seeds[THREADS];
    CHECK(er_shadow_new(runtime, 16, bytes_max, 2, &shadow) == ER_OK);
    CHECK(pthread_create(&worker, NULL, work, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i + 7;
        CHECK(pthread_create(&servers[i], NULL, serve, &seeds[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(servers[i], NULL);
    }
    CHECK(er_shadow_wait(shadow, -1) == ER_OK);
    check_counts(0, 0);
    check_counts(1, 1); /* the champion watching itself */
    er_shadow_result results[64];
    int count = er_shadow_results(shadow, results, 64);
    CHECK(count > 0 && count <= 64);
    for (int i = 0; i < count; i++) {
        CHECK(results[i].code == ER_OK && results[i].latency_ns > 0 && results[i].sequence < CALLS);
        CHECK(results[i].slot == 0 || (!results[i].disagree && results[i].max_abs_diff == 0.0));
    }
    er_shadow_close(shadow);
    pthread_join(worker, NULL);
    er_shadow_free(shadow);
}

static void test_a_closed_shadow_drops_and_counts(void) {
    struct frame frame = {0};
    er_lane *lane = new_lane(&frame, 1);
    er_run run;
    const er_watch watch = {challenger, 0, 0.0f}, stray = {challenger, 1, 0.0f};
    CHECK(er_lane_run(lane, champion, 0, &run, NULL) == ER_OK);
    CHECK(er_shadow_new(runtime, 2, 1 << 20, 1, &shadow) == ER_OK);
    CHECK(er_shadow_offer(shadow, lane, 1, &stray, 1) == ER_EINVAL);
    CHECK(er_shadow_offer(shadow, lane, 1, &watch, 0) == ER_EINVAL);
    CHECK(er_shadow_offer(shadow, lane, 1, &watch, 1) == ER_OK);
    CHECK(er_shadow_offer(shadow, lane, 2, &watch, 1) == ER_OK);
    CHECK(er_shadow_offer(shadow, lane, 3, &watch, 1) == ER_EFULL);
    CHECK(er_shadow_wait(shadow, 10) == ER_ETIMEOUT);
    er_shadow_close(shadow);
    CHECK(er_shadow_offer(shadow, lane, 4, &watch, 1) == ER_ECLOSED);
    CHECK(er_shadow_work(shadow) == ER_OK); /* drains the two that wait */
    er_shadow_counts counts;
    CHECK(er_shadow_count(shadow, 0, &counts) == ER_OK && er_shadow_count(shadow, 1, &counts) == ER_EINVAL);
    CHECK(counts.offered == 4 && counts.done == 0 && counts.dropped_closed == 3 && counts.dropped_full == 1);
    er_shadow_free(shadow);
    er_lane_free(lane);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    CHECK(er_runtime_open(argv[1], &runtime, &why) == ER_OK);
    champion = open_model(argv[2], "champion");
    challenger = open_model(argv[2], "challenger");
    test_bad_arguments(argv[1], argv[2]);
    test_signature();
    test_prepared_and_free_lanes_agree();
    test_a_wrong_shape_is_refused_and_a_stopped_lane_recovers();
    test_strings_go_in_and_come_out();
    test_the_shadow_accounts_for_every_offer(1 << 20);
    test_the_shadow_accounts_for_every_offer(2048);
    test_a_closed_shadow_drops_and_counts();
    er_model_free(champion);
    er_model_free(challenger);
    er_runtime_free(runtime);
    return 0;
}
