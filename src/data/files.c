/* Files read as one: patterns become names, and places are those of all together. */
#include "data/files.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"

static yoke_status add(yki_files *files, int *room, const char *path)
{
    if (files->count == *room) {
        int more = 2 * *room + 8;
        yki_file *items = realloc(files->items, sizeof *items * (size_t)more);
        if (!items) return yki_fail_memory("a list of files");
        files->items = items;
        *room = more;
    }
    yki_file *file = &files->items[files->count];
    YKI_TRY(yki_file_open(file, path));
    if (files->count++ >= YKI_FILES_OPEN) yki_file_shut(file);
    return YOKE_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static yoke_status add_pattern(yki_files *files, int *room, const char *pattern)
{
    glob_t found = {0};
    int result = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    yoke_status status = YOKE_OK;
    if (result == GLOB_NOSPACE)
        status = yki_fail_memory("a list of files");
    else if (result == GLOB_ABORTED)
        status = yki_fail_at(YOKE_INVALID, pattern, 0, "", "is a pattern, and a folder of it cannot be read");
    else if (result == GLOB_NOMATCH)
        status = yki_fail_at(YOKE_INVALID, pattern, 0, "", "is a pattern, and no file's name is like it");
    else
        qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    for (size_t i = 0; status == YOKE_OK && i < found.gl_pathc; i++)
        status = add(files, room, found.gl_pathv[i]);
    globfree(&found);
    return status;
}

static yoke_status open_all(yki_files *files, int npaths, const char *const *paths)
{
    int room = 0;
    for (int i = 0; i < npaths; i++) {
        bool pattern = paths[i][strcspn(paths[i], "*?[")] && !yki_path_exists(paths[i]);
        YKI_TRY(pattern ? add_pattern(files, &room, paths[i]) : add(files, &room, paths[i]));
    }
    if (files->count == 0) return yki_fail(YOKE_INVALID, "the name of a data file is empty");
    files->starts = calloc((size_t)files->count + 1, sizeof *files->starts);
    if (!files->starts) return yki_fail_memory("a list of files");
    for (int i = 0; i < files->count; i++) files->starts[i + 1] = files->starts[i] + files->items[i].size;
    return YOKE_OK;
}

yoke_status yki_files_open(yki_files *files, int npaths, const char *const *paths)
{
    *files = (yki_files){0};
    yoke_status status = open_all(files, npaths, paths);
    if (status != YOKE_OK) yki_files_release(files);
    return status;
}

void yki_files_release(yki_files *files)
{
    YKI_KEEP_RECORD;
    for (int i = 0; i < files->count; i++) yki_file_release(&files->items[i]);
    free(files->items);
    free(files->starts);
    *files = (yki_files){0};
}

int64_t yki_files_bytes(const yki_files *files)
{
    return files->starts[files->count];
}

int yki_files_find(const int64_t *starts, int count, int64_t offset)
{
    int low = 0, high = count;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (starts[middle] <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

yoke_status yki_files_read(const yki_files *files, int64_t offset, void *to, int64_t bytes)
{
    unsigned char *at = to;
    for (int i = yki_files_find(files->starts, files->count, offset); bytes > 0; i++) {
        int64_t count = files->starts[i + 1] - offset < bytes ? files->starts[i + 1] - offset : bytes;
        YKI_TRY(yki_file_read(&files->items[i], offset - files->starts[i], at, count));
        at += count;
        offset += count;
        bytes -= count;
    }
    return YOKE_OK;
}

yoke_status yki_files_hold(yki_files *files)
{
    bool held = yki_files_bytes(files) <= YKI_FILE_HELD;
    for (int i = 0; i < files->count && held; i++) YKI_TRY(yki_file_hold(&files->items[i]));
    return YOKE_OK;
}

yoke_status yki_files_look(const yki_files *files)
{
    for (int i = 0; i < files->count; i++) YKI_TRY(yki_file_look(&files->items[i]));
    return YOKE_OK;
}

yoke_status yki_files_load(const yki_files *files, unsigned char **bytes_out)
{
    int64_t count = yki_files_bytes(files);
    unsigned char *bytes = malloc((size_t)count + 1);
    if (!bytes) return yki_fail_memory("a file");
    yoke_status status = yki_files_read(files, 0, bytes, count);
    if (status != YOKE_OK) {
        free(bytes);
        return status;
    }
    bytes[count] = '\0';
    *bytes_out = bytes;
    return YOKE_OK;
}
