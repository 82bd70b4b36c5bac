/* fake_profile.h: a profile that keeps what it is given, in place of the library's; for one file of a test. */
#ifndef EDGERUN_FAKE_PROFILE_H
#define EDGERUN_FAKE_PROFILE_H

#include "check.h"
#include "edgerun_log.h"

enum { FAKE_PORTS = 512, FAKE_BYTES = 8192 };

struct er_profile {
    size_t updates[FAKE_PORTS];
    er_profile_data last[FAKE_PORTS]; /* data and offsets point into what is below */
    _Alignas(8) unsigned char data[FAKE_PORTS][FAKE_BYTES];
    uint32_t offsets[FAKE_PORTS][1025];
    uint64_t latencies;
};

static size_t fake_bytes_of(int32_t type) {
    static const uint8_t bytes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8};
    CHECK(type > 0 && type < (int32_t)sizeof bytes);
    return bytes[type];
}

int er_profile_update(er_profile *profile, size_t port, const er_profile_data *data) {
    CHECK(port < FAKE_PORTS && data->columns >= 1 && data->columns <= ER_PROFILE_COLUMNS_MAX && data->rows >= 1);
    size_t n = (size_t)data->rows * data->columns, bytes = n * fake_bytes_of(data->type);
    CHECK(n <= ER_PROFILE_ELEMENTS_MAX);
    if (data->offsets != NULL) {
        memcpy(profile->offsets[port], data->offsets, (n + 1) * sizeof *data->offsets);
        bytes = data->offsets[n];
    }
    CHECK(bytes <= FAKE_BYTES);
    memcpy(profile->data[port], data->data, bytes);
    profile->last[port] = *data;
    profile->last[port].data = profile->data[port];
    profile->last[port].offsets = data->offsets == NULL ? NULL : profile->offsets[port];
    profile->updates[port]++;
    return ER_OK;
}

void er_profile_latency(er_profile *profile, int64_t latency_ns) {
    profile->latencies += (uint64_t)latency_ns;
}

#endif
