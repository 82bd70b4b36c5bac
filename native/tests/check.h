/* check.h: what the C tests share: a check that names its line, seeded random numbers, and tab-separated vectors. */
#ifndef EDGERUN_CHECK_H
#define EDGERUN_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                  \
        }                                                                             \
    } while (0)

/* SplitMix64: the same numbers on every machine. */
static inline uint64_t check_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline size_t check_random_below(uint64_t *state, size_t limit) {
    return (size_t)(check_random(state) % limit);
}

#define CHECK_LINE_MAX 16384

/* Reads a line without its newline; 0 at the end of the file. */
static inline int check_read_line(FILE *file, char line[CHECK_LINE_MAX]) {
    if (fgets(line, CHECK_LINE_MAX, file) == NULL) {
        return 0;
    }
    size_t length = strlen(line);
    CHECK(length > 0 && line[length - 1] == '\n');
    line[length - 1] = '\0';
    return 1;
}

/* Cuts a line at its tabs, in place; there must be n fields. */
static inline void check_cut_fields(char *line, char **fields, size_t n) {
    for (size_t i = 0; i < n; i++) {
        fields[i] = line;
        char *tab = strchr(line, '\t');
        CHECK((tab == NULL) == (i + 1 == n));
        if (tab != NULL) {
            *tab = '\0';
            line = tab + 1;
        }
    }
}

static inline unsigned check_hex_digit(char digit) {
    CHECK((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'));
    return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* Returns the number of bytes that a text of hexadecimal digits stands for. */
static inline size_t check_read_hex(const char *text, unsigned char *bytes) {
    size_t n = strlen(text) / 2;
    CHECK(strlen(text) % 2 == 0 && n <= CHECK_LINE_MAX / 2);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (unsigned char)(check_hex_digit(text[2 * i]) << 4 | check_hex_digit(text[2 * i + 1]));
    }
    return n;
}

static inline FILE *check_open(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    return file;
}

#endif
