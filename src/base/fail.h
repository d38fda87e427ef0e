/* Writing the error record. The function that first detects a fault calls yki_fail; callers only propagate.
 */
#ifndef YKI_BASE_FAIL_H
#define YKI_BASE_FAIL_H

#include "yoke/status.h"

/* Writes the record of this thread (file, line, key, flags cleared, rank -1) and returns `status`. */
yoke_status yki_fail(yoke_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same, naming the input file and, where they apply, the line (0: none) and the dotted key ("": none).
 * The message itself should not repeat them: the command line prints "FILE:LINE: KEY: MESSAGE". */
yoke_status yki_fail_at(yoke_status status, const char *file, int line, const char *key, const char *format,
                        ...) __attribute__((format(printf, 5, 6)));

/* "out of memory", with what for. */
yoke_status yki_fail_memory(const char *what);

/* What errno means, with the file in the record: "X: cannot open it: No such file or directory". YOKE_SYSTEM,
 * or YOKE_INVALID where the path is at fault (ENOENT, ENOTDIR, EISDIR, EACCES, ELOOP, ENAMETOOLONG). */
yoke_status yki_fail_errno(const char *verb, const char *path);

/* This thread's record, to change or to fill. */
yoke_error *yki_error_edit(void);

/* Hands a record from one thread to another: set copies `record` into this thread's. */
void yki_error_set(const yoke_error *record);

/* What ends a block with the record that it began with, whatever fails in it: what destroys, gives back or
 * closes leaves its caller's record alone. */
#define YKI_KEEP_RECORD                                                                                      \
    yoke_error yki_kept_ __attribute__((cleanup(yki_error_put_back), unused)) = *yoke_error_get()
static inline void yki_error_put_back(yoke_error *kept)
{
    yki_error_set(kept);
}

/* YOKE_INVALID, naming `function` and the first of `names` ("a, b") whose pointer is NULL. */
yoke_status yki_given(const char *function, const char *names, const void *const *pointers, size_t count);

/* What a public function was given must not be NULL: returns from the caller where it is. */
#define YKI_NEED(...)                                                                                        \
    YKI_TRY(yki_given(__func__, #__VA_ARGS__, (const void *const[]){__VA_ARGS__},                            \
                      sizeof((const void *const[]){__VA_ARGS__}) / sizeof(void *)))

/* Returns from the caller with the status of `call` unless it is YOKE_OK. */
#define YKI_TRY(call)                                                                                        \
    do {                                                                                                     \
        yoke_status yki_status_ = (call);                                                                    \
        if (yki_status_ != YOKE_OK) return yki_status_;                                                      \
    } while (0)

#endif
