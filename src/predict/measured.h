/* Measured kernels, for who measures them. */
#ifndef YKI_PREDICT_MEASURED_H
#define YKI_PREDICT_MEASURED_H

#include "plan/plan.h"
#include "yoke/machine.h"

/* The shape of a launch, in the letters of its kernel's signature. */
void yki_launch_dims(const yki_launch *launch, int64_t dims[YOKE_MACHINE_DIMS]);
/* Whether one of a launch's operands is bf16, and the machine's number of that precision. */
bool yki_launch_is_half(const yki_launch *launch);
int yki_precision_of(bool half);
/* Puts tables of measurements into their order. */
void yki_machine_sort_tables(yoke_machine *machine);
/* The path of `--machine here`. YOKE_INVALID: no folder is known. */
yoke_status yki_machine_here(char path[1200]);

#endif
