/* A trainer over several processes: each makes the same one, and all compare what they made. */
#include <stdlib.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "train/trainer.h"
#include "yoke/cluster.h"

bool yki_trainer_alone(const yoke_trainer *trainer)
{
    return trainer->alone || yki_cluster_size() == 1;
}

bool yki_trainer_leads(const yoke_trainer *trainer)
{
    return trainer->alone || yki_cluster_rank() == 0;
}

yoke_status yki_trainer_agree(const yoke_trainer *trainer, yoke_status status, const char *what,
                              uint64_t hash)
{
    return trainer->alone ? status : yki_cluster_agree(status, what, hash);
}

yoke_status yki_trainer_share(const yoke_trainer *trainer, void *data, size_t bytes)
{
    return trainer->alone ? YOKE_OK : yki_cluster_broadcast(data, bytes);
}

yoke_status yki_trainer_even_out(const yoke_trainer *trainer, int64_t *threads, int64_t *memory)
{
    int64_t values[] = {*threads, *memory};
    if (trainer->alone) return YOKE_OK;
    YKI_TRY(yki_cluster_least(values, 2));
    *threads = values[0];
    *memory = values[1];
    return YOKE_OK;
}

uint64_t yki_hash_text(const char *text, uint64_t hash)
{
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

/* --- public --- */

int yoke_launched(yoke_launch *out)
{
    if (!out) return 0;
    yki_launched found;
    if (!yki_launch_find(&found)) return 0;
    *out = (yoke_launch){found.launcher, found.rank, found.size, found.first_here};
    return 1;
}

yoke_status yoke_start_limit(int processes, double *seconds_out)
{
    YKI_NEED(seconds_out);
    return yki_start_limit(processes, seconds_out);
}

yoke_status yoke_cluster_join(yoke_loss_hook lost)
{
    return yki_cluster_join(lost);
}

int yoke_cluster_rank(void)
{
    return yki_cluster_rank();
}

int yoke_cluster_size(void)
{
    return yki_cluster_size();
}

yoke_status yoke_cluster_agree(const yoke_job *job)
{
    char *text = job ? yoke_job_print(job) : NULL;
    yoke_status status = job ? YOKE_OK : yoke_error_get()->status;
    if (job && !text) status = yki_fail_memory("a job");
    uint64_t hash = text ? yki_hash_text(text, 0xcbf29ce484222325u) : 0;
    free(text);
    return yki_cluster_agree(status, "job", hash);
}

void yoke_cluster_leave(const yoke_error *why)
{
    yki_cluster_leave(why);
}
