/* What simulate and explain say alike of a simulated step. */
#ifndef CLI_SIMULATION_H
#define CLI_SIMULATION_H

#include "json.h"
#include "yoke/simulate.h"

/* Keys of the object that is open. */
void simulation_write(json *j, const yoke_machine *machine, const yoke_simulation *s);
/* Bytes by kind, as keys of the object that is open. */
void simulation_write_bytes(json *j, const yoke_bytes *bytes);
/* A line or three: layout, machine, time, rates. */
void simulation_print_head(FILE *out, const yoke_machine *machine, const yoke_simulation *s);

#endif
