/* What the CPU backend knows of the machine: cores that this process may use, memory that it may fill. */
#ifndef YKI_BACKEND_CPU_MACHINE_H
#define YKI_BACKEND_CPU_MACHINE_H

#include <stdint.h>

/* Physical cores (without hwloc: logical CPUs) in the process's affinity mask, and not more than its control
 * groups have time of (base/limits.h); at least 1. Found once. */
int yki_machine_cores(void);

/* Physical memory, or the smallest limit of the process's control groups (versions 1 and 2) where that is
 * less. */
int64_t yki_machine_memory_bytes(void);

/* Binds the calling thread, and so the team that it makes later, to cores first .. first+count-1 of those
 * above. Without hwloc, or where the system refuses, it does nothing: binding is a matter of speed alone. */
void yki_machine_bind(int first, int count);

#endif
