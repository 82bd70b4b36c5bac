/* test_split_vectors.c: every golden vector, through every function that can take its key. */
#include "check.h"
#include "edgerun.h"

#define MAX_RANGES 64

struct vector {
    unsigned char salt[CHECK_LINE_MAX / 2];
    size_t salt_len;
    uint64_t seed;
    int is_integer;
    unsigned char key[CHECK_LINE_MAX / 2];
    size_t key_len;
    uint32_t starts[MAX_RANGES];
    int32_t arms[MAX_RANGES];
    size_t n_ranges;
    uint64_t hash;
    uint64_t point;
    int32_t arm;
};

static void read_ranges(const char *text, struct vector *vector) {
    vector->n_ranges = 0;
    while (*text != '\0') {
        char *after;
        CHECK(vector->n_ranges < MAX_RANGES);
        vector->starts[vector->n_ranges] = (uint32_t)strtoul(text, &after, 10);
        CHECK(*after == ':');
        vector->arms[vector->n_ranges++] = (int32_t)strtol(after + 1, &after, 10);
        text = *after == ';' ? after + 1 : after;
    }
}

static void read_vector(char *line, struct vector *vector) {
    char *fields[9];
    check_cut_fields(line, fields, 9);
    vector->salt_len = check_read_hex(fields[1], vector->salt);
    vector->seed = strtoull(fields[2], NULL, 16);
    vector->is_integer = strcmp(fields[3], "int") == 0;
    if (vector->is_integer) {
        vector->key_len = strlen(fields[4]);
        memcpy(vector->key, fields[4], vector->key_len);
    } else {
        vector->key_len = check_read_hex(fields[4], vector->key);
    }
    read_ranges(fields[5], vector);
    vector->hash = strtoull(fields[6], NULL, 16);
    vector->point = strtoull(fields[7], NULL, 10);
    vector->arm = (int32_t)strtol(fields[8], NULL, 10);
}

static void check_int64(const er_split *split, const struct vector *vector) {
    char text[64];
    char again[64];
    if (vector->key_len > 20) {
        return;
    }
    memcpy(text, vector->key, vector->key_len);
    text[vector->key_len] = '\0';
    int64_t value = strtoll(text, NULL, 10);
    snprintf(again, sizeof again, "%lld", (long long)value);
    if (strcmp(text, again) != 0) {
        return; /* wider than 64 bits */
    }
    int32_t arm = -1;
    CHECK(er_split_assign_int64(split, &value, 1, &arm) == ER_OK && arm == vector->arm);
}

static void check_vector(const struct vector *vector) {
    er_split *split;
    CHECK(er_split_new(vector->salt, vector->salt_len, vector->starts, vector->arms, vector->n_ranges, &split) == ER_OK);
    CHECK(er_split_seed(split) == vector->seed);

    uint64_t hash;
    CHECK(er_split_assign(split, vector->key, vector->key_len, &hash) == vector->arm);
    CHECK(hash == vector->hash);
    CHECK(hash >> 32 == vector->point);

    int32_t arm = -1;
    CHECK(er_split_assign_fixed(split, vector->key, vector->key_len, 1, &arm) == ER_OK && arm == vector->arm);
    int32_t offsets32[2] = {0, (int32_t)vector->key_len};
    int64_t offsets64[2] = {0, (int64_t)vector->key_len};
    arm = -1;
    CHECK(er_split_assign_offsets32(split, vector->key, vector->key_len, offsets32, 1, &arm) == ER_OK);
    CHECK(arm == vector->arm);
    arm = -1;
    CHECK(er_split_assign_offsets64(split, vector->key, vector->key_len, offsets64, 1, &arm) == ER_OK);
    CHECK(arm == vector->arm);
    if (memchr(vector->key, '\n', vector->key_len) == NULL) {
        arm = -1;
        CHECK(er_split_assign_separated(split, (const char *)vector->key, vector->key_len, '\n', 1, &arm) == ER_OK);
        CHECK(arm == vector->arm);
    }
    if (vector->is_integer) {
        check_int64(split, vector);
    }
    er_split_free(split);
}

int main(int argc, char **argv) {
    static char line[CHECK_LINE_MAX];
    static struct vector vector;
    size_t rows = 0;
    for (int i = 1; i < argc; i++) {
        FILE *file = check_open(argv[i]);
        CHECK(check_read_line(file, line));
        for (; check_read_line(file, line); rows++) {
            read_vector(line, &vector);
            check_vector(&vector);
        }
        fclose(file);
    }
    CHECK(rows >= 2000);
    printf("%zu vectors\n", rows);
    return 0;
}
