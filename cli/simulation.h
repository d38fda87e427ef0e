/* What simulate, explain and plan do alike: a job on a described machine, and what they say of a step. */
#ifndef CLI_SIMULATION_H
#define CLI_SIMULATION_H

#include "cli.h"
#include "json.h"
#include "yoke/simulate.h"

extern const option_group options_machine; /* --machine */

/* The text of --machine; NULL where none was given. */
const char *simulation_machine(void);

/* Loads the job and the machine of --machine, or else calls `found` for one (NULL: --machine must be there),
 * and then `body`, which prints and writes what comes of both. An exit code. */
int simulation_run(cli *run, yoke_status (*found)(const yoke_job *job, yoke_machine **machine_out),
                   yoke_status (*body)(cli *run, const yoke_job *job, const yoke_machine *machine));

/* Keys of the object that is open. */
void simulation_write(json *j, const yoke_machine *machine, const yoke_simulation *s);
/* Bytes by kind, as keys of the object that is open. */
void simulation_write_bytes(json *j, const yoke_bytes *bytes);
/* A line or three: layout, machine, time, rates. */
void simulation_print_head(FILE *out, const yoke_machine *machine, const yoke_simulation *s);

#endif
