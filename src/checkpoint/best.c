/* DIR/best: a link to the folder of the step with the least held-out loss. It is replaced by a rename, so
 * that it names one step or another at any moment, and set once its step is on the disk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/fail.h"
#include "checkpoint/checkpoint.h"

int64_t yki_best_step(const char *dir)
{
    char path[YKI_FOLDER_BYTES + 64], target[256];
    if (yki_path_join(path, sizeof path, dir, "best") != YOKE_OK) return -1;
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) return -1;
    target[length] = '\0';
    return yki_step_number(target, NULL);
}

yoke_status yki_best_set(const char *dir, int64_t step)
{
    char path[YKI_FOLDER_BYTES + 64], made[YKI_FOLDER_BYTES + 64], name[64], target[64];
    struct stat there;
    snprintf(target, sizeof target, "step-%08lld", (long long)step);
    snprintf(name, sizeof name, ".best.tmp-%ld", (long)getpid());
    YKI_TRY(yki_path_join(path, sizeof path, dir, "best"));
    YKI_TRY(yki_path_join(made, sizeof made, dir, name));
    if (lstat(path, &there) == 0 && !S_ISLNK(there.st_mode))
        return yki_fail_at(YOKE_INVALID, path, 0, "",
                           "is no link, and cannot become the best step's; move it away");
    unlink(made); /* of a process of this number that was killed */
    if (symlink(target, made) != 0)
        return yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot make a link of it: %s", strerror(errno));
    if (rename(made, path) != 0) {
        yoke_status status =
            yki_fail_at(YOKE_SYSTEM, path, 0, "", "cannot make it name %s: %s", target, strerror(errno));
        unlink(made);
        return status;
    }
    return yki_disk_flush_folder(dir);
}
