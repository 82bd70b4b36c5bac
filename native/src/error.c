/* error.c: the text for every error code of the interface. */
#include "edgerun.h"

const char *er_strerror(int code) {
    switch (code) {
    case ER_OK: return "success";
    case ER_EINVAL: return "an argument is outside its domain";
    case ER_ENOMEM: return "memory could not be allocated";
    case ER_ELIMIT: return "a documented limit is exceeded";
    case ER_EFULL: return "a bounded queue has no room";
    case ER_ECLOSED: return "the object was closed";
    case ER_ERUNTIME: return "the inference runtime refused";
    case ER_ETIMEOUT: return "stopped before the end";
    case ER_ELIBRARY: return "the inference runtime library cannot be loaded or is too old";
    default: return code > 0 ? "success" : "unknown error code";
    }
}
