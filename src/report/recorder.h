/* Recorders: files that are told of a run while it goes on. */
#ifndef YKI_REPORT_RECORDER_H
#define YKI_REPORT_RECORDER_H

#include "yoke/record.h"

struct yoke_recorder {
    yoke_trainer *trainer;
    const char *what; /* "the log" */
    char path[1300];
    int file;
    bool anew;        /* another run has written there before it: what it wrote is to be dropped */
    bool lost;        /* a write failed: nothing more is written */
    yoke_error error; /* why */
};

/* Opens `path` to append to and watches the trainer. YOKE_INVALID, YOKE_SYSTEM: it cannot be opened. */
yoke_status yki_recorder_open(yoke_recorder **recorder_out, yoke_trainer *trainer, const char *what,
                              const char *path, const yoke_watcher *watcher);
/* Appends these bytes in one write; a failure is kept for the end. */
void yki_recorder_write(yoke_recorder *recorder, const void *bytes, size_t count);
/* Seconds since 1970. */
double yki_wall_seconds(void);

#endif
