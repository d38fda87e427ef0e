/* Whose a folder of steps is. A run that saves holds a lock on DIR/.yoke-run as long as it lives: the system
 * gives it back when the process ends, however it ends, and network file systems carry it to their server
 * (locks of open files as fcntl(2) has them; NFS 4, or 3 with its lock daemon). The file says who holds it,
 * for people. Where a file system has no locks, what the file says has to do: a process of that number, begun
 * at that time, on this host.
 *
 * A host that died keeps its lock on another machine's files until the server's lease ends. Who begins the
 * same run again, and says that what held the folder is gone, takes the lock over: under a new file, so that
 * a holder that lives after all finds at its next save that the folder is no longer its own.
 *
 * The holder may save when no step is there that it did not make: of another run, or of its own after the
 * step that it goes on from; else those are removed, where the caller wants that, and only once a new step is
 * on the disk. Deliberately absent: waiting for a lock. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/checkpoint.h"
#include "yoke/checkpoint.h"

#define HOST_BYTES 256

/* What the file says. */
typedef struct holder {
    char run[YKI_RUN_BYTES], host[HOST_BYTES];
    long process;
    unsigned long long begun; /* as /proc counts */
} holder;

static yoke_status lock_path(const char *dir, char path[YKI_FOLDER_BYTES])
{
    return yki_path_join(path, YKI_FOLDER_BYTES, dir, ".yoke-run");
}

/* When a process began; 0: there is none. */
static unsigned long long begun_at(long process)
{
    char path[64], line[1024];
    unsigned long long begun = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", process);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    const char *at = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    if (at) begun = strtoull(at, NULL, 10);
    fclose(file);
    return begun;
}

static bool read_holder(int fd, holder *out)
{
    char text[1024];
    ssize_t count = pread(fd, text, sizeof text - 1, 0);
    *out = (holder){.process = 0};
    if (count < 0) return false;
    text[count] = '\0';
    return sscanf(text, "run %32[0-9a-f]\nhost %255s\nprocess %ld\nbegun %llu", out->run, out->host,
                  &out->process, &out->begun) == 4;
}

static yoke_status write_holder(int fd, const char *path, const char *run)
{
    char text[1024], host[HOST_BYTES] = "?";
    gethostname(host, sizeof host - 1);
    int count = snprintf(text, sizeof text, "run %s\nhost %s\nprocess %ld\nbegun %llu\n", run, host,
                         (long)getpid(), begun_at((long)getpid()));
    if (ftruncate(fd, 0) != 0) return yki_fail_errno("write", path);
    YKI_TRY(yki_disk_write(fd, path, text, (size_t)count, 0, (size_t)count));
    return yki_disk_flush(fd, path, (size_t)count);
}

static bool is_elsewhere(const holder *of)
{
    char host[HOST_BYTES] = "?";
    gethostname(host, sizeof host - 1);
    return strcmp(of->host, host) != 0;
}

/* Where there are no locks: whether the process that the file names is this host's and lives. */
static bool lives(int fd)
{
    holder of;
    return read_holder(fd, &of) && !is_elsewhere(&of) && of.process != (long)getpid() &&
           begun_at(of.process) == of.begun;
}

static yoke_status refuse_held(int fd, const char *dir, const char *run)
{
    holder of;
    char gone[400] = "";
    if (!read_holder(fd, &of))
        return yki_fail_at(YOKE_INVALID, dir, 0, "",
                           "belongs to a run that is under way; give this one another checkpoint.dir");
    if (is_elsewhere(&of))
        snprintf(gone, sizeof gone,
                 ". Where %.100s is gone, its lock ends with the file server's lease (over NFS 4 in some 90 "
                 "s)%s",
                 of.host, strcmp(of.run, run) == 0 ? ", and --take-over does not wait for that" : "");
    return yki_fail_at(
        YOKE_INVALID, dir, 0, "",
        "belongs to a run that is under way, process %ld on %.100s (run %.8s): end that one first, "
        "or give this one another checkpoint.dir%s",
        of.process, of.host, of.run, gone);
}

/* Whether a path names the open file. */
static enum { NO_FILE, THIS_FILE, ANOTHER_FILE } names(const char *path, int fd)
{
    struct stat named, open_one;
    if (fstat(fd, &open_one) != 0 || stat(path, &named) != 0) return NO_FILE;
    return named.st_ino == open_one.st_ino && named.st_dev == open_one.st_dev ? THIS_FILE : ANOTHER_FILE;
}

/* Whether the lock is of an earlier part of this run, on another host, and may be taken from it. */
static bool may_take_over(int fd, const yki_claim_wish *wish)
{
    holder of;
    return wish->take_over && read_holder(fd, &of) && strcmp(of.run, wish->run) == 0 && is_elsewhere(&of);
}

/* Locks the file under its name: one that its holder has taken away meanwhile is no use. */
static yoke_status lock_file(const char *dir, const char *path, const yki_claim_wish *wish, int *fd_out)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    for (bool taken = false;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0) return yki_fail_errno("write", path);
        bool locked = fcntl(fd, F_OFD_SETLK, &whole) == 0;
        bool held = !locked && (errno == EAGAIN || errno == EACCES ? true : lives(fd));
        bool over = held && !taken && may_take_over(fd, wish);
        yoke_status status = held && !over ? refuse_held(fd, dir, wish->run) : YOKE_OK;
        if (over && names(path, fd) == THIS_FILE) unlink(path);
        taken |= over;
        if (!held && names(path, fd) == THIS_FILE) {
            *fd_out = fd;
            return YOKE_OK;
        }
        close(fd);
        YKI_TRY(status);
    }
}

bool yki_claim_owns(const yki_claim *claim, const yki_saved_state *state)
{
    return state->identity.run[0] ? strcmp(state->identity.run, claim->run) == 0 : claim->unnamed;
}

/* Every step of the folder whose state can be read, newest first. */
static yoke_status each_step(const char *dir,
                             yoke_status (*use)(void *context, const yki_step_entry *entry,
                                                const char *folder, const yki_saved_state *state),
                             void *context)
{
    yki_step_entry *steps;
    int count;
    YKI_TRY(yki_steps_list(dir, &steps, &count));
    yoke_status status = YOKE_OK;
    for (int i = 0; i < count && status == YOKE_OK; i++) {
        char folder[YKI_FOLDER_BYTES + 256];
        yki_saved_state state;
        status = yki_path_join(folder, sizeof folder, dir, steps[i].name);
        if (status == YOKE_OK) status = yki_checkpoint_state(folder, &state);
        if (status == YOKE_OK)
            status = use(context, &steps[i], folder, &state);
        else if (status == YOKE_INVALID)
            status = YOKE_OK; /* no reader takes it for a step */
    }
    free(steps);
    return status;
}

typedef struct strangers {
    const yki_claim *claim;
    int64_t step;          /* what the run goes on from, or has just saved */
    int others, later;     /* steps of other runs; of this one after `step` */
    int64_t other, latest; /* the newest of them */
} strangers;

static yoke_status count_stranger(void *context, const yki_step_entry *entry, const char *folder,
                                  const yki_saved_state *state)
{
    strangers *s = context;
    yoke_status status = yki_checkpoint_check(folder);
    if (status != YOKE_OK) return status == YOKE_INVALID ? YOKE_OK : status; /* nobody could go on from it */
    if (!yki_claim_owns(s->claim, state)) {
        if (s->others++ == 0) s->other = entry->step;
    } else if (entry->step > s->step && s->later++ == 0)
        s->latest = entry->step;
    return YOKE_OK;
}

static yoke_status check_steps(yki_claim *claim, int64_t step, bool overwrite)
{
    strangers s = {.claim = claim, .step = step};
    YKI_TRY(each_step(claim->dir, count_stranger, &s));
    claim->sweeps = overwrite && (s.others || s.later);
    if (claim->sweeps) return YOKE_OK;
    if (s.others)
        return yki_fail_at(
            YOKE_INVALID, claim->dir, 0, "",
            "holds %d step%s of another run, the newest %lld: go on from %s with --resume, let "
            "--overwrite remove %s, or give this run another checkpoint.dir",
            s.others, s.others == 1 ? "" : "s", (long long)s.other, s.others == 1 ? "it" : "them",
            s.others == 1 ? "it" : "them");
    if (s.later)
        return yki_fail_at(
            YOKE_INVALID, claim->dir, 0, "",
            "holds later steps of this run than step %lld, the newest %lld: go on from that one, let "
            "--overwrite remove what is later, or give this run another checkpoint.dir",
            (long long)step, (long long)s.latest);
    return YOKE_OK;
}

yoke_status yki_claim_take(const char *dir, const yki_claim_wish *wish, yki_claim *claim_out)
{
    char path[YKI_FOLDER_BYTES];
    yki_claim claim = {.unnamed = wish->unnamed, .held = true};
    size_t length = strlen(dir);
    if (length == 0 || length >= sizeof claim.dir)
        return yki_fail_at(YOKE_INVALID, dir, 0, "", "a checkpoint's folder has a path of 1 to %zu bytes",
                           sizeof claim.dir - 1);
    memcpy(claim.dir, dir, length + 1);
    memcpy(claim.run, wish->run, sizeof claim.run);
    YKI_TRY(yki_path_join(path, sizeof path, dir, "state.json"));
    if (yki_path_exists(path)) /* readers would take that step, and none of the new ones */
        return yki_fail_at(
            YOKE_INVALID, dir, 0, "",
            "is one step's folder, and steps are saved in a folder of steps: the one above it, or "
            "another checkpoint.dir");
    YKI_TRY(lock_path(dir, path));
    YKI_TRY(yki_disk_make_folders(dir));
    YKI_TRY(lock_file(dir, path, wish, &claim.lock));
    yoke_status status = check_steps(&claim, wish->step, wish->overwrite);
    if (status == YOKE_OK) status = yki_disk_check_space(claim.lock, dir, wish->bytes);
    if (status == YOKE_OK) status = write_holder(claim.lock, path, wish->run);
    if (status == YOKE_OK)
        *claim_out = claim;
    else {
        yki_claim_release(&claim);
    }
    return status;
}

void yki_claim_release(yki_claim *claim)
{
    YKI_KEEP_RECORD;
    char path[YKI_FOLDER_BYTES];
    if (!claim->held) return;
    if (lock_path(claim->dir, path) == YOKE_OK && names(path, claim->lock) == THIS_FILE)
        unlink(path); /* still locked: it is this one's */
    close(claim->lock);
    *claim = (yki_claim){.held = false};
}

yoke_status yki_claim_check(const yki_claim *claim)
{
    char path[YKI_FOLDER_BYTES], run[YKI_RUN_BYTES];
    if (!claim->held) return YOKE_OK;
    YKI_TRY(lock_path(claim->dir, path));
    if (names(path, claim->lock) != ANOTHER_FILE) return YOKE_OK;
    yoke_checkpoint_holder(claim->dir, run);
    return yki_fail_at(YOKE_INVALID, claim->dir, 0, "",
                       "was taken over by %s, while this process was held to be gone: nothing more is saved "
                       "into it from here",
                       strcmp(run, claim->run) == 0 ? "a later part of this run" : "another run");
}

yoke_status yki_claim_seen(const char *dir, const char *run)
{
    char path[YKI_FOLDER_BYTES];
    holder of = {.process = 0};
    YKI_TRY(lock_path(dir, path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool seen = fd >= 0 && read_holder(fd, &of) && strcmp(of.run, run) == 0;
    if (fd >= 0) close(fd);
    if (seen) return YOKE_OK;
    return yki_fail_at(
        YOKE_INVALID, dir, 0, "",
        "this process does not see there what process 0 writes: checkpoint.dir must be a folder that "
        "all processes have in common");
}

static yoke_status remove_stranger(void *context, const yki_step_entry *entry, const char *folder,
                                   const yki_saved_state *state)
{
    const strangers *s = context;
    (void)folder;
    if (entry->step == s->step || (yki_claim_owns(s->claim, state) && entry->step < s->step)) return YOKE_OK;
    return yki_step_remove(s->claim->dir, entry);
}

yoke_status yki_claim_sweep(yki_claim *claim, int64_t saved)
{
    strangers s = {.claim = claim, .step = saved};
    if (!claim->sweeps) return YOKE_OK;
    YKI_TRY(each_step(claim->dir, remove_stranger, &s));
    claim->sweeps = false;
    return YOKE_OK;
}

/* --- public --- */

typedef struct wanted {
    const char *run;
    char *folder;
    int64_t *step;
} wanted;

static yoke_status take_newest(void *context, const yki_step_entry *entry, const char *folder,
                               const yki_saved_state *state)
{
    const wanted *w = context;
    if (w->folder[0] || (w->run[0] && strcmp(w->run, state->identity.run) != 0)) return YOKE_OK;
    yoke_status status = yki_checkpoint_check(folder);
    if (status != YOKE_OK) return status == YOKE_INVALID ? YOKE_OK : status;
    snprintf(w->folder, YKI_FOLDER_BYTES, "%.1199s", folder);
    *w->step = entry->step;
    return YOKE_OK;
}

yoke_status yoke_checkpoint_newest(const char *dir, const char *run, char folder_out[1200], int64_t *step_out)
{
    YKI_NEED(dir, folder_out, step_out);
    char folder[YKI_FOLDER_BYTES] = "";
    int64_t step = 0;
    wanted w = {run ? run : "", folder, &step};
    if (yki_path_exists(dir)) YKI_TRY(each_step(dir, take_newest, &w));
    memcpy(folder_out, folder, sizeof folder);
    *step_out = step;
    return YOKE_OK;
}

void yoke_checkpoint_holder(const char *dir, char run_out[33])
{
    char path[YKI_FOLDER_BYTES];
    holder of = {.process = 0};
    int fd = lock_path(dir, path) == YOKE_OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) read_holder(fd, &of);
    if (fd >= 0) close(fd);
    memcpy(run_out, of.run, sizeof of.run);
}
