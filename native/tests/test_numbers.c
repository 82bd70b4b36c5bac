/* test_numbers.c: halves become the floats they stand for, and NaN and infinity are found in every float type. */
#include <math.h>

#include "check.h"
#include "ort.h"

/* From the definition of binary16 in IEEE 754: (-1)^s * 2^(e-15) * 1.f, subnormal 2^-14 * 0.f. */
static double half_by_definition(uint16_t half) {
    double sign = half & 0x8000 ? -1.0 : 1.0;
    int exponent = half >> 10 & 0x1f;
    double fraction = (half & 0x3ff) / 1024.0;
    if (exponent == 0x1f) {
        return fraction > 0 ? NAN : sign * INFINITY;
    }
    return sign * (exponent == 0 ? ldexp(fraction, -14) : ldexp(1.0 + fraction, exponent - 15));
}

static void test_every_half(void) {
    for (uint32_t half = 0; half <= UINT16_MAX; half++) {
        double expected = half_by_definition((uint16_t)half);
        double found = er_half_to_float((uint16_t)half);
        CHECK(isnan(expected) ? isnan(found) : found == expected && signbit(found) == signbit(expected));
        uint16_t data = (uint16_t)half;
        CHECK(er_data_nonfinite(ER_TYPE_FLOAT16, &data, 1) == !isfinite(expected));
    }
}

static void test_nonfinite_at_every_place(void) {
    enum { COUNT = 67 };
    float floats[COUNT];
    double doubles[COUNT];
    const double bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (size_t place = 0; place < COUNT; place++) {
        for (size_t kind = 0; kind < 4; kind++) {
            for (size_t i = 0; i < COUNT; i++) {
                floats[i] = i % 2 ? -3.4e38f : 0.0f;
                doubles[i] = i % 2 ? -1.7e308 : 0.0;
            }
            CHECK(!er_data_nonfinite(ER_TYPE_FLOAT, floats, COUNT));
            CHECK(!er_data_nonfinite(ER_TYPE_DOUBLE, doubles, COUNT));
            floats[place] = (float)bad[kind];
            doubles[place] = bad[kind];
            CHECK(er_data_nonfinite(ER_TYPE_FLOAT, floats, COUNT));
            CHECK(er_data_nonfinite(ER_TYPE_DOUBLE, doubles, COUNT));
            CHECK(!er_data_nonfinite(ER_TYPE_FLOAT, floats, place));
        }
    }
    CHECK(!er_data_nonfinite(ER_TYPE_INT32, "\xff\xff\xff\xff", 1));
}

int main(void) {
    test_every_half();
    test_nonfinite_at_every_place();
    return 0;
}
