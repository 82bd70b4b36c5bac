/* shapes.c: see shapes.h. */
#include "shapes.h"

#include <stdlib.h>
#include <string.h>

#include "recorder.h"

void er_shapes_init(struct er_shapes *shapes) {
    *shapes = (struct er_shapes){.count = 1};
}

static int is_shape(const struct er_shape *shape, const er_output_shape *outputs, size_t n) {
    return shape->n == n && (n == 0 || memcmp(shape->outputs, outputs, n * sizeof *outputs) == 0);
}

static int find_shape(struct er_shapes *shapes, const er_output_shape *outputs, size_t n) {
    if (is_shape(&shapes->known[shapes->last], outputs, n)) {
        return (int)shapes->last;
    }
    for (size_t i = 0; i < shapes->count; i++) {
        if (is_shape(&shapes->known[i], outputs, n)) {
            shapes->last = i;
            return (int)i;
        }
    }
    return ER_EFULL;
}

static int add_shape(struct er_shapes *shapes, const er_output_shape *outputs, size_t n) {
    er_output_shape *copy = malloc((n + 1) * sizeof *copy);
    if (copy == NULL) {
        return ER_ENOMEM;
    }
    if (n > 0) {
        memcpy(copy, outputs, n * sizeof *copy);
    }
    shapes->known[shapes->count] = (struct er_shape){n, copy};
    shapes->last = shapes->count;
    return (int)shapes->count++;
}

int er_shapes_number(struct er_shapes *shapes, const er_output_shape *outputs, size_t n, int *fits) {
    int number = find_shape(shapes, outputs, n);
    *fits = 1;
    if (number >= 0) {
        return number;
    }
    if (shapes->count <= ER_SHAPES_MAX) {
        return add_shape(shapes, outputs, n);
    }
    er_output_shape none[ER_PORTS_MAX] = {{0}};
    *fits = 0;
    number = find_shape(shapes, none, n);
    return number >= 0 ? number : add_shape(shapes, none, n);
}

void er_shapes_release(struct er_shapes *shapes) {
    for (size_t i = 0; i < shapes->count; i++) {
        free(shapes->known[i].outputs);
    }
}

int er_recorder_shape(const er_recorder *recorder, size_t shape, er_output_shape *out, size_t max) {
    if (shape >= recorder->shapes.count) {
        return ER_EINVAL;
    }
    const struct er_shape *known = &recorder->shapes.known[shape];
    if (known->n > max) {
        return ER_ELIMIT;
    }
    if (known->n > 0) {
        memcpy(out, known->outputs, known->n * sizeof *out);
    }
    return (int)known->n;
}
