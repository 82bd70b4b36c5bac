/* model.h: what a lane needs to know of a model. */
#ifndef ER_MODEL_H
#define ER_MODEL_H

#include <stdatomic.h>

#include "ort.h"

struct port {
    char *name;             /* allocated by onnxruntime */
    OrtTypeInfo *type_info; /* owns the symbols' texts */
    int64_t *dims;
    const char **symbols;
    int32_t kind, type, rank;
};

struct er_model {
    er_runtime *runtime;
    OrtSession *session;
    size_t n_inputs, n_outputs;
    struct port inputs[ER_PORTS_MAX], outputs[ER_PORTS_MAX];
    const char *input_names[ER_PORTS_MAX], *output_names[ER_PORTS_MAX]; /* in the arranged order */
    _Atomic uint64_t runs, failures, nonfinite;
    _Atomic int64_t latency_ns;
};

void er_model_note_run(er_model *model, int code, int64_t latency_ns);

#endif
