/* edgerun_runtime.h: models and runs on top of onnxruntime's C API, and the shadow queue.
 *
 * The rules of edgerun.h hold here too. In addition:
 *  a. Nothing links against onnxruntime: er_runtime_open() loads its shared library and reads its function table,
 *     which is append-only, so any library of API version ER_ORT_API_VERSION or later works.
 *  b. A function that can fail inside onnxruntime takes an er_message; on ER_ERUNTIME and ER_ELIBRARY it holds
 *     the library's own sentence. It may be NULL.
 *  c. A model may run from many threads at once; a lane belongs to one call at a time.
 */
#ifndef EDGERUN_RUNTIME_H
#define EDGERUN_RUNTIME_H

#include "edgerun.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ER_ORT_API_VERSION 24
#define ER_MESSAGE_BYTES 1024
#define ER_RANK_MAX 32
#define ER_PORTS_MAX 256

/* The kinds of a value and the element types of a tensor carry onnxruntime's own numbers (ONNXType and
 * ONNXTensorElementDataType), which are part of the ONNX standard's protocol buffers. */
enum { ER_KIND_TENSOR = 1, ER_KIND_SEQUENCE = 2, ER_KIND_MAP = 3 };
enum {
    ER_TYPE_FLOAT = 1,
    ER_TYPE_UINT8 = 2,
    ER_TYPE_INT8 = 3,
    ER_TYPE_UINT16 = 4,
    ER_TYPE_INT16 = 5,
    ER_TYPE_INT32 = 6,
    ER_TYPE_INT64 = 7,
    ER_TYPE_STRING = 8,
    ER_TYPE_BOOL = 9,
    ER_TYPE_FLOAT16 = 10,
    ER_TYPE_DOUBLE = 11,
    ER_TYPE_UINT32 = 12,
    ER_TYPE_UINT64 = 13
};

typedef struct er_message {
    char text[ER_MESSAGE_BYTES]; /* always NUL-terminated once written */
} er_message;

/* ---- runtime: the loaded library and its environment; outlives every object made from it ---- */

typedef struct er_runtime er_runtime;

/* library_path is NUL-terminated. Set ORT_DISABLE_TELEMETRY=1 in the environment before the call. */
int er_runtime_open(const char *library_path, er_runtime **out, er_message *why);
void er_runtime_free(er_runtime *runtime);
const char *er_runtime_version(const er_runtime *runtime);

/* ---- model: one session ---- */

typedef struct er_model er_model;

/* One input or output of a model. Pointers stay valid as long as the model. */
typedef struct er_port {
    const char *name;
    int32_t kind;         /* ER_KIND_* or another ONNXType */
    int32_t type;         /* ER_TYPE_* of a tensor, else 0 */
    int32_t rank;         /* of a tensor that declares its shape, else -1 */
    const int64_t *dims;  /* rank dimensions; -1 where the dimension is dynamic */
    const char **symbols; /* rank names; "" where the dimension has none */
} er_port;

/* model_path is NUL-terminated. threads is the number of intra-op threads, at least 1; none of them spins. */
int er_model_open(er_runtime *runtime, const char *model_path, int32_t threads, er_model **out, er_message *why);
void er_model_free(er_model *model);
size_t er_model_input_count(const er_model *model);
size_t er_model_output_count(const er_model *model);
int er_model_input(const er_model *model, size_t index, er_port *out);
int er_model_output(const er_model *model, size_t index, er_port *out);
/* Fix the order in which lanes give inputs and take outputs: a permutation of each. Call it before any run. */
int er_model_arrange(er_model *model, const uint32_t *inputs, const uint32_t *outputs);

typedef struct er_model_counts {
    uint64_t runs, failures, nonfinite; /* nonfinite counts only runs that were checked */
    int64_t latency_ns;                 /* a running mean, with weight 1/8 on the newest run; 0 before the first */
} er_model_counts;

void er_model_count(const er_model *model, er_model_counts *out);

/* ---- value: a tensor, sequence or map of onnxruntime ---- */

typedef struct er_value er_value;

typedef struct er_value_info {
    int32_t kind;
    int32_t type;
    int32_t rank;
    int64_t dims[ER_RANK_MAX];
    size_t count;    /* elements of a tensor, children of a sequence or map */
    const void *data; /* of a numeric tensor, else NULL; valid as long as the value */
} er_value_info;

/* A tensor over the caller's memory, which must outlive the value and be aligned for its type. */
int er_value_borrow(er_runtime *runtime, int32_t type, const int64_t *dims, size_t rank, void *data, size_t bytes,
                    er_value **out, er_message *why);
/* A string tensor: UTF-8 texts laid end to end, text i at [offsets[i], offsets[i + 1]); texts hold no NUL. */
int er_value_strings(er_runtime *runtime, const int64_t *dims, size_t rank, const char *texts, const size_t *offsets,
                     size_t count, er_value **out, er_message *why);
void er_value_free(er_runtime *runtime, er_value *value);
int er_value_describe(er_runtime *runtime, const er_value *value, er_value_info *out, er_message *why);
/* All bytes of a string tensor, and then the texts themselves with their start offsets. */
int er_value_text_bytes(er_runtime *runtime, const er_value *value, size_t *bytes, er_message *why);
int er_value_text(er_runtime *runtime, const er_value *value, char *texts, size_t bytes, size_t *offsets,
                  size_t count, er_message *why);
/* Child i of a sequence; of a map, 0 is the tensor of keys and 1 the tensor of values. The caller frees it. */
int er_value_child(er_runtime *runtime, const er_value *value, size_t index, er_value **out, er_message *why);

/* ---- lane: the inputs and outputs of one call, and the means to stop it ---- */

typedef struct er_lane er_lane;

enum { ER_RUN_NONFINITE = 1 }; /* flag: a float output holds NaN or infinity */

typedef struct er_run {
    int64_t latency_ns; /* of the run alone */
    uint32_t flags;     /* ER_RUN_*; set only where the check was asked for */
    int64_t start_ns;   /* er_clock_ns() of edgerun_log.h when the run began */
} er_run;

/* Takes the feeds, and the outputs where outputs is not NULL: tensors that every run writes into. Without them
 * each run's outputs are allocated by onnxruntime. On failure the caller keeps them all. */
int er_lane_new(er_runtime *runtime, er_value *const *feeds, size_t n_feeds, er_value *const *outputs,
                size_t n_outputs, er_lane **out, er_message *why);
void er_lane_free(er_lane *lane);
/* Run once. ER_ERUNTIME also where an output does not fit the tensor prepared for it. ER_ETIMEOUT: stopped. */
int er_lane_run(er_lane *lane, er_model *model, int check_finite, er_run *out, er_message *why);
/* Output i of the last run; the lane keeps it, and the next run may free it. */
er_value *er_lane_output(const er_lane *lane, size_t index);
/* From any thread: make the current run, or the next one if none is under way, end with ER_ETIMEOUT. */
int er_lane_stop(er_lane *lane);

/* ---- shadow queue: runs watched models on copies of a call, on a thread of its own ---- */

typedef struct er_shadow er_shadow;

#define ER_WATCHES_MAX 17 /* models that run on one call: 16 that watch it, and one on trial */

typedef struct er_watch {
    er_model *model; /* the caller keeps it alive until its jobs are done */
    uint32_t slot;   /* whose counters to use; below the queue's slots */
    float tolerance; /* how far single-valued float outputs may differ and still agree */
} er_watch;

typedef struct er_shadow_result {
    uint64_t sequence; /* of the call */
    int64_t latency_ns;
    double max_abs_diff; /* over all float outputs; infinity where one side is not finite and the other is */
    uint32_t slot;
    int32_t code;     /* ER_OK, or why there is no comparison */
    uint8_t disagree; /* a label, an argmax, or a single value beyond the tolerance */
    uint8_t nonfinite;
} er_shadow_result;

typedef struct er_shadow_counts {
    uint64_t offered, done, disagreed, failed, nonfinite;
    uint64_t dropped_full, dropped_bytes, dropped_closed, results_lost;
} er_shadow_counts;

/* capacity: jobs, a power of two up to 65536. bytes_max bounds the copies of queued tensors. */
int er_shadow_new(er_runtime *runtime, size_t capacity, size_t bytes_max, size_t slots, er_shadow **out);
/* Only after er_shadow_work() has returned, or in a process where it never ran. */
void er_shadow_free(er_shadow *shadow);
/* The worker: give it a thread. Returns after er_shadow_close(). */
int er_shadow_work(er_shadow *shadow);
/* Copy the lane's feeds and last outputs into the queue, once for all its watches; never waits. Numeric tensors are
 * copied; other values of a lane that was made without outputs move into the queue, so run or offer such a lane no
 * more afterwards. ER_EFULL, ER_ELIMIT (bytes) and ER_ECLOSED are counted as drops of every watch. */
int er_shadow_offer(er_shadow *shadow, er_lane *lane, uint64_t sequence, const er_watch *watches, size_t n_watches);
/* Wait until every offered job is done or the queue is closed: ER_OK, or ER_ETIMEOUT. timeout_ms < 0: for ever. */
int er_shadow_wait(er_shadow *shadow, int64_t timeout_ms);
/* Move up to max finished results into out; returns how many. */
int er_shadow_results(er_shadow *shadow, er_shadow_result *out, size_t max);
int er_shadow_count(er_shadow *shadow, size_t slot, er_shadow_counts *out);
/* Refuse further offers, drop what is queued, stop the run under way, and make er_shadow_work() return. */
void er_shadow_close(er_shadow *shadow);

#ifdef __cplusplus
}
#endif

#endif
