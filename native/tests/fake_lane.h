/* fake_lane.h: a lane over numeric tensors without onnxruntime, for the recorder, which only reads it. */
#ifndef EDGERUN_FAKE_LANE_H
#define EDGERUN_FAKE_LANE_H

#include "check.h"
#include "lane.h"

struct fake_tensor {
    int32_t type;
    int32_t rank;
    int64_t dims[4];
    const void *data;
};

static inline er_lane *fake_lane(const struct fake_tensor *tensors, size_t n_feeds, size_t n_outputs) {
    er_lane *lane = calloc(1, sizeof *lane + (n_feeds + n_outputs) * sizeof lane->slots[0]);
    CHECK(lane != NULL);
    lane->prepared = 1;
    lane->n_feeds = n_feeds;
    lane->n_outputs = n_outputs;
    for (size_t i = 0; i < n_feeds + n_outputs; i++) {
        er_value_info *info = &lane->slots[i].info;
        info->kind = ER_KIND_TENSOR;
        info->type = tensors[i].type;
        info->rank = tensors[i].rank;
        info->count = 1;
        for (int32_t axis = 0; axis < tensors[i].rank; axis++) {
            info->dims[axis] = tensors[i].dims[axis];
            info->count *= (size_t)tensors[i].dims[axis];
        }
        info->data = tensors[i].data;
        lane->slots[i].bytes = info->count * er_type_bytes(info->type);
    }
    return lane;
}

#endif
