/* What a plan of a job needs, without a trainer and without the job's data. */
#ifndef YKI_PREDICT_OF_JOB_H
#define YKI_PREDICT_OF_JOB_H

#include "plan/plan.h"

/* `use` gets it, with the layout to plan for; it is gone when this returns. YOKE_INVALID: the job; else as
 * `use`. */
yoke_status yki_with_plan_options(const yoke_job *job,
                                  yoke_status (*use)(const yki_plan_options *options, void *context),
                                  void *context);

#endif
