/* What `yoke train` writes beside its result: a log, TensorBoard's events, a trace. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include "cli.h"
#include "yoke/record.h"

typedef struct records {
    yoke_recorder *log, *tensorboard;
    yoke_trace *trace;
} records;

/* --log, --tensorboard, --trace, --trace-steps */
extern const option_group options_records;

/* Opens log and events as the options say, before anything happens to the trainer; and the trace, before the
 * first step. Return 0, or the exit code with the error said. */
int records_open(cli *run, yoke_trainer *trainer, records *r);
int records_open_trace(cli *run, yoke_trainer *trainer, records *r);
/* The i-th flag that a run which goes on is to have too, and its value (NULL: it was not given); NULL: there
 * is no such flag. */
const char *records_kept(int i, const char **value_out);
/* Ends them all, and tells what was written. Returns `code`, or the exit code of the first that failed. */
int records_close(cli *run, records *r, int code);

#endif
