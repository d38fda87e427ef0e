/* What a flag's value is, is a function; which flags there are, and what has no counterpart, are tables. */
#include "emit.h"

#include <string.h>

#include "text.h"

typedef struct emitted {
    const yoke_job *job;
    const yoke_layout *layout;
} emitted;

/* A flag's value; "": it has none. False: the flag is not given. */
typedef bool (*value_of)(const emitted *e, char value[64]);
typedef struct flag {
    const char *name;
    value_of value;
} flag;
typedef struct lack {
    bool (*is)(const emitted *e);
    const char *sentence;
} lack;
typedef struct program {
    const char *name, *join; /* between a flag and its value */
    const flag *flags;       /* up to one without a name */
    const lack *lacks;
} program;

static bool number(char value[64], int64_t n)
{
    snprintf(value, 64, "%lld", (long long)n);
    return true;
}

static bool word(char value[64], bool given, const char *text)
{
    snprintf(value, 64, "%s", text);
    return given;
}

static bool is_schedule(const emitted *e, const char *name)
{
    return e->layout->pp > 1 && strcmp(e->layout->schedule, name) == 0;
}

static bool is_even(const emitted *e)
{
    return e->job->train.batch % ((int64_t)e->layout->dp * e->layout->microbatches) == 0;
}

static int shards(const emitted *e)
{
    const yoke_layout *l = e->layout;
    if (l->zero == 0) return 1;
    return l->dp_shard > 0 ? l->dp_shard : l->dp_replicate > 0 ? l->dp / l->dp_replicate : l->dp;
}

/* --- values that both have --- */

static bool tp(const emitted *e, char value[64])
{
    return number(value, e->layout->tp);
}

static bool pp(const emitted *e, char value[64])
{
    return number(value, e->layout->pp);
}

static bool cp(const emitted *e, char value[64])
{
    return number(value, e->layout->cp);
}

static bool batch(const emitted *e, char value[64])
{
    return number(value, e->job->train.batch);
}

static bool sequence(const emitted *e, char value[64])
{
    return number(value, e->job->train.sequence) && e->job->train.sequence > 0;
}

static bool micro_batch(const emitted *e, char value[64])
{
    return number(value, e->job->train.batch / ((int64_t)e->layout->dp * e->layout->microbatches)) &&
           is_even(e);
}

/* --- torchtitan --- */

static bool titan_replicate(const emitted *e, char value[64])
{
    return number(value, e->layout->dp / shards(e));
}

static bool titan_shard(const emitted *e, char value[64])
{
    return number(value, shards(e));
}

static bool titan_reshard(const emitted *e, char value[64])
{
    return word(value, shards(e) > 1, e->layout->zero == 3 ? "always" : "never");
}

static bool titan_no_sp(const emitted *e, char value[64])
{
    return word(value, e->layout->tp > 1 && !e->layout->sp, "");
}

static bool titan_schedule(const emitted *e, char value[64])
{
    static const char *const names[][2] = {
        {"1f1b", "1F1B"}, {"gpipe", "GPipe"}, {"interleaved", "Interleaved1F1B"}, {"zb-v", "ZBVZeroBubble"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_schedule(e, names[i][0])) return word(value, true, names[i][1]);
    return false;
}

static bool titan_microbatches(const emitted *e, char value[64])
{
    return number(value, e->layout->microbatches) && e->layout->pp > 1;
}

/* Of a rank, at a time: without stages, micro-batches are accumulation. */
static bool titan_local_batch(const emitted *e, char value[64])
{
    if (e->layout->pp == 1) return micro_batch(e, value);
    return number(value, e->job->train.batch / e->layout->dp) && is_even(e);
}

static bool titan_recompute(const emitted *e, char value[64])
{
    static const char *const names[] = {"none", "selective", "full"};
    return word(value, e->layout->nrecompute == 0, names[e->layout->recompute]);
}

static bool titan_precision(const emitted *e, char value[64])
{
    return word(value, true, e->job->train.precision == YOKE_PRECISION_BF16 ? "bfloat16" : "float32");
}

static const flag titan_flags[] = {
    {"--parallelism.data_parallel_replicate_degree", titan_replicate},
    {"--parallelism.data_parallel_shard_degree", titan_shard},
    {"--parallelism.fsdp_reshard_after_forward", titan_reshard},
    {"--parallelism.tensor_parallel_degree", tp},
    {"--parallelism.no_enable_sequence_parallel", titan_no_sp},
    {"--parallelism.pipeline_parallel_degree", pp},
    {"--parallelism.pipeline_parallel_schedule", titan_schedule},
    {"--parallelism.num_pp_microbatches", titan_microbatches},
    {"--parallelism.context_parallel_degree", cp},
    {"--activation_checkpoint.mode", titan_recompute},
    {"--training.local_batch_size", titan_local_batch},
    {"--training.global_batch_size", batch},
    {"--training.seq_len", sequence},
    {"--training.mixed_precision_param", titan_precision},
    {0},
};

/* --- Megatron-LM --- */

static bool megatron_sp(const emitted *e, char value[64])
{
    return word(value, e->layout->tp > 1 && e->layout->sp, "");
}

static bool megatron_cp_kind(const emitted *e, char value[64])
{
    return word(value, e->layout->cp > 1, e->layout->cp_kind == YOKE_CP_RING ? "p2p" : "a2a");
}

static bool megatron_chunks(const emitted *e, char value[64])
{
    return number(value, e->layout->chunks) && is_schedule(e, "interleaved");
}

static bool megatron_optimizer(const emitted *e, char value[64])
{
    return word(value, shards(e) > 1, "");
}

static bool megatron_instances(const emitted *e, char value[64])
{
    return number(value, e->layout->dp / shards(e)) && shards(e) > 1 && shards(e) < e->layout->dp;
}

static bool megatron_fsdp(const emitted *e, char value[64])
{
    return word(value, shards(e) > 1 && e->layout->zero > 1, "");
}

static bool megatron_sharding(const emitted *e, char value[64])
{
    return word(value, shards(e) > 1 && e->layout->zero > 1,
                e->layout->zero == 3 ? "optim_grads_params" : "optim_grads");
}

static bool megatron_checkpoint(const emitted *e, char value[64])
{
    return word(value, shards(e) > 1 && e->layout->zero > 1, "fsdp_dtensor");
}

static bool megatron_recompute(const emitted *e, char value[64])
{
    return word(value, e->layout->nrecompute == 0 && e->layout->recompute != YOKE_RECOMPUTE_NONE,
                e->layout->recompute == YOKE_RECOMPUTE_FULL ? "full" : "selective");
}

static bool megatron_method(const emitted *e, char value[64])
{
    return word(value, e->layout->nrecompute == 0 && e->layout->recompute == YOKE_RECOMPUTE_FULL, "uniform");
}

static bool megatron_each(const emitted *e, char value[64])
{
    return word(value, megatron_method(e, value), "1");
}

static bool megatron_bf16(const emitted *e, char value[64])
{
    return word(value, e->job->train.precision == YOKE_PRECISION_BF16, "");
}

static const flag megatron_flags[] = {
    {"--tensor-model-parallel-size", tp},
    {"--sequence-parallel", megatron_sp},
    {"--pipeline-model-parallel-size", pp},
    {"--num-virtual-stages-per-pipeline-rank", megatron_chunks},
    {"--context-parallel-size", cp},
    {"--cp-comm-type", megatron_cp_kind},
    {"--use-distributed-optimizer", megatron_optimizer},
    {"--num-distributed-optimizer-instances", megatron_instances},
    {"--use-megatron-fsdp", megatron_fsdp},
    {"--data-parallel-sharding-strategy", megatron_sharding},
    {"--no-gradient-accumulation-fusion", megatron_fsdp},
    {"--ckpt-format", megatron_checkpoint},
    {"--recompute-granularity", megatron_recompute},
    {"--recompute-method", megatron_method},
    {"--recompute-num-layers", megatron_each},
    {"--micro-batch-size", micro_batch},
    {"--global-batch-size", batch},
    {"--seq-length", sequence},
    {"--bf16", megatron_bf16},
    {0},
};

/* --- what has no counterpart --- */

static bool is_uneven(const emitted *e)
{
    return !is_even(e);
}

static bool is_layers(const emitted *e)
{
    return e->job->model.family == YOKE_FAMILY_LAYERS;
}

static bool recomputes_by_stage(const emitted *e)
{
    return e->layout->nrecompute > 0;
}

static bool lacks_titan_schedule(const emitted *e)
{
    char value[64];
    return e->layout->pp > 1 && !titan_schedule(e, value);
}

static bool lacks_megatron_schedule(const emitted *e)
{
    return e->layout->pp > 1 && !is_schedule(e, "1f1b") && !is_schedule(e, "interleaved");
}

static bool is_zero_one(const emitted *e)
{
    return shards(e) > 1 && e->layout->zero == 1;
}

static bool is_selective(const emitted *e)
{
    return e->layout->recompute == YOKE_RECOMPUTE_SELECTIVE;
}

static bool is_shared_sequence(const emitted *e)
{
    return e->layout->cp > 1;
}

static bool is_fsdp_pipeline(const emitted *e)
{
    return e->layout->zero > 1 && shards(e) > 1 && e->layout->pp > 1;
}

#define EVERYWHERE                                                                                           \
    {is_layers, "model.family layers: its models are transformers"},                                         \
        {is_uneven, "batch: micro-batches there have one size, and this batch does not divide"},             \
    {                                                                                                        \
        recomputes_by_stage, "recompute of each stage: one setting holds for all"                            \
    }

static const lack titan_lacks[] = {
    EVERYWHERE,
    {lacks_titan_schedule,
     "schedule: there is none like this one; 1F1B is what it takes where none is named"},
    {is_zero_one, "zero=1: it deals gradients out too; the flags are those of zero=2"},
    {is_selective, "recompute=selective: which operators it computes again is a policy of its own"},
    {is_shared_sequence,
     "cp_kind: how attention shares sequences is part of its model's configuration, no flag"},
    {0},
};

static const lack megatron_lacks[] = {
    EVERYWHERE,
    {lacks_megatron_schedule,
     "schedule: its pipelines are 1F1B, or interleaved where they have virtual stages"},
    {is_fsdp_pipeline, "zero above 1 beside pp: its sharded data parallelism gathers and scatters in every "
                       "micro-batch of a stage by rules of its own"},
    {0},
};

static const program programs[] = {{"torchtitan", "=", titan_flags, titan_lacks},
                                   {"megatron", " ", megatron_flags, megatron_lacks}};

/* --- all of it --- */

const char *emit_name(int i)
{
    return i >= 0 && i < (int)(sizeof programs / sizeof *programs) ? programs[i].name : NULL;
}

void emit_show(cli *run, const char *name, const yoke_job *job, const yoke_layout *layout)
{
    const program *p = programs;
    emitted e = {job, layout};
    char value[64], text[160];
    int ranks = yoke_job_devices(job, layout);
    while (strcmp(p->name, name) != 0) p++;
    if (run->json) {
        put_begin_object(run->json, "emit");
        put_string(run->json, "program", p->name);
        put_integer(run->json, "ranks", ranks);
        put_begin_array(run->json, "flags");
    }
    fprintf(run->out, "\n%s, %d rank%s:\n", p->name, ranks, ranks == 1 ? "" : "s");
    for (const flag *f = p->flags; f->name; f++) {
        if (!f->value(&e, value)) continue;
        snprintf(text, sizeof text, "%s%s%s", f->name, value[0] ? p->join : "", value);
        fprintf(run->out, "  %s\n", text);
        if (run->json) put_string(run->json, NULL, text);
    }
    if (run->json) {
        put_end_array(run->json);
        put_begin_array(run->json, "missing");
    }
    for (const lack *l = p->lacks; l->is; l++) {
        if (!l->is(&e)) continue;
        fputs("no counterpart: ", run->out);
        text_wrap_with(run->out, l->sentence, 16, 2, run->width, "");
        if (run->json) put_string(run->json, NULL, l->sentence);
    }
    if (!run->json) return;
    put_end_array(run->json);
    put_end_object(run->json);
}
