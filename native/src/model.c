/* model.c: one onnxruntime session, its inputs and outputs, and the order in which lanes see them. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

enum { LATENCY_WEIGHT = 8 };

static void free_ports(er_model *model, struct port *ports, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (ports[i].name != NULL) {
            /* A release that fails has nobody to tell; the status must still be freed. */
            (void)er_ort_check(model->runtime, model->runtime->allocator_free(model->runtime->allocator, ports[i].name),
                               NULL);
        }
        if (ports[i].type_info != NULL) {
            model->runtime->release_type(ports[i].type_info);
        }
        free(ports[i].dims);
        free(ports[i].symbols);
    }
}

static int read_shape(const er_runtime *ort, struct port *port, er_message *why) {
    const OrtShape *shape = NULL;
    size_t rank = 0;
    int type = 0;
    int code = er_ort_check(ort, ort->cast_to_tensor_info(port->type_info, &shape), why);
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->element_type(shape, &type), why);
    }
    port->type = type;
    if (code != ER_OK || !ort->has_shape(shape)) {
        return code;
    }
    code = er_ort_check(ort, ort->rank(shape, &rank), why);
    if (code != ER_OK) {
        return code;
    }
    if (rank > ER_RANK_MAX) {
        return ER_ELIMIT;
    }
    port->rank = (int32_t)rank;
    port->dims = calloc(rank + 1, sizeof *port->dims);
    port->symbols = calloc(rank + 1, sizeof *port->symbols);
    if (port->dims == NULL || port->symbols == NULL) {
        return ER_ENOMEM;
    }
    code = er_ort_check(ort, ort->dims(shape, port->dims, rank), why);
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->symbols(shape, port->symbols, rank), why);
    }
    return code;
}

static int read_port(er_model *model, int is_input, size_t index, struct port *port, er_message *why) {
    const er_runtime *ort = model->runtime;
    OrtStatus *status = is_input ? ort->input_name(model->session, index, ort->allocator, &port->name)
                                 : ort->output_name(model->session, index, ort->allocator, &port->name);
    int code = er_ort_check(ort, status, why);
    if (code == ER_OK) {
        status = is_input ? ort->input_type(model->session, index, &port->type_info)
                          : ort->output_type(model->session, index, &port->type_info);
        code = er_ort_check(ort, status, why);
    }
    port->rank = -1;
    int kind = 0;
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->kind_of_type(port->type_info, &kind), why);
        port->kind = kind;
    }
    if (code == ER_OK && kind == ER_KIND_TENSOR) {
        code = read_shape(ort, port, why);
    }
    return code;
}

static int read_ports(er_model *model, er_message *why) {
    const er_runtime *ort = model->runtime;
    int code = er_ort_check(ort, ort->input_count(model->session, &model->n_inputs), why);
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->output_count(model->session, &model->n_outputs), why);
    }
    if (code == ER_OK && (model->n_inputs > ER_PORTS_MAX || model->n_outputs > ER_PORTS_MAX)) {
        model->n_inputs = model->n_outputs = 0;
        return ER_ELIMIT;
    }
    for (size_t i = 0; code == ER_OK && i < model->n_inputs; i++) {
        code = read_port(model, 1, i, &model->inputs[i], why);
        model->input_names[i] = model->inputs[i].name;
    }
    for (size_t i = 0; code == ER_OK && i < model->n_outputs; i++) {
        code = read_port(model, 0, i, &model->outputs[i], why);
        model->output_names[i] = model->outputs[i].name;
    }
    return code;
}

static int open_session(er_model *model, const char *path, int32_t threads, er_message *why) {
    const er_runtime *ort = model->runtime;
    OrtSessionOptions *options = NULL;
    int code = er_ort_check(ort, ort->create_session_options(&options), why);
    if (code != ER_OK) {
        return code;
    }
    code = er_ort_check(ort, ort->set_intra_op_threads(options, threads), why);
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->set_inter_op_threads(options, 1), why);
    }
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->add_config(options, "session.intra_op.allow_spinning", "0"), why);
    }
    if (code == ER_OK) {
        code = er_ort_check(ort, ort->create_session(ort->env, path, options, &model->session), why);
    }
    ort->release_session_options(options);
    return code;
}

int er_model_open(er_runtime *runtime, const char *model_path, int32_t threads, er_model **out, er_message *why) {
    if (runtime == NULL || model_path == NULL || threads < 1 || out == NULL) {
        return ER_EINVAL;
    }
    er_model *model = calloc(1, sizeof *model);
    if (model == NULL) {
        return ER_ENOMEM;
    }
    model->runtime = runtime;
    int code = open_session(model, model_path, threads, why);
    if (code == ER_OK) {
        code = read_ports(model, why);
    }
    if (code != ER_OK) {
        er_model_free(model);
        return code;
    }
    *out = model;
    return ER_OK;
}

void er_model_free(er_model *model) {
    if (model == NULL) {
        return;
    }
    free_ports(model, model->inputs, model->n_inputs);
    free_ports(model, model->outputs, model->n_outputs);
    if (model->session != NULL) {
        model->runtime->release_session(model->session);
    }
    free(model);
}

size_t er_model_input_count(const er_model *model) {
    return model->n_inputs;
}

size_t er_model_output_count(const er_model *model) {
    return model->n_outputs;
}

static void give_port(const struct port *port, er_port *out) {
    *out = (er_port){.name = port->name,
                     .kind = port->kind,
                     .type = port->type,
                     .rank = port->rank,
                     .dims = port->dims,
                     .symbols = port->symbols};
}

int er_model_input(const er_model *model, size_t index, er_port *out) {
    if (index >= model->n_inputs) {
        return ER_EINVAL;
    }
    give_port(&model->inputs[index], out);
    return ER_OK;
}

int er_model_output(const er_model *model, size_t index, er_port *out) {
    if (index >= model->n_outputs) {
        return ER_EINVAL;
    }
    give_port(&model->outputs[index], out);
    return ER_OK;
}

static int is_permutation(const uint32_t *order, size_t count) {
    unsigned char seen[ER_PORTS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        if (order[i] >= count || seen[order[i]]) {
            return 0;
        }
        seen[order[i]] = 1;
    }
    return 1;
}

int er_model_arrange(er_model *model, const uint32_t *inputs, const uint32_t *outputs) {
    if (!is_permutation(inputs, model->n_inputs) || !is_permutation(outputs, model->n_outputs)) {
        return ER_EINVAL;
    }
    for (size_t i = 0; i < model->n_inputs; i++) {
        model->input_names[i] = model->inputs[inputs[i]].name;
    }
    for (size_t i = 0; i < model->n_outputs; i++) {
        model->output_names[i] = model->outputs[outputs[i]].name;
    }
    return ER_OK;
}

void er_model_count(const er_model *model, er_model_counts *out) {
    out->runs = atomic_load_explicit(&model->runs, memory_order_relaxed);
    out->failures = atomic_load_explicit(&model->failures, memory_order_relaxed);
    out->nonfinite = atomic_load_explicit(&model->nonfinite, memory_order_relaxed);
    out->latency_ns = atomic_load_explicit(&model->latency_ns, memory_order_relaxed);
}

void er_model_note_run(er_model *model, int code, int64_t latency_ns) {
    atomic_fetch_add_explicit(&model->runs, 1, memory_order_relaxed);
    if (code != ER_OK) {
        atomic_fetch_add_explicit(&model->failures, 1, memory_order_relaxed);
        return;
    }
    /* Two runs that end together may lose one of their updates; a running mean can bear it. */
    int64_t mean = atomic_load_explicit(&model->latency_ns, memory_order_relaxed);
    mean = mean == 0 ? latency_ns : mean + (latency_ns - mean) / LATENCY_WEIGHT;
    atomic_store_explicit(&model->latency_ns, mean, memory_order_relaxed);
}
