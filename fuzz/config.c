/* config.json of a model. What reads as one of a family: it reads again with itself as the job's wishes,
 * prints, reads back from the print, and makes a graph. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "fuzz/input.h"
#include "job/job.h"
#include "model/model.h"

/* Which is always printed. */
static int64_t head_of(const yoke_model_spec *model)
{
    return model->head_dim || model->heads == 0 ? model->head_dim : model->width / model->heads;
}

static void require_same(const yoke_model_spec *a, const yoke_model_spec *b, const char *what)
{
    const yoke_rope_scaling *x = &a->rope_scaling, *y = &b->rope_scaling;
    fuzz_require(a->depth == b->depth && a->heads == b->heads && a->width == b->width, what);
    fuzz_require(a->kv_heads == b->kv_heads && a->hidden == b->hidden && a->context == b->context, what);
    fuzz_require(a->vocab == b->vocab && a->tied == b->tied && a->norm_eps == b->norm_eps, what);
    fuzz_require(a->rope_theta == b->rope_theta && x->factor == y->factor && x->low == y->low, what);
    fuzz_require(x->high == y->high && x->context == y->context, what);
    fuzz_require(yki_families[a->family].as_llama == yki_families[b->family].as_llama, what);
    fuzz_require(head_of(a) == head_of(b) && a->window == b->window, what);
    fuzz_require(a->qkv_bias == b->qkv_bias && a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias, what);
    fuzz_require(a->qk_norm == b->qk_norm, what);
}

static void build(const yoke_model_spec *spec)
{
    yoke_job job = {.model = *spec, .train = YOKE_TRAIN_DEFAULT};
    yoke_model *model;
    if (job.model.depth > 4) job.model.depth = 4;
    job.train.sequence = spec->context < 16 ? spec->context : 16;
    if (fuzz_accepted(yki_model_from_job(&job, &model))) yoke_model_destroy(model);
}

static void read_family(const char *folder, yoke_family family)
{
    yoke_model_spec read = yki_spec_absent(family), again;
    if (!fuzz_accepted(yki_config_read(folder, &read))) return;
    again = read;
    fuzz_require(yki_config_read(folder, &again) == YOKE_OK, "a config agrees with itself");
    require_same(&read, &again, "a config read twice is the same");
    char *text = yki_config_print(&read, NULL, NULL, NULL);
    fuzz_require(text != NULL, "a config prints");
    fuzz_file(0, text, strlen(text));
    char *kept = yki_config_print(&read, NULL, NULL, text);
    fuzz_require(kept != NULL, "a config stays what it was");
    free(kept);
    free(text);
    again = yki_spec_absent(family);
    fuzz_require(yki_config_read(folder, &again) == YOKE_OK, "what a config prints reads back");
    require_same(&read, &again, "what a config prints says the same");
    build(&read);
}

/* Facts that read print, and read back the same. */
static void read_facts(const char *folder)
{
    yki_facts facts = {.scale = YOKE_SCALE_NONE}, again = {.scale = YOKE_SCALE_NONE};
    const yoke_model_spec layers = {.family = YOKE_FAMILY_LAYERS};
    if (!fuzz_accepted(yki_config_facts(folder, &facts))) return;
    char *text = yki_config_print(&layers, NULL, &facts, NULL);
    if (text) {
        fuzz_file(0, text, strlen(text));
        if (fuzz_accepted(yki_config_facts(folder, &again))) {
            fuzz_require(yki_names_same(&facts.columns, &again.columns) &&
                             yki_names_same(&facts.classes, &again.classes) && facts.scale == again.scale &&
                             facts.nscaled == again.nscaled && facts.ndim == again.ndim,
                         "facts read back");
            for (int64_t c = 0; c < facts.nscaled; c++)
                fuzz_require(facts.shift[c] == again.shift[c] && facts.factor[c] == again.factor[c],
                             "numbers read back to the bit");
        }
        yki_facts_release(&again);
    }
    free(text);
    yki_facts_release(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *folder = fuzz_folder("config.json", 0);
    char type[64], *job = NULL;
    fuzz_file(0, data, size);
    fuzz_accepted(yki_config_type(folder, type));
    if (fuzz_accepted(yki_config_job(folder, &job))) free(job);
    read_facts(folder);
    for (int family = YOKE_FAMILY_LAYERS; family <= YOKE_FAMILY_QWEN3; family++) {
        fuzz_file(0, data, size);
        read_family(folder, (yoke_family)family);
    }
    yoke_model_spec wished = yki_spec_absent(YOKE_FAMILY_LLAMA);
    wished.tied = 0, wished.qkv_bias = 0, wished.width = 64, wished.rope_theta = 1e4;
    fuzz_file(0, data, size);
    fuzz_accepted(yki_config_read(folder, &wished));
    return 0;
}
