/* What `plan --why` adds: sentences, strategies by themselves, and where the choice changes. */
#ifndef CLI_WHY_H
#define CLI_WHY_H

#include "cli.h"
#include "yoke/planning.h"

/* Prints them, and writes them as keys of the open object. A library's status. */
yoke_status why_show(cli *run, const yoke_job *job, const yoke_machine *machine, int devices,
                     const yoke_planned *planned);

#endif
