/* The error record: one a thread, written by the first detector; and the version of what is linked. */
#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "yoke/version.h"

static _Thread_local yoke_error record = {.rank = -1};

int yoke_status_exit_code(yoke_status status)
{
    switch (status) {
#define YKI_CASE(name, exit_code, text)                                                                      \
    case YOKE_##name:                                                                                        \
        return exit_code;
        YOKE_STATUS_LIST(YKI_CASE)
#undef YKI_CASE
    }
    return 1;
}

const char *yoke_status_name(yoke_status status)
{
    switch (status) {
#define YKI_CASE(name, exit_code, text)                                                                      \
    case YOKE_##name:                                                                                        \
        return #name;
        YOKE_STATUS_LIST(YKI_CASE)
#undef YKI_CASE
    }
    return "UNKNOWN";
}

const yoke_error *yoke_error_get(void)
{
    return &record;
}

const char *yoke_error_print(const yoke_error *error, char *text, size_t size)
{
    char number[16] = "";
    if (!text || size == 0) return "";
    if (!error) error = &record;
    if (error->line > 0) snprintf(number, sizeof number, ":%d", error->line);
    snprintf(text, size, "%s%s%s%s%s%s", error->file, error->file[0] ? number : "",
             error->file[0] ? ": " : "", error->key, error->key[0] ? ": " : "", error->message);
    return text;
}

const char *yoke_error_sentence(char *text, size_t size)
{
    return yoke_error_print(&record, text, size);
}

const char *yoke_version(void)
{
    return YOKE_VERSION;
}

yoke_error *yki_error_edit(void)
{
    return &record;
}

void yki_error_set(const yoke_error *other)
{
    record = *other;
}

static yoke_status fail(yoke_status status, const char *file, int line, const char *key, const char *format,
                        va_list arguments)
{
    char message[sizeof record.message]; /* arguments may point into the old record */
    vsnprintf(message, sizeof message, format, arguments);
    yoke_error fresh = {.status = status, .line = line, .rank = -1};
    yki_plain(fresh.message, sizeof fresh.message, message);
    yki_plain(fresh.file, sizeof fresh.file, file);
    yki_plain(fresh.key, sizeof fresh.key, key);
    record = fresh;
    return status;
}

yoke_status yki_fail(yoke_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(status, "", 0, "", format, arguments);
    va_end(arguments);
    return status;
}

yoke_status yki_fail_at(yoke_status status, const char *file, int line, const char *key, const char *format,
                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    fail(status, file, line, key, format, arguments);
    va_end(arguments);
    return status;
}

yoke_status yki_given(const char *function, const char *names, const void *const *pointers, size_t count)
{
    for (size_t i = 0; i < count; i++, names += strcspn(names, ",")) {
        names += strspn(names, ", ");
        if (pointers[i]) continue;
        return yki_fail(YOKE_INVALID, "%s: %.*s is NULL", function, (int)strcspn(names, ","), names);
    }
    return YOKE_OK;
}

yoke_status yki_fail_memory(const char *what)
{
    return yki_fail(YOKE_SYSTEM, "out of memory for %s", what);
}

yoke_status yki_fail_errno(const char *verb, const char *path)
{
    int number = errno;
    bool path_at_fault = number == ENOENT || number == ENOTDIR || number == EISDIR || number == EACCES ||
                         number == ELOOP || number == ENAMETOOLONG;
    return yki_fail_at(path_at_fault ? YOKE_INVALID : YOKE_SYSTEM, path, 0, "", "cannot %s it: %s", verb,
                       strerror(number));
}
