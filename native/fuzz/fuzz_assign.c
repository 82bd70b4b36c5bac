/* fuzz_assign.c: any salt, ranges and key. A split is made exactly when the ranges are valid, and its answer is the
 * range that a walk over all of them finds.
 *
 * Input: the number of ranges, the length of the salt, each range's start and arm, the salt, the key.
 */
#include "fuzz.h"

static int ranges_are_valid(const uint32_t *starts, const int32_t *arms, size_t n) {
    int valid = n > 0 && starts[0] == 0;
    for (size_t i = 0; i < n; i++) {
        valid = valid && arms[i] >= 0 && (i == 0 || starts[i] > starts[i - 1]);
    }
    return valid;
}

static int32_t arm_by_walking(const uint32_t *starts, const int32_t *arms, size_t n, uint64_t point) {
    size_t i = 0;
    while (i + 1 < n && starts[i + 1] <= point) {
        i++;
    }
    return arms[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint32_t starts[256];
    int32_t arms[256];
    uint8_t salt[256];
    size_t n = fuzz_take_byte(&input);
    size_t salt_len = fuzz_take_byte(&input);
    for (size_t i = 0; i < n; i++) {
        fuzz_take(&input, &starts[i], sizeof starts[i]);
        fuzz_take(&input, &arms[i], sizeof arms[i]);
    }
    fuzz_take(&input, salt, salt_len);

    er_split *split;
    int made = er_split_new(salt, salt_len, starts, arms, n, &split);
    fuzz_require(made == (ranges_are_valid(starts, arms, n) ? ER_OK : ER_EINVAL));
    if (made != ER_OK) {
        return 0;
    }
    uint8_t *key = fuzz_copy_rest(&input);
    uint64_t hash;
    int arm = er_split_assign(split, key, input.size, &hash);
    fuzz_require(arm == arm_by_walking(starts, arms, n, hash >> 32));
    fuzz_require(hash == er_xxh64(input.data, input.size, er_split_seed(split)));
    free(key);
    er_split_free(split);
    return 0;
}
