/* record_port.h: one input or output on its way into a record. */
#ifndef ER_RECORD_PORT_H
#define ER_RECORD_PORT_H

#include "recorder.h"
#include "summary.h"

/* What a call brings at a port. Of texts, text i is [offsets[i], offsets[i + 1]) of data. */
struct er_given {
    const void *data;
    const size_t *offsets;
    const struct er_class *best; /* of a map, whose numbers data are */
    size_t count;                /* numbers or texts */
    size_t last;                 /* of them along the last axis; 1 where there is no axis */
    int32_t type;                /* ER_TYPE_*; 0 where there is nothing that can be held */
    void *owned;                 /* memory that data lies in, to be freed; else NULL */
};

/* What of it is held, and how much room that takes. */
struct er_plan {
    const struct er_given *given;
    uint32_t rows, columns, first, stride; /* rows first, first + stride, ... */
    uint32_t bytes;                        /* after struct er_held */
    uint8_t hold, element_bytes;
};

/* Hold at most elements_max of what is given, which is an output or not; the sequence says which rows. */
void er_plan(const struct er_given *given, int is_output, uint32_t elements_max, uint64_t sequence,
             struct er_plan *plan);

/* Write what is held, and return where the next one begins; the memory is zeroed. */
unsigned char *er_plan_write(const struct er_plan *plan, const struct er_summary *summary, unsigned char *to);

/* Of a value that is no numeric tensor: texts, or the numbers of a map. Item says which of a sequence of `items`. What
 * cannot be held leaves type 0. The caller frees given->owned. */
void er_given_read(er_runtime *runtime, const er_value *value, const er_value_info *info, size_t item, size_t items,
                   struct er_given *given);

#endif
