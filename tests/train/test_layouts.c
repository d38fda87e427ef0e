/* Whatever the layout, the same training run: a generated matrix. Rows are drawn so that every pair of values
 * of two factors meets at least once wherever the two can meet at all, and then at random for combinations of
 * three and more. Each row is run on one device and under its layout: losses of all steps must agree, and so
 * must the gradients of the first; bytes must be as predicted. */
#include <time.h>

#include "train/jobs.h"

enum { NFACTORS = 10, MOST_VALUES = 24, SAMPLES = 150, TRIES = 60 };

typedef struct factor {
    const char *name;
    int count;
    const char *values[MOST_VALUES];
} factor;

enum { MODEL, MESH, PARTS, SCHEDULE, BATCH, ORDER, OPTIMIZER, CLIP, THREADS, SP };

static const factor factors[NFACTORS] = {
    {"model", 8, {"mlp", "regress", "conv", "tokens", "gpt2", "devices", "llama", "llama_tied"}},
    /* dp tp pp */
    {"mesh",
     19,
     {"111", "211", "311", "411", "121", "131", "141", "112", "113", "114", "221", "212", "122", "321", "123",
      "222", "312", "213", "132"}},
    {"microbatches", 4, {"1", "2", "3", "4"}},
    {"schedule", 7, {"1f1b", "gpipe", "interleaved", "zb-h1", "zb-h2", "zb-v", "1f1b.2"}},
    {"batch", 4, {"7", "12", "13", "5"}},
    {"order", 4, {"", "drop_last: true", "holdout: 0.3", "shuffle: false"}},
    {"optimizer",
     6,
     {"", "{name: sgd, lr: 0.05}", "{name: sgd, lr: 0.05, momentum: 0.9, nesterov: true, weight_decay: 0.01}",
      "{name: adam, lr: 3e-3, weight_decay: 0.01}", "{name: adamw, lr: 3e-3, weight_decay: 0.2, decay: all}",
      "{name: adamw, lr: 3e-3, weight_decay: 0.2, decay: matrices}"}},
    {"clip", 2, {"", "0.3"}},
    {"threads", 2, {"1", "2"}},
    {"sp", 2, {"false", "true"}},
};

static const int units[] = {10, 7, 11, 5, 5, 9, 5, 4}; /* layers that a pipeline may cut between, by model */

typedef struct row {
    int value[NFACTORS];
} row;

static int digit(const row *r, int i)
{
    return factors[MESH].values[r->value[MESH]][i] - '0';
}

/* Whether the contract lets such a row run; those that it does not are other tests' business. */
static bool can_run(const row *r)
{
    int dp = digit(r, 0), tp = digit(r, 1), pp = digit(r, 2), m = r->value[PARTS] + 1;
    const char *model = factors[MODEL].values[r->value[MODEL]],
               *schedule = factors[SCHEDULE].values[r->value[SCHEDULE]];
    int batch = atoi(factors[BATCH].values[r->value[BATCH]]);
    bool placed = !strcmp(model, "devices"), looped = !strcmp(schedule, "interleaved") ||
                                                      !strcmp(schedule, "1f1b.2") ||
                                                      !strcmp(schedule, "zb-v");
    bool rows = strcmp(model, "mlp") && strcmp(model, "conv") && !placed;
    if (r->value[SP] && (tp == 1 || !rows)) return false;
    if (batch < dp * m) return false;
    if (placed && (tp > 1 || pp > 1 || dp > 2)) return false;
    if (placed && strcmp(schedule, "1f1b") && strcmp(schedule, "gpipe")) return false;
    if (!strcmp(schedule, "interleaved") && m % pp) return false;
    return (looped ? 2 * pp : pp) <= units[r->value[MODEL]];
}

static void describe(const row *r, bool single, char *text, size_t size)
{
    const char *schedule = factors[SCHEDULE].values[r->value[SCHEDULE]],
               *order = factors[ORDER].values[r->value[ORDER]],
               *optimizer = factors[OPTIMIZER].values[r->value[OPTIMIZER]],
               *clip = factors[CLIP].values[r->value[CLIP]];
    int n = snprintf(text, size, "train.batch=%s", factors[BATCH].values[r->value[BATCH]]);
    if (*order) {
        char key[32];
        const char *colon = strchr(order, ':');
        snprintf(key, sizeof key, "%.*s", (int)(colon - order), order);
        n += snprintf(text + n, size - (size_t)n, "; data.%s=%s", key, colon + 2);
    }
    if (*optimizer) n += snprintf(text + n, size - (size_t)n, "; train.optimizer=%s", optimizer);
    if (*clip) n += snprintf(text + n, size - (size_t)n, "; train.clip=%s", clip);
    if (single) return;
    bool two = !strcmp(schedule, "1f1b.2") || !strcmp(schedule, "interleaved");
    n += snprintf(text + n, size - (size_t)n, "; layout.microbatches=%d; layout.schedule=%.*s",
                  r->value[PARTS] + 1, (int)strcspn(schedule, "."), schedule);
    if (two) n += snprintf(text + n, size - (size_t)n, "; layout.chunks=2");
    n += snprintf(text + n, size - (size_t)n, "; layout.dp=%d", digit(r, 0));
    if (digit(r, 1) > 1) n += snprintf(text + n, size - (size_t)n, "; layout.tp=%d", digit(r, 1));
    if (digit(r, 2) > 1) n += snprintf(text + n, size - (size_t)n, "; layout.pp=%d", digit(r, 2));
    if (r->value[SP]) n += snprintf(text + n, size - (size_t)n, "; layout.sp=true");
    snprintf(text + n, size - (size_t)n, "; layout.threads=%s", factors[THREADS].values[r->value[THREADS]]);
}

static yoke_trainer *start(const char *model, const char *overrides, yoke_job **job_out)
{
    *job_out = open_job(model, overrides);
    yoke_trainer *trainer = *job_out ? make_trainer(*job_out) : NULL;
    if (!trainer)
        fail_msg("%s [%s]: %s %s", model, overrides, yoke_error_get()->key, yoke_error_get()->message);
    return trainer;
}

/* Gradients of the step that comes next, end to end in logical order; *norm_out: of all. */
static float *gradients(yoke_trainer *trainer)
{
    yki_step_result result;
    int64_t elems = yoke_model_parameters(trainer->model), at = 0;
    float *values = malloc(sizeof(float) * (size_t)elems);
    assert_non_null(values);
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_GRADIENTS, &result), YOKE_OK);
    for (int i = 0; i < trainer->model->nparameters; i++) {
        yki_run_read(trainer->run, YKI_TENSOR_GRADIENT, i, 0, yki_trainer_elems(trainer, i), values + at);
        at += yki_trainer_elems(trainer, i);
    }
    return values;
}

/* The largest difference of a tensor's gradient, relative as `verify` has it. */
static double gradient_difference(const yoke_trainer *trainer, const float *g, const float *r)
{
    double global = 0, worst = 0;
    int64_t all = yoke_model_parameters(trainer->model);
    for (int64_t i = 0; i < all; i++) global += (double)r[i] * (double)r[i];
    for (int p = 0; p < trainer->model->nparameters; p++) {
        int64_t n = yki_trainer_elems(trainer, p);
        double difference = 0, norm = 0;
        for (int64_t i = 0; i < n; i++, g++, r++) {
            difference += ((double)*g - (double)*r) * ((double)*g - (double)*r);
            norm += (double)*r * (double)*r;
        }
        double e = sqrt(difference) / fmax(sqrt(norm), 1e-3 * sqrt(global));
        worst = e > worst || isnan(e) ? e : worst;
    }
    return worst;
}

typedef struct worst {
    double loss, gradient;
    int rows;
} worst;

static void check_row(const row *r, worst *seen)
{
    const char *model = factors[MODEL].values[r->value[MODEL]];
    char alone[512], split[768];
    describe(r, true, alone, sizeof alone);
    describe(r, false, split, sizeof split);
    yoke_job *jobs[2];
    bool placed = !strcmp(model, "devices");
    yoke_trainer *trainers[2];
    static outcome outcomes[2];
    float *g[2];
    trainers[1] = start(model, split, &jobs[1]);
    if (placed) { /* one device: without the layers' keys */
        jobs[0] = open_job(model, alone);
        assert_non_null(jobs[0]);
        jobs[0]->layout.dp = 1;
        yki_trainer_options options = {.job = jobs[0], .ignore_devices = true};
        assert_int_equal(yki_trainer_create(&trainers[0], &options), YOKE_OK);
    } else
        trainers[0] = start(model, alone, &jobs[0]);
    for (int k = 0; k < 2; k++) {
        g[k] = gradients(trainers[k]);
        if (yoke_trainer_run(trainers[k], 0, NULL, NULL) != YOKE_OK)
            fail_msg("%s [%s]: %s", model, k ? split : alone, yoke_error_get()->message);
        collect(trainers[k], &outcomes[k]);
    }
    double loss = worst_difference(&outcomes[1], &outcomes[0]),
           gradient = gradient_difference(trainers[0], g[1], g[0]);
    const char *bytes = bytes_wrong(&outcomes[1]);
    if (!(loss <= 1e-5)) fail_msg("%s [%s]: losses differ by %.3g", model, split, loss);
    if (!(gradient <= 1e-4)) fail_msg("%s [%s]: gradients differ by %.3g", model, split, gradient);
    if (bytes) fail_msg("%s [%s]: %s", model, split, bytes);
    seen->loss = fmax(seen->loss, loss);
    seen->gradient = fmax(seen->gradient, gradient);
    seen->rows++;
    for (int k = 0; k < 2; k++) {
        free(g[k]);
        yoke_trainer_destroy(trainers[k]);
        yoke_job_destroy(jobs[k]);
    }
}

static bool met[NFACTORS][MOST_VALUES][NFACTORS][MOST_VALUES];

static int new_pairs(const row *r)
{
    int count = 0;
    for (int a = 0; a < NFACTORS; a++)
        for (int b = a + 1; b < NFACTORS; b++) count += !met[a][r->value[a]][b][r->value[b]];
    return count;
}

static void mark(const row *r)
{
    for (int a = 0; a < NFACTORS; a++)
        for (int b = a + 1; b < NFACTORS; b++) met[a][r->value[a]][b][r->value[b]] = true;
}

/* A row with the pair (a, x), (b, y) that can run, and that has as many other new pairs as a few tries find.
 */
static bool row_with(uint64_t *state, int a, int x, int b, int y, row *best)
{
    int most = -1;
    for (int t = 0; t < TRIES; t++) {
        row r;
        for (int f = 0; f < NFACTORS; f++) r.value[f] = (int)(draw(state) % (uint64_t)factors[f].count);
        r.value[a] = x;
        r.value[b] = y;
        if (!can_run(&r) || new_pairs(&r) <= most) continue;
        most = new_pairs(&r);
        *best = r;
    }
    return most >= 0;
}

static void test_pairs(void **state)
{
    (void)state;
    uint64_t seed = 2024;
    worst seen = {0};
    int never = 0;
    memset(met, 0, sizeof met);
    for (int a = 0; a < NFACTORS; a++)
        for (int b = a + 1; b < NFACTORS; b++)
            for (int x = 0; x < factors[a].count; x++)
                for (int y = 0; y < factors[b].count; y++) {
                    row r;
                    if (met[a][x][b][y]) continue;
                    if (!row_with(&seed, a, x, b, y, &r)) {
                        never++;
                        continue;
                    }
                    mark(&r);
                    check_row(&r, &seen);
                }
    print_message("%d rows for all pairs (%d can never meet): losses %.2g, gradients %.2g\n", seen.rows,
                  never, seen.loss, seen.gradient);
    assert_in_range(never, 0, 80); /* more would mean that the generator, not the layouts, is at fault */
}

static void test_samples(void **state)
{
    (void)state;
    uint64_t seed = 7;
    worst seen = {0};
    const char *from = getenv("YOKE_TEST_SEED");
    if (from) seed = strtoull(from, NULL, 0);
    while (seen.rows < SAMPLES) {
        row r;
        for (int f = 0; f < NFACTORS; f++) r.value[f] = (int)(draw(&seed) % (uint64_t)factors[f].count);
        if (digit(&r, 0) * digit(&r, 1) * digit(&r, 2) > 1 && can_run(&r)) check_row(&r, &seen);
    }
    print_message("%d rows at random: losses %.2g, gradients %.2g\n", seen.rows, seen.loss, seen.gradient);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
