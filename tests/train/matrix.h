/* The matrix's rows: what a layout, and what it meets, can be; which of it is refused, and in which words; a
 * row as a job. */
#ifndef YKI_TESTS_TRAIN_MATRIX_H
#define YKI_TESTS_TRAIN_MATRIX_H

#include "train/jobs.h"

enum { NFACTORS = 16, MOST_VALUES = 40 };

typedef struct factor {
    const char *name;
    int count;
    const char *values[MOST_VALUES];
} factor;

enum {
    MODEL,
    MESH,
    PARTS,
    SCHEDULE,
    ZERO,
    SHARDS,
    SP,
    CP_KIND,
    RECOMPUTE,
    PRECISION,
    BATCH,
    ORDER,
    OPTIMIZER,
    CLIP,
    FREEZE,
    THREADS
};

static const factor factors[NFACTORS] = {
    {"model",
     11,
     {"mlp", "regress", "conv", "tokens", "gpt2", "devices", "llama", "llama_tied", "groupnorm", "lora",
      "lora_gpt2"}},
    /* dp tp pp cp */
    {"mesh", 34, {"1111", "2111", "3111", "4111", "8111", "1211", "1311", "1411", "1611",
                  "1121", "1131", "1141", "1112", "1113", "1114", "2211", "2121", "2112",
                  "1221", "1212", "1122", "3211", "3121", "2131", "1312", "1123", "2221",
                  "2212", "2122", "1222", "1241", "2311", "1511", "1214"}},
    {"microbatches", 4, {"1", "2", "3", "4"}},
    {"schedule", 8, {"1f1b", "gpipe", "interleaved.2", "zb-h1", "zb-h2", "zb-v", "1f1b.2", "interleaved.3"}},
    {"zero", 4, {"0", "1", "2", "3"}},
    {"shards", 3, {"", "dp_shard", "dp_replicate"}}, /* 2 of it */
    {"sp", 2, {"false", "true"}},
    {"cp_kind", 2, {"ring", "ulysses"}},
    {"recompute", 3, {"none", "selective", "full"}},
    {"precision", 2, {"f32", "bf16"}},
    {"batch", 4, {"12", "7", "13", "5"}},
    {"order", 4, {"", "drop_last: true", "holdout: 0.3", "shuffle: false"}},
    {"optimizer",
     8,
     {"", "{name: sgd, lr: 0.05}", "{name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01}",
      "{name: adam, lr: 3e-3, weight_decay: 0.01}", "{name: adamw, lr: 3e-3, weight_decay: 0.2, decay: all}",
      "{name: adamw, lr: 3e-3, weight_decay: 0.2, decay: matrices}",
      "{name: lion, lr: 1e-4, weight_decay: 0.2}", /* small: rounding turns the sign of what is near 0 */
      "{name: muon, lr: 0.01, adamw_lr: 3e-3}"}},
    {"clip", 2, {"", "0.3"}},
    {"freeze", 4, {"", "", "[\"*0.*\"]", "[\"*[1-9].*\"]"}}, /* the first of its layers, or those after it */
    {"threads", 2, {"1", "2"}},
};

/* Of each model: layers that a pipeline may cut between, attention heads, what its samples are. */
typedef enum samples { WHOLE, ROWS, TOKENS } samples; /* ROWS: [positions, width] */

static const struct model_facts {
    int units, heads;
    samples samples;
    bool tied;
} facts[] = {{10, 0, WHOLE, false}, {7, 0, ROWS, false},   {11, 0, WHOLE, false},  {5, 0, TOKENS, false},
             {5, 12, TOKENS, true}, {9, 0, WHOLE, false},  {5, 12, TOKENS, false}, {4, 12, TOKENS, true},
             {10, 0, WHOLE, false}, {4, 12, TOKENS, true}, {4, 12, TOKENS, true}};

typedef struct row {
    int value[NFACTORS];
} row;

static inline const char *value(const row *r, int f)
{
    return factors[f].values[r->value[f]];
}

typedef enum degree { DP, TP, PP, CP } degree;

static inline int degree_of(const row *r, degree d)
{
    return value(r, MESH)[d] - '0';
}

static inline bool is_placed(const row *r)
{
    return !strcmp(value(r, MODEL), "devices");
}

static inline int chunks(const row *r)
{
    const char *dot = strchr(value(r, SCHEDULE), '.');
    return !strcmp(value(r, SCHEDULE), "zb-v") ? 2 : dot ? dot[1] - '0' : 1;
}

/* --- what is refused, and in which words --- */

static inline bool batch_is_small(const row *r)
{
    return atoi(value(r, BATCH)) < degree_of(r, DP) * atoi(value(r, PARTS));
}
static inline bool degrees_beside_device(const row *r)
{
    return is_placed(r) && (degree_of(r, TP) > 1 || degree_of(r, PP) > 1 || degree_of(r, CP) > 1);
}
static inline bool schedule_of_other_parts(const row *r)
{
    return is_placed(r) && strncmp(value(r, SCHEDULE), "1f1b", 4) != 0 && strcmp(value(r, SCHEDULE), "gpipe");
}
static inline bool rounds_are_not_full(const row *r)
{
    return !is_placed(r) && !strncmp(value(r, SCHEDULE), "interleaved", 11) &&
           atoi(value(r, PARTS)) % degree_of(r, PP) != 0;
}
static inline bool parts_are_too_many(const row *r)
{
    return !is_placed(r) && degree_of(r, PP) * chunks(r) > facts[r->value[MODEL]].units;
}
static inline bool heads_are_cut(const row *r)
{
    return facts[r->value[MODEL]].heads % degree_of(r, TP) != 0;
}
static inline bool sp_without_positions(const row *r)
{
    return facts[r->value[MODEL]].samples == WHOLE && degree_of(r, TP) > 1 && r->value[SP];
}
static inline bool cp_without_tokens(const row *r)
{
    return !is_placed(r) && facts[r->value[MODEL]].samples != TOKENS && degree_of(r, CP) > 1;
}
static inline bool heads_are_cut_by_ulysses(const row *r)
{
    return r->value[CP_KIND] && facts[r->value[MODEL]].heads / degree_of(r, TP) % degree_of(r, CP) != 0;
}
static inline bool shards_are_not_dp(const row *r)
{
    return r->value[SHARDS] && degree_of(r, DP) % 2 != 0;
}
static inline bool shards_without_zero(const row *r)
{
    return !strcmp(value(r, SHARDS), "dp_shard") && r->value[ZERO] == 0;
}

/* `drawn` rows are part of the sample; the others are the job file's own rules. */
static const struct refusal {
    const char *what; /* as docs/strategies.md has it */
    bool (*is)(const row *r);
    const char *words; /* of the sentence */
    bool drawn;
} refusals[] = {
    {"a batch smaller than `dp` × `microbatches`", batch_is_small, "is smaller than dp", false},
    {"`device:` beside `tp`, `pp` or `cp`", degrees_beside_device, "cannot be split", false},
    {"`device:` under a schedule of equal stages (interleaved, zero-bubble)", schedule_of_other_parts,
     "run over any placement", false},
    {"interleaved, and micro-batches that are no multiple of `pp`", rounds_are_not_full, "multiple of its",
     false},
    {"more stages, or `pp` × `chunks`, than layers to cut between", parts_are_too_many,
     "layers to cut between", false},
    {"`sp` where samples have no positions", sp_without_positions, "sequence parallelism", false},
    {"`cp` where samples are not tokens", cp_without_tokens, "context parallelism", false},
    {"`tp` that does not divide the attention heads", heads_are_cut, "cannot divide", false},
    {"`cp_kind: ulysses` with a `cp` that does not divide a device's heads", heads_are_cut_by_ulysses,
     "cannot divide", true},
    {"`dp_shard` × `dp_replicate` that is not `dp`", shards_are_not_dp, "cannot be dp_shard", false},
    {"`dp_shard` without `zero`", shards_without_zero, "but zero is 0", false},
};
enum { NREFUSALS = sizeof refusals / sizeof *refusals };

/* The first rule that refuses a row, among those drawn or those not; -1: none. */
static inline int refused_by(const row *r, bool drawn)
{
    for (int i = 0; i < NREFUSALS; i++)
        if (refusals[i].drawn == drawn && refusals[i].is(r)) return i;
    return -1;
}

/* Whether the job file's rules let such a row be, on 2 to 8 devices (placed layers: 3 a replica). */
static inline bool is_a_case(const row *r)
{
    int ranks = degree_of(r, DP) * degree_of(r, TP) * degree_of(r, PP) * degree_of(r, CP);
    if (is_placed(r)) ranks *= 3;
    return ranks >= 2 && ranks <= 8 && refused_by(r, false) < 0;
}

/* --- a row as a job --- */

static inline int add(char *text, size_t size, int n, const char *key, const char *word)
{
    return n + snprintf(text + n, size - (size_t)n, "; %s=%s", key, word);
}

static inline void describe(const row *r, bool single, char *text, size_t size)
{
    static const char *const axes[] = {"layout.dp", "layout.tp", "layout.pp", "layout.cp"};
    const char *order = value(r, ORDER), *schedule = value(r, SCHEDULE);
    char word[32];
    int n = snprintf(text, size, "train.steps=10; train.batch=%s; train.precision=%s", value(r, BATCH),
                     value(r, PRECISION));
    if (*order) {
        snprintf(word, sizeof word, "data.%.*s", (int)strcspn(order, ":"), order);
        n = add(text, size, n, word, strchr(order, ':') + 2);
    }
    if (*value(r, OPTIMIZER)) n = add(text, size, n, "train.optimizer", value(r, OPTIMIZER));
    if (*value(r, CLIP)) n = add(text, size, n, "train.clip", value(r, CLIP));
    if (*value(r, FREEZE)) n = add(text, size, n, "train.freeze", value(r, FREEZE));
    if (single) return;
    n = add(text, size, n, "layout.microbatches", value(r, PARTS));
    snprintf(word, sizeof word, "%.*s", (int)strcspn(schedule, "."), schedule);
    n = add(text, size, n, "layout.schedule", word);
    if (strchr(schedule, '.')) n = add(text, size, n, "layout.chunks", strchr(schedule, '.') + 1);
    n = add(text, size, n, "layout.zero", value(r, ZERO));
    if (*value(r, SHARDS)) {
        snprintf(word, sizeof word, "layout.%s", value(r, SHARDS));
        n = add(text, size, n, word, "2");
    }
    n = add(text, size, n, "layout.recompute", value(r, RECOMPUTE));
    n = add(text, size, n, "layout.sp", value(r, SP));
    for (int d = DP; d <= CP; d++) {
        snprintf(word, sizeof word, "%d", degree_of(r, (degree)d));
        if (d == DP || degree_of(r, (degree)d) > 1) n = add(text, size, n, axes[d], word);
    }
    if (degree_of(r, CP) > 1 && r->value[CP_KIND])
        n = add(text, size, n, "layout.cp_kind", value(r, CP_KIND));
    add(text, size, n, "layout.threads", value(r, THREADS));
}

static inline bool is_ragged(const row *r)
{
    int count = !strcmp(value(r, MODEL), "regress") ? 41 : 45;
    if (!strcmp(value(r, ORDER), "holdout: 0.3")) count -= count * 3 / 10;
    return strcmp(value(r, ORDER), "drop_last: true") != 0 && count % atoi(value(r, BATCH)) != 0;
}

static inline int features(const row *r)
{
    int count = degree_of(r, DP) > 1 && r->value[ZERO];
    for (int d = DP; d <= CP; d++) count += degree_of(r, (degree)d) > 1;
    count += degree_of(r, DP) > 2 && r->value[ZERO] && r->value[SHARDS];
    count += degree_of(r, TP) > 1 && r->value[SP];
    count += r->value[PARTS] > 0;
    count += r->value[SCHEDULE] > 0;
    count += chunks(r) > 1;
    count += r->value[RECOMPUTE] > 0;
    count += r->value[PRECISION] > 0;
    count += *value(r, FREEZE) != '\0';
    count += facts[r->value[MODEL]].tied;
    return count + is_ragged(r);
}

static inline row draw_row(uint64_t *state)
{
    row r;
    for (int f = 0; f < NFACTORS; f++) r.value[f] = (int)(draw(state) % (uint64_t)factors[f].count);
    return r;
}

#endif
