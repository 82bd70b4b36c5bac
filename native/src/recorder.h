/* recorder.h: the recorder's state, and the records in its ring. */
#ifndef ER_RECORDER_H
#define ER_RECORDER_H

#include "edgerun_log.h"
#include "log_ring.h"
#include "ort.h"
#include "shapes.h"

enum { ER_LOSS_KINDS = 6 };

struct er_recorder {
    struct er_log_ring ring;
    _Alignas(64) _Atomic uint32_t wake_at; /* who claims the record of this number wakes the consumer */
    _Atomic uint32_t bell;                 /* what it sleeps on; changes with every wake */
    atomic_int woken;                      /* er_recorder_wake() was called */
    _Alignas(64) _Atomic uint64_t losses[ER_LOSS_KINDS]; /* in the order of er_losses */
    struct er_shapes shapes;                             /* the consumer's */
};

/* A record. A call or shadow goes on with a struct er_held for each input that is held, then for each output; any other
 * kind with `length` bytes. */
struct er_record {
    _Atomic uint32_t size; /* of all of it, a multiple of 8; not 0: it is published */
    uint8_t kind, flags;
    uint16_t first_output; /* the profile's port of the first output; the first input's is 0 */
    uint16_t n_inputs, n_outputs;
    uint32_t source;
    uint64_t sequence, unit;
    int64_t time_ns, latency_ns;
    union {
        er_profile *profile;
        uint64_t length;
    };
    double difference; /* of a shadow */
};

enum er_hold {
    ER_HELD_NOTHING,
    ER_HELD_WHOLE,   /* every number or text */
    ER_HELD_ROWS,    /* some rows, for the profile */
    ER_HELD_SUMMARY, /* a struct er_summary, then some rows */
    ER_HELD_CLASS    /* a struct er_class and its text, then the numbers of the map */
};

/* What is held of a port. Texts are rows * columns + 1 offsets of 4 bytes, then the texts. The next one begins at a
 * multiple of 8 bytes. */
struct er_held {
    uint8_t type, hold;
    uint16_t columns;
    uint32_t rows;
    uint32_t bytes; /* that follow, a multiple of 8 */
    uint32_t unused;
};

struct er_class {
    unsigned char number[8]; /* the greatest, in its own type */
    uint32_t length;         /* of its class's text, filled up to a multiple of 8 */
    uint32_t unused;
};

static inline size_t er_padded(size_t bytes) {
    return (bytes + ER_LOG_WORD - 1) & ~(size_t)(ER_LOG_WORD - 1);
}

/* Claim a record of a kind and fill in its header; NULL where it is lost, which is counted, and *code says why. */
struct er_record *er_record_begin(er_recorder *recorder, int kind, size_t size, const er_event *event, uint32_t source,
                                  struct er_log_claim *claim, int *code);
/* Publish it, and wake the consumer if this is what it waits for. */
void er_record_end(er_recorder *recorder, const struct er_log_claim *claim, size_t size);

/* Record what a watched model made of a call; outputs as er_lane_run_into() gives them, NULL where the run failed. */
void er_record_shadow(const er_source *source, const er_event *event, double difference, er_runtime *runtime,
                      OrtValue *const *outputs, size_t n_inputs, size_t n_outputs);

/* Wake the consumer from wherever it sleeps. */
void er_recorder_ring_bell(er_recorder *recorder);

/* A wake_at that no claim reaches before the consumer sets another. */
enum { ER_WAKE_NEVER = 1 << 30 };

#endif
