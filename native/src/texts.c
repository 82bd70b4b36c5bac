/* texts.c: see texts.h.
 *
 * Sources: Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"; Misra and
 * Gries, "Finding repeated elements". */
#include "texts.h"

#include <string.h>

#include "edgerun_log.h"

enum { TEXTS_SEED = 42, RANK_MAX = 55 };

static void texts_count_distinct(uint8_t *registers, uint64_t hash) {
    uint64_t rest = hash << 10;
    int rank = rest == 0 ? RANK_MAX : __builtin_clzll(rest) + 1;
    uint8_t *at = &registers[hash >> 54];
    *at = rank > *at ? (uint8_t)rank : *at;
}

/* What is kept of a text: it ends where a character of UTF-8 does. */
static size_t texts_cut(const char *text, size_t len) {
    if (len <= ER_TEXT_CUT) {
        return len;
    }
    size_t end = ER_TEXT_CUT;
    while (end > ER_TEXT_CUT - 4 && (text[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}

/* Misra and Gries: a text that has no place takes a free one, or all that have one, and it, lose one. */
static void texts_count_frequent(struct er_texts *texts, uint64_t hash, const char *text, size_t len) {
    size_t vacant = ER_TEXTS_FREQUENT;
    for (size_t i = 0; i < ER_TEXTS_FREQUENT; i++) {
        if (texts->weights[i] <= texts->error) {
            vacant = i;
        } else if (texts->hashes[i] == hash && texts->lengths[i] == len && memcmp(texts->texts[i], text, len) == 0) {
            texts->weights[i]++;
            return;
        }
    }
    if (vacant == ER_TEXTS_FREQUENT) {
        texts->error++;
        return;
    }
    texts->hashes[vacant] = hash;
    texts->weights[vacant] = texts->error + 1;
    texts->lengths[vacant] = (uint8_t)len;
    memcpy(texts->texts[vacant], text, len);
}

void er_texts_add(struct er_texts *texts, uint8_t *registers, const char *text, size_t len) {
    uint64_t hash = er_xxh64(text, len, TEXTS_SEED);
    texts_count_distinct(registers, hash);
    size_t cut = texts_cut(text, len);
    texts_count_frequent(texts, cut == len ? hash : er_xxh64(text, cut, TEXTS_SEED), text, cut);
}
