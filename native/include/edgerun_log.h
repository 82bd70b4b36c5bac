/* edgerun_log.h: recording what was served, and profiles of what came in and out.
 *
 * The rules of edgerun.h hold here too. In addition:
 *  a. Whoever serves only copies: one record in a preallocated ring, no lock, no allocation, no wait. Where the ring is
 *     full the record is lost and counted.
 *  b. One thread at a time drains the ring. It turns records into columns and brings the profiles up to date; it may
 *     allocate. edgerun/log/FORMAT.md says what the columns mean.
 *  c. The recorder outlives its sources and profiles. A profile outlives the records that name it: free it once the
 *     ring was drained past the er_recorder_head() after the last call of its sources had ended.
 */
#ifndef EDGERUN_LOG_H
#define EDGERUN_LOG_H

#include "edgerun_runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Nanoseconds of the clock that all times of events are of: since boot, sleep included where the system can tell. */
int64_t er_clock_ns(void);

/* CRC-32C (Castagnoli) of len bytes, going on from a former result; 0 at the start. */
uint32_t er_crc32c(uint32_t crc, const void *data, size_t len);

/* ---- packing: n unsigned integers as lengths and bits; FORMAT.md, Columns ---- */

/* Write n lengths and at most 8 * n bytes of bits; returns the number of those in *bits_len. */
int er_pack_u64(const uint64_t *values, size_t n, uint8_t *lengths, uint8_t *bits, size_t *bits_len);
/* The inverse. ER_EINVAL where a length is above 64, bits_len is not what the lengths need, or the bits that fill the
 * last byte are not zero. */
int er_unpack_u64(const uint8_t *lengths, size_t n, const uint8_t *bits, size_t bits_len, uint64_t *values);

typedef struct er_packed_column {
    int32_t code;          /* 0 to 4, of FORMAT.md */
    int32_t is_repetitive; /* whether a dictionary might be shorter: a glance saw few distinct values */
    uint64_t base;
    int64_t step;          /* of code 4 */
    uint64_t cost_bits;    /* about what it takes, its lengths compressed */
    size_t bits_len;
} er_packed_column;

/* Write n values, at least one, in the shortest of the codes 0 to 4. scratch has n, lengths n and bits 8 * n entries. */
int er_pack_column(const uint64_t *values, size_t n, int is_signed, uint64_t *scratch, uint8_t *lengths, uint8_t *bits,
                   er_packed_column *out);

/* ---- profile: what the calls that one model answered for one arm were like ---- */

#define ER_PROFILE_COLUMNS_MAX 256
#define ER_PROFILE_ELEMENTS_MAX 1024 /* of one tensor and call */
#define ER_PROFILE_PAGES_MAX 65533
#define ER_SKETCH_CELLS_PER_OCTAVE 64

typedef struct er_profile er_profile;

/* pages_max bounds the memory of the sketches, in pages of one octave and 128 bytes; where a cell outgrows 16 bits, its
 * page counts for five. At most ER_PROFILE_PAGES_MAX, else ER_ELIMIT. */
int er_profile_new(size_t n_inputs, size_t n_outputs, size_t pages_max, er_profile **out);
void er_profile_free(er_profile *profile);

/* One port's tensor of one call, or some rows of it. Numbers in their own type, or texts. */
typedef struct er_profile_data {
    int32_t type;      /* ER_TYPE_* */
    uint32_t columns;  /* of each row; at most ER_PROFILE_COLUMNS_MAX */
    uint32_t rows;
    const void *data;  /* rows * columns numbers; or texts end to end */
    const uint32_t *offsets; /* rows * columns + 1 offsets of texts, else NULL */
} er_profile_data;

/* Take a port's data in: ports are the inputs, then the outputs. A port keeps the type and number of columns it had
 * first (until the profile is taken); other data, and data of a type that has no ER_TYPE_*, is counted in `unlike`, and
 * left out. Integers above 2^53 are taken as the nearest double. */
int er_profile_update(er_profile *profile, size_t port, const er_profile_data *data);
/* Count a call's latency; from any thread, without a lock. */
void er_profile_latency(er_profile *profile, int64_t latency_ns);
/* Move everything but the latencies into a new profile and start anew (take), or copy it, latencies included (copy). */
int er_profile_take(er_profile *profile, er_profile **out);
int er_profile_copy(er_profile *profile, er_profile **out);

typedef struct er_profile_port {
    int32_t type;     /* 0 where nothing was seen */
    uint32_t columns;
    uint64_t seen, unlike;
    /* `columns` of each. Of texts, count is all of them, missing the empty ones among them, and the rest is NULL. */
    const uint64_t *count, *missing, *infinite, *zero, *unsketched;
    const double *min, *max, *mean, *m2; /* of no numbers: infinity, minus infinity, 0 and 0 */
    const uint8_t *registers; /* of texts: columns * 1024, else NULL */
} er_profile_port;

/* Only for a profile that nobody updates: one of take or copy, else ER_EINVAL. */
int er_profile_read(const er_profile *profile, size_t port, er_profile_port *out);
/* The cells of a column in ascending order; returns how many, ER_ELIMIT where max is too small. */
int er_profile_cells(const er_profile *profile, size_t port, uint32_t column, int32_t *cells, uint64_t *weights,
                     size_t max);
typedef struct er_frequent {
    char text[64];
    uint32_t len;
    uint64_t weight;
} er_frequent;
/* The frequent texts of a column, the greatest weight first; returns how many, ER_ELIMIT where max is too small. *error
 * is by how much a weight may be too low. */
int er_profile_frequent(const er_profile *profile, size_t port, uint32_t column, er_frequent *out, size_t max,
                        uint64_t *error);
/* Cells of the latencies (nanoseconds) so far; as er_profile_cells(). What is outside of [2^6, 2^37) is in the first or
 * the last cell. */
int er_profile_latencies(const er_profile *profile, int32_t *cells, uint64_t *weights, size_t max);

/* ---- recorder ---- */

typedef struct er_recorder er_recorder;

enum {
    ER_EVENT_CALL = 1,
    ER_EVENT_SHADOW = 2,
    ER_EVENT_ERROR = 3,
    ER_EVENT_CAPTURE = 4,
    ER_EVENT_PROFILE = 5,
    ER_EVENT_LABEL = 16, /* this and above: journal; they may use the last eighth of the ring */
    ER_EVENT_OUTCOME = 17,
    ER_EVENT_LOSS = 18,
    ER_EVENT_LIFECYCLE = 19
};

enum { ER_FLAG_NONFINITE = 1, ER_FLAG_FAILED = 2, ER_FLAG_DISAGREE = 4, ER_FLAG_KEYED = 128 /* has a unit; not stored */ };

#define ER_RECORD_BYTES_MAX 65536 /* of one record; what does not fit is lost */

/* ring_bytes: a power of two, 65536 to 2^30. */
int er_recorder_new(size_t ring_bytes, er_recorder **out);
void er_recorder_free(er_recorder *recorder);
/* In a forked child, before anything else: forget what the parent recorded. */
void er_recorder_reset(er_recorder *recorder);

/* ---- source: what the calls of one way have in common ---- */

typedef struct er_source {
    er_recorder *recorder;  /* NULL: run, and record nothing */
    er_model *model;
    er_profile *profile;    /* may be NULL */
    uint32_t number;        /* FORMAT.md, sources */
    uint8_t check_finite;   /* whether a run is checked: the model has a control */
    uint8_t keyed;          /* whether deciding the way hashed a key */
    uint32_t capture_below; /* inputs are captured where the upper half of XXH64(sequence, seed 42) is below this; the
                             * sequence being 8 bytes, little-endian */
    uint64_t redact[4];     /* bit i % 64 of word i / 64: input i, as arranged, is never captured */
} er_source;

typedef struct er_event {
    uint64_t sequence, unit;
    int64_t time_ns, latency_ns;
    uint8_t flags;
} er_event;

/* Record a call that a lane answered; lane NULL: no outputs. A lane that was made without outputs is described first,
 * so record it before it is offered to a shadow. ER_EFULL: the record is lost, and counted. So is a capture for which
 * there is no room or which is too large, but that is no failure of the call. */
int er_record_call(const er_source *source, const er_event *event, er_lane *lane);
/* The same for single rows of a lane, whose first axis is the row in every input and output; an output that is not so
 * has form 0. Returns how many were recorded; the others are lost, and counted. ER_EINVAL: there is no such row. */
int er_record_rows(const er_source *source, const er_event *events, const uint32_t *rows, size_t n, er_lane *lane);
/* Record a value in msgpack, of any kind but a call's or shadow's. It is lost, and counted, where there is no room
 * (ER_EFULL) or it is too large (ER_ELIMIT). */
int er_record_note(er_recorder *recorder, int kind, const er_event *event, uint32_t source, const void *value,
                   size_t len);
/* Let the shadow's worker record what it runs: sources[slot] for every slot, NULL for one that is not recorded. Before
 * the first offer. The time of a row is when the watched run began. */
int er_shadow_record(er_shadow *shadow, const er_source *const *sources);

/* Records that found no room or were too large, since the recorder was made; profiles: all other kinds below 16. */
typedef struct er_losses {
    uint64_t calls, shadows, errors, captures, journal, profiles;
} er_losses;
void er_recorder_losses(const er_recorder *recorder, er_losses *out);

/* ---- draining ---- */

/* Sleep until a record waits; then at most gather_ms more, or until gather_records wait, or er_recorder_wake().
 * Returns how many wait, about; 0 after a wake. timeout_ms bounds the whole; negative for ever. */
int er_recorder_wait(er_recorder *recorder, int64_t timeout_ms, int64_t gather_ms, size_t gather_records);
void er_recorder_wake(er_recorder *recorder);

/* Rows as columns, in the order of the ring and the byte order of the host. numbers_at and bytes_at have rows + 1
 * entries: row i owns numbers[numbers_at[i] .. numbers_at[i + 1]) and likewise bytes.
 *
 * The bytes of a capture are for each input, as arranged: its type and rank (1 byte each), whether its data follows
 * (2), bytes of data (4), dimensions (8 each), and the data: numbers, or texts, each after its length in 4 bytes. */
typedef struct er_batch {
    size_t rows;
    uint8_t *kind, *flags;
    uint32_t *source;
    uint64_t *sequence, *unit;
    int64_t *time_us;
    uint32_t *latency; /* the code of FORMAT.md */
    uint16_t *shape;   /* number of the shape of the row's outputs: er_recorder_shape() */
    uint64_t *numbers; /* of the outputs: integers, sign-extended; the order-preserving bits of floats, zero-extended;
                        * and after a shadow's its difference, a float64, NaN where it failed */
    uint32_t *numbers_at;
    uint8_t *bytes;    /* texts of the outputs, each after its length in 4 bytes; the value of a note; or a capture */
    uint32_t *bytes_at;
} er_batch;

/* At most rows_max rows, and as many bytes as the ring. Freed with er_batch_free(). */
int er_batch_new(const er_recorder *recorder, size_t rows_max, er_batch **out);
void er_batch_free(er_batch *batch);
/* Take what the ring holds into a batch and the profiles; returns the number of rows. What does not fit waits. A call
 * that nobody checked has ER_FLAG_NONFINITE here too. */
int er_recorder_drain(er_recorder *recorder, er_batch *batch);
/* Positions in the ring since it was made: of its end, and up to where it was drained. */
uint64_t er_recorder_head(const er_recorder *recorder);
uint64_t er_recorder_tail(const er_recorder *recorder);

typedef struct er_output_shape {
    uint8_t form, type, count; /* FORMAT.md, outputs; count: columns */
} er_output_shape;
/* The outputs of a shape, which keeps its number; for whoever drains. Returns how many, ER_ELIMIT where max is too
 * small, ER_EINVAL for a shape that never was. Shape 0 is that of no outputs. After ER_SHAPES_MAX others, outputs that
 * need one more have form 0. */
#define ER_SHAPES_MAX 256
int er_recorder_shape(const er_recorder *recorder, size_t shape, er_output_shape *out, size_t max);

#ifdef __cplusplus
}
#endif

#endif
