/* edgerun_all.c: the whole C library as one file, for a program that embeds it without a build system.
 *
 * Compile it, or #include it, with native/include on the include path; it needs C11, Linux, POSIX threads and dlopen.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* syscall(), for a futex */
#endif
#include "src/clock.c"
#include "src/compare.c"
#include "src/crc32c.c"
#include "src/drain.c"
#include "src/error.c"
#include "src/lane.c"
#include "src/log_ring.c"
#include "src/model.c"
#include "src/outputs.c"
#include "src/pack.c"
#include "src/pack_column.c"
#include "src/profile.c"
#include "src/profile_moments.c"
#include "src/profile_read.c"
#include "src/record.c"
#include "src/record_capture.c"
#include "src/record_port.c"
#include "src/record_read.c"
#include "src/record_rows.c"
#include "src/recorder.c"
#include "src/recorder_wait.c"
#include "src/ring.c"
#include "src/runtime.c"
#include "src/shadow.c"
#include "src/shadow_report.c"
#include "src/shadow_work.c"
#include "src/shapes.c"
#include "src/sketch.c"
#include "src/split.c"
#include "src/split_batch.c"
#include "src/split_int64.c"
#include "src/summary.c"
#include "src/texts.c"
#include "src/value.c"
#include "src/xxh64.c"
