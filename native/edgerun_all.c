/* edgerun_all.c: the whole C library as one file, for a program that embeds it without a build system.
 *
 * Compile it, or #include it, with native/include on the include path; it needs C11, POSIX threads and dlopen.
 */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include "src/compare.c"
#include "src/crc32c.c"
#include "src/error.c"
#include "src/lane.c"
#include "src/model.c"
#include "src/pack.c"
#include "src/profile.c"
#include "src/profile_moments.c"
#include "src/profile_read.c"
#include "src/ring.c"
#include "src/runtime.c"
#include "src/shadow.c"
#include "src/shadow_report.c"
#include "src/sketch.c"
#include "src/split.c"
#include "src/split_batch.c"
#include "src/split_int64.c"
#include "src/texts.c"
#include "src/value.c"
#include "src/xxh64.c"
