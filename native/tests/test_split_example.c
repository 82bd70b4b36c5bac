/* test_split_example.c: the worked example of SPLIT.md is true of this library.
 *
 * It reads the document: lines "[start, end)  arm" are ranges, a start of 0 opens the next split, and lines
 * "type bytes hash point arm arm arm" are keys with their arm in each of the splits.
 */
#include <inttypes.h>

#include "check.h"
#include "edgerun.h"

#define SALT "checkout-2025"
#define SPLITS 3
#define RANGES_MAX 8
#define NAME_MAX_LENGTH 16

struct example {
    size_t n_ranges;
    uint32_t starts[RANGES_MAX];
    char names[RANGES_MAX][NAME_MAX_LENGTH];
    er_split *split;
};

static void read_example(FILE *file, struct example examples[SPLITS]) {
    char line[CHECK_LINE_MAX];
    struct example *current = NULL;
    uint64_t last_end = UINT64_C(1) << 32;
    size_t n_examples = 0;
    while (check_read_line(file, line)) {
        uint64_t start;
        uint64_t end;
        char name[NAME_MAX_LENGTH];
        if (sscanf(line, "[%" SCNu64 ", %" SCNu64 ") %15s", &start, &end, name) != 3) {
            continue;
        }
        if (start == 0) {
            CHECK(n_examples < SPLITS && last_end == UINT64_C(1) << 32);
            current = &examples[n_examples++];
            last_end = 0;
        }
        CHECK(current != NULL && start == last_end && current->n_ranges < RANGES_MAX);
        current->starts[current->n_ranges] = (uint32_t)start;
        memcpy(current->names[current->n_ranges++], name, sizeof name);
        last_end = end;
    }
    CHECK(n_examples == SPLITS && last_end == UINT64_C(1) << 32);
}

/* Each range is given an arm of its own, so that the arm's index leads to the name. */
static void make_split(struct example *example) {
    int32_t arms[RANGES_MAX];
    for (size_t i = 0; i < example->n_ranges; i++) {
        arms[i] = (int32_t)i;
    }
    CHECK(er_split_new(SALT, strlen(SALT), example->starts, arms, example->n_ranges, &example->split) == ER_OK);
}

static size_t check_keys(FILE *file, const struct example examples[SPLITS]) {
    char line[CHECK_LINE_MAX];
    size_t n_keys = 0;
    while (check_read_line(file, line)) {
        char type[8];
        char text[64];
        uint64_t hash;
        uint64_t point;
        char names[SPLITS][NAME_MAX_LENGTH];
        unsigned char key[CHECK_LINE_MAX / 2];
        if (sscanf(line, "%7s %63s %16" SCNx64 " %" SCNu64 " %15s %15s %15s", type, text, &hash, &point, names[0],
                   names[1], names[2]) != 7) {
            continue;
        }
        size_t length = strcmp(text, "-") == 0 ? 0 : check_read_hex(text, key);
        for (size_t i = 0; i < SPLITS; i++) {
            uint64_t found;
            int arm = er_split_assign(examples[i].split, key, length, &found);
            CHECK(arm >= 0 && strcmp(examples[i].names[arm], names[i]) == 0);
            CHECK(found == hash && found >> 32 == point);
        }
        n_keys++;
    }
    return n_keys;
}

int main(int argc, char **argv) {
    static struct example examples[SPLITS];
    CHECK(argc == 2);
    FILE *file = check_open(argv[1]);
    read_example(file, examples);
    for (size_t i = 0; i < SPLITS; i++) {
        make_split(&examples[i]);
    }
    CHECK(er_split_seed(examples[0].split) == UINT64_C(0x13e56c14bc491eaf));
    rewind(file);
    CHECK(check_keys(file, examples) == 9);
    for (size_t i = 0; i < SPLITS; i++) {
        er_split_free(examples[i].split);
    }
    fclose(file);
    return 0;
}
