/* A folder of a test program's own, made before its first test and gone after the last; and files in it. */
#ifndef YKI_TESTS_FOLDER_H
#define YKI_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/disk.h"
#include "cmocka_all.h"

static char folder[64];

static inline int make_folder_in(const char *parent)
{
    int length = snprintf(folder, sizeof folder, "%s/yoke-test-XXXXXX", parent);
    return length < (int)sizeof folder && mkdtemp(folder) ? 0 : -1;
}

/* Where temporary files belong: ./check says in memory, as a disk takes milliseconds for each folder, and for
 * each file whose text is replaced. */
static inline int make_folder(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    return make_folder_in(parent && *parent ? parent : "/tmp");
}

/* For tests of what is flushed, and written past the system's memory of files. */
static inline int make_folder_on_disk(void **state)
{
    (void)state;
    return make_folder_in("/tmp");
}

static inline int remove_folder(void **state)
{
    (void)state;
    return yki_disk_remove_folder(folder) == YOKE_OK ? 0 : -1;
}

/* FOLDER/NAME; eight of them live at a time. */
static inline const char *in_folder(const char *name)
{
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    assert_true(snprintf(path, sizeof paths[0], "%s/%s", folder, name) < (int)sizeof paths[0]);
    return path;
}

static inline void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

#endif
