/* edgerun.h: the C core of edgerun, for a program that embeds it without Python.
 *
 * Rules of this interface:
 *  1. Every fallible function returns int: ER_OK (0) or a count or index >= 0; a negative ER_E* code on failure.
 *  2. The codes are pinned: a code is never renumbered and never reused.
 *  3. er_strerror() gives a static text for every code; no message is ever allocated.
 *  4. Objects are opaque; the creator frees them with the matching er_*_free(), which accepts NULL.
 *  5. Bytes are passed as pointer and length; nothing needs a terminating NUL unless it says so.
 *  6. An out-parameter is written only on success, unless its description says otherwise.
 *  7. There are no globals: two objects never share state, and a const object may be read from many threads.
 *  8. Functions are only added; a signature never changes. ER_VERSION is the version of this interface.
 */
#ifndef EDGERUN_H
#define EDGERUN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ER_VERSION 1

enum {
    ER_OK = 0,
    ER_EINVAL = -1,   /* an argument is outside its documented domain */
    ER_ENOMEM = -2,   /* memory could not be allocated */
    ER_ELIMIT = -3,   /* a documented limit is exceeded */
    ER_EFULL = -4,    /* a bounded queue has no room */
    ER_ECLOSED = -5,  /* the object was closed */
    ER_ERUNTIME = -6, /* the inference runtime refused; its own message is kept by the object */
    ER_ETIMEOUT = -7, /* the run was stopped, or the wait ended, before the end */
    ER_ELIBRARY = -8  /* the inference runtime library cannot be loaded or is too old */
};

/* A static English text for a code of this interface; never NULL. */
const char *er_strerror(int code);

/* ---- The split: which arm owns a key. SPLIT.md is the specification. ---- */

/* A split has at most this many ranges; er_split_new refuses more with ER_ELIMIT. */
#define ER_SPLIT_MAX_RANGES 65536

/* A salt and the ranges that its points are cut into. Immutable. */
typedef struct er_split er_split;

/* XXH64 of len bytes. data may be NULL when len is 0. */
uint64_t er_xxh64(const void *data, size_t len, uint64_t seed);

/* Range i is [starts[i], starts[i + 1]) and belongs to arm arms[i]; the last one ends at 2^32. starts[0] is 0,
 * starts increase strictly and arms are >= 0, else ER_EINVAL. Everything is copied. */
int er_split_new(const void *salt, size_t salt_len, const uint32_t *starts, const int32_t *arms, size_t n_ranges,
                 er_split **out);
void er_split_free(er_split *split);

/* XXH64(salt, 42): the seed under which this split hashes keys. split is not NULL. */
uint64_t er_split_seed(const er_split *split);

/* The arm of one key. hash_out may be NULL; it gets XXH64(key, seed), whose upper 32 bits are the key's point. */
int er_split_assign(const er_split *split, const void *key, size_t len, uint64_t *hash_out);

/* The batch functions write the arm of key i to arms[i] and return ER_OK. Keys may lie at any alignment. When a
 * batch is refused in the middle, arms holds some of the answers: ignore it. */

/* n keys of `width` bytes each, one after the other. */
int er_split_assign_fixed(const er_split *split, const void *keys, size_t width, size_t n, int32_t *arms);

/* Key i is the bytes [offsets[i], offsets[i + 1]) of data: Arrow's layout of strings, n + 1 offsets. ER_EINVAL
 * where offsets fall or leave [0, data_len]. */
int er_split_assign_offsets32(const er_split *split, const void *data, size_t data_len, const int32_t *offsets,
                              size_t n, int32_t *arms);
int er_split_assign_offsets64(const er_split *split, const void *data, size_t data_len, const int64_t *offsets,
                              size_t n, int32_t *arms);

/* n keys joined by n - 1 separator bytes, which no key contains. ER_EINVAL when there are not n keys. n == 0 needs
 * len == 0; with n == 1, len == 0 is one empty key. */
int er_split_assign_separated(const er_split *split, const char *data, size_t len, char separator, size_t n,
                              int32_t *arms);

/* The key is the integer's decimal text: digits without leading zeros, '-' before a negative one. */
int er_split_assign_int64(const er_split *split, const int64_t *keys, size_t n, int32_t *arms);

#ifdef __cplusplus
}
#endif

#endif
