/* profile.h: what a profile is made of. */
#ifndef ER_PROFILE_H
#define ER_PROFILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "edgerun_log.h"
#include "profile_moments.h"
#include "sketch.h"
#include "texts.h"

/* Keys of the latencies' table: positive octaves of the float32 from 2^6 to below 2^37. */
#define ER_LATENCY_FIRST ((127 + 6) * ER_SKETCH_CELLS_PER_OCTAVE)
#define ER_LATENCY_CELLS ((37 - 6) * ER_SKETCH_CELLS_PER_OCTAVE)

/* Everything of a port is in one block of memory, which is copied as a whole; its pointers are laid anew. */
struct er_profile_slot {
    int32_t type; /* 0 until something was seen */
    uint32_t columns;
    uint64_t seen, unlike;
    void *block;
    struct er_moments moments; /* of texts only count and missing */
    uint64_t *unsketched;
    uint16_t *tables;
    double *staged; /* rows that wait to be taken in together, which is several times as fast */
    uint32_t rows_staged;
    struct er_texts *texts;
    uint8_t *registers;
};

struct er_profile {
    pthread_mutex_t lock; /* held by whoever updates, takes or copies */
    size_t n_slots;
    struct er_sketch_pool pool;
    _Atomic uint64_t latencies[ER_LATENCY_CELLS];
    struct er_profile_slot slots[];
};

#endif
