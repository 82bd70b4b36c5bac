/* test_xxh64.c: the hash gives the published values, at every alignment. */
#include "check.h"
#include "edgerun.h"

static void test_vectors(const char *path) {
    char line[CHECK_LINE_MAX];
    static unsigned char data[CHECK_LINE_MAX];
    FILE *file = check_open(path);
    size_t rows = 0;
    CHECK(check_read_line(file, line));
    for (; check_read_line(file, line); rows++) {
        char *fields[3];
        check_cut_fields(line, fields, 3);
        uint64_t seed = strtoull(fields[1], NULL, 16);
        uint64_t hash = strtoull(fields[2], NULL, 16);
        for (size_t shift = 0; shift < 8; shift++) {
            size_t length = check_read_hex(fields[0], data + shift);
            CHECK(er_xxh64(data + shift, length, seed) == hash);
        }
    }
    fclose(file);
    CHECK(rows > 100);
}

static void test_no_data_may_be_null(void) {
    CHECK(er_xxh64(NULL, 0, 0) == UINT64_C(0xef46db3751d8e999));
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    test_vectors(argv[1]);
    test_no_data_may_be_null();
    return 0;
}
