/* record.h: what a call brings to its record. */
#ifndef ER_RECORD_H
#define ER_RECORD_H

#include "lane.h"
#include "record_port.h"

/* The inputs, then the outputs. The inputs are left out where no profile wants them. */
struct er_ports {
    size_t n_inputs, n_outputs;
    const struct er_given *given;
};

/* Record a call or shadow that brought these; difference is a shadow's. */
int er_record_ports(const struct er_source *source, int kind, const er_event *event, const struct er_ports *ports,
                    size_t first_output, double difference);

/* Describe the values of a lane that has no prepared outputs; one of which nothing can be told is as good as none. */
void er_record_describe(er_lane *lane);

/* Record the inputs of a described lane, or row `row` of `rows` of them, if the sequence is in the sample. */
void er_record_capture(const er_source *source, const er_event *event, const er_lane *lane, size_t row, size_t rows);

#endif
