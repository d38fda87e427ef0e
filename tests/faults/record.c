/* See record.h. A call and its line in the log are one: a lock of the log's file is held over both. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int __real_open(const char *path, int flags, ...);
ssize_t __real_pwrite(int fd, const void *data, size_t bytes, off_t offset);
ssize_t __real_write(int fd, const void *data, size_t bytes);
int __real_fallocate(int fd, int mode, off_t offset, off_t bytes);
int __real_ftruncate(int fd, off_t bytes);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_mkdir(const char *path, mode_t mode);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __real_unlink(const char *path);
int __real_unlinkat(int folder, const char *path, int flags);
int __real_rmdir(const char *path);
int __real_remove(const char *path);
int __real_symlink(const char *to, const char *path);

static struct {
    char root[256];
    int log, calls, kill_at; /* log 0: nothing is recorded */
    bool no_exchange;
} recorder;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void record_begin(const char *log, const char *root, int kill_at, bool no_exchange)
{
    snprintf(recorder.root, sizeof recorder.root, "%s", root);
    recorder.kill_at = kill_at;
    recorder.no_exchange = no_exchange;
    int fd = __real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) abort();
    recorder.log = fd;
}

static bool is_ours(const char *path)
{
    return recorder.log > 0 && strncmp(path, recorder.root, strlen(recorder.root)) == 0;
}

static bool is_ours_at(int fd)
{
    char link[64], path[PATH_MAX];
    if (recorder.log == 0) return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = '\0';
    return is_ours(path);
}

/* Before a call on what is ours; after it, finish. */
static void enter(void)
{
    pthread_mutex_lock(&lock);
    flock(recorder.log, LOCK_EX);
    if (++recorder.calls == recorder.kill_at) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
}

static void put(record r, const void *payload)
{
    r.process = (int32_t)getpid();
    if (__real_write(recorder.log, &r, sizeof r) != (ssize_t)sizeof r ||
        (r.payload > 0 && __real_write(recorder.log, payload, (size_t)r.payload) != (ssize_t)r.payload))
        abort();
}

static void leave(void)
{
    int number = errno;
    flock(recorder.log, LOCK_UN);
    pthread_mutex_unlock(&lock);
    errno = number;
}

static record named(record_kind kind, const char *path, const char *to)
{
    record r = {.kind = kind};
    snprintf(r.path, sizeof r.path, "%.255s", path);
    snprintf(r.to, sizeof r.to, "%.255s", to);
    return r;
}

static record at_fd(record_kind kind, int fd, int64_t end)
{
    struct stat info;
    if (fstat(fd, &info) != 0) abort();
    return (record){.kind = kind, .ino = info.st_ino, .end = end};
}

void record_told(const char *path, uint64_t hash, int64_t age, const char *beside)
{
    record r = named(RECORD_TOLD, path, beside);
    r.ino = hash;
    r.end = age;
    pthread_mutex_lock(&lock);
    flock(recorder.log, LOCK_EX);
    put(r, NULL);
    leave();
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (!(flags & (O_CREAT | O_TRUNC)) || !is_ours(path)) return __real_open(path, flags, mode);
    struct stat before;
    enter();
    bool was_there = lstat(path, &before) == 0;
    int fd = __real_open(path, flags, mode);
    if (fd >= 0 && !was_there) {
        record r = named(RECORD_CREATE, path, "");
        r.ino = at_fd(RECORD_CREATE, fd, 0).ino;
        put(r, NULL);
    } else if (fd >= 0 && flags & O_TRUNC)
        put(at_fd(RECORD_SIZE, fd, 0), NULL);
    leave();
    return fd;
}

static void wrote(int fd, const void *data, ssize_t done, off_t offset)
{
    if (done <= 0) return;
    record r = at_fd(RECORD_WRITE, fd, offset);
    r.payload = done;
    put(r, data);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    if (!is_ours_at(fd)) return __real_pwrite(fd, data, bytes, offset);
    enter();
    ssize_t done = __real_pwrite(fd, data, bytes, offset);
    wrote(fd, data, done, offset);
    leave();
    return done;
}

ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
    if (!is_ours_at(fd)) return __real_write(fd, data, bytes);
    enter();
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t done = __real_write(fd, data, bytes);
    wrote(fd, data, done, offset);
    leave();
    return done;
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    if (!is_ours_at(fd)) return __real_fallocate(fd, mode, offset, bytes);
    enter();
    int result = __real_fallocate(fd, mode, offset, bytes);
    if (result == 0) put(at_fd(RECORD_RESERVE, fd, offset + bytes), NULL);
    leave();
    return result;
}

int __wrap_ftruncate(int fd, off_t bytes)
{
    if (!is_ours_at(fd)) return __real_ftruncate(fd, bytes);
    enter();
    int result = __real_ftruncate(fd, bytes);
    if (result == 0) put(at_fd(RECORD_SIZE, fd, bytes), NULL);
    leave();
    return result;
}

/* The disk itself is left alone: what it would have done is what the log says. */
int __wrap_fsync(int fd)
{
    if (!is_ours_at(fd)) return recorder.log > 0 ? 0 : __real_fsync(fd);
    enter();
    put(at_fd(RECORD_FLUSH, fd, 0), NULL);
    leave();
    return 0;
}

int __wrap_fdatasync(int fd)
{
    return is_ours_at(fd) ? __wrap_fsync(fd) : __real_fdatasync(fd);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    if (!is_ours(path)) return __real_mkdir(path, mode);
    enter();
    int result = __real_mkdir(path, mode);
    struct stat info;
    if (result == 0 && lstat(path, &info) == 0) {
        record r = named(RECORD_FOLDER, path, "");
        r.ino = info.st_ino;
        put(r, NULL);
    }
    leave();
    return result;
}

int __wrap_rename(const char *from, const char *to)
{
    if (!is_ours(from)) return __real_rename(from, to);
    enter();
    int result = __real_rename(from, to);
    if (result == 0) put(named(RECORD_RENAME, from, to), NULL);
    leave();
    return result;
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (!is_ours(from)) return __real_renameat2(from_folder, from, to_folder, to, flags);
    enter();
    int result = -1;
    errno = EINVAL;
    if (!recorder.no_exchange) result = __real_renameat2(from_folder, from, to_folder, to, flags);
    if (result == 0) put(named(flags & RENAME_EXCHANGE ? RECORD_EXCHANGE : RECORD_RENAME, from, to), NULL);
    leave();
    return result;
}

static int removing(const char *path, int (*real)(const char *path))
{
    if (!is_ours(path)) return real(path);
    enter();
    int result = real(path);
    if (result == 0) put(named(RECORD_REMOVE, path, ""), NULL);
    leave();
    return result;
}

int __wrap_unlink(const char *path)
{
    return removing(path, __real_unlink);
}

int __wrap_rmdir(const char *path)
{
    return removing(path, __real_rmdir);
}

/* Of a folder that is open. */
int __wrap_unlinkat(int folder, const char *name, int flags)
{
    char link[64], path[512];
    if (!is_ours_at(folder)) return __real_unlinkat(folder, name, flags);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path - 1);
    snprintf(path + length, sizeof path - (size_t)length, "/%s", name);
    return flags & AT_REMOVEDIR ? __wrap_rmdir(path) : __wrap_unlink(path);
}

int __wrap_remove(const char *path)
{
    return removing(path, __real_remove);
}

int __wrap_symlink(const char *to, const char *path)
{
    if (!is_ours(path)) return __real_symlink(to, path);
    enter();
    int result = __real_symlink(to, path);
    if (result == 0) {
        record r = named(RECORD_LINK, path, "");
        r.payload = (int64_t)strlen(to);
        put(r, to);
    }
    leave();
    return result;
}
