/* runtime.c: loads onnxruntime's shared library and turns its statuses into codes and messages. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

/* Every error is returned; logged besides, it would stand on the stderr of whoever embeds this. */
enum { ORT_SEVERITY_FATAL = 4, ORT_DEVICE_ALLOCATOR = 0, ORT_MEMORY_DEFAULT = 0 };

typedef struct OrtApiBase {
    const void *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
} OrtApiBase;

static void say(er_message *why, const char *text) {
    if (why == NULL) {
        return;
    }
    size_t length = strlen(text);
    if (length >= ER_MESSAGE_BYTES) {
        length = ER_MESSAGE_BYTES - 1;
    }
    memcpy(why->text, text, length);
    why->text[length] = '\0';
}

int er_ort_check(const er_runtime *runtime, OrtStatus *status, er_message *why) {
    if (status == NULL) {
        return ER_OK;
    }
    say(why, runtime->error_message(status));
    runtime->release_status(status);
    return ER_ERUNTIME;
}

static int open_environment(er_runtime *runtime, er_message *why) {
    int code = er_ort_check(runtime, runtime->create_env(ORT_SEVERITY_FATAL, "edgerun", &runtime->env), why);
    if (code == ER_OK) {
        code = er_ort_check(runtime, runtime->disable_telemetry(runtime->env), why);
    }
    if (code == ER_OK) {
        code = er_ort_check(
            runtime, runtime->create_cpu_memory(ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, &runtime->memory), why);
    }
    if (code == ER_OK) {
        code = er_ort_check(runtime, runtime->default_allocator(&runtime->allocator), why);
    }
    return code;
}

static int bind_functions(er_runtime *runtime, er_message *why) {
    const OrtApiBase *(*get_base)(void) = NULL;
    void *symbol = dlsym(runtime->library, "OrtGetApiBase");
    if (symbol == NULL) {
        say(why, "the library has no OrtGetApiBase");
        return ER_ELIBRARY;
    }
    memcpy(&get_base, &symbol, sizeof symbol); /* POSIX: an object pointer from dlsym is a function pointer */
    const OrtApiBase *base = get_base();
    runtime->version = base->get_version();
    const unsigned char *table = base->get_api(ER_ORT_API_VERSION);
    if (table == NULL) {
        say(why, "the library's API is older than this program needs");
        return ER_ELIBRARY;
    }
#define ER_ORT_BIND(position, result, name, parameters) \
    memcpy(&runtime->name, table + (size_t)(position) * sizeof(void *), sizeof(void *));
    ER_ORT_CALLS(ER_ORT_BIND)
#undef ER_ORT_BIND
    return ER_OK;
}

int er_runtime_open(const char *library_path, er_runtime **out, er_message *why) {
    if (library_path == NULL || out == NULL) {
        return ER_EINVAL;
    }
    er_runtime *runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL) {
        return ER_ENOMEM;
    }
    runtime->library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    if (runtime->library == NULL) {
        const char *reason = dlerror();
        say(why, reason != NULL ? reason : "dlopen failed");
        free(runtime);
        return ER_ELIBRARY;
    }
    int code = bind_functions(runtime, why);
    if (code == ER_OK) {
        code = open_environment(runtime, why);
    }
    if (code != ER_OK) {
        er_runtime_free(runtime);
        return code;
    }
    *out = runtime;
    return ER_OK;
}

void er_runtime_free(er_runtime *runtime) {
    if (runtime == NULL) {
        return;
    }
    if (runtime->memory != NULL) {
        runtime->release_memory(runtime->memory);
    }
    if (runtime->env != NULL) {
        runtime->release_env(runtime->env);
    }
    /* The library stays loaded: its own threads and thread-local destructors may outlive this object. */
    free(runtime);
}

const char *er_runtime_version(const er_runtime *runtime) {
    return runtime->version;
}
