/* Machines from text; what the files of this folder share beside include/yoke/machine.h. */
#ifndef YKI_PREDICT_MACHINE_MACHINE_H
#define YKI_PREDICT_MACHINE_MACHINE_H

#include "base/text.h"
#include "job/yaml.h"
#include "yoke/machine.h"

/* A machine of a tree of YAML; `file` is named in errors. Owns: the caller, on success alone. */
yoke_status yki_machine_read(const yki_yaml *root, const char *file, yoke_machine **machine_out);

/* "R1024 K128 N384" */
void yki_machine_print_shape(yki_text *text, const yoke_machine_kernel *kernel);
/* The YAML of preset i: one node, of two levels, the outer one of count 1. */
const char *yki_machine_preset_text(int i);

#endif
