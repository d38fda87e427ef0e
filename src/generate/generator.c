/* A generator's life: the folder, its tokenizer and the ids that end a text; the model, loaded when it is
 * known how much it is to hold. */
#include "generate/generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "model/source.h"

static yoke_status check_layout(const yoke_layout *l)
{
    if (l->cp > 1)
        return yki_fail(
            YOKE_INVALID,
            "cp %d shares out the tokens of a sequence, which generation has one by one; choose dp, tp "
            "or pp",
            l->cp);
    return YOKE_OK;
}

/* What generation takes of a layout: the mesh, threads and memory. */
static yoke_layout layout_of(const yoke_layout *given)
{
    yoke_layout layout = YOKE_LAYOUT_DEFAULT;
    layout.dp = given->dp, layout.tp = given->tp, layout.pp = given->pp, layout.cp = given->cp;
    layout.threads = given->threads;
    layout.device_memory_bytes = given->device_memory_bytes;
    return layout;
}

static yoke_status read_options(yoke_generator *g, const yoke_generator_options *options)
{
    if (options->prompts < 0 || options->prompts > 1 << 16 || options->room < 0)
        return yki_fail(YOKE_INVALID,
                        "%lld prompts at once and room for %lld tokens: neither may be below 0, and "
                        "65536 prompts are the most",
                        (long long)options->prompts, (long long)options->room);
    g->prompts = options->prompts > 0 ? options->prompts : 1;
    g->layout = layout_of(options->layout ? options->layout : &(yoke_layout)YOKE_LAYOUT_DEFAULT);
    if (options->precision) {
        if ((unsigned)*options->precision > YOKE_PRECISION_BF16)
            return yki_fail(YOKE_INVALID, "precision %d: f32 and bf16 are known", (int)*options->precision);
        g->job->train.precision = *options->precision;
    }
    return check_layout(&g->layout);
}

/* Token numbers do without a tokenizer, and so does a generator whose tokenizer cannot be read. */
static yoke_status read_tokenizer(yoke_generator *g)
{
    if (yki_tokenizer_open(g->job, g->folder, "", &g->tokenizer) != YOKE_OK) {
        g->tokenizer_fault = *yoke_error_get();
        if (g->tokenizer_fault.status == YOKE_SYSTEM) return YOKE_SYSTEM;
        g->tokenizer = NULL;
        size_t length = strlen(g->note);
        char text[YOKE_SENTENCE_BYTES];
        snprintf(g->note + length, sizeof g->note - length, "%stokens are numbers here: %s",
                 length ? "; " : "", yoke_error_print(&g->tokenizer_fault, text, sizeof text));
    }
    int64_t size = g->tokenizer ? yoke_tokenizer_size(g->tokenizer) : 0;
    if (size > g->spec.vocab)
        return yki_fail(YOKE_INVALID, "the model of %s knows %lld tokens, and its tokenizer has %lld",
                        g->folder, (long long)g->spec.vocab, (long long)size);
    return yki_ends_read(g->folder, g->tokenizer, &g->ends);
}

static yoke_status open_in(yoke_generator *g, const char *dir, const yoke_generator_options *options)
{
    int is_step;
    char passed_over[256] = "";
    YKI_TRY(yki_checkpoint_find(dir, g->folder, &is_step, passed_over));
    memcpy(g->note, passed_over, sizeof passed_over);
    YKI_TRY(yki_job_of_folder(g->folder, &g->job));
    YKI_TRY(read_options(g, options));
    g->spec = g->job->model;
    if (g->spec.family == YOKE_FAMILY_LAYERS)
        return yki_fail(YOKE_INVALID, "%s holds a model of layers, which generates no text", g->folder);
    YKI_TRY(yki_config_read(g->folder, &g->spec));
    const char *weights = g->folder;
    if (options->adapter) YKI_TRY(yki_job_take_adapter(g->job, options->adapter, &weights));
    g->base_apart = !weights;
    YKI_TRY(read_tokenizer(g));
    if (options->room == 0) return YOKE_OK;
    return yki_generator_load(g, options->room, options->room);
}

yoke_status yoke_generator_open(const char *dir, const yoke_generator_options *options,
                                yoke_generator **generator_out)
{
    static const yoke_generator_options none;
    YKI_NEED(dir, generator_out);
    yoke_generator *g = calloc(1, sizeof *g);
    if (!g) return yki_fail_memory("a generator");
    g->chat_end = -1;
    yoke_status status = open_in(g, dir, options ? options : &none);
    if (status != YOKE_OK) {
        yoke_generator_close(g);
        return status;
    }
    *generator_out = g;
    return YOKE_OK;
}

static void unload(yoke_generator *g)
{
    yoke_trainer_destroy(g->trainer);
    free(g->inputs);
    free(g->places);
    free(g->picked);
    free(g->shares);
    free(g->logits);
    g->trainer = NULL;
    g->inputs = g->places = g->picked = NULL;
    g->shares = NULL;
    g->logits = NULL;
}

void yoke_generator_close(yoke_generator *g)
{
    YKI_KEEP_RECORD;
    if (!g) return;
    unload(g);
    yki_ends_free(&g->ends);
    yoke_tokenizer_destroy(g->tokenizer);
    yoke_job_destroy(g->job);
    free(g);
}

static yoke_status make_buffers(yoke_generator *g)
{
    size_t replicas = (size_t)g->layout.dp, rows = (size_t)g->rows * replicas,
           slots = (size_t)g->slots * replicas;
    g->inputs = calloc(rows, sizeof *g->inputs);
    g->places = calloc(2 * rows, sizeof *g->places);
    g->picked = calloc(slots, sizeof *g->picked);
    g->shares = calloc(replicas, sizeof *g->shares);
    g->logits = calloc(slots * (size_t)g->spec.vocab, sizeof *g->logits);
    return g->inputs && g->places && g->picked && g->shares && g->logits ? YOKE_OK
                                                                         : yki_fail_memory("a generation");
}

yoke_status yki_generator_load(yoke_generator *g, int64_t room, int64_t rows)
{
    enum { MOST_ROWS = 2048 }; /* of a pass: products are fast long before */
    if (room > g->spec.context) room = g->spec.context;
    if (g->trainer && room <= g->room) return YOKE_OK;
    unload(g);
    g->slots = (g->prompts + g->layout.dp - 1) / g->layout.dp;
    g->room = room;
    g->rows = rows < g->slots ? g->slots : rows;
    if (g->rows > g->slots * room) g->rows = g->slots * room;
    if (g->rows > MOST_ROWS) g->rows = g->slots > MOST_ROWS ? g->slots : MOST_ROWS;
    yoke_layout one;
    yki_trainer_options options = yki_inference_options(g->job, g->base_apart ? NULL : g->folder, &one);
    options.layout = &g->layout;
    options.purpose = YKI_PURPOSE_GENERATE;
    options.no_data = options.alone = true;
    options.sequence = 1;
    options.batch = g->rows * g->layout.dp;
    options.slots = g->slots;
    options.room = g->room;
    YKI_TRY(yki_degrees_check(&g->layout));
    YKI_TRY(yki_trainer_create(&g->trainer, &options));
    yoke_status status = make_buffers(g);
    if (status != YOKE_OK) unload(g);
    return status;
}

void yoke_generator_tell(const yoke_generator *g, yoke_generator_report *report)
{
    if (!g || !report) return;
    *report = (yoke_generator_report){.folder = g->folder,
                                      .note = g->note,
                                      .vocab = g->spec.vocab,
                                      .context = g->spec.context,
                                      .prefill_seconds = g->prefill_seconds,
                                      .tokens_per_s = g->tokens_per_s};
    report->devices = g->trainer ? g->trainer->plan->mesh.nranks : 0;
    for (int rank = 0; rank < report->devices; rank++) {
        yoke_device_report d = yki_device_report(g->trainer, rank);
        report->predicted_peak_bytes += d.predicted_peak_bytes;
        report->measured_peak_bytes += d.measured_peak_bytes;
        const int64_t *from = &d.bytes.weights;
        int64_t *to = &report->bytes.weights;
        for (size_t i = 0; i < sizeof d.bytes / sizeof *from; i++) to[i] += from[i];
    }
}
