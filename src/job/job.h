/* What a trainer needs of a job beyond reading it. */
#ifndef YKI_JOB_JOB_H
#define YKI_JOB_JOB_H

#include "yoke/job.h"

/* Settles degrees and devices, for a job whose layout was changed as for one just read: a dp of 0 becomes
 * what the devices leave, or 1. The devices needed are dp * cp * tp * pp, or dp times the distinct `device:`
 * keys of the layers. YOKE_INVALID: other numbers of devices, `device:` keys beside tp, pp or cp, or with
 * gaps in their numbers. Doing it again changes nothing. */
yoke_status yki_job_resolve_devices(yoke_job *job);
/* YOKE_INVALID where a full batch has fewer samples than dp * microbatches. */
yoke_status yki_job_check_batch(const yoke_job *job);
/* The distinct devices that the layers name, 0 where none is named: then the layout may split the model. */
int yki_job_parts(const yoke_job *job);
/* yoke_layout_print that says where memory is out (YOKE_SYSTEM). */
yoke_status yki_layout_text(const yoke_layout *layout, char *text, int size);

#endif
