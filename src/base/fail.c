/* The error record: one a thread, written by the first detector. */
#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

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

yoke_error *yki_error_edit(void)
{
    return &record;
}

void yki_error_set(const yoke_error *other)
{
    record = *other;
}

/* `text` into out[size] as plain UTF-8: what a sentence quotes may come from a stranger's file, and a
 * terminal would obey its control characters. Those, and bytes that are no character, become \xNN; what is
 * too long is cut at a character's edge. */
static void put_plain(char *out, size_t size, const char *text)
{
    size_t left = strlen(text), n = 0;
    while (left > 0) {
        size_t length = yki_utf8_shown(text, left);
        if (n + (length > 0 ? length : 4) >= size) break;
        if (length > 0)
            memcpy(out + n, text, length);
        else
            snprintf(out + n, 5, "\\x%02x", (unsigned char)*text);
        n += length > 0 ? length : 4;
        text += length > 0 ? length : 1;
        left -= length > 0 ? length : 1;
    }
    out[n] = '\0';
}

static yoke_status fail(yoke_status status, const char *file, int line, const char *key, const char *format,
                        va_list arguments)
{
    char message[sizeof record.message]; /* arguments may point into the old record */
    vsnprintf(message, sizeof message, format, arguments);
    yoke_error fresh = {.status = status, .line = line, .rank = -1};
    put_plain(fresh.message, sizeof fresh.message, message);
    put_plain(fresh.file, sizeof fresh.file, file);
    put_plain(fresh.key, sizeof fresh.key, key);
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

yoke_status yki_fail_memory(const char *what)
{
    return yki_fail(YOKE_SYSTEM, "out of memory for %s", what);
}

yoke_status yki_fail_errno(const char *verb, const char *path)
{
    int number = errno;
    bool path_at_fault = number == ENOENT || number == ENOTDIR || number == EISDIR || number == EACCES;
    return yki_fail(path_at_fault ? YOKE_INVALID : YOKE_SYSTEM, "cannot %s %s: %s", verb, path,
                    strerror(number));
}
