/* Mapping a file of samples; see file.h for what happens when it shrinks meanwhile. */
#include "data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static yoke_status check_kind(const char *path, const struct stat *about)
{
    if (S_ISREG(about->st_mode)) return YOKE_OK;
    const char *kind = S_ISDIR(about->st_mode)                              ? "a folder"
                       : S_ISFIFO(about->st_mode)                           ? "a FIFO"
                       : S_ISCHR(about->st_mode) || S_ISBLK(about->st_mode) ? "a device"
                                                                            : "no regular file";
    return yki_fail_at(YOKE_INVALID, path, 0, "", "is %s; data is read from regular files", kind);
}

static yoke_status map_descriptor(yki_map *map, int descriptor, const char *path)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0) return yki_fail_errno("examine", path);
    YKI_TRY(check_kind(path, &about));
    if (about.st_size == 0) return yki_fail_at(YOKE_INVALID, path, 0, "", "is empty");
    if ((uint64_t)about.st_size > (uint64_t)(SIZE_MAX / 2))
        return yki_fail_at(YOKE_INVALID, path, 0, "", "is too large for this machine's address space");
    void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) return yki_fail_errno("map", path);
    map->bytes = bytes;
    map->size = (int64_t)about.st_size;
    return YOKE_OK;
}

yoke_status yki_map_open(yki_map *map, const char *path)
{
    *map = (yki_map){0};
    if (!path || !*path) return yki_fail(YOKE_INVALID, "the name of a data file is empty");
    /* Without O_NONBLOCK opening a FIFO would wait for its writer. */
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        if (errno == ENXIO) /* a socket */
            return yki_fail_at(YOKE_INVALID, path, 0, "",
                               "is no regular file; data is read from regular files");
        return yki_fail_errno("open", path);
    }
    yoke_status status = map_descriptor(map, descriptor, path);
    close(descriptor);
    if (status != YOKE_OK) return status;
    map->path = strdup(path);
    if (!map->path) {
        yki_map_release(map);
        return yki_fail_memory("the name of a file");
    }
    return YOKE_OK;
}

void yki_map_release(yki_map *map)
{
    if (map->bytes) munmap((void *)map->bytes, (size_t)map->size);
    free(map->path);
    *map = (yki_map){0};
}

/* What a file that isn't what it should be most often is. */
static const struct {
    const char *start;
    int length;
    const char *name;
} known_kinds[] = {
    {"version https://git-lfs", 23, "a Git LFS pointer: fetch the file itself with git lfs pull"},
    {"<!DOCTYPE", 9, "an HTML page, perhaps saved in place of a download"},
    {"<!doctype", 9, "an HTML page, perhaps saved in place of a download"},
    {"<html", 5, "an HTML page, perhaps saved in place of a download"},
    {"\x93NUMPY", 6, "a NumPy .npy file"},
    {"PK\x03\x04", 4, "a zip archive (.npz and PyTorch's files are such)"},
    {"\x1f\x8b", 2, "compressed by gzip"},
    {"\x28\xb5\x2f\xfd", 4, "compressed by zstd"},
    {"\x00\x00\x08\x03", 4, "IDX images"},
    {"\x00\x00\x08\x01", 4, "IDX labels"},
    {"\x80\x04\x95", 3, "a Python pickle"},
};

const char *yki_map_kind(const yki_map *map, bool surely)
{
    for (size_t i = 0; i < sizeof known_kinds / sizeof *known_kinds; i++) {
        int length = known_kinds[i].length;
        if (length >= (surely ? 5 : 1) && map->size >= length &&
            memcmp(map->bytes, known_kinds[i].start, (size_t)length) == 0)
            return known_kinds[i].name;
    }
    return NULL;
}

yoke_status yki_map_fail(const yki_map *map, const char *format, ...)
{
    char message[sizeof((yoke_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yki_fail_at(YOKE_INVALID, map->path, 0, "", "%s", message);
}

yoke_status yki_map_fail_kind(const yki_map *map, const char *format, ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *kind = yki_map_kind(map, false);
    return kind ? yki_map_fail(map, "%s (it looks like %s)", message, kind)
                : yki_map_fail(map, "%s", message);
}
