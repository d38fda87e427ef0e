#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

/* ---- who calls ---- */

typedef struct range {
    uintptr_t from, end;
} range;

enum { MOST_RANGES = 64 };
static range spared[MOST_RANGES], program, libc;
static int nspared;

static int add_library(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    static const char *const names[] = {"libgomp",   "libdnnl", "libstdc++", "ld-linux",  "libgcc",
                                        "libOpenCL", "libudev", "libhwloc",  "libcmocka", "libfyaml"};
    bool is_program = !info->dlpi_name[0], is_spared = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        is_spared |= strstr(info->dlpi_name, names[i]) != NULL;
    for (int i = 0; i < info->dlpi_phnum && nspared < MOST_RANGES; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
        range r = {info->dlpi_addr + part->p_vaddr, info->dlpi_addr + part->p_vaddr + part->p_memsz};
        if (is_program) program = r;
        if (strstr(info->dlpi_name, "libc.so")) libc = r;
        if (is_spared) spared[nspared++] = r;
    }
    return 0;
}

static bool is_in(const range *r, const void *address)
{
    return (uintptr_t)address >= r->from && (uintptr_t)address < r->end;
}

static bool is_spared(const void *caller)
{
    for (int i = 0; i < nspared; i++)
        if (is_in(&spared[i], caller)) return true;
    return false;
}

/* What the C library takes, for a copy of a text or so, it takes for who called it. */
static bool counts(const void *caller)
{
    static _Thread_local bool looks;
    void *frames[16];
    if (!is_in(&libc, caller)) return !is_spared(caller);
    if (looks) return false;
    looks = true;
    int n = backtrace(frames, 16), i = 0;
    looks = false;
    while (i < n && frames[i] != caller) i++;
    while (i < n && is_in(&libc, frames[i])) i++;
    return i == n || !is_spared(frames[i]);
}

void inject_open(void)
{
    void *warm[2];
    backtrace(warm, 2); /* loads what it needs now */
    dl_iterate_phdr(add_library, NULL);
}

/* ---- the n-th call ---- */

enum { DEPTH = 12 };
static void *failed_trace[DEPTH];
static int failed_depth;
static bool traced; /* for people: takes time */

static _Atomic int kind_now, calls, failing;
static const char *_Atomic failed_what;

static bool is_due(inject_kind kind, const char *what)
{
    if (atomic_load(&kind_now) != (int)kind) return false;
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&failing)) return false;
    atomic_store(&failed_what, what);
    if (traced) failed_depth = backtrace(failed_trace, DEPTH);
    return true;
}

/* ---- what was taken and not given back ---- */

enum { ROOM = 1 << 18 };
static void *blocks[ROOM]; /* open addressing; NULL: never used, GONE: free again */
static void *traces[ROOM][DEPTH];
static char gone;
#define GONE ((void *)&gone)
static atomic_flag lock = ATOMIC_FLAG_INIT;
static int live;
static _Atomic bool tracking;

static size_t place_of(const void *block)
{
    return (size_t)(((uintptr_t)block >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % ROOM;
}

static void track(void *block)
{
    if (!block || !atomic_load(&tracking)) return;
    while (atomic_flag_test_and_set(&lock)) continue;
    size_t i = place_of(block);
    while (blocks[i] && blocks[i] != GONE) i = (i + 1) % ROOM;
    blocks[i] = block;
    live++;
    traces[i][0] = NULL;
    atomic_flag_clear(&lock);
    if (traced) backtrace(traces[i], DEPTH); /* not under the lock: it may take memory */
}

static void forget(void *block)
{
    if (!block || !atomic_load(&tracking)) return;
    while (atomic_flag_test_and_set(&lock)) continue;
    for (size_t i = place_of(block); blocks[i]; i = (i + 1) % ROOM)
        if (blocks[i] == block) {
            blocks[i] = GONE;
            live--;
            break;
        }
    atomic_flag_clear(&lock);
}

void inject_begin(inject_kind kind, int n)
{
    traced = getenv("INJECT_TRACE") != NULL;
    memset(blocks, 0, sizeof blocks);
    live = 0;
    atomic_store(&calls, 0);
    atomic_store(&failing, n);
    atomic_store(&failed_what, NULL);
    atomic_store(&tracking, true);
    atomic_store(&kind_now, kind);
}

int inject_end(bool *failed_out, const char **what_out)
{
    atomic_store(&kind_now, INJECT_NOTHING);
    atomic_store(&tracking, false);
    *what_out = atomic_load(&failed_what);
    *failed_out = *what_out != NULL;
    return atomic_load(&calls);
}

int inject_live(void)
{
    return live;
}

void inject_print_live(void)
{
    for (size_t i = 0; i < ROOM; i++)
        if (blocks[i] && blocks[i] != GONE) {
            backtrace_symbols_fd(traces[i], DEPTH, 2);
            return;
        }
}

void inject_print_failed(void)
{
    if (traced) backtrace_symbols_fd(failed_trace, failed_depth, 2);
}

/* ---- memory ---- */

#define CALLER __builtin_return_address(0)

void *malloc(size_t bytes)
{
    if (!counts(CALLER)) return __libc_malloc(bytes);
    if (is_due(INJECT_MEMORY, "malloc")) {
        errno = ENOMEM;
        return NULL;
    }
    void *made = __libc_malloc(bytes);
    track(made);
    return made;
}

void *calloc(size_t count, size_t bytes)
{
    if (!counts(CALLER)) return __libc_calloc(count, bytes);
    if (is_due(INJECT_MEMORY, "calloc")) {
        errno = ENOMEM;
        return NULL;
    }
    void *made = __libc_calloc(count, bytes);
    track(made);
    return made;
}

void *realloc(void *block, size_t bytes)
{
    if (!counts(CALLER)) return __libc_realloc(block, bytes);
    if (is_due(INJECT_MEMORY, "realloc")) {
        errno = ENOMEM;
        return NULL;
    }
    forget(block);
    void *made = __libc_realloc(block, bytes);
    track(made);
    return made;
}

static void *aligned(size_t alignment, size_t bytes, const void *caller)
{
    if (!counts(caller)) return __libc_memalign(alignment, bytes);
    if (is_due(INJECT_MEMORY, "aligned_alloc")) {
        errno = ENOMEM;
        return NULL;
    }
    void *made = __libc_memalign(alignment, bytes);
    track(made);
    return made;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return aligned(alignment, bytes, CALLER);
}

void *memalign(size_t alignment, size_t bytes)
{
    return aligned(alignment, bytes, CALLER);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
    *block = aligned(alignment, bytes, CALLER);
    return *block ? 0 : ENOMEM;
}

void free(void *block)
{
    forget(block);
    __libc_free(block);
}

/* ---- files: what the program itself calls ---- */

static bool fails(const void *caller, const char *what, int number)
{
    if (!is_in(&program, caller) || !is_due(INJECT_FILES, what)) return false;
    errno = number;
    return true;
}

static int open_any(const char *path, int flags, int mode, const void *caller)
{
    if (fails(caller, "open", EMFILE)) return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return open_any(path, flags, mode, CALLER);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return open_any(path, flags, mode, CALLER);
}

ssize_t read(int fd, void *data, size_t bytes)
{
    return fails(CALLER, "read", EIO) ? -1 : syscall(SYS_read, fd, data, bytes);
}

ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    return fails(CALLER, "pread", EIO) ? -1 : syscall(SYS_pread64, fd, data, bytes, offset);
}

ssize_t pread64(int fd, void *data, size_t bytes, off64_t offset)
{
    return fails(CALLER, "pread", EIO) ? -1 : syscall(SYS_pread64, fd, data, bytes, offset);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    return fails(CALLER, "write", EIO) ? -1 : syscall(SYS_write, fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    return fails(CALLER, "pwrite", ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    return fails(CALLER, "pwrite", ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, data, bytes, offset);
}

int fsync(int fd)
{
    (void)fd;
    return fails(CALLER, "fsync", EIO) ? -1 : 0;
}

int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return fails(CALLER, "fallocate", ENOSPC) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
    return fails(CALLER, "fallocate", ENOSPC) ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, bytes);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(CALLER, "mkdir", ENOSPC) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int rename(const char *from, const char *to)
{
    return fails(CALLER, "rename", EIO) ? -1 : (int)syscall(SYS_rename, from, to);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fails(CALLER, "mmap", ENOMEM)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
    if (fails(CALLER, "mmap", ENOMEM)) return MAP_FAILED;
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

#ifdef INJECT_PRELOADED
/* In a program as it is: INJECT_KIND memory or files, INJECT_AT the call, INJECT_COUNT a file for their
 * number. */
__attribute__((constructor)) static void preload_begin(void)
{
    const char *kind = getenv("INJECT_KIND"), *at = getenv("INJECT_AT");
    inject_open();
    if (kind) inject_begin(strcmp(kind, "files") == 0 ? INJECT_FILES : INJECT_MEMORY, at ? atoi(at) : 0);
    atomic_store(&tracking, false);
}

__attribute__((destructor)) static void preload_end(void)
{
    bool failed;
    const char *what, *path = getenv("INJECT_COUNT");
    int count = inject_end(&failed, &what);
    FILE *out = path ? fopen(path, "w") : NULL;
    if (!out) return;
    fprintf(out, "%d\n", count);
    fclose(out);
}
#endif
