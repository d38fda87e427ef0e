/* Saves that are complete or absent.
 *
 * Everything is written under .step-N.tmp-PID; commit flushes it and renames it to step-N. Where step-N is
 * there already the two change places in one system call, or, on a file system without that, the old one is
 * set aside under a name by which readers and the next save still know it. A save's process holds a lock on
 * its temporary folder, so that the next save can tell one under way from what a killed one left, whatever
 * process ids mean there (containers reuse them). Deliberately absent: saves that several processes write
 * into one folder without agreeing who begins and commits. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/checkpoint.h"

/* Whether the save that made this folder is under way: its process holds the lock; where the file system has
 * no locks, there is a process of the number in the name. */
static bool is_under_way(const char *folder, const char *name)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    int locked = flock(fd, LOCK_EX | LOCK_NB), number = errno;
    close(fd);
    if (locked == 0) return false;
    if (number == EWOULDBLOCK) return true;
    const char *dash = strrchr(name, '-');
    long pid = dash ? strtol(dash + 1, NULL, 10) : 0;
    return pid > 0 && pid != (long)getpid() && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

/* Deals with one name in DIR that a dead save may have left. */
static yoke_status clean_entry(const char *dir, DIR *listing, const char *name)
{
    char path[YKI_FOLDER_BYTES], final[YKI_FOLDER_BYTES], plain[32];
    int64_t aside = yki_step_number(name, "old");
    if (strncmp(name, ".best.tmp-", 10) == 0) unlinkat(dirfd(listing), name, 0);
    if (aside < 0 && yki_step_number(name, "tmp") < 0 && yki_step_number(name, "gone") < 0) return YOKE_OK;
    YKI_TRY(yki_path_join(path, sizeof path, dir, name));
    if (is_under_way(path, name)) return YOKE_OK;
    if (aside >= 0) {
        snprintf(plain, sizeof plain, "step-%08lld", (long long)aside);
        YKI_TRY(yki_path_join(final, sizeof final, dir, plain));
        if (!yki_path_exists(final)) {
            if (rename(path, final) != 0)
                return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot put it back as %s: %s", plain,
                                   strerror(errno));
            return YOKE_OK; /* under both names it is a step */
        }
    }
    /* It may be what a step replaced whose name is not on the disk yet: the process that gave it may have
     * been killed before its flush. */
    YKI_TRY(yki_disk_flush_folder(dir));
    return yki_disk_remove_folder(path);
}

/* Deals with all of them, and says whether DIR has a step. */
static yoke_status clean(const char *dir, bool *has_steps)
{
    *has_steps = false;
    DIR *listing = opendir(dir);
    if (!listing) return yki_fail_at(YOKE_SYSTEM, dir, 0, "", "cannot list it: %s", strerror(errno));
    yoke_status status = YOKE_OK;
    for (struct dirent *found; status == YOKE_OK && (found = readdir(listing));) {
        *has_steps |= yki_step_number(found->d_name, NULL) >= 0;
        if (found->d_name[0] == '.') status = clean_entry(dir, listing, found->d_name);
    }
    closedir(listing);
    return status;
}

/* Makes the temporary folder and holds it. */
static yoke_status make_temporary(yki_save *save)
{
    if (mkdir(save->temporary, 0777) != 0)
        return errno == EEXIST ? yki_fail_at(YOKE_SYSTEM, save->temporary, 0, "", "is being saved already")
                               : yki_fail_at(errno == EACCES ? YOKE_INVALID : YOKE_SYSTEM, save->temporary, 0,
                                             "", "cannot create it: %s", strerror(errno));
    save->lock = open(save->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (save->lock < 0) {
        yoke_status status =
            yki_fail_at(YOKE_SYSTEM, save->temporary, 0, "", "cannot open it: %s", strerror(errno));
        rmdir(save->temporary);
        return status;
    }
    flock(save->lock, LOCK_EX | LOCK_NB); /* where there are no locks the process id has to do */
    struct stat there, held;
    if (stat(save->temporary, &there) != 0 || fstat(save->lock, &held) != 0 || there.st_ino != held.st_ino) {
        close(save->lock);
        save->lock = -1;
        return yki_fail_at(YOKE_SYSTEM, save->dir, 0, "",
                           "another run saves into the same folder at this moment");
    }
    return YOKE_OK;
}

yoke_status yki_save_begin(const char *dir, int64_t step, yki_save *save)
{
    char name[64];
    *save = (yki_save){.step = step, .lock = -1};
    if (step < 0 || step > 99999999999)
        return yki_fail_at(YOKE_INVALID, dir, 0, "", "no step can have the number %lld", (long long)step);
    size_t length = strlen(dir);
    if (length == 0 || length >= sizeof save->dir)
        return yki_fail_at(YOKE_INVALID, dir, 0, "", "a checkpoint's folder has a path of 1 to %zu bytes",
                           sizeof save->dir - 1);
    memcpy(save->dir, dir, length + 1);
    snprintf(name, sizeof name, "step-%08lld", (long long)step);
    YKI_TRY(yki_path_join(save->final, sizeof save->final, dir, name));
    snprintf(name, sizeof name, ".step-%08lld.tmp-%ld", (long long)step, (long)getpid());
    YKI_TRY(yki_path_join(save->temporary, sizeof save->temporary, dir, name));
    bool has_steps;
    YKI_TRY(yki_disk_make_folders(dir));
    YKI_TRY(clean(dir, &has_steps));
    /* Before the first step: whoever made DIR and what it lies in may have been killed, or not have flushed.
     */
    if (!has_steps) YKI_TRY(yki_disk_flush_above(dir));
    return make_temporary(save);
}

yoke_status yki_save_text(const yki_save *save, const char *name, const char *text)
{
    char path[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_path_join(path, sizeof path, save->temporary, name));
    return yki_disk_create(path, text, strlen(text));
}

yoke_status yki_save_state(const yki_save *save, const yki_saved_state *state)
{
    char *text = yki_state_print(state);
    if (!text) return yki_fail_memory("state.json");
    yoke_status status = yki_save_text(save, "state.json", text);
    free(text);
    return status;
}

/* The name that a step has while it is set aside ("old") or removed ("gone"). */
static yoke_status hidden_path(char out[YKI_FOLDER_BYTES + 64], const char *dir, int64_t step,
                               const char *mark)
{
    char name[64];
    snprintf(name, sizeof name, ".step-%08lld.%s-%ld", (long long)step, mark, (long)getpid());
    return yki_path_join(out, YKI_FOLDER_BYTES + 64, dir, name);
}

/* Gives the temporary folder its final name. The old folder of that name, if any, is then in *old ("": none).
 */
static yoke_status put_in_place(const yki_save *save, char old[YKI_FOLDER_BYTES + 64])
{
    old[0] = '\0';
    /* A plain rename first: onto a folder with files in it, it fails and changes nothing. */
    if (rename(save->temporary, save->final) == 0) return YOKE_OK;
    if (errno != EEXIST && errno != ENOTEMPTY)
        return yki_fail_at(YOKE_SYSTEM, save->final, 0, "", "cannot take its name: %s", strerror(errno));
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, save->temporary, AT_FDCWD, save->final, RENAME_EXCHANGE) == 0) {
        memcpy(old, save->temporary, strlen(save->temporary) + 1);
        return YOKE_OK;
    }
#endif
    YKI_TRY(hidden_path(old, save->dir, save->step, "old"));
    if (rename(save->final, old) != 0)
        return yki_fail_at(YOKE_SYSTEM, save->final, 0, "", "cannot set it aside: %s", strerror(errno));
    if (rename(save->temporary, save->final) == 0) return YOKE_OK;
    yoke_status status =
        yki_fail_at(YOKE_SYSTEM, save->final, 0, "", "cannot take its name: %s", strerror(errno));
    rename(old, save->final);
    return status;
}

/* Hides it by a rename first. */
yoke_status yki_step_remove(const char *dir, const yki_step_entry *entry)
{
    char path[YKI_FOLDER_BYTES + 256], gone[YKI_FOLDER_BYTES + 64];
    YKI_TRY(yki_path_join(path, sizeof path, dir, entry->name));
    YKI_TRY(hidden_path(gone, dir, entry->step, "gone"));
    if (rename(path, gone) != 0)
        return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot remove this older step: %s", strerror(errno));
    return yki_disk_remove_folder(gone);
}

/* Removes the run's complete steps beyond the `keep` newest, but never `saved`, the newest that is finite, or
 * the best. */
static yoke_status rotate(const char *dir, int64_t keep, int64_t saved, const yki_claim *claim)
{
    yki_step_entry *steps;
    int count;
    YKI_TRY(yki_steps_list(dir, &steps, &count));
    yoke_status status = YOKE_OK;
    int64_t complete = 0, best = yki_best_step(dir);
    bool finite_kept = false;
    for (int i = 0; i < count && status == YOKE_OK; i++) {
        char folder[YKI_FOLDER_BYTES + 256];
        yki_saved_state state;
        status = yki_path_join(folder, sizeof folder, dir, steps[i].name);
        if (status == YOKE_OK) status = yki_checkpoint_check(folder);
        if (status == YOKE_OK) status = yki_checkpoint_state(folder, &state);
        if (status == YOKE_INVALID)
            status = YOKE_OK; /* what is not complete is neither counted nor touched */
        else if (status == YOKE_OK && (!claim || yki_claim_owns(claim, &state))) {
            complete++;
            bool is_newest_finite = !finite_kept && !state.not_finite && isfinite(state.last_loss);
            finite_kept |= is_newest_finite;
            if (complete > keep && !is_newest_finite && steps[i].step != saved && steps[i].step != best)
                status = yki_step_remove(dir, &steps[i]);
        }
    }
    free(steps);
    return status;
}

yoke_status yki_save_commit(yki_save *save, int64_t keep)
{
    char old[YKI_FOLDER_BYTES + 64];
    if (save->lock < 0 || !save->temporary[0]) return yki_fail(YOKE_INVALID, "no save is under way");
    yoke_status status = yki_checkpoint_check(save->temporary);
    if (status == YOKE_OK) status = yki_disk_flush_folder(save->temporary);
    if (status == YOKE_OK) status = put_in_place(save, old);
    if (status != YOKE_OK) {
        yki_save_abandon(save);
        return status;
    }
    status = yki_disk_flush_folder(save->dir);
    if (status == YOKE_OK && old[0]) status = yki_disk_remove_folder(old);
    if (status == YOKE_OK && save->best) status = yki_best_set(save->dir, save->step);
    close(save->lock);
    save->lock = -1;
    if (status == YOKE_OK && save->claim) status = yki_claim_sweep(save->claim, save->step);
    if (status == YOKE_OK && keep > 0) status = rotate(save->dir, keep, save->step, save->claim);
    return status;
}

void yki_save_abandon(yki_save *save)
{
    if (save->lock < 0 || !save->temporary[0]) /* a zeroed struct was never begun */
        return;
    YKI_KEEP_RECORD;
    yki_disk_remove_folder(save->temporary);
    close(save->lock);
    save->lock = -1;
}
