/* embed_split.c: a program that embeds the split alone, with no library to link.
 *
 *     cc -std=c11 -Inative -Inative/include -o embed_split native/examples/embed_split.c
 *     ./embed_split user-1 user-2 42
 *
 * It splits keys 90 to 10 between a champion and a challenger, and prints each key's point and arm.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "edgerun_all.c"

int main(int argc, char **argv) {
    static const char salt[] = "checkout-2025";
    static const char *const names[] = {"challenger", "champion"};
    /* 2^32 / 10 is 429496729.6: the arm with the larger rest gets the odd point. SPLIT.md, "From weights to widths". */
    static const uint32_t starts[] = {0, 429496730};
    static const int32_t arms[] = {0, 1};

    er_split *split;
    int made = er_split_new(salt, strlen(salt), starts, arms, 2, &split);
    if (made != ER_OK) {
        fprintf(stderr, "er_split_new: %s\n", er_strerror(made));
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        uint64_t hash;
        int arm = er_split_assign(split, argv[i], strlen(argv[i]), &hash);
        if (arm < 0) {
            fprintf(stderr, "er_split_assign: %s\n", er_strerror(arm));
            break;
        }
        printf("%s\t%" PRIu64 "\t%s\n", argv[i], hash >> 32, names[arm]);
    }
    er_split_free(split);
    return 0;
}
