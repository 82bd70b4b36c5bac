/* lane.h: what the shadow queue needs to know of a lane. */
#ifndef ER_LANE_H
#define ER_LANE_H

#include <stdatomic.h>

#include "edgerun_log.h"
#include "model.h"

/* A value and, once described, what it is. */
struct slot {
    OrtValue *value;
    er_value_info info;
    size_t bytes; /* of a numeric tensor, else 0 */
};

struct er_lane {
    er_runtime *runtime;
    OrtRunOptions *options;
    atomic_int stopped;
    int prepared; /* the outputs are tensors that every run writes into */
    size_t n_feeds, n_outputs;
    struct er_job *job;  /* of a copy in the shadow queue, which owns it */
    struct slot slots[]; /* feeds, then outputs */
};

/* Describe every value; ER_EINVAL where an output is missing. */
int er_lane_describe(er_lane *lane);

/* Bytes of all numeric tensors of a described lane. */
size_t er_lane_bytes(const er_lane *lane);

/* 1 if copy holds numeric tensors of the same types and shapes as the prepared lane. */
int er_lane_same_shape(const er_lane *lane, const er_lane *copy);

/* Copy all tensor data between two lanes of the same shape. */
void er_lane_copy_data(const er_lane *lane, er_lane *copy);

/* A copy of a described lane: numeric tensors are copied, other values move out of it. */
int er_lane_copy(er_lane *lane, er_lane **out);

/* Run a model on the lane's feeds into outputs of the caller's, which start as NULL and are the caller's to release.
 * Of *out, everything but the flags is set. */
int er_lane_run_into(er_lane *lane, er_model *model, OrtValue **outputs, er_run *out, er_message *why);

#endif
