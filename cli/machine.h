/* A machine that --machine described, for people and as JSON. */
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include "cli.h"
#include "yoke/machine.h"

void machine_print(const cli *run, const yoke_machine *machine);
/* As the object `machine`. */
void machine_write(json *document, const yoke_machine *machine);

#endif
