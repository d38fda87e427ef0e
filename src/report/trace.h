/* Traces: what of them others of this folder need. */
#ifndef YKI_REPORT_TRACE_H
#define YKI_REPORT_TRACE_H

#include "train/trainer.h"

/* The trainer whose steps it records; its rings are the run's (run/trace.h). */
const yoke_trainer *yki_trace_trainer(const yoke_trace *trace);

#endif
