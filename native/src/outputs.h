/* outputs.h: what a record holds of an output, as columns of the log. */
#ifndef ER_OUTPUTS_H
#define ER_OUTPUTS_H

#include "recorder.h"

enum { ER_FORM_NONE, ER_FORM_NUMBERS, ER_FORM_DISTRIBUTION, ER_FORM_SUMMARY, ER_FORM_TEXTS, ER_FORM_CLASS };

/* An output has at most this many numbers or texts in a row of the log. */
enum { ER_OUTPUT_COLUMNS_MAX = 16 };

/* Where the columns of a row go; there is room for whatever the record may hold. */
struct er_columns {
    uint64_t *numbers; /* the next one */
    unsigned char *bytes;
};

/* Append an output's columns. Sets its shape, and *nonfinite to 1 where a float is NaN or infinite. */
void er_output_columns(const struct er_held *held, struct er_columns *to, er_output_shape *shape, int *nonfinite);

/* What a profile sees of a port; 0 where there is nothing. */
int er_held_data(const struct er_held *held, er_profile_data *out);

#endif
