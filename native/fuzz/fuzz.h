/* fuzz.h: what the fuzz targets share: taking an input apart into values and exactly sized copies. */
#ifndef EDGERUN_FUZZ_H
#define EDGERUN_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "edgerun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

/* Fills `value` with the next bytes, and with zeros past the end. */
static inline void fuzz_take(struct fuzz_input *input, void *value, size_t size) {
    size_t taken = size < input->size ? size : input->size;
    memset(value, 0, size);
    if (taken > 0) {
        memcpy(value, input->data, taken);
        input->data += taken;
        input->size -= taken;
    }
}

static inline uint8_t fuzz_take_byte(struct fuzz_input *input) {
    uint8_t byte;
    fuzz_take(input, &byte, 1);
    return byte;
}

/* A copy of the rest that ends where its memory ends, so that the sanitizer sees any byte read past it. */
static inline uint8_t *fuzz_copy_rest(const struct fuzz_input *input) {
    uint8_t *copy = malloc(input->size > 0 ? input->size : 1);
    if (copy == NULL) {
        abort();
    }
    if (input->size > 0) {
        memcpy(copy, input->data, input->size);
    }
    return copy;
}

static inline void fuzz_require(int condition) {
    if (!condition) {
        abort();
    }
}

/* Five ranges with cuts close together and far apart. */
static inline er_split *fuzz_split(void) {
    static const uint32_t starts[] = {0, 1, UINT32_C(0x7fffffff), UINT32_C(0x80000000), UINT32_C(0xfffffff0)};
    static const int32_t arms[] = {3, 1, 4, 1, 5};
    er_split *split;
    fuzz_require(er_split_new("fuzz", 4, starts, arms, 5, &split) == ER_OK);
    return split;
}

#endif
