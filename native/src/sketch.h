/* sketch.h: how many numbers lie in each cell of a log-linear grid; edgerun/log/FORMAT.md, Profiles.
 *
 * A number's key is the upper 15 bits of its float32: sign, octave (8 bits), cell within the octave (6 bits). Each column
 * has a table of its 512 signed octaves that says on which page of the pool the octave's 64 counters are. Counters have
 * 16 bits; where one is full, its page gets a page of 64-bit carries. */
#ifndef ER_SKETCH_H
#define ER_SKETCH_H

#include <stddef.h>
#include <stdint.h>

#define ER_SKETCH_OCTAVES 512 /* signed */
#define ER_SKETCH_CARRY_PAGES 4 /* pages that a page of carries counts for */

struct er_sketch_pool {
    uint16_t *pages;     /* 64 counters each; 0 stands for none, 1 takes what belongs in no cell */
    uint16_t *carry_of;  /* of each page: its page of carries, 0 for none */
    uint64_t *carries;   /* 64 each; 0 is not used */
    size_t used, room;   /* pages; the first two included */
    size_t carried, carry_room;
    size_t pages_max;
};

/* Make the first pages of an empty pool, if it has none yet. */
int er_sketch_prepare(struct er_sketch_pool *pool);
void er_sketch_release(struct er_sketch_pool *pool);
/* Copy into a pool that has nothing. */
int er_sketch_copy(const struct er_sketch_pool *pool, struct er_sketch_pool *out);

/* Tables of columns that have seen nothing. */
void er_sketch_clear(uint16_t *tables, size_t columns);
/* Count rows of numbers; what finds no room is counted in unsketched, for each column. What is not finite as a float32 is
 * left out. */
void er_sketch_add(struct er_sketch_pool *pool, uint16_t *tables, uint64_t *unsketched, const double *values,
                   size_t rows, size_t columns);
/* The cells of one table in ascending order; returns how many, ER_ELIMIT where max is too small. */
int er_sketch_cells(const struct er_sketch_pool *pool, const uint16_t *table, int32_t *cells, uint64_t *weights,
                    size_t max);

/* Sign, octave and cell of a number; infinity's where it is too large for a float32. */
static inline uint32_t er_sketch_key(double value) {
    float narrow = (float)value;
    uint32_t bits;
    __builtin_memcpy(&bits, &narrow, sizeof bits);
    return bits >> 17;
}

/* From here on, what is finite rounds to an infinite float32. */
#define ER_SKETCH_TOO_LARGE 0x1.ffffffp127

#endif
