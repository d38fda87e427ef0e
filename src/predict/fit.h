/* What would fit: other layouts of the same job, tried by planning each. */
#ifndef YKI_PREDICT_FIT_H
#define YKI_PREDICT_FIT_H

#include "plan/plan.h"

/* After YOKE_DOES_NOT_FIT, tries other layouts and adds their flags to the record, for a job that names these
 * keys of its layout; or says that none fits. */
void yki_suggest_fits(const yki_plan_options *options, uint32_t named);
/* Up to `most` layouts of exactly so many devices that fit, cheapest first. */
yoke_status yki_layouts_over(const yki_plan_options *options, int devices, yoke_layout *layouts, int most,
                             int *count_out);

#endif
