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

#ifdef __cplusplus
}
#endif

#endif
