/* The program under mpirun or srun: who runs the command, who speaks, and how all end together. */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "cli.h"

/* Before anything is said: of many processes the first one speaks. */
void cluster_begin(cli *run);
/* Joins the other processes, where the command is for all. Returns -1 to go on, or the exit code. */
int cluster_enter(cli *run);
/* The job, once all processes have loaded the same; NULL: said, and *code_out is the exit code. */
yoke_job *cluster_load_job(cli *run, int *code_out);
/* Whether this process says what failed: of several one does, once, unless it is about a loss. */
bool cluster_speaks(const cli *run, const yoke_error *error);
/* It has: others may end now. */
void cluster_spoken(void);
/* Whether a command that ends with this code ends so in all processes, which still hear each other. */
bool cluster_together(int code);
/* The end of the program; returns the code, or does not where others are lost. */
int cluster_leave(int code);

#endif
