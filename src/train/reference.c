/* The one device that a layout is verified against. Where nothing is made of several samples together it runs
 * the batch at once. Batch norm is by the micro-batch: then the device takes the layout's micro-batches, each
 * of the samples that its statistics are of. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "train/trainer.h"

typedef struct found {
    bool statistics[2]; /* by yoke_statistics */
    bool dropout;
} found;

static void look(const yoke_layer *layers, int count, found *f)
{
    for (int i = 0; i < count; i++) {
        if (layers[i].type == YOKE_LAYER_BATCHNORM) f->statistics[layers[i].statistics] = true;
        if (layers[i].type == YOKE_LAYER_DROPOUT && layers[i].p > 0) f->dropout = true;
        look(layers[i].layers, layers[i].nlayers, f);
    }
}

yoke_status yki_reference_set(const yoke_job *job, yoke_layout *one, yki_trainer_options *options)
{
    found f = {0};
    const yoke_layout *layout = &job->layout;
    look(job->model.layers, job->model.nlayers, &f);
    bool global = f.statistics[YOKE_STATISTICS_GLOBAL], local = f.statistics[YOKE_STATISTICS_LOCAL];
    if (!global && !local) return YOKE_OK;
    one->microbatches = layout->microbatches;
    if (layout->dp <= 1) return YOKE_OK;
    if (global && local)
        return yki_fail(YOKE_INVALID,
                        "verify: batchnorms of global and of local statistics in one model have no like on "
                        "one device with dp %d; choose one kind",
                        layout->dp);
    if (local) {
        one->microbatches = layout->microbatches * layout->dp;
        options->like = (yki_like){.dp = layout->dp, .apart = true};
    } else if (layout->microbatches > 1) {
        options->like = (yki_like){.dp = layout->dp};
        if (f.dropout)
            return yki_fail(YOKE_INVALID,
                            "verify: with batchnorm and dropout under dp %d and microbatches %d, one device "
                            "cannot take the same micro-batches and drop the same elements; choose "
                            "microbatches 1, or p 0",
                            layout->dp, layout->microbatches);
    }
    return YOKE_OK;
}

yoke_status yki_reference_order(yoke_trainer *trainer, int64_t count)
{
    const yki_like *like = &trainer->plan->options.like;
    if (like->dp <= 1 || like->apart) return YOKE_OK;
    int64_t *from = malloc(sizeof *from * (size_t)(count + 1)), at = 0;
    if (!from) return yki_fail_memory("a batch");
    memcpy(from, trainer->indices, sizeof *from * (size_t)count);
    for (int m = 0; m < trainer->plan->microbatches; m++)
        for (int d = 0; d < like->dp; d++) {
            int64_t first,
                mine = yki_part_samples(count, like->dp, trainer->plan->microbatches, d, m, &first);
            for (int64_t i = 0; i < mine; i++) trainer->indices[at++] = from[first + i];
        }
    free(from);
    return YOKE_OK;
}
