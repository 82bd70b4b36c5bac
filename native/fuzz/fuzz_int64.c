/* fuzz_int64.c: any integers. Each has the arm of the text that printf writes for it.
 *
 * Input: 8 bytes for each integer.
 */
#include <stdio.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t n = size / sizeof(int64_t);
    if (n == 0) {
        return 0;
    }
    struct fuzz_input input = {data, n * sizeof(int64_t)};
    int64_t *keys = (int64_t *)(void *)fuzz_copy_rest(&input);
    int32_t *arms = malloc(n * sizeof *arms);
    fuzz_require(arms != NULL);
    er_split *split = fuzz_split();
    fuzz_require(er_split_assign_int64(split, keys, n, arms) == ER_OK);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        int length = snprintf(text, sizeof text, "%lld", (long long)keys[i]);
        fuzz_require(arms[i] == er_split_assign(split, text, (size_t)length, NULL));
    }
    er_split_free(split);
    free(arms);
    free(keys);
    return 0;
}
