/* fuzz_offsets.c: any offsets over any data. They are refused exactly when one leaves the data or falls; else each
 * key has the arm it has alone.
 *
 * Input: the number of keys, then the offsets, then the data; once as 32-bit and once as 64-bit offsets.
 */
#include "fuzz.h"

static int offsets_are_valid(const int64_t *offsets, size_t n, size_t data_len) {
    int valid = 1;
    for (size_t i = 0; i < n; i++) {
        valid = valid && offsets[i] >= 0 && offsets[i] <= offsets[i + 1] && (uint64_t)offsets[i + 1] <= data_len;
    }
    return valid;
}

static void check_arms(const er_split *split, const uint8_t *data, const int64_t *offsets, size_t n,
                       const int32_t *arms) {
    for (size_t i = 0; i < n; i++) {
        size_t length = (size_t)(offsets[i + 1] - offsets[i]);
        fuzz_require(arms[i] == er_split_assign(split, data + offsets[i], length, NULL));
    }
}

static void run_32(const er_split *split, struct fuzz_input input, size_t n) {
    int32_t offsets[257];
    int64_t wide[257];
    int32_t arms[256];
    fuzz_take(&input, offsets, (n + 1) * sizeof *offsets);
    for (size_t i = 0; i <= n; i++) {
        wide[i] = offsets[i];
    }
    uint8_t *data = fuzz_copy_rest(&input);
    int done = er_split_assign_offsets32(split, data, input.size, offsets, n, arms);
    fuzz_require(done == (offsets_are_valid(wide, n, input.size) ? ER_OK : ER_EINVAL));
    if (done == ER_OK) {
        check_arms(split, data, wide, n, arms);
    }
    free(data);
}

static void run_64(const er_split *split, struct fuzz_input input, size_t n) {
    int64_t offsets[257];
    int32_t arms[256];
    fuzz_take(&input, offsets, (n + 1) * sizeof *offsets);
    uint8_t *data = fuzz_copy_rest(&input);
    int done = er_split_assign_offsets64(split, data, input.size, offsets, n, arms);
    fuzz_require(done == (offsets_are_valid(offsets, n, input.size) ? ER_OK : ER_EINVAL));
    if (done == ER_OK) {
        check_arms(split, data, offsets, n, arms);
    }
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    size_t n = fuzz_take_byte(&input);
    er_split *split = fuzz_split();
    run_32(split, input, n);
    run_64(split, input, n);
    er_split_free(split);
    return 0;
}
