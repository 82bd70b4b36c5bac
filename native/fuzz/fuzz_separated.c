/* fuzz_separated.c: any bytes, any separator, any count. Refused exactly when the count is wrong; else each key has
 * the arm it has alone.
 *
 * Input: the separator, how far the count is off (0: not at all), the keys.
 */
#include "fuzz.h"

static size_t count_keys(const uint8_t *data, size_t size, uint8_t separator) {
    size_t n = 1;
    for (size_t i = 0; i < size; i++) {
        n += data[i] == separator;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    uint8_t separator = fuzz_take_byte(&input);
    int8_t off = (int8_t)fuzz_take_byte(&input);
    uint8_t *keys = fuzz_copy_rest(&input);
    size_t present = count_keys(keys, input.size, separator);
    size_t n = off < 0 && (size_t)-off > present ? 0 : present + (size_t)off;
    int32_t *arms = malloc((n > 0 ? n : 1) * sizeof *arms);
    fuzz_require(arms != NULL);
    er_split *split = fuzz_split();

    int done = er_split_assign_separated(split, (const char *)keys, input.size, (char)separator, n, arms);
    int nothing_at_all = n == 0 && input.size == 0;
    fuzz_require(done == (n == present || nothing_at_all ? ER_OK : ER_EINVAL));
    size_t at = 0;
    for (size_t i = 0; done == ER_OK && i < n; i++) {
        size_t length = 0;
        while (at + length < input.size && keys[at + length] != separator) {
            length++;
        }
        fuzz_require(arms[i] == er_split_assign(split, keys + at, length, NULL));
        at += length + 1;
    }
    er_split_free(split);
    free(arms);
    free(keys);
    return 0;
}
