/* shapes.h: the shapes of outputs that a recorder has met, each under a number. */
#ifndef ER_SHAPES_H
#define ER_SHAPES_H

#include "edgerun_log.h"

/* Beyond ER_SHAPES_MAX there is room for one of form 0 for every number of outputs. */
enum { ER_SHAPES_ROOM = ER_SHAPES_MAX + ER_PORTS_MAX + 1 };

struct er_shape {
    size_t n;
    er_output_shape *outputs;
};

struct er_shapes {
    size_t count, last;
    struct er_shape known[ER_SHAPES_ROOM];
};

/* The number of a shape, new if need be. Where there are too many, *fits becomes 0 and it is one of form 0 for all
 * outputs. ER_ENOMEM. */
int er_shapes_number(struct er_shapes *shapes, const er_output_shape *outputs, size_t n, int *fits);
void er_shapes_release(struct er_shapes *shapes);

#endif
