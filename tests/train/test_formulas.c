/* What docs/strategies.md and docs/memory.md say of each rank, in formulas of the model's shapes and the
 * layout's degrees alone, held against what the ranks hold and receive: weights, gradients, optimizer state;
 * gradients and weights over dp under zero 0 to 3, activations over tp, edges over pp. */
#include "run/rank.h"
#include "train/jobs.h"

enum { BATCH = 12, SEQUENCE = 7, TOKENS = BATCH * SEQUENCE };

/* How tp cuts a tensor: the dim of its shape in files, -1: whole on every rank. */
typedef struct cut_rule {
    const char *suffix;
    int dim;
} cut_rule;

static const cut_rule cut_rules[] = {
    {"wte.weight", 0},       {"attn.c_attn.weight", 1}, {"attn.c_attn.bias", 0},  {"attn.c_proj.weight", 0},
    {"mlp.c_fc.weight", 1},  {"mlp.c_fc.bias", 0},      {"mlp.c_proj.weight", 0}, {"embed_tokens.weight", 0},
    {"lm_head.weight", 0},   {"q_proj.weight", 0},      {"k_proj.weight", 0},     {"v_proj.weight", 0},
    {"gate_proj.weight", 0}, {"up_proj.weight", 0},     {"o_proj.weight", 1},     {"down_proj.weight", 1},
};

typedef struct family_facts {
    const char *model;
    int width, layers, tables; /* tables: of width x vocabulary that a pipeline sums over its ends */
    int vocab;
} family_facts;

static const family_facts families[] = {{"gpt2", 36, 3, 1, 101}, {"llama", 48, 3, 0, 101}};

typedef struct mesh {
    int dp, tp, pp, zero, m;
    bool bf16;
    const char *optimizer; /* "" the job's, adamw */
    int moments;           /* of muon: but for matrices, which have one */
} mesh;

static bool is_muon(const mesh *m)
{
    return strstr(m->optimizer, "muon") != NULL;
}

static int64_t share(int64_t n, int k, int i)
{
    return n / k + (i < n % k);
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t a = strlen(name), b = strlen(suffix);
    return a >= b && strcmp(name + a - b, suffix) == 0;
}

/* Rows (dim 0 as in files) and elements of a row that tp rank `t` has of a parameter. */
static void cut_by_tp(const yki_parameter *p, int tp, int t, int64_t *rows, int64_t *columns)
{
    int64_t dims[2] = {p->dims[0], p->ndim > 1 ? p->dims[1] : 1};
    for (size_t i = 0; i < sizeof cut_rules / sizeof *cut_rules; i++) {
        if (!ends_with(p->name, cut_rules[i].suffix)) continue;
        dims[cut_rules[i].dim] = share(dims[cut_rules[i].dim], tp, t);
    }
    *rows = dims[0];
    *columns = dims[1];
}

/* Biases are added, rows of tables are looked up: their gradients do not read them. (A tied table is the
 * head's too, on the last stage.) */
static bool backward_reads(const char *name, bool last)
{
    if (ends_with(name, "wte.weight")) return last;
    return !ends_with(name, ".bias") && !ends_with(name, "wpe.weight") &&
           !ends_with(name, "embed_tokens.weight");
}

/* Products' weights in blocks, which muon updates whole. */
static bool is_matrix(const yki_parameter *p)
{
    return p->ndim == 2 && (strncmp(p->name, "h.", 2) == 0 || strstr(p->name, "layers."));
}

/* Elements that a rank of a stage and tp place has; those of them that zero deals to it; those of other
 * ranks that its backward pass reads; and of matrices the first two, and what all ranks along tp have. */
typedef struct elements {
    int64_t whole, mine, others_read, matrices, my_matrices, all_matrices;
} elements;

static elements count_elements(const yoke_trainer *trainer, const mesh *m, const yoke_device_report *d)
{
    elements e = {0};
    for (int i = 0; i < trainer->model->nparameters; i++) {
        int64_t rows, columns, mine;
        const yki_parameter *p = &trainer->model->parameters[i];
        if (!trainer->plan->param_places[i].held[d->pp]) continue;
        cut_by_tp(p, m->tp, d->tp, &rows, &columns);
        mine = share(rows, m->dp, d->dp);
        e.whole += rows * columns;
        e.mine += mine * columns;
        if (is_matrix(p)) {
            e.matrices += rows * columns;
            e.my_matrices += mine * columns;
            e.all_matrices += p->dims[0] * p->dims[1];
        }
        if (backward_reads(p->name, d->pp == m->pp - 1)) e.others_read += (rows - mine) * columns;
    }
    return e;
}

static yoke_trainer *start(const char *model, const mesh *m, yoke_job **job_out, char *text, size_t size)
{
    snprintf(
        text, size,
        "train.steps=2; layout.dp=%d; layout.tp=%d; layout.pp=%d; layout.zero=%d; layout.microbatches=%d; "
        "train.precision=%s%s%s",
        m->dp, m->tp, m->pp, m->zero, m->m, m->bf16 ? "bf16" : "f32",
        *m->optimizer ? "; train.optimizer=" : "", m->optimizer);
    return start_job(model, text, job_out);
}

/* Zero 1 shards the optimizer's state, masters included; 2 gradients too; 3 weights too. */
static void check_states(const char *model, const mesh *m)
{
    char text[512];
    yoke_job *job;
    yoke_run_report report;
    yoke_trainer *trainer = start(model, m, &job, text, sizeof text);
    assert_int_equal(yoke_trainer_report(trainer, &report), YOKE_OK);
    assert_int_equal(report.ndevices, m->dp * m->tp * m->pp);
    for (int i = 0; i < report.ndevices; i++) {
        const yoke_device_report *d = &report.devices[i];
        elements e = count_elements(trainer, m, d);
        int64_t weights = (m->bf16 ? 2 : 4) * (m->zero >= 3 ? e.mine : e.whole),
                gradients = 4 * (m->zero >= 2 ? e.mine : e.whole),
                optimizer = 4 * (m->moments + m->bf16) * (m->zero >= 1 ? e.mine : e.whole);
        if (is_muon(m)) optimizer -= 4 * (m->zero >= 1 ? e.my_matrices : e.matrices);
        if (d->bytes.weights != weights || d->bytes.gradients != gradients || d->bytes.optimizer != optimizer)
            fail_msg(
                "%s [%s] rank %d holds %lld, %lld, %lld of weights, gradients, optimizer; by the formulas "
                "%lld, %lld, %lld",
                model, text, i, (long long)d->bytes.weights, (long long)d->bytes.gradients,
                (long long)d->bytes.optimizer, (long long)weights, (long long)gradients,
                (long long)optimizer);
    }
    finish_job(trainer, job);
}

static void test_states(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int moments;
    } optimizers[] = {{"", 2},
                      {"{name: sgd, lr: 0.1, momentum: 0.9}", 1},
                      {"{name: sgd, lr: 0.1}", 0},
                      {"lion", 1},
                      {"muon", 2}};
    for (int f = 0; f < 2; f++)
        for (int place = 0; place < 9; place++)
            for (int dp = 1; dp <= 4; dp++)
                for (int zero = 0; zero <= 3; zero++) {
                    /* of optimizers and precisions one: each pair of any two choices is among them */
                    int o = (place + dp + zero + f) % 5;
                    mesh m = {dp,
                              1 + place % 3,
                              1 + place / 3,
                              zero,
                              1,
                              (place + dp / 2 + zero) % 2,
                              optimizers[o].text,
                              optimizers[o].moments};
                    /* llama's three heads of k and v are on every rank of two: test_llama.c */
                    if (f == 0 || m.tp != 2) check_states(families[f].model, &m);
                }
}

/* Bytes that a rank received so far, over one axis. */
static int64_t received(const yki_rank *rank, yki_axis axis)
{
    int64_t bytes = axis == YKI_AXIS_PP ? yki_comm_received_bytes(rank->world) : 0;
    for (int g = 0; g < rank->plan->ngroups; g++)
        if (rank->plan->groups[g].axis == axis && rank->groups[g])
            bytes += yki_comm_received_bytes(rank->groups[g]);
    return bytes;
}

/* 2 (n - 1) / n of the gradients; under zero, where each of n ranks receives the others' parts of its rows
 * and the rows that the others have: once a step (1); gradients every micro-batch (2); and every micro-batch
 * weights for the forward pass, and those that the backward pass reads (3). Muon brings matrices together. */
static int64_t over_dp(const mesh *m, elements e)
{
    int64_t scatter = 4 * (m->dp - 1) * e.mine, others = e.whole - e.mine, size = m->bf16 ? 2 : 4,
            brought = is_muon(m) ? 4 * (e.matrices - e.my_matrices) : 0;
    if (m->zero == 1) return scatter + size * others + brought;
    if (m->zero == 2) return m->m * scatter + size * others + brought;
    if (m->zero == 3) return m->m * (scatter + size * (others + e.others_read)) + brought;
    return 2 * (m->dp - 1) * 4 * e.whole / m->dp;
}

/* Forward: an all-reduce of the activations for the table, and two a layer; backward two a layer and one
 * before the head; the loss: one of each token's largest logit, one of its two sums, in f32. Muon brings
 * matrices together. */
static int64_t over_tp(const mesh *m, const family_facts *f, const yoke_trainer *trainer,
                       const yoke_device_report *d)
{
    int blocks = 0;
    bool first = d->pp == 0, last = d->pp == m->pp - 1;
    for (int i = 0; i < trainer->model->nparameters; i++) { /* each block has one weight of this name */
        const char *name = trainer->model->parameters[i].name;
        bool block = strstr(name, "ln_1.weight") || strstr(name, "input_layernorm.weight");
        blocks += block && trainer->plan->param_places[i].held[d->pp];
    }
    int64_t activation = (m->bf16 ? 2 : 4) * (int64_t)TOKENS / m->dp * f->width;
    int64_t bytes = activation * (4 * blocks + first + last) + last * 4 * 3 * (int64_t)TOKENS / m->dp;
    elements e = count_elements(trainer, m, d);
    return 2 * (m->tp - 1) * bytes / m->tp + (is_muon(m) ? 4 * (e.all_matrices - e.matrices) : 0);
}

/* An activation from the stage before, its gradient from the one after; whole on every rank of tp. A table
 * that the first and the last stage share: the sum of its two gradients, of the rows that zero deals it. */
static int64_t over_pp(const mesh *m, const family_facts *f, const yoke_device_report *d)
{
    int64_t edge = (m->bf16 ? 2 : 4) * (int64_t)TOKENS / m->dp * f->width,
            rows = share(f->vocab, m->tp, d->tp);
    bool end = d->pp == 0 || d->pp == m->pp - 1;
    if (m->pp == 1) return 0;
    if (m->zero >= 1) rows = share(rows, m->dp, d->dp);
    return edge * ((d->pp > 0) + (d->pp < m->pp - 1)) + end * f->tables * 4 * rows * f->width;
}

/* A rank's part of an all-reduce is as even as elements are. */
static void check_moved(const char *text, const char *axis, int rank, int64_t got, int64_t wanted,
                        int64_t slack)
{
    if (got < wanted - slack || got > wanted + slack)
        fail_msg("[%s] rank %d received %lld bytes over %s; by the formula %lld", text, rank, (long long)got,
                 axis, (long long)wanted);
}

static void check_movement(const family_facts *f, const mesh *m)
{
    char text[512];
    yoke_job *job;
    yoke_run_report report;
    yki_step_result result;
    int64_t total = 0;
    yoke_trainer *trainer = start(f->model, m, &job, text, sizeof text);
    assert_int_equal(yoke_trainer_run(trainer, 0, NULL, NULL), YOKE_OK);
    int64_t before[MOST_RANKS][YKI_AXIS_COUNT];
    for (int i = 0; i < trainer->run->nranks; i++)
        for (int a = 0; a < YKI_AXIS_COUNT; a++)
            before[i][a] = received(&trainer->run->ranks[i], (yki_axis)a);
    trainer->next_step = 0;
    assert_int_equal(yki_trainer_step(trainer, YKI_RUN_TRAIN, &result), YOKE_OK);
    assert_int_equal(yoke_trainer_report(trainer, &report), YOKE_OK);
    for (int i = 0; i < report.ndevices; i++) {
        const yoke_device_report *d = &report.devices[i];
        int64_t got[YKI_AXIS_COUNT];
        for (int a = 0; a < YKI_AXIS_COUNT; a++) {
            got[a] = received(&trainer->run->ranks[i], (yki_axis)a) - before[i][a];
            total += got[a];
        }
        check_moved(text, "dp", i, got[YKI_AXIS_DP], over_dp(m, count_elements(trainer, m, d)),
                    m->zero ? 0 : 4 * abs(m->dp - 2));
        check_moved(text, "tp", i, got[YKI_AXIS_TP], over_tp(m, f, trainer, d), 64 * (m->tp > 2) * m->m);
        check_moved(text, "pp", i, got[YKI_AXIS_PP], over_pp(m, f, d), 8);
        assert_int_equal(got[YKI_AXIS_CP], 0);
    }
    assert_int_equal(report.moved_bytes_per_step, total);
    finish_job(trainer, job);
}

static void test_movement(void **state)
{
    (void)state;
    for (int f = 0; f < 2; f++)
        for (int place = 0; place < 9; place++)
            for (int dp = 1; dp <= 3; dp++)
                for (int zero = 0; zero <= 3; zero++)
                    for (int microbatches = 1; microbatches <= 2; microbatches++) {
                        mesh m = {dp,
                                  1 + place % 3,
                                  1 + place / 3,
                                  zero,
                                  microbatches,
                                  (zero + microbatches) % 2,
                                  (place + dp + zero) % 2 ? "muon" : "",
                                  2};
                        if (dp == 1 && zero > 0) continue;
                        if (f == 0 || m.tp != 2) check_movement(&families[f], &m);
                    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_movement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
