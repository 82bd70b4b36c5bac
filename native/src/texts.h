/* texts.h: how many distinct texts there were, and which were frequent; edgerun/log/FORMAT.md, Profiles. */
#ifndef ER_TEXTS_H
#define ER_TEXTS_H

#include <stddef.h>
#include <stdint.h>

#define ER_TEXTS_REGISTERS 1024
#define ER_TEXTS_FREQUENT 32
#define ER_TEXT_CUT 64 /* bytes that are kept of a frequent text */

/* One column. A frequent text whose weight is not above `error` holds a place that is free. */
struct er_texts {
    uint64_t hashes[ER_TEXTS_FREQUENT], weights[ER_TEXTS_FREQUENT];
    uint64_t error; /* how often all weights were lowered by one, which was done by raising this */
    uint8_t lengths[ER_TEXTS_FREQUENT];
    char texts[ER_TEXTS_FREQUENT][ER_TEXT_CUT];
};

void er_texts_add(struct er_texts *texts, uint8_t *registers, const char *text, size_t len);

#endif
