/* How long processes may take to meet. */
#ifndef YKI_COMM_MPI_MEETING_H
#define YKI_COMM_MPI_MEETING_H

#include <pthread.h>

#include "comm/cluster.h"

typedef struct yki_meeting {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t thread;
    bool watched, over;
    double limit; /* seconds */
    const yki_launched *launch;
    const char *where; /* static */
    yki_loss_hook late;
} yki_meeting;

/* From here on `late` (NULL: there is no limit) is called, on a thread of its own and as at a loss, where the
 * processes have not met within yki_start_limit(). launch: must last. YOKE_INVALID as there. */
yoke_status yki_meeting_begin(yki_meeting *m, const yki_launched *launch, yki_loss_hook late);
/* What they do now, for the sentence. */
void yki_meeting_at(yki_meeting *m, const char *where);
/* They have met, or failed. */
void yki_meeting_end(yki_meeting *m);

#endif
