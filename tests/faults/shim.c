/* Faults on demand, preloaded into a program: counts the calls that change or flush what lies in one folder,
 * and at the so many-th something befalls it.
 *
 * FAULT_FOLDER: calls on paths that contain this text count.
 * FAULT_AT: the call, from 1.
 * FAULT_REMOVALS: set, only calls that remove a file or a folder count.
 * FAULT_SAVES: 1, only calls of saves count: none before a step's folder is met, none on .yoke-run.
 * FAULT_KIND: kill (before the call); torn (half of a write is done, then kill); full (writes and
 * reservations of FAULT_CALLS calls from then on fail with ENOSPC); signal (FAULT_SIGNAL is raised before
 * each of FAULT_CALLS calls, which then go on); hold (the call waits until somebody opens the FIFO FAULT_GATE
 * to write). FAULT_COUNT: a file that gets the number of calls when the
 * process exits. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *folder, *count_path, *gate; /* gate: NULL, nothing is held */
static int at, calls = 1;
static int raised;
static bool tears, fills, removals, saves;
static atomic_bool saved; /* a step's folder was met */
static _Atomic int count;

__attribute__((constructor)) static void begin(void)
{
    const char *kind = getenv("FAULT_KIND"), *number = getenv("FAULT_AT"), *length = getenv("FAULT_CALLS");
    const char *only = getenv("FAULT_SAVES");
    folder = getenv("FAULT_FOLDER");
    count_path = getenv("FAULT_COUNT");
    removals = getenv("FAULT_REMOVALS") != NULL;
    saves = only && atoi(only) > 0;
    at = number ? atoi(number) : 0;
    calls = length ? atoi(length) : 1;
    tears = kind && strcmp(kind, "torn") == 0;
    fills = kind && strcmp(kind, "full") == 0;
    if (kind && strcmp(kind, "hold") == 0) gate = getenv("FAULT_GATE");
    if (kind && strcmp(kind, "signal") == 0) raised = atoi(getenv("FAULT_SIGNAL"));
}

__attribute__((destructor)) static void end(void)
{
    if (!count_path) return;
    FILE *out = fopen(count_path, "w");
    if (!out) return;
    fprintf(out, "%d\n", atomic_load(&count));
    fclose(out);
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether a call on a path in the folder is a save's. */
static bool is_of_save(const char *path)
{
    if (strstr(path, "/.yoke-run")) return false;
    if (strstr(path, "/step-") || strstr(path, "/.step-")) atomic_store(&saved, true);
    return atomic_load(&saved);
}

/* Counts a call on a path; whether it is one at which something is to happen. */
static bool befalls(const char *path, bool removes)
{
    if (!folder || !path || !strstr(path, folder) || (removals && !removes)) return false;
    if (saves && !is_of_save(path)) return false;
    int number = atomic_fetch_add(&count, 1) + 1;
    bool due = at > 0 && number >= at && number < at + calls;
    if (due && gate) {
        close((int)syscall(SYS_openat, AT_FDCWD, gate, O_RDONLY));
        return false;
    }
    if (due && raised) {
        syscall(SYS_kill, getpid(), raised);
        return false;
    }
    return due;
}

static bool is_due(const char *path)
{
    return befalls(path, false);
}

static bool is_due_at(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = '\0';
    return is_due(path);
}

/* Calls on a path that never fail for want of room. */
static void meet(const char *path)
{
    if (is_due(path) && !fills) die();
}

static void meet_removal(const char *path)
{
    if (befalls(path, true) && !fills) die();
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (is_due(path)) {
        if (!fills) die();
        if (flags & O_CREAT) {
            errno = ENOSPC;
            return -1;
        }
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return open64(path, flags, mode);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    if (is_due_at(fd)) {
        if (fills) {
            errno = ENOSPC;
            return -1;
        }
        if (tears) syscall(SYS_pwrite64, fd, data, bytes / 2, offset);
        die();
    }
    return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return pwrite64(fd, data, bytes, offset);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
    if (is_due_at(fd)) {
        if (!fills) die();
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return fallocate64(fd, mode, offset, bytes);
}

int ftruncate64(int fd, off64_t bytes)
{
    if (is_due_at(fd) && !fills) die();
    return (int)syscall(SYS_ftruncate, fd, bytes);
}

int ftruncate(int fd, off_t bytes)
{
    return ftruncate64(fd, bytes);
}

int fsync(int fd)
{
    if (is_due_at(fd) && !fills) die();
    return 0; /* what a process wrote outlives it without */
}

int mkdir(const char *path, mode_t mode)
{
    if (is_due(path)) {
        if (!fills) die();
        errno = ENOSPC;
        return -1;
    }
    return (int)syscall(SYS_mkdir, path, mode);
}

int rename(const char *from, const char *to)
{
    meet(from);
    return (int)syscall(SYS_rename, from, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    meet(from);
    return (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, flags);
}

int unlink(const char *path)
{
    meet_removal(path);
    return (int)syscall(SYS_unlink, path);
}

int rmdir(const char *path)
{
    meet_removal(path);
    return (int)syscall(SYS_rmdir, path);
}

int remove(const char *path)
{
    meet_removal(path);
    int result = (int)syscall(SYS_unlink, path);
    return result != 0 && (errno == EISDIR || errno == EPERM) ? (int)syscall(SYS_rmdir, path) : result;
}
