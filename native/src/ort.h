/* ort.h: the part of onnxruntime's C API that the core uses.
 *
 * OrtApi is a table of function pointers that only grows; the position of a function is its identity. ER_ORT_CALLS
 * lists the ones used here with their positions, so neither headers nor a link against onnxruntime are needed. */
#ifndef ER_ORT_H
#define ER_ORT_H

#include "edgerun_runtime.h"

typedef struct OrtStatus OrtStatus; /* NULL is success */
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtShape;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;

/* X(position, result, name, parameters) */
#define ER_ORT_CALLS(X)                                                                                            \
    X(1, int, error_code, (const OrtStatus *))                                                                     \
    X(2, const char *, error_message, (const OrtStatus *))                                                         \
    X(3, OrtStatus *, create_env, (int severity, const char *log_id, OrtEnv **))                                   \
    X(6, OrtStatus *, disable_telemetry, (const OrtEnv *))                                                         \
    X(7, OrtStatus *, create_session, (const OrtEnv *, const char *, const OrtSessionOptions *, OrtSession **))    \
    X(9, OrtStatus *, run,                                                                                         \
      (OrtSession *, const OrtRunOptions *, const char *const *, const OrtValue *const *, size_t,                  \
       const char *const *, size_t, OrtValue **))                                                                  \
    X(10, OrtStatus *, create_session_options, (OrtSessionOptions **))                                             \
    X(24, OrtStatus *, set_intra_op_threads, (OrtSessionOptions *, int))                                           \
    X(25, OrtStatus *, set_inter_op_threads, (OrtSessionOptions *, int))                                           \
    X(30, OrtStatus *, input_count, (const OrtSession *, size_t *))                                                \
    X(31, OrtStatus *, output_count, (const OrtSession *, size_t *))                                               \
    X(33, OrtStatus *, input_type, (const OrtSession *, size_t, OrtTypeInfo **))                                   \
    X(34, OrtStatus *, output_type, (const OrtSession *, size_t, OrtTypeInfo **))                                  \
    X(36, OrtStatus *, input_name, (const OrtSession *, size_t, OrtAllocator *, char **))                          \
    X(37, OrtStatus *, output_name, (const OrtSession *, size_t, OrtAllocator *, char **))                         \
    X(39, OrtStatus *, create_run_options, (OrtRunOptions **))                                                     \
    X(46, OrtStatus *, set_terminate, (OrtRunOptions *))                                                           \
    X(47, OrtStatus *, unset_terminate, (OrtRunOptions *))                                                         \
    X(48, OrtStatus *, create_tensor, (OrtAllocator *, const int64_t *, size_t, int, OrtValue **))                 \
    X(49, OrtStatus *, create_tensor_over,                                                                         \
      (const OrtMemoryInfo *, void *, size_t, const int64_t *, size_t, int, OrtValue **))                          \
    X(51, OrtStatus *, tensor_data, (OrtValue *, void **))                                                         \
    X(52, OrtStatus *, fill_strings, (OrtValue *, const char *const *, size_t))                                    \
    X(53, OrtStatus *, strings_bytes, (const OrtValue *, size_t *))                                                \
    X(54, OrtStatus *, strings_content, (const OrtValue *, void *, size_t, size_t *, size_t))                      \
    X(55, OrtStatus *, cast_to_tensor_info, (const OrtTypeInfo *, const OrtShape **))                              \
    X(56, OrtStatus *, kind_of_type, (const OrtTypeInfo *, int *))                                                 \
    X(60, OrtStatus *, element_type, (const OrtShape *, int *))                                                    \
    X(61, OrtStatus *, rank, (const OrtShape *, size_t *))                                                         \
    X(62, OrtStatus *, dims, (const OrtShape *, int64_t *, size_t))                                                \
    X(63, OrtStatus *, symbols, (const OrtShape *, const char **, size_t))                                         \
    X(64, OrtStatus *, element_count, (const OrtShape *, size_t *))                                                \
    X(65, OrtStatus *, tensor_shape, (const OrtValue *, OrtShape **))                                              \
    X(67, OrtStatus *, kind_of_value, (const OrtValue *, int *))                                                   \
    X(69, OrtStatus *, create_cpu_memory, (int, int, OrtMemoryInfo **))                                            \
    X(76, OrtStatus *, allocator_free, (OrtAllocator *, void *))                                                   \
    X(78, OrtStatus *, default_allocator, (OrtAllocator **))                                                       \
    X(80, OrtStatus *, child, (const OrtValue *, int, OrtAllocator *, OrtValue **))                                \
    X(81, OrtStatus *, child_count, (const OrtValue *, size_t *))                                                  \
    X(92, void, release_env, (OrtEnv *))                                                                           \
    X(93, void, release_status, (OrtStatus *))                                                                     \
    X(94, void, release_memory, (OrtMemoryInfo *))                                                                 \
    X(95, void, release_session, (OrtSession *))                                                                   \
    X(96, void, release_value, (OrtValue *))                                                                       \
    X(97, void, release_run_options, (OrtRunOptions *))                                                            \
    X(98, void, release_type, (OrtTypeInfo *))                                                                     \
    X(99, void, release_shape, (OrtShape *))                                                                       \
    X(100, void, release_session_options, (OrtSessionOptions *))                                                   \
    X(130, OrtStatus *, add_config, (OrtSessionOptions *, const char *, const char *))              \
    X(390, _Bool, has_shape, (const OrtShape *))

struct er_runtime {
    void *library;
    const char *version;
    OrtEnv *env;
    OrtMemoryInfo *memory; /* plain CPU memory */
    OrtAllocator *allocator;
#define ER_ORT_MEMBER(position, result, name, parameters) result(*name) parameters;
    ER_ORT_CALLS(ER_ORT_MEMBER)
#undef ER_ORT_MEMBER
};

/* Consume a status: ER_OK for NULL; else ER_ERUNTIME with the library's sentence in why. */
int er_ort_check(const er_runtime *runtime, OrtStatus *status, er_message *why);

/* Elements are this many bytes; 0 for strings and for types that the core does not handle. */
size_t er_type_bytes(int32_t type);

/* 1 if a tensor's float data holds NaN or infinity; 0 for every other type. */
int er_data_nonfinite(int32_t type, const void *data, size_t count);

/* IEEE 754 binary16 to float. */
float er_half_to_float(uint16_t half);

static inline OrtValue *er_to_ort(const er_value *value) {
    return (OrtValue *)(uintptr_t)value;
}
static inline er_value *er_from_ort(const OrtValue *value) {
    return (er_value *)(uintptr_t)value;
}

#endif
