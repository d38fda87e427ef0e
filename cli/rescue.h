/* Keeping what a run that ends before its last step has done: where it is saved, and how to go on. */
#ifndef CLI_RESCUE_H
#define CLI_RESCUE_H

#include "cli.h"
#include "yoke/train.h"

/* Before the first step: says where there is no place to keep what would be interrupted. */
void rescue_check(cli *run, const yoke_job *job);
/* Saves the step at hand, unless it is saved already: to the job's checkpoint.dir, else to
 * ./yoke-interrupted, or where that cannot be written below TMPDIR. *said_out: where, and the whole command
 * that goes on, freed by the caller; NULL where nothing was done that could be lost. Returns 0, or the exit
 * code with the error said. */
int rescue_save(cli *run, yoke_trainer *trainer, char **said_out);
/* The same after the failure that this thread's record has, which is said already: tells where, or why not
 * and which step is the newest. */
void rescue_after(cli *run, yoke_trainer *trainer);

#endif
