/* profile_stub.c: stands in for the profiles until they are there. */
#include "edgerun_log.h"

int er_profile_update(er_profile *profile, size_t port, const er_profile_data *data) {
    (void)profile;
    (void)port;
    (void)data;
    return ER_OK;
}

void er_profile_latency(er_profile *profile, int64_t latency_ns) {
    (void)profile;
    (void)latency_ns;
}
