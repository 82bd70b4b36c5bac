/* test_crc32c.c: the checksum gives the published values, at every alignment, length and cut. */
#include "check.h"
#include "edgerun_log.h"

/* One bit at a time, straight from the polynomial. */
static uint32_t by_bits(const unsigned char *data, size_t len) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
        }
    }
    return ~crc;
}

static void test_vectors(const char *path) {
    static char line[CHECK_LINE_MAX];
    static unsigned char data[CHECK_LINE_MAX];
    FILE *file = check_open(path);
    size_t rows = 0;
    CHECK(check_read_line(file, line));
    for (; check_read_line(file, line); rows++) {
        char *fields[3];
        check_cut_fields(line, fields, 3);
        uint32_t crc = (uint32_t)strtoul(fields[2], NULL, 16);
        for (size_t shift = 0; shift < 8; shift++) {
            size_t length = check_read_hex(fields[1], data + shift);
            CHECK(er_crc32c(0, data + shift, length) == crc);
            for (size_t cut = 0; cut <= length; cut++) {
                uint32_t first = er_crc32c(0, data + shift, cut);
                CHECK(er_crc32c(first, data + shift + cut, length - cut) == crc);
            }
        }
    }
    fclose(file);
    CHECK(rows > 50);
}

static void test_random_bytes_against_the_polynomial(void) {
    static unsigned char data[4096];
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (unsigned char)check_random(&state);
    }
    for (int round = 0; round < 300; round++) {
        size_t begin = check_random_below(&state, 64), length = check_random_below(&state, sizeof data - 64);
        CHECK(er_crc32c(0, data + begin, length) == by_bits(data + begin, length));
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(er_crc32c(0, NULL, 0) == 0);
    test_vectors(argv[1]);
    test_random_bytes_against_the_polynomial();
    return 0;
}
