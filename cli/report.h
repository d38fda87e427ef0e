/* What a training run was, as text and as JSON. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli.h"
#include "course.h"
#include "yoke/train.h"

/* The losses of this run as JSON (`steps`, `final_loss`); returns the last one, NaN where no step was done.
 */
double report_losses(cli *run, const yoke_trainer *trainer);
/* Bytes by what they hold, an object's keys. */
void report_write_bytes(json *j, const yoke_bytes *bytes);
/* What devices did, as `timeline`. device: what their names begin with, e.g. "cpu:". */
void report_write_timeline(json *j, const char *device, const yoke_ran *ran, int count);
/* What a run would take: devices as predicted. */
void report_dry_run(cli *run, const yoke_dry_run *dry);
/* Everything: losses, course, times, devices, bytes moved, the actions that ran. Returns the exit code. */
int report_run(cli *run, yoke_trainer *trainer, const course *steps);

#endif
