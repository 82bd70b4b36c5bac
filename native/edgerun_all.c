/* edgerun_all.c: the whole C library as one file, for a program that embeds it without a build system.
 *
 * Compile it, or #include it, with native/include on the include path.
 */
#include "src/error.c"
#include "src/split.c"
#include "src/split_batch.c"
#include "src/split_int64.c"
#include "src/xxh64.c"
