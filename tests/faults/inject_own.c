/* inject.h for memory alone, and for yoke's own calls alone: the linker sends those here (--wrap), so that
 * the sanitizers' allocator stays below. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "inject.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static inject_kind kind_now;
static int calls, failing, live;
static const char *failed_what;

static bool is_due(const char *what)
{
    if (kind_now != INJECT_MEMORY || ++calls != failing) return false;
    failed_what = what;
    return true;
}

static void *taken(void *block)
{
    live += block && kind_now != INJECT_NOTHING;
    return block;
}

void *__wrap_malloc(size_t bytes)
{
    return is_due("malloc") ? NULL : taken(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return is_due("calloc") ? NULL : taken(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes)
{
    if (is_due("realloc")) return NULL;
    return old ? __real_realloc(old, bytes) : taken(__real_realloc(old, bytes));
}

char *__wrap_strdup(const char *text)
{
    return is_due("strdup") ? NULL : taken(__real_strdup(text));
}

void __wrap_free(void *block)
{
    live -= block && kind_now != INJECT_NOTHING;
    __real_free(block);
}

void inject_open(void) {}

void inject_begin(inject_kind kind, int n)
{
    calls = live = 0;
    failing = n;
    failed_what = NULL;
    kind_now = kind;
}

int inject_end(bool *failed_out, const char **what_out)
{
    kind_now = INJECT_NOTHING;
    *failed_out = failed_what != NULL;
    *what_out = failed_what;
    return calls;
}

int inject_live(void)
{
    return live;
}

/* Where calls were made, the sanitizers know. */
void inject_print_live(void) {}
void inject_print_failed(void) {}
