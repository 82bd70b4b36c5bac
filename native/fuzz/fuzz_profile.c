/* fuzz_profile.c: any data into any ports, in any types. Every number is counted once, wherever it is counted.
 *
 * Input: pages (1 byte), then for each update: port, type, columns, rows (1 byte each), data.
 */
#include <math.h>

#include "edgerun_log.h"
#include "fuzz.h"

enum { PORTS = 3, CELLS_MAX = 2 * 254 * 64 };

static size_t bytes_of(int type) {
    static const uint8_t bytes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0};
    return bytes[type];
}

/* A column of numbers holds together. */
static void check_column(const er_profile *profile, size_t at, const er_profile_port *port, uint32_t column) {
    static int32_t cells[CELLS_MAX];
    static uint64_t weights[CELLS_MAX];
    int n = er_profile_cells(profile, at, column, cells, weights, CELLS_MAX);
    uint64_t sum = port->unsketched[column], count = port->count[column];
    fuzz_require(n >= 0);
    for (int i = 0; i < n; i++) {
        fuzz_require(weights[i] > 0 && (i == 0 || cells[i - 1] < cells[i]));
        sum += weights[i];
    }
    fuzz_require(sum <= count && port->zero[column] <= count - sum);
    double low = port->min[column], high = port->max[column], mean = port->mean[column], m2 = port->m2[column];
    if (count == 0) {
        fuzz_require(isinf(low) && low > 0 && isinf(high) && high < 0 && mean == 0.0 && m2 == 0.0);
        return;
    }
    double spread = fmax(fabs(low), fabs(high)), slack = spread * 0x1p-40 + 0x1p-1074;
    fuzz_require(isfinite(low) && isfinite(high) && low <= high && isfinite(mean) && m2 >= 0.0);
    fuzz_require(low / 2 - slack <= mean / 2 && mean / 2 <= high / 2 + slack);
}

static void check_texts(const er_profile *profile, size_t at, const er_profile_port *port, uint32_t column) {
    er_frequent found[32];
    uint64_t error, sum = 0;
    int n = er_profile_frequent(profile, at, column, found, 32, &error);
    fuzz_require(n >= 0);
    for (int i = 0; i < n; i++) {
        fuzz_require(found[i].weight > 0 && found[i].len <= 64);
        sum += found[i].weight;
    }
    fuzz_require(sum + 33 * error == port->count[column] && port->missing[column] <= port->count[column]);
}

static void update(er_profile *profile, struct fuzz_input *input, uint64_t numbers[PORTS]) {
    size_t port = fuzz_take_byte(input) % PORTS;
    int32_t type = fuzz_take_byte(input) % 16;
    uint32_t columns = fuzz_take_byte(input) % 40U, rows = fuzz_take_byte(input);
    size_t n = (size_t)columns * rows;
    uint32_t *offsets = malloc((n + 1) * sizeof offsets[0]);
    fuzz_require(offsets != NULL);
    offsets[0] = 0;
    for (size_t i = 0; i < n; i++) {
        offsets[i + 1] = offsets[i] + (type == ER_TYPE_STRING ? fuzz_take_byte(input) % 100U : 0);
    }
    size_t bytes = type == ER_TYPE_STRING ? offsets[n] : n * bytes_of(type);
    uint8_t *data = malloc(bytes + 1);
    fuzz_require(data != NULL);
    fuzz_take(input, data, bytes);
    er_profile_data given = {type, columns, rows, data, offsets};
    int code = er_profile_update(profile, port, &given);
    fuzz_require(code == (columns == 0 ? ER_EINVAL : ER_OK));
    er_profile *copy;
    fuzz_require(er_profile_copy(profile, &copy) == ER_OK);
    er_profile_port found;
    fuzz_require(er_profile_read(copy, port, &found) == ER_OK);
    if (found.type == type && found.columns == columns && columns > 0) {
        numbers[port] += rows;
    }
    er_profile_free(copy);
    free(data);
    free(offsets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_input input = {data, size};
    er_profile *profile, *taken;
    uint64_t numbers[PORTS] = {0};
    fuzz_require(er_profile_new(2, 1, fuzz_take_byte(&input), &profile) == ER_OK);
    while (input.size > 0) {
        update(profile, &input, numbers);
    }
    fuzz_require(er_profile_take(profile, &taken) == ER_OK);
    for (size_t port = 0; port < PORTS; port++) {
        er_profile_port found;
        fuzz_require(er_profile_read(taken, port, &found) == ER_OK);
        for (uint32_t i = 0; i < found.columns; i++) {
            if (found.type == ER_TYPE_STRING) {
                fuzz_require(found.count[i] == numbers[port]);
                check_texts(taken, port, &found, i);
            } else {
                fuzz_require(found.count[i] + found.missing[i] + found.infinite[i] == numbers[port]);
                check_column(taken, port, &found, i);
            }
        }
    }
    er_profile_free(taken);
    er_profile_free(profile);
    return 0;
}
