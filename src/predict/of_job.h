/* What a plan of a job needs, without a trainer and without the job's data. */
#ifndef YKI_PREDICT_OF_JOB_H
#define YKI_PREDICT_OF_JOB_H

#include "plan/plan.h"

/* `use` gets it, with the layout to plan for; it is gone when this returns. YOKE_INVALID: the job; else as
 * `use`. */
yoke_status yki_with_plan_options(const yoke_job *job,
                                  yoke_status (*use)(const yki_plan_options *options, void *context),
                                  void *context);

/* The job's model in so many blocks, where it is a family's and has more of them; else NULL. As above. Owns:
 * the caller. */
yoke_status yki_shorter_model(const yoke_job *job, int blocks, yoke_model **model_out);

#endif
