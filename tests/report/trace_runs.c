/* Runs small jobs under many layouts with a trace each, and writes beside it what the plan says must be in
 * it: trace_runs FOLDER makes FOLDER/NAME.json and FOLDER/NAME.expected.json. check_trace.py compares them.
 * Under mpirun, of the layouts whose ranks its processes can have evenly; the first one writes. */
#include <stdio.h>
#include <stdlib.h>

#include "train/jobs.h"

static const struct {
    const char *name, *model, *layout;
    int ranks;
} runs[] = {
    {"single", "gpt2", "layout.microbatches=2", 1},
    {"dp2", "gpt2", "layout.dp=2; layout.microbatches=2; layout.bucket=20KiB", 2},
    {"tp2", "gpt2", "layout.tp=2", 2},
    {"pp2", "gpt2", "layout.pp=2; layout.microbatches=4; layout.schedule=1f1b", 2},
    {"zb_v", "mlp", "layout.pp=2; layout.microbatches=4; layout.schedule=zb-v", 2},
    {"interleaved", "gpt2",
     "layout.pp=2; layout.chunks=2; layout.microbatches=4; layout.schedule=interleaved", 2},
    {"zero1", "gpt2", "layout.dp=2; layout.zero=1", 2},
    {"zero3", "gpt2", "layout.dp=2; layout.zero=3; layout.microbatches=2", 2},
    {"cp2", "gpt2", "layout.cp=2; layout.microbatches=2; train.sequence=8", 2},
    {"cp3", "llama", "layout.cp=3; layout.dp=2; train.sequence=9", 6},
    {"ulysses", "gpt2", "layout.cp=2; layout.cp_kind=ulysses; train.sequence=8", 2},
    {"mixed", "llama",
     "layout.dp=2; layout.tp=2; layout.pp=2; layout.sp=true; layout.zero=1; layout.microbatches=3", 8},
    {"recompute", "llama_tied", "layout.pp=3; layout.recompute=full; layout.microbatches=2", 3},
    {"devices", "devices", "layout.microbatches=3", 3},
    {"batchnorm", "batchnorm", "layout.dp=2; layout.microbatches=2", 2},
    {"muon", "gpt2", "layout.tp=2; layout.dp=2; layout.zero=2; train.optimizer=muon", 4},
};

static const char *op_name(const yki_instruction *in)
{
    if (in->what) return in->what;
    return in->op == YKI_OP_INPUT    ? "load inputs"
           : in->op == YKI_OP_TARGET ? "load targets"
                                     : yki_op_name(in->op);
}

static void put_code(FILE *out, const yki_code *code)
{
    for (int k = 0; k < code->count; k++) {
        const yki_instruction *in = &code->instructions[k];
        fprintf(out, "%s[\"%s\", %d, %d]", k ? ", " : "", op_name(in), yki_moves(in), (int)in->phase);
    }
}

/* Every action of a rank in the order of its program, then the step's ends, with their instructions'
 * operators. */
static void put_rank(FILE *out, const yki_plan *plan, int rank)
{
    static const char *const names[] = {"F", "B", "W", "BW"};
    static const char *const ends[] = {[YKI_END_REDUCE] = "reduce", [YKI_END_UPDATE] = "update"};
    const yki_program *program = yki_plan_program(plan, rank);
    fprintf(out, "[");
    for (int i = 0; i < program->nactions; i++) {
        const yoke_action *a = &program->actions[i];
        char chunk[16] = "";
        if (a->chunk > 0) snprintf(chunk, sizeof chunk, ".%d", a->chunk);
        fprintf(out, "%s\n  {\"action\": \"%s%d%s\", \"microbatch\": %d, \"ops\": [", i ? "," : "",
                names[a->kind], (int)a->microbatch, chunk, (int)a->microbatch);
        put_code(out, yki_action_code(program, a));
        fprintf(out, "]}");
    }
    for (int end = YKI_END_REDUCE; end < YKI_END_COUNT; end++) {
        fprintf(out, ",\n  {\"action\": \"%s\", \"microbatch\": null, \"ops\": [", ends[end]);
        put_code(out, &program->ends[end]);
        fprintf(out, "]}");
    }
    fprintf(out, "]");
}

static bool run(const char *folder, int which, int64_t bytes)
{
    char path[600], text[1000];
    snprintf(text, sizeof text, "%s; train.steps=4", runs[which].layout);
    yoke_job *job = open_job(runs[which].model, text);
    yoke_trainer *trainer = job ? make_trainer(job) : NULL;
    yoke_trace *trace;
    yoke_trace_options options = YOKE_TRACE_DEFAULT;
    yoke_trace_summary summary;
    yoke_run_report report;
    if (bytes > 0) options.bytes_per_rank = bytes;
    snprintf(path, sizeof path, "%s/%s.json", folder, runs[which].name);
    if (!trainer || yoke_trace_open(&trace, trainer, path, &options) != YOKE_OK ||
        yoke_trainer_run(trainer, 0, NULL, NULL) != YOKE_OK || yoke_trace_gather(trace) != YOKE_OK ||
        yoke_trace_close(trace, &summary) != YOKE_OK || yoke_trainer_report(trainer, &report) != YOKE_OK) {
        fprintf(stderr, "%s: %s\n", runs[which].name, yoke_error_get()->message);
        return false;
    }
    if (yoke_cluster_rank() > 0) {
        finish_job(trainer, job);
        return summary.ranks == 0;
    }
    snprintf(path, sizeof path, "%s/%s.expected.json", folder, runs[which].name);
    FILE *out = fopen(path, "w");
    if (!out) return false;
    fprintf(out, "{\"steps\": [0, 1, 2, 3], \"events\": %lld, \"moved_bytes\": %lld, \"ranks\": [\n",
            (long long)summary.events, (long long)report.moved_bytes_per_step);
    for (int r = 0; r < trainer->plan->mesh.nranks; r++) {
        fprintf(out, "%s", r ? ",\n" : "");
        put_rank(out, trainer->plan, r);
    }
    fprintf(out, "]}\n");
    fclose(out);
    finish_job(trainer, job);
    return true;
}

int main(int argc, char **argv)
{
    bool good = argc == 2 && yoke_cluster_join(NULL) == YOKE_OK;
    for (size_t i = 0; i < sizeof runs / sizeof *runs && good; i++)
        if (runs[i].ranks % yoke_cluster_size() == 0) good = run(argv[1], (int)i, 0);
    yoke_cluster_leave(good ? NULL : yoke_error_get());
    return !good;
}
