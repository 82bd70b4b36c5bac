/* compare.h: do two models' outputs agree, and are they finite? */
#ifndef ER_COMPARE_H
#define ER_COMPARE_H

#include "ort.h"

/* Sets *found to 1 if any float in the value, at any depth, is NaN or infinite. */
int er_value_nonfinite(er_runtime *runtime, OrtValue *value, int *found, er_message *why);

/* What two values differ in; the caller starts with {0, 0.0} and may accumulate over several pairs. */
struct difference {
    int disagree;
    double max_abs_diff;
};

/* Labels (integers, booleans, strings) disagree when they differ; float tensors whose last axis has two or more
 * values when an argmax along it differs; other floats when they differ by more than the tolerance. Values of
 * another kind, type or shape disagree. */
int er_value_compare(er_runtime *runtime, OrtValue *a, OrtValue *b, double tolerance, struct difference *out);

#endif
