/* What a simulated step loses, in sentences. */
#ifndef YKI_PREDICT_SIMULATE_FINDINGS_H
#define YKI_PREDICT_SIMULATE_FINDINGS_H

#include "predict/simulate/simulate.h"

/* Fills the findings from the simulation's shares, worst first. */
void yki_find_causes(const yki_plan_options *options, const yoke_machine *machine, yoke_explanation *out);

#endif
