/* --layout auto: the plan's choice in the place of the job's layout. */
#ifndef CLI_AUTO_H
#define CLI_AUTO_H

#include "cli.h"
#include "yoke/machine.h"

/* Where the command line says --layout auto: plans the job for the devices it names, or else for all of the
 * machine's (NULL: this host's), makes the job's layout what comes first, and says so in one sentence.
 * Returns 0, or the exit code of what is wrong, said. */
int auto_choose(cli *run, yoke_job *job, const yoke_machine *machine);

#endif
