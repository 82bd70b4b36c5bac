/* outputs.c: see outputs.h. The forms are those of edgerun/log/FORMAT.md. */
#include "outputs.h"

#include <string.h>

#include "summary.h"

static const unsigned char *data_of(const struct er_held *held) {
    return (const unsigned char *)(held + 1);
}

/* The numbers or texts of a port that holds some, behind whatever stands before them. */
static const unsigned char *elements_of(const struct er_held *held) {
    const unsigned char *data = data_of(held);
    if (held->hold == ER_HELD_SUMMARY) {
        return data + sizeof(struct er_summary);
    }
    if (held->hold == ER_HELD_CLASS) {
        return data + sizeof(struct er_class) + er_padded(((const struct er_class *)(const void *)data)->length);
    }
    return data;
}

int er_held_data(const struct er_held *held, er_profile_data *out) {
    if (held->hold == ER_HELD_NOTHING || held->rows == 0) {
        return 0;
    }
    const unsigned char *elements = elements_of(held);
    out->type = held->type;
    out->columns = held->columns;
    out->rows = held->rows;
    out->data = elements;
    out->offsets = NULL;
    if (held->type == ER_TYPE_STRING) {
        out->offsets = (const uint32_t *)(const void *)elements;
        out->data = elements + ((size_t)held->rows * held->columns + 1) * sizeof(uint32_t);
    }
    return 1;
}

static void append_text(struct er_columns *to, const void *text, uint32_t length) {
    memcpy(to->bytes, &length, sizeof length);
    memcpy(to->bytes + sizeof length, text, length);
    to->bytes += sizeof length + length;
}

static void texts_columns(const struct er_held *held, struct er_columns *to, er_output_shape *shape) {
    er_profile_data texts;
    size_t count = (size_t)held->rows * held->columns;
    if (held->hold != ER_HELD_WHOLE || count > ER_OUTPUT_COLUMNS_MAX || !er_held_data(held, &texts)) {
        return;
    }
    shape->form = ER_FORM_TEXTS;
    shape->count = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        append_text(to, (const char *)texts.data + texts.offsets[i], texts.offsets[i + 1] - texts.offsets[i]);
    }
}

static void class_columns(const struct er_held *held, struct er_columns *to, er_output_shape *shape) {
    const struct er_class *best = (const struct er_class *)(const void *)data_of(held);
    shape->form = ER_FORM_CLASS;
    shape->count = 2;
    append_text(to, best + 1, best->length);
    *to->numbers++ = er_number_bits(held->type, best->number, 0);
}

static void summary_columns(const struct er_held *held, const struct er_summary *summary, struct er_columns *to,
                            er_output_shape *shape) {
    int is_distribution = er_is_distribution(held->type, summary);
    if (!is_distribution && summary->count <= ER_OUTPUT_COLUMNS_MAX) {
        shape->form = ER_FORM_NUMBERS;
        shape->count = (uint8_t)summary->count;
        for (size_t i = 0; i < summary->count; i++) {
            *to->numbers++ = er_number_bits(held->type, data_of(held), i);
        }
        return;
    }
    *to->numbers++ = summary->argmax;
    if (is_distribution) {
        shape->form = ER_FORM_DISTRIBUTION;
        shape->count = 2;
        *to->numbers++ = summary->best;
        return;
    }
    shape->form = ER_FORM_SUMMARY;
    shape->count = 4;
    *to->numbers++ = er_double_bits(summary->min);
    *to->numbers++ = er_double_bits(summary->max);
    *to->numbers++ = er_double_bits(summary->finite > 0 ? summary->sum / (double)summary->finite : summary->min);
}

void er_output_columns(const struct er_held *held, struct er_columns *to, er_output_shape *shape, int *nonfinite) {
    *shape = (er_output_shape){.form = ER_FORM_NONE, .type = held->type};
    if (held->hold == ER_HELD_CLASS) {
        class_columns(held, to, shape);
        *nonfinite |= er_data_nonfinite(held->type, elements_of(held), (size_t)held->rows * held->columns);
    } else if (held->type == ER_TYPE_STRING) {
        texts_columns(held, to, shape);
    } else if (held->hold == ER_HELD_WHOLE || held->hold == ER_HELD_SUMMARY) {
        struct er_summary summary;
        if (held->hold == ER_HELD_SUMMARY) {
            memcpy(&summary, data_of(held), sizeof summary);
        } else {
            er_summarise(held->type, data_of(held), (size_t)held->rows * held->columns, &summary);
        }
        *nonfinite |= summary.finite < summary.count;
        summary_columns(held, &summary, to, shape);
    }
}
