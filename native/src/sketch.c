/* sketch.c: see sketch.h. */
#include "sketch.h"

#include <stdlib.h>
#include <string.h>

#include "edgerun_log.h"

enum { SKETCH_CELLS = ER_SKETCH_CELLS_PER_OCTAVE, SKETCH_NONE = 0, SKETCH_OUTSIDE = 1, SKETCH_FIRST_ROOM = 16 };

/* A quarter more room: little is wasted, and few copies are made. */
static size_t sketch_larger(size_t room) {
    return room + (room / 4 > SKETCH_FIRST_ROOM ? room / 4 : SKETCH_FIRST_ROOM);
}

static int sketch_grow_pages(struct er_sketch_pool *pool) {
    size_t room = sketch_larger(pool->room);
    uint16_t *pages = realloc(pool->pages, room * SKETCH_CELLS * sizeof pages[0]);
    if (pages == NULL) {
        return ER_ENOMEM;
    }
    pool->pages = pages;
    uint16_t *carry_of = realloc(pool->carry_of, room * sizeof carry_of[0]);
    if (carry_of == NULL) {
        return ER_ENOMEM;
    }
    pool->carry_of = carry_of;
    pool->room = room;
    return ER_OK;
}

static int sketch_grow_carries(struct er_sketch_pool *pool) {
    size_t room = pool->carry_room + 4;
    uint64_t *carries = realloc(pool->carries, room * SKETCH_CELLS * sizeof carries[0]);
    if (carries == NULL) {
        return ER_ENOMEM;
    }
    pool->carries = carries;
    pool->carry_room = room;
    return ER_OK;
}

/* A page of zeros; SKETCH_NONE where there is no room. */
static uint16_t sketch_new_page(struct er_sketch_pool *pool) {
    if (pool->used - 2 + pool->carried * ER_SKETCH_CARRY_PAGES >= pool->pages_max ||
        (pool->used == pool->room && sketch_grow_pages(pool) != ER_OK)) {
        return SKETCH_NONE;
    }
    memset(pool->pages + pool->used * SKETCH_CELLS, 0, SKETCH_CELLS * sizeof pool->pages[0]);
    pool->carry_of[pool->used] = 0;
    return (uint16_t)pool->used++;
}

static uint16_t sketch_new_carries(struct er_sketch_pool *pool) {
    if (pool->used - 2 + (pool->carried + 1) * ER_SKETCH_CARRY_PAGES > pool->pages_max ||
        (pool->carried + 1 >= pool->carry_room && sketch_grow_carries(pool) != ER_OK)) {
        return 0;
    }
    pool->carried++;
    memset(pool->carries + pool->carried * SKETCH_CELLS, 0, SKETCH_CELLS * sizeof pool->carries[0]);
    return (uint16_t)pool->carried;
}

int er_sketch_prepare(struct er_sketch_pool *pool) {
    if (pool->room > 0) {
        return ER_OK;
    }
    int code = sketch_grow_pages(pool);
    if (code == ER_OK) {
        memset(pool->pages, 0, 2 * SKETCH_CELLS * sizeof pool->pages[0]);
        pool->carry_of[SKETCH_NONE] = pool->carry_of[SKETCH_OUTSIDE] = 0;
        pool->used = 2;
    }
    return code;
}

void er_sketch_release(struct er_sketch_pool *pool) {
    free(pool->pages);
    free(pool->carry_of);
    free(pool->carries);
}

static void *sketch_duplicate(const void *data, size_t bytes) {
    void *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy != NULL && bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

int er_sketch_copy(const struct er_sketch_pool *pool, struct er_sketch_pool *out) {
    *out = *pool;
    out->room = pool->used;
    out->carry_room = pool->carry_room > 0 ? pool->carried + 1 : 0;
    out->pages = sketch_duplicate(pool->pages, out->room * SKETCH_CELLS * sizeof pool->pages[0]);
    out->carry_of = sketch_duplicate(pool->carry_of, out->room * sizeof pool->carry_of[0]);
    out->carries = NULL;
    if (out->carry_room > 0) {
        out->carries = sketch_duplicate(pool->carries, out->carry_room * SKETCH_CELLS * sizeof pool->carries[0]);
    }
    if (out->pages == NULL || out->carry_of == NULL || (out->carry_room > 0 && out->carries == NULL)) {
        er_sketch_release(out);
        memset(out, 0, sizeof *out);
        return ER_ENOMEM;
    }
    return ER_OK;
}

void er_sketch_clear(uint16_t *tables, size_t columns) {
    memset(tables, 0, columns * ER_SKETCH_OCTAVES * sizeof tables[0]);
    for (size_t i = 0; i < columns; i++, tables += ER_SKETCH_OCTAVES) {
        /* Zero and subnormal; infinite, NaN and too large. */
        tables[0] = tables[ER_SKETCH_OCTAVES / 2] = SKETCH_OUTSIDE;
        tables[ER_SKETCH_OCTAVES / 2 - 1] = tables[ER_SKETCH_OCTAVES - 1] = SKETCH_OUTSIDE;
    }
}

/* A counter went from 65535 to 0. */
static void sketch_carry(struct er_sketch_pool *pool, size_t page, size_t cell, uint64_t *unsketched) {
    if (page == SKETCH_OUTSIDE) {
        return;
    }
    if (pool->carry_of[page] == 0) {
        pool->carry_of[page] = sketch_new_carries(pool);
    }
    if (pool->carry_of[page] == 0) {
        pool->pages[page * SKETCH_CELLS + cell] = UINT16_MAX;
        ++*unsketched;
    } else {
        pool->carries[(size_t)pool->carry_of[page] * SKETCH_CELLS + cell]++;
    }
}

enum { BLOCK_ROWS = 64, BLOCK_COLUMNS = 32 };

static void sketch_keys(uint16_t (*restrict keys)[BLOCK_COLUMNS], const double *restrict values, size_t rows,
                        size_t columns, size_t stride) {
    for (size_t row = 0; row < rows; row++, values += stride) {
        for (size_t i = 0; i < columns; i++) {
            keys[row][i] = (uint16_t)er_sketch_key(values[i]);
        }
    }
}

/* Count one column of a block: its table and pages stay in the processor's nearest cache. */
static void sketch_count(struct er_sketch_pool *pool, uint16_t *table, uint64_t *unsketched, const uint16_t *keys,
                         size_t rows) {
    for (size_t row = 0; row < rows; row++) {
        size_t key = keys[row * BLOCK_COLUMNS];
        size_t page = table[key / SKETCH_CELLS], cell = key % SKETCH_CELLS;
        if (page == SKETCH_NONE) {
            page = table[key / SKETCH_CELLS] = sketch_new_page(pool);
            if (page == SKETCH_NONE) {
                ++*unsketched;
                continue;
            }
        }
        if (++pool->pages[page * SKETCH_CELLS + cell] == 0) {
            sketch_carry(pool, page, cell, unsketched);
        }
    }
}

void er_sketch_add(struct er_sketch_pool *pool, uint16_t *tables, uint64_t *unsketched, const double *values,
                   size_t rows, size_t columns) {
    uint16_t keys[BLOCK_ROWS][BLOCK_COLUMNS];
    for (size_t first = 0; first < columns; first += BLOCK_COLUMNS) {
        size_t width = columns - first < BLOCK_COLUMNS ? columns - first : BLOCK_COLUMNS;
        for (size_t start = 0; start < rows; start += BLOCK_ROWS) {
            size_t height = rows - start < BLOCK_ROWS ? rows - start : BLOCK_ROWS;
            const double *block = values + start * columns + first;
            sketch_keys(keys, block, height, width, columns);
            for (size_t i = 0; i < width; i++) {
                uint16_t *table = tables + (first + i) * ER_SKETCH_OCTAVES;
                sketch_count(pool, table, &unsketched[first + i], &keys[0][i], height);
            }
        }
    }
}

static uint64_t sketch_weight(const struct er_sketch_pool *pool, size_t page, size_t cell) {
    uint64_t carry = pool->carry_of[page];
    return pool->pages[page * SKETCH_CELLS + cell] +
           (carry != 0 ? pool->carries[carry * SKETCH_CELLS + cell] << 16 : 0);
}

int er_sketch_cells(const struct er_sketch_pool *pool, const uint16_t *table, int32_t *cells, uint64_t *weights,
                    size_t max) {
    enum { KEYS = ER_SKETCH_OCTAVES * SKETCH_CELLS };
    size_t found = 0;
    for (int32_t at = 0; at < KEYS; at++) {
        /* From the largest negative number to the largest positive one. */
        size_t key = (size_t)(at < KEYS / 2 ? KEYS - 1 - at : at - KEYS / 2);
        size_t page = table[key / SKETCH_CELLS];
        if (page <= SKETCH_OUTSIDE) {
            at += SKETCH_CELLS - 1; /* the order enters an octave at its first or its last cell */
            continue;
        }
        uint64_t weight = sketch_weight(pool, page, key % SKETCH_CELLS);
        if (weight == 0) {
            continue;
        }
        if (found == max) {
            return ER_ELIMIT;
        }
        cells[found] = at - KEYS / 2;
        weights[found++] = weight;
    }
    return (int)found;
}
