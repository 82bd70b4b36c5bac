/* test_profile.c: profiles count what came, in its own type, at any address; and threads may take them meanwhile. */
#include "edgerun_log.h"

#include <math.h>
#include <pthread.h>

#include "check.h"

enum { CELLS = 40000 };

static er_profile *profile_of(size_t inputs, size_t outputs, size_t pages) {
    er_profile *profile;
    CHECK(er_profile_new(inputs, outputs, pages, &profile) == ER_OK);
    return profile;
}

static void update(er_profile *profile, size_t port, int32_t type, uint32_t columns, uint32_t rows, const void *data) {
    er_profile_data given = {type, columns, rows, data, NULL};
    CHECK(er_profile_update(profile, port, &given) == ER_OK);
}

static er_profile *take(er_profile *profile) {
    er_profile *taken;
    CHECK(er_profile_take(profile, &taken) == ER_OK);
    return taken;
}

static er_profile_port read_port(const er_profile *profile, size_t port) {
    er_profile_port found;
    CHECK(er_profile_read(profile, port, &found) == ER_OK);
    return found;
}

static uint64_t weight_of(const er_profile *profile, size_t port, uint32_t column, int32_t *first) {
    static int32_t cells[CELLS];
    static uint64_t weights[CELLS];
    int n = er_profile_cells(profile, port, column, cells, weights, CELLS);
    CHECK(n >= 0);
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        CHECK(weights[i] > 0 && (i == 0 || cells[i - 1] < cells[i]));
        sum += weights[i];
    }
    *first = n > 0 ? cells[0] : 0;
    return sum;
}

/* -3, 0 and 5 (1, 0 and 1 where the type has no such numbers) of every type, at every address. */
static void test_every_type_at_every_address(void) {
    const struct {
        int32_t type;
        size_t bytes;
        const void *three;
        double low, high;
    } types[] = {
        {ER_TYPE_FLOAT, 4, (const float[]){-3.0f, 0.0f, 5.0f}, -3, 5},
        {ER_TYPE_DOUBLE, 8, (const double[]){-3.0, 0.0, 5.0}, -3, 5},
        {ER_TYPE_FLOAT16, 2, (const uint16_t[]){0xc200, 0x8000, 0x4500}, -3, 5},
        {ER_TYPE_INT8, 1, (const int8_t[]){-3, 0, 5}, -3, 5},
        {ER_TYPE_INT16, 2, (const int16_t[]){-3, 0, 5}, -3, 5},
        {ER_TYPE_INT32, 4, (const int32_t[]){-3, 0, 5}, -3, 5},
        {ER_TYPE_INT64, 8, (const int64_t[]){-3, 0, 5}, -3, 5},
        {ER_TYPE_UINT8, 1, (const uint8_t[]){1, 0, 255}, 0, 255},
        {ER_TYPE_UINT16, 2, (const uint16_t[]){1, 0, 65535}, 0, 65535},
        {ER_TYPE_UINT32, 4, (const uint32_t[]){1, 0, UINT32_MAX}, 0, 4294967295.0},
        {ER_TYPE_UINT64, 8, (const uint64_t[]){1, 0, UINT64_MAX}, 0, 18446744073709551616.0},
        {ER_TYPE_BOOL, 1, (const uint8_t[]){1, 0, 1}, 0, 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (size_t shift = 0; shift < 8; shift++) {
            unsigned char memory[64];
            memcpy(memory + shift, types[i].three, 3 * types[i].bytes);
            er_profile *profile = profile_of(1, 0, 100);
            update(profile, 0, types[i].type, 1, 3, memory + shift);
            er_profile *taken = take(profile);
            er_profile_port port = read_port(taken, 0);
            CHECK(port.type == types[i].type && port.columns == 1 && port.seen == 1 && port.unlike == 0);
            CHECK(port.count[0] == 3 && port.zero[0] == 1 && port.missing[0] == 0 && port.infinite[0] == 0);
            CHECK(port.min[0] == types[i].low && port.max[0] == types[i].high && port.registers == NULL);
            int32_t first;
            CHECK(weight_of(taken, 0, 0, &first) == 2 && (first < 0) == (types[i].low < 0));
            er_profile_free(taken);
            er_profile_free(profile);
        }
    }
}

static void test_the_cells_of_known_numbers(void) {
    static const double numbers[] = {1.0, -1.0, 1.5, 0x1.fdp0, 0x1p-126, 0x1.ffffffp127, 0x1p-127, 0.0};
    static const int32_t cells[] = {8128, -8129, 8160, 8191, 64, 0, 0, 0}; /* 0: none */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        er_profile *profile = profile_of(0, 1, 1);
        update(profile, 0, ER_TYPE_DOUBLE, 1, 1, &numbers[i]);
        er_profile *taken = take(profile);
        int32_t first;
        CHECK(weight_of(taken, 0, 0, &first) == (cells[i] != 0) && first == cells[i]);
        CHECK(read_port(taken, 0).unsketched[0] == (numbers[i] > 1e30));
        er_profile_free(taken);
        er_profile_free(profile);
    }
}

static void test_wrong_arguments_are_refused_and_change_nothing(void) {
    er_profile *profile = profile_of(1, 1, 1), *out;
    const float number = 1.0f;
    er_profile_data good = {ER_TYPE_FLOAT, 1, 1, &number, NULL}, bad = good;
    CHECK(er_profile_update(NULL, 0, &good) == ER_EINVAL && er_profile_update(profile, 2, &good) == ER_EINVAL);
    CHECK(er_profile_update(profile, 0, NULL) == ER_EINVAL);
    bad.columns = 0;
    CHECK(er_profile_update(profile, 0, &bad) == ER_EINVAL);
    bad.columns = ER_PROFILE_COLUMNS_MAX + 1;
    CHECK(er_profile_update(profile, 0, &bad) == ER_EINVAL);
    bad = good;
    bad.data = NULL;
    CHECK(er_profile_update(profile, 0, &bad) == ER_EINVAL);
    bad = good;
    bad.type = ER_TYPE_STRING;
    CHECK(er_profile_update(profile, 0, &bad) == ER_EINVAL);
    CHECK(er_profile_new(257, 0, 1, &out) == ER_ELIMIT && er_profile_new(0, 257, 1, &out) == ER_ELIMIT);
    CHECK(er_profile_new(1, 1, ER_PROFILE_PAGES_MAX + 1, &out) == ER_ELIMIT && er_profile_new(1, 1, 1, NULL) == ER_EINVAL);
    CHECK(er_profile_take(NULL, &out) == ER_EINVAL && er_profile_take(profile, NULL) == ER_EINVAL);
    CHECK(er_profile_copy(NULL, &out) == ER_EINVAL && er_profile_copy(profile, NULL) == ER_EINVAL);
    CHECK(read_port(profile, 0).type == 0 && read_port(profile, 0).seen == 0);
    er_profile_port port;
    int32_t cells[2];
    uint64_t weights[2], error;
    er_frequent frequent[2];
    CHECK(er_profile_cells(profile, 0, 0, cells, weights, 2) == ER_EINVAL);
    CHECK(er_profile_update(profile, 0, &good) == ER_OK && er_profile_read(profile, 0, &port) == ER_EINVAL);
    er_profile *taken = take(profile);
    CHECK(er_profile_cells(taken, 0, 1, cells, weights, 2) == ER_EINVAL);
    CHECK(er_profile_cells(taken, 0, 0, cells, weights, 0) == ER_ELIMIT);
    CHECK(er_profile_cells(taken, 0, 0, cells, weights, 1) == 1);
    CHECK(er_profile_frequent(taken, 0, 0, frequent, 2, &error) == ER_EINVAL);
    er_profile_free(taken);
    er_profile_free(profile);
    er_profile_free(NULL);
}

static void test_texts(void) {
    er_profile *profile = profile_of(1, 0, 0);
    const uint32_t offsets[] = {0, 1, 1, 2, 102, 103, 103};
    char texts[103];
    memset(texts, 'x', sizeof texts);
    texts[0] = texts[1] = texts[102] = 'a';
    er_profile_data data = {ER_TYPE_STRING, 2, 3, texts, offsets};
    CHECK(er_profile_update(profile, 0, &data) == ER_OK);
    er_profile *taken = take(profile);
    er_profile_port port = read_port(taken, 0);
    CHECK(port.count[0] == 3 && port.missing[0] == 0 && port.count[1] == 3 && port.missing[1] == 2);
    CHECK(port.min == NULL && port.zero == NULL && port.unsketched == NULL && port.registers != NULL);
    er_frequent found[2];
    uint64_t error = 9;
    CHECK(er_profile_frequent(taken, 0, 0, found, 2, &error) == 1 && error == 0);
    CHECK(found[0].weight == 3 && found[0].len == 1 && found[0].text[0] == 'a');
    CHECK(er_profile_frequent(taken, 0, 1, found, 2, &error) == 2);
    CHECK(found[0].weight == 2 && found[0].len == 0 && found[1].weight == 1 && found[1].len == 64);
    CHECK(er_profile_frequent(taken, 0, 1, found, 1, &error) == ER_ELIMIT);
    uint64_t hash = er_xxh64("a", 1, 42);
    CHECK(port.registers[hash >> 54] == __builtin_clzll(hash << 10) + 1);
    size_t set = 0;
    for (size_t i = 0; i < 1024; i++) {
        set += port.registers[i] != 0;
    }
    CHECK(set == 1);
    er_profile_free(taken);
    er_profile_free(profile);
}

enum { ROUNDS = 3000 };

static void *count_latencies(void *profile) {
    for (int64_t i = 0; i < ROUNDS; i++) {
        er_profile_latency(profile, 1000 + i);
    }
    return NULL;
}

struct taker {
    er_profile *profile;
    uint64_t taken;
};

static void *take_often(void *argument) {
    struct taker *taker = argument;
    for (int i = 0; i < ROUNDS / 10; i++) {
        er_profile *taken = take(taker->profile), *copy;
        er_profile_port port = read_port(taken, 0);
        taker->taken += port.type != 0 ? port.count[0] : 0;
        er_profile_free(taken);
        CHECK(er_profile_copy(taker->profile, &copy) == ER_OK);
        er_profile_free(copy);
    }
    return NULL;
}

static void test_threads_lose_nothing(void) {
    er_profile *profile = profile_of(1, 0, 1000);
    struct taker taker = {profile, 0};
    pthread_t threads[3];
    CHECK(pthread_create(&threads[0], NULL, count_latencies, profile) == 0);
    CHECK(pthread_create(&threads[1], NULL, count_latencies, profile) == 0);
    CHECK(pthread_create(&threads[2], NULL, take_often, &taker) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        const float row[3] = {(float)i, -1.0f, 2.0f};
        update(profile, 0, ER_TYPE_FLOAT, 3, 1, row);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    er_profile *rest = take(profile), *copy;
    er_profile_port port = read_port(rest, 0);
    CHECK(taker.taken + (port.type != 0 ? port.count[0] : 0) == ROUNDS);
    CHECK(er_profile_copy(profile, &copy) == ER_OK);
    static int32_t cells[2048];
    static uint64_t weights[2048];
    int n = er_profile_latencies(copy, cells, weights, 2048);
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += weights[i];
    }
    CHECK(sum == 2 * ROUNDS && er_profile_latencies(copy, cells, weights, 1) == ER_ELIMIT);
    er_profile_free(copy);
    er_profile_free(rest);
    er_profile_free(profile);
}

int main(void) {
    test_every_type_at_every_address();
    test_the_cells_of_known_numbers();
    test_wrong_arguments_are_refused_and_change_nothing();
    test_texts();
    test_threads_lose_nothing();
    return 0;
}
