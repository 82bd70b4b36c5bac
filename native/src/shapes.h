/* shapes.h: the shapes of outputs that a recorder has met, each under a number. */
#ifndef ER_SHAPES_H
#define ER_SHAPES_H

#include "edgerun_log.h"

/* Besides ER_SHAPES_MAX there is room for that of no outputs, and one of form 0 for every other number of them. */
enum { ER_SHAPES_ROOM = 1 + ER_SHAPES_MAX + ER_PORTS_MAX };

struct er_shape {
    size_t n;
    er_output_shape *outputs;
};

struct er_shapes {
    size_t count, last;
    struct er_shape known[ER_SHAPES_ROOM];
};

/* Know only shape 0, that of rows without outputs. */
void er_shapes_init(struct er_shapes *shapes);

/* The number of a shape, new if need be. Where there are too many, *fits becomes 0 and it is one of form 0 for all
 * outputs. ER_ENOMEM. */
int er_shapes_number(struct er_shapes *shapes, const er_output_shape *outputs, size_t n, int *fits);
void er_shapes_release(struct er_shapes *shapes);

#endif
