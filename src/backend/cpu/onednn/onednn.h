/* What the files of this folder give to each other and to the table. */
#ifndef YKI_BACKEND_CPU_ONEDNN_ONEDNN_H
#define YKI_BACKEND_CPU_ONEDNN_ONEDNN_H

#include "backend/cpu/cpu.h"

void yki_onednn_register_linear(yki_cpu_table *table);
void yki_onednn_register_conv(yki_cpu_table *table);

/* Fills an output with not-a-number: a launch cannot fail, and a library that did must not go unnoticed. */
void yki_onednn_spoil(const yki_view *out);

#endif
