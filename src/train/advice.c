/* What a run's owner should hear before its first step: a model, batches or shares that teach nothing, or
 * less than it looks. Nothing here refuses: each is what the job says. */
#include "train/trainer.h"

/* The fewest samples that a batch norm's statistics are of, in a step of `batch`. */
static int64_t fewest(const yki_plan *plan, const yki_attr *attr, int64_t batch)
{
    int64_t least = batch, first;
    for (int m = 0; m < plan->microbatches; m++) {
        int64_t all = 0;
        for (int d = 0; d < plan->options.layout.dp; d++) {
            int64_t own = yki_plan_samples(plan, batch, d, m, &first);
            if (attr->own_statistics && own > 0 && own < least) least = own;
            all += own;
        }
        if (!attr->own_statistics && all > 0 && all < least) least = all;
    }
    return least;
}

static void advise_norms(yoke_trainer *trainer)
{
    const yki_plan *plan = trainer->plan;
    const yoke_model *model = trainer->model;
    int64_t batch = yki_order_batch_count(&trainer->order, 0), rest = plan->options.ragged;
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (node->op != YKI_KERNEL_BATCHNORM || node->attr.inner > 1) continue;
        bool always = fewest(plan, &node->attr, batch) == 1;
        if (!always && !(rest > 0 && fewest(plan, &node->attr, rest) == 1)) continue;
        yki_trainer_note(trainer,
                         "layer %s: batch norm has one value of each channel in %s: less its mean that is 0, "
                         "whatever the input, and the layers before it learn nothing%s; larger micro-batches "
                         "are needed%s",
                         node->layer >= 0 ? model->layers[node->layer].name : "",
                         always ? "a micro-batch of 1 sample" : "the last, smaller batch of an epoch",
                         always ? "" : " in that step", always ? "" : ", or data.drop_last");
        return;
    }
}

/* A group of one value is that value less itself. */
static void advise_groups(yoke_trainer *trainer)
{
    const yoke_model *model = trainer->model;
    for (int i = 0; i < model->nnodes; i++) {
        const yki_node *node = &model->nodes[i];
        if (node->op != YKI_KERNEL_GROUPNORM ||
            yki_value_elems(&model->values[node->in[0]]) != node->attr.global)
            continue;
        yki_trainer_note(
            trainer,
            "layer %s: group norm has one value in each group: less its mean that is 0, whatever "
            "the input, and the layers before it learn nothing; fewer groups are needed",
            model->layers[node->layer].name);
        return;
    }
}

/* The node that makes the model's output. */
static const yki_node *last_node(const yoke_model *model)
{
    for (int i = 0; i < model->nnodes; i++)
        for (int k = 0; k < model->nodes[i].nout; k++)
            if (model->nodes[i].out[k] == model->output) return &model->nodes[i];
    return NULL;
}

void yki_trainer_advise(yoke_trainer *trainer)
{
    const yki_node *last = last_node(trainer->model);
    if (last && last->op == YKI_KERNEL_SOFTMAX && trainer->model->loss == YOKE_CROSS_ENTROPY)
        yki_trainer_note(trainer,
                         "layer %s is a softmax, and cross_entropy makes one of its own: without that layer "
                         "the model learns faster, and predicts the same classes",
                         last->layer >= 0 ? trainer->model->layers[last->layer].name : "");
    advise_norms(trainer);
    advise_groups(trainer);
}
