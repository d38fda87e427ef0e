/* The table of commands. A command is one file cmd_NAME.c, which defines its row, and one line in commands.c.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "options.h"

struct cli;

/* Under mpirun or srun, a command runs in ... */
typedef enum command_processes { ONE_PROCESS, FIRST_PROCESS, ALL_PROCESSES } command_processes;

typedef struct command {
    const char *name;
    const char *summary;               /* one line of the program's help */
    const char *usage;                 /* after the name: "JOB [options]" */
    const char *operand;               /* what its arguments are called where one is missing */
    int least, most;                   /* how many arguments */
    bool takes_rest;                   /* what follows -- is another command line */
    const char *about;                 /* a sentence or two */
    const option_group *const *groups; /* NULL-terminated */
    const char *examples;              /* lines */
    const char *codes;                 /* its exit codes, lines */
    command_processes processes;       /* one: it refuses to be started several times */
    /* Runs with options parsed; returns the exit code. What it says and writes goes through `run`. */
    int (*run)(struct cli *run);
} command;

extern const command command_train, command_compare, command_verify, command_schedule, command_simulate,
    command_plan, command_explain, command_generate, command_predict, command_eval, command_inspect,
    command_devices, command_launch, command_bench, command_data, command_merge;

extern const command *const commands[]; /* NULL-terminated, in the order of help */
/* The command, or NULL and in *nearest_out the name nearest to it (NULL: none is near). */
const command *command_find(const char *name, const char **nearest_out);

/* Of a parsed command line of `yoke train`: where it names no job, that of the step to resume. Returns 0, or
 * the exit code of what is wrong, said. */
int train_find_job(struct cli *run);

#endif
