/* A layout as the flags of another program. */
#ifndef CLI_EMIT_H
#define CLI_EMIT_H

#include "cli.h"

/* The names of those programs; NULL past the last. */
const char *emit_name(int i);
/* Prints the flags that mean the job under the layout there, and what has no counterpart; writes both as a
 * key of the open object. */
void emit_show(cli *run, const char *name, const yoke_job *job, const yoke_layout *layout);

#endif
