/* fuzz_unpack.c: any lengths and bits. What is accepted packs to the same bytes again; nothing is read past the end.
 *
 * Input: the number of lengths (1 byte), lengths, bits.
 */
#include "edgerun_log.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    size_t n = fuzz_take_byte(&input);
    uint8_t *lengths = malloc(n + 1), *lengths_again = malloc(n + 1), *bits_again = malloc(8 * n + 1);
    uint64_t *values = malloc(8 * n + 1);
    fuzz_require(lengths != NULL && lengths_again != NULL && bits_again != NULL && values != NULL);
    fuzz_take(&input, lengths, n);
    uint8_t *bits = fuzz_copy_rest(&input);
    if (er_unpack_u64(lengths, n, bits, input.size, values) == ER_OK) {
        size_t bits_len;
        fuzz_require(er_pack_u64(values, n, lengths_again, bits_again, &bits_len) == ER_OK);
        fuzz_require(bits_len == input.size && memcmp(lengths, lengths_again, n) == 0);
        fuzz_require(memcmp(bits, bits_again, bits_len) == 0);
    }
    free(bits);
    free(values);
    free(bits_again);
    free(lengths_again);
    free(lengths);
    return 0;
}
