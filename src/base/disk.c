/* Files and folders, with sentences for what the system refuses. */
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/text.h"

yoke_status yki_path_join(char *out, size_t size, const char *folder, const char *name)
{
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    int count = snprintf(out, size, "%s%s%s", folder, slash, name);
    if (count < 0 || (size_t)count >= size)
        return yki_fail_at(YOKE_INVALID, folder, 0, "", "the path is too long: at most %zu bytes with %s",
                           size - 1, name);
    return YOKE_OK;
}

bool yki_path_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool yki_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* "cannot VERB", with the file in the record; a full disk tells what is needed and what is free. */
static yoke_status refused(const char *verb, const char *path, size_t need)
{
    int number = errno;
    struct statvfs disk;
    char needed[24], left[24];
    yoke_status status = yki_fail_errno(verb, path);
    if (status == YOKE_INVALID || need == 0) return status;
    yki_size_print(needed, (double)need);
    bool full = (number == ENOSPC || number == EDQUOT) && statvfs(path, &disk) == 0;
    if (!full)
        return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot %s it: %s; it needs %zu bytes (%s)", verb,
                           strerror(number), need, needed);
    yki_size_print(left, (double)disk.f_bavail * (double)disk.f_frsize);
    return yki_fail_at(YOKE_SYSTEM, path, 0, "",
                       "cannot %s it: %s; it needs %zu bytes (%s), and %s are free there", verb,
                       strerror(number), need, needed, left);
}

yoke_status yki_disk_open(const char *path, int *fd_out, size_t *bytes_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return refused("open", path, 0);
    struct stat info;
    yoke_status status = YOKE_OK;
    if (fstat(fd, &info) != 0)
        status = refused("read", path, 0);
    else if (!S_ISREG(info.st_mode))
        status = yki_fail_at(YOKE_INVALID, path, 0, "", "is %s, not a plain file",
                             S_ISDIR(info.st_mode) ? "a folder" : "a pipe or device");
    if (status != YOKE_OK) {
        close(fd);
        return status;
    }
    *fd_out = fd;
    *bytes_out = (size_t)info.st_size;
    return YOKE_OK;
}

yoke_status yki_disk_open_to_write(const char *path, const char *name, int *fd_out)
{
    *fd_out = open(path, O_WRONLY | O_CLOEXEC);
    return *fd_out < 0 ? refused("open", name, 0) : YOKE_OK;
}

yoke_status yki_disk_flush(int fd, const char *path, size_t need)
{
    return fsync(fd) != 0 ? refused("flush", path, need) : YOKE_OK;
}

/* Up to `count` bytes; fewer where the file got shorter meanwhile. */
static yoke_status read_all(int fd, const char *path, char *bytes, size_t *count)
{
    size_t at = 0;
    while (at < *count) {
        ssize_t got = read(fd, bytes + at, *count - at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refused("read", path, 0);
        if (got == 0) break;
        at += (size_t)got;
    }
    *count = at;
    return YOKE_OK;
}

yoke_status yki_disk_read(const char *path, size_t limit, char **bytes_out, size_t *count_out)
{
    int fd;
    size_t count;
    YKI_TRY(yki_disk_open(path, &fd, &count));
    yoke_status status = YOKE_OK;
    char *bytes = NULL;
    if (count > limit)
        status = yki_fail_at(YOKE_INVALID, path, 0, "", "has %zu bytes; at most %zu are read", count, limit);
    else if (!(bytes = malloc(count + 1)))
        status = yki_fail_memory(path);
    else
        status = read_all(fd, path, bytes, &count);
    close(fd);
    if (status != YOKE_OK) {
        free(bytes);
        return status;
    }
    bytes[count] = '\0';
    *bytes_out = bytes;
    *count_out = count;
    return YOKE_OK;
}

yoke_status yki_disk_write(int fd, const char *path, const void *data, size_t bytes, size_t offset,
                           size_t need)
{
    const char *at = data;
    while (bytes > 0) {
        size_t part = bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30;
        ssize_t done = pwrite(fd, at, part, (off_t)offset);
        if (done < 0 && errno == EINTR) continue;
        if (done == 0) errno = ENOSPC;
        if (done <= 0) return refused("write", path, need);
        at += done;
        bytes -= (size_t)done;
        offset += (size_t)done;
    }
    return YOKE_OK;
}

yoke_status yki_disk_read_at(int fd, const char *path, void *data, size_t bytes, size_t offset)
{
    char *to = data;
    for (size_t at = 0; at < bytes;) {
        ssize_t got = pread(fd, to + at, bytes - at, (off_t)(offset + at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refused("read", path, 0);
        if (got == 0) return yki_fail_at(YOKE_INVALID, path, 0, "", "has become shorter");
        at += (size_t)got;
    }
    return YOKE_OK;
}

yoke_status yki_disk_check_space(int fd, const char *path, size_t need)
{
    struct statvfs disk;
    if (fstatvfs(fd, &disk) != 0 || disk.f_blocks == 0) return YOKE_OK;
    double left = (double)disk.f_bavail * (double)disk.f_frsize;
    char needed[24], free_there[24];
    if ((double)need <= left) return YOKE_OK;
    yki_size_print(needed, (double)need);
    yki_size_print(free_there, left);
    return yki_fail_at(YOKE_SYSTEM, path, 0, "",
                       "the disk is too full: it needs %zu bytes (%s), and %s are free there", need, needed,
                       free_there);
}

yoke_status yki_disk_reserve(int fd, const char *path, size_t bytes)
{
    if (bytes > INT64_MAX) return yki_fail_at(YOKE_INVALID, path, 0, "", "is too large: %zu bytes", bytes);
    int result = -1;
    errno = EOPNOTSUPP;
#ifdef __linux__
    if (bytes > 0) do
            result = fallocate(fd, 0, 0, (off_t)bytes);
        while (result != 0 && errno == EINTR);
#endif
    bool no_promise = result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS);
    if (no_promise) result = ftruncate(fd, (off_t)bytes);
    return result == 0 ? YOKE_OK : refused("write", path, bytes);
}

yoke_status yki_disk_create(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return refused("create", path, 0);
    yoke_status status = yki_disk_write(fd, path, data, bytes, 0, bytes);
    if (status == YOKE_OK) status = yki_disk_flush(fd, path, bytes);
    if (close(fd) != 0 && status == YOKE_OK) status = refused("close", path, bytes);
    return status;
}

yoke_status yki_disk_flush_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return refused("open", path, 0);
    /* Some file systems have no flush of folders and say EINVAL: their renames are as safe as they get. */
    yoke_status status = fsync(fd) != 0 && errno != EINVAL ? refused("flush", path, 0) : YOKE_OK;
    close(fd);
    return status;
}

yoke_status yki_disk_flush_above(const char *folder)
{
    struct stat inner, outer;
    char *path = realpath(folder, NULL), *slash;
    if (!path) return refused("find", folder, 0);
    yoke_status status = stat(path, &inner) == 0 ? YOKE_OK : refused("read", folder, 0);
    while (status == YOKE_OK && strcmp(path, "/") != 0) {
        slash = strrchr(path, '/');
        slash[slash == path] = '\0';
        if (stat(path, &outer) != 0 || outer.st_dev != inner.st_dev) break;
        if (access(path, R_OK) == 0) status = yki_disk_flush_folder(path);
    }
    free(path);
    return status;
}

yoke_status yki_disk_make_folders(const char *path)
{
    char *part = strdup(path);
    if (!part) return yki_fail_memory("a path");
    yoke_status status = YOKE_OK;
    size_t length = strlen(part);
    for (size_t i = 1; i <= length && status == YOKE_OK; i++) {
        if (part[i] != '/' && part[i] != '\0') continue;
        char kept = part[i];
        part[i] = '\0';
        if (!yki_path_is_folder(part)) {
            /* another may have made it meanwhile */
            if (mkdir(part, 0777) != 0 && (errno != EEXIST || !yki_path_is_folder(part)))
                status = errno == EEXIST
                             ? yki_fail_at(YOKE_INVALID, part, 0, "", "is a file where a folder is needed")
                             : refused("create", part, 0);
        }
        part[i] = kept;
    }
    free(part);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

yoke_status yki_disk_remove_folder(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot remove it: %s", strerror(errno));
    return YOKE_OK;
}
