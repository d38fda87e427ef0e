/* What the recorders share: a file that is appended to, and whose fault ends the record, not the run. */
#include "report/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"

double yki_wall_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

yoke_status yki_recorder_open(yoke_recorder **recorder_out, yoke_trainer *trainer, const char *what,
                              const char *path, const yoke_watcher *watcher)
{
    char verb[64];
    yoke_recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder) return yki_fail_memory(what);
    *recorder = (yoke_recorder){.trainer = trainer, .what = what};
    snprintf(recorder->path, sizeof recorder->path, "%s", path);
    snprintf(verb, sizeof verb, "write %s to", what);
    recorder->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (recorder->file < 0) recorder->file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC); /* a pipe */
    yoke_watcher mine = *watcher;
    mine.context = recorder;
    yoke_status status = recorder->file < 0 ? yki_fail_errno(verb, path) : yoke_trainer_watch(trainer, &mine);
    if (status != YOKE_OK) {
        if (recorder->file >= 0) close(recorder->file);
        free(recorder);
        return status;
    }
    *recorder_out = recorder;
    return YOKE_OK;
}

void yki_recorder_write(yoke_recorder *recorder, const void *bytes, size_t count)
{
    ssize_t written;
    if (recorder->lost) return;
    do written = write(recorder->file, bytes, count);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)count) return;
    if (written >= 0) errno = ENOSPC; /* a part of it: no more has room */
    recorder->lost = true;
    yki_fail_at(YOKE_SYSTEM, recorder->path, 0, "", "cannot write %s to it: %s; the run went on without it",
                recorder->what, strerror(errno));
    recorder->error = *yoke_error_get();
}

yoke_status yoke_recorder_close(yoke_recorder *recorder)
{
    if (!recorder) return YOKE_OK;
    yoke_trainer_unwatch(recorder->trainer, recorder);
    if (close(recorder->file) != 0 && errno != EINTR && !recorder->lost) {
        recorder->lost = true;
        yki_fail_at(YOKE_SYSTEM, recorder->path, 0, "", "cannot write %s to it: %s", recorder->what,
                    strerror(errno));
        recorder->error = *yoke_error_get();
    }
    yoke_status status = recorder->lost ? YOKE_SYSTEM : YOKE_OK;
    if (recorder->lost) yki_error_set(&recorder->error);
    free(recorder);
    return status;
}
