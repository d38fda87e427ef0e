/* Families as graph builders, between the public builder and the job file. */
#ifndef YKI_MODEL_MODEL_H
#define YKI_MODEL_MODEL_H

#include "graph/graph.h"
#include "yoke/job.h"

/* Devices of values and layers that are no part's number. */
enum { YKI_NO_DEVICE = -1, YKI_ANY_DEVICE = -2 };

/* What the names of adapters' parameters begin with, as PEFT has them, before the base's. */
#define YKI_ADAPTER_PREFIX "base_model.model."

/* A value as the public builder hands it out. */
static inline yoke_tensor yki_tensor(const yoke_model *model, int value)
{
    return (yoke_tensor){value, model ? model->serial : 0};
}

/* Whether a builder's call has a model that can still grow and has no error; else it is said, in the model
 * where there is one. */
bool yki_model_grows(yoke_model *model, const char *function);

/* Dropout on value x; `name` keys its random numbers. */
int yki_model_dropout(yoke_model *model, int x, double p, const char *name);

/* Builds the model that a job describes: all but finishing. Sets the model's error; `file` and lines are
 * named in it. */
yoke_status yki_model_from_job(const yoke_job *job, yoke_model **model_out);

#endif
