/* Ranks fall in classes, and a plan keeps one of each: what it says of every rank is what is found for that
 * rank alone. Lanes are compiled one by one, each as a class of its own, and every instruction is compared;
 * what zero deals to a shard, and where it lies, is worked out here from the rules of docs/job-file.md alone.
 */
#include <sys/resource.h>
#include <time.h>

#include "plan/proved.h"
#include "plan/recompute.h"
#include "plan/storage.h"

/* --- lanes --- */

/* The same layout with a class for each lane. */
static yki_plan *compile_apart(const compiled *c)
{
    yki_plan *plan = calloc(1, sizeof *plan);
    assert_non_null(plan);
    plan->options = c->plan->options;
    plan->options.layout = c->job->layout;
    plan->options.layout.ndevices = 0;
    plan->zero = c->plan->zero, plan->shards = c->plan->shards;
    plan->microbatches = c->plan->microbatches, plan->largest = c->plan->largest;
    assert_int_equal(yki_plan_parts(plan), YOKE_OK);
    assert_int_equal(yki_lanes_begin(plan), YOKE_OK);
    for (int lane = 0; lane < plan->nlanes; lane++) {
        assert_int_equal(yki_place_lane(plan, lane, lane), YOKE_OK);
        if (lane == 0) assert_int_equal(yki_recompute_check(plan), YOKE_OK);
        assert_int_equal(yki_grad_lane(plan, lane, lane), YOKE_OK);
        plan->lanes[lane].class = lane;
        plan->lane_classes[lane] = (yki_lane_class){lane, 1};
        plan->nlane_classes++;
    }
    static yoke_status (*const passes[])(yki_plan *) = {yki_plan_groups, yki_plan_schedule, yki_plan_memory,
                                                        yki_plan_states, yki_plan_prove};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (passes[i](plan) != YOKE_OK) fail_msg("apart: %s", yoke_error_get()->message);
    return plan;
}

static void same_operand(const yki_operand *a, const yki_operand *b)
{
    assert_true(a->space == b->space && a->index == b->index && a->value == b->value &&
                a->offset == b->offset && a->dtype == b->dtype && a->per_sample == b->per_sample &&
                a->ndim == b->ndim);
    for (int i = 0; i < a->ndim; i++) assert_int_equal(a->dims[i], b->dims[i]);
}

/* Every constant, those too that say where the lane's share begins. */
static void same_attr(const yki_attr *a, const yki_attr *b)
{
    assert_true(a->offset == b->offset && a->first_group == b->first_group && a->global == b->global);
    assert_true(a->rows.first == b->rows.first && a->rows.split == b->rows.split &&
                a->rows.jump == b->rows.jump);
    assert_true(a->keys.first == b->keys.first && a->keys.split == b->keys.split &&
                a->keys.jump == b->keys.jump);
    assert_true(a->activation == b->activation && a->eps == b->eps && a->p == b->p && a->key == b->key &&
                a->causal == b->causal && a->window == b->window && a->inverse == b->inverse &&
                a->theta == b->theta && a->width == b->width && a->group == b->group &&
                a->length == b->length);
    assert_true(a->outer == b->outer && a->local == b->local && a->inner == b->inner &&
                a->kernel == b->kernel && a->stride == b->stride && a->padding == b->padding);
}

static void same_shares(const int64_t *a, const int64_t *b, int count)
{
    assert_true(!a == !b);
    for (int i = 0; a && i < count; i++) assert_int_equal(a[i], b[i]);
}

static void same_instruction(const yki_plan *plan, int lane, int part, const yki_instruction *a,
                             const yki_instruction *b)
{
    assert_true(a->kind == b->kind && a->op == b->op && a->layer == b->layer && a->phase == b->phase &&
                a->request == b->request && a->noperands == b->noperands);
    for (int i = 0; i < a->noperands; i++) same_operand(&a->operands[i], &b->operands[i]);
    if (a->kind == YKI_DO_KERNEL) {
        const struct yki_do_kernel *x = &a->as.kernel, *y = &b->as.kernel;
        yki_attr own;
        same_attr(yki_lane_attr(plan, lane, part, a, &own) ? &own : x->attr, y->attr);
        assert_true(x->number == y->number && x->ninputs == y->ninputs && x->counts_loss == y->counts_loss &&
                    x->adds == y->adds && x->writes_gradients == y->writes_gradients &&
                    x->begins == y->begins);
    }
    if (a->kind == YKI_DO_COPY)
        assert_true(a->as.copy.edge == b->as.copy.edge && a->as.copy.sends == b->as.copy.sends &&
                    a->as.copy.gradient == b->as.copy.gradient);
    if (a->kind == YKI_DO_MOVE) {
        const struct yki_do_move *x = &a->as.move, *y = &b->as.move;
        int members = plan->groups[x->group].size;
        assert_true(x->group == y->group && x->back == y->back && x->reduction == y->reduction &&
                    x->cut.outer == y->cut.outer && x->cut.inner == y->cut.inner);
        same_shares(x->cut.share, y->cut.share, members);
        same_shares(x->exchange.share_a, y->exchange.share_a, members);
        same_shares(x->exchange.share_b, y->exchange.share_b, members);
    }
    if (a->kind == YKI_DO_MOVE_STATES) {
        const struct yki_do_move_states *x = &a->as.move_states, *y = &b->as.move_states;
        assert_true(x->group == y->group && x->once == y->once && x->tensor == y->tensor &&
                    x->npieces == y->npieces && x->first_piece == y->first_piece &&
                    x->first_segment == y->first_segment);
        for (int i = 0; i < x->npieces; i++) {
            assert_true(x->pieces[i].parameter == y->pieces[i].parameter &&
                        x->pieces[i].begins == y->pieces[i].begins);
            same_operand(&x->pieces[i].all, &y->pieces[i].all);
        }
    }
    if (a->kind == YKI_DO_STATES) {
        const struct yki_do_states *x = &a->as.states, *y = &b->as.states;
        assert_true(x->ntensors == y->ntensors && x->nparameters == y->nparameters);
        for (int i = 0; i < x->nparameters; i++) assert_int_equal(x->parameters[i], y->parameters[i]);
    }
}

static void same_code(const yki_plan *plan, int lane, int part, const yki_code *a, const yki_code *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        same_instruction(plan, lane, part, &a->instructions[i], &b->instructions[i]);
}

static void same_parameters(const yki_plan *plan, const yki_program *a, const yki_program *b)
{
    assert_true(a->nparameters == b->nparameters && a->nbuffers == b->nbuffers);
    for (int i = 0; i < a->nparameters + a->nbuffers; i++) {
        const yki_local_parameter *x = &a->parameters[i], *y = &b->parameters[i];
        assert_true(x->parameter == y->parameter && x->elems == y->elems && x->bucketed == y->bucketed &&
                    x->decays == y->decays && x->counts == y->counts && x->cut.outer == y->cut.outer &&
                    x->cut.inner == y->cut.inner);
        same_shares(x->cut.share, y->cut.share, plan->shards);
    }
}

/* What a lane runs by its class, and what is compiled for it alone. */
static void same_program(const yki_plan *plan, int lane, const yki_program *a, const yki_program *b)
{
    assert_true(a->stage == b->stage && a->nparts == b->nparts && a->nactions == b->nactions &&
                a->nkernels == b->nkernels && a->nrequests == b->nrequests && a->npieces == b->npieces &&
                a->nsegments == b->nsegments && a->nbuckets == b->nbuckets);
    assert_true(a->temp_offset == b->temp_offset && a->workspace_offset == b->workspace_offset &&
                a->workspace_bytes == b->workspace_bytes && a->states_offset == b->states_offset &&
                a->output_chunk == b->output_chunk);
    assert_memory_equal(&a->bytes, &b->bytes, sizeof a->bytes);
    for (int e = 0; e < plan->nedges; e++)
        assert_true(a->send_offset[e] == b->send_offset[e] && a->send_bytes[e] == b->send_bytes[e]);
    for (int c = 0; c < a->nparts; c++) {
        const yki_part_program *x = &a->parts[c], *y = &b->parts[c];
        assert_memory_equal(x->area_offset, y->area_offset, sizeof x->area_offset);
        assert_memory_equal(x->area_bytes, y->area_bytes, sizeof x->area_bytes);
        assert_memory_equal(x->area_slots, y->area_slots, sizeof x->area_slots);
        for (int body = 0; body < YKI_BODY_COUNT; body++)
            same_code(plan, lane, x->part, &x->body[body], &y->body[body]);
    }
    for (int end = 0; end < YKI_END_COUNT; end++) same_code(plan, lane, -1, &a->ends[end], &b->ends[end]);
    same_parameters(plan, a, b);
}

/* --- shards --- */

static int64_t share_of(int64_t n, int k, int i)
{
    return n / k + (i < n % k);
}

/* A rank's states, laid out by the rules: rows of files, dealt from the front. */
static void check_states(const yki_plan *plan, int rank)
{
    int place[YKI_AXIS_COUNT], of_shards;
    yki_mesh_place(&plan->mesh, rank, place);
    const yki_program *program = yki_plan_program(plan, rank);
    const yki_states *states = yki_rank_states(plan, rank);
    int shard = place[YKI_AXIS_DP] % plan->shards, n = program->nparameters, zero = plan->zero;
    bool bf16 = plan->options.precision == YOKE_PRECISION_BF16;
    int number = yki_rank_shard(plan, rank, &of_shards), kinds = 3 + YKI_MAX_MOMENTS;
    int64_t at = program->states_offset;
    yoke_bytes sum = {0};
    assert_int_equal(plan->shard_classes[of_shards].first + number, shard);
    for (int kind = 0; kind < kinds; kind++)
        for (int i = 0; i < n; i++) {
            const yki_local_parameter *p = &program->parameters[i];
            const yki_parameter *of = &plan->options.model->parameters[p->parameter];
            const yki_value *value = &plan->options.model->values[of->value];
            int dim = of->transposed ? 1 : 0;
            int64_t rows = value->ndim > 0 ? p->dims[dim] : 1, first = 0, others = 1, row = 1;
            for (int d = 0; d < value->ndim; d++) {
                if (d != dim) others *= p->dims[d];
                if (d > dim) row *= p->dims[d];
            }
            int64_t mine = others * share_of(rows, plan->shards, shard);
            for (int s = 0; s < shard; s++) first += share_of(rows, plan->shards, s);
            int from = kind == 0 ? 3 : kind == 1 ? 2 : 1; /* the stage of zero that deals it */
            int64_t bytes = (kind == 0 && bf16 ? 2 : 4) * (zero >= from ? mine : p->elems);
            if (kind == 2 && !bf16) continue;
            if (kind - 3 >= plan->options.moments[yki_plan_rule_of(plan, p->parameter)]) continue;
            yki_tensor_kind tensor = kind == 0   ? YKI_TENSOR_WEIGHT
                                     : kind == 1 ? YKI_TENSOR_GRADIENT
                                     : kind == 2 ? YKI_TENSOR_MASTER
                                                 : (yki_tensor_kind)(YKI_TENSOR_MOMENT + kind - 3);
            const yki_kept *kept = &states->kept[i];
            assert_int_equal(kept->offset[tensor], at);
            assert_int_equal(kept->runs * kept->run_elems, mine);
            if (p->elems > 0)
                assert_int_equal(yki_own_first(kept, number), zero == 1 || zero == 2 ? first * row : 0);
            at += yki_align(bytes);
            *(kind == 0 ? &sum.weights : kind == 1 ? &sum.gradients : &sum.optimizer) += bytes;
        }
    for (int i = n; i < n + program->nbuffers; i++)
        for (int k = 0; k < 2; k++) {
            assert_int_equal(states->kept[i].offset[k ? YKI_TENSOR_GRADIENT : YKI_TENSOR_WEIGHT], at);
            at += yki_align(4 * program->parameters[i].elems);
            sum.weights += 4 * program->parameters[i].elems;
        }
    assert_int_equal(states->total_bytes, at);
    assert_true(sum.weights == states->bytes.weights && sum.gradients == states->bytes.gradients &&
                sum.optimizer == states->bytes.optimizer);
}

/* --- layouts --- */

typedef struct counts {
    int plans, refused, lanes, lane_classes, shards, shard_classes;
} counts;

static void check_layout(const char *model, const char *overrides, counts *n)
{
    compiled c = compile(model, overrides, false);
    if (!c.plan) {
        n->refused++;
        release(&c);
        return;
    }
    yki_plan *apart = compile_apart(&c);
    int64_t total = 0;
    for (int rank = 0; rank < c.plan->mesh.nranks; rank++) {
        int place[YKI_AXIS_COUNT];
        yki_mesh_place(&c.plan->mesh, rank, place);
        const yki_program *program = yki_plan_program(c.plan, rank), *alone = yki_plan_program(apart, rank);
        if (place[YKI_AXIS_DP] == 0)
            same_program(c.plan, yki_mesh_lane(&c.plan->mesh, place), program, alone);
        assert_int_equal(alone->lane, yki_mesh_lane(&c.plan->mesh, place));
        check_states(c.plan, rank);
        assert_int_equal(yki_rank_states(apart, rank)->total_bytes,
                         yki_rank_states(c.plan, rank)->total_bytes);
        total += yki_rank_states(c.plan, rank)->total_bytes;
    }
    assert_int_equal(total, yki_plan_total_bytes(c.plan));
    n->plans++;
    n->lanes += c.plan->nlanes, n->lane_classes += c.plan->nlane_classes;
    n->shards += c.plan->shards, n->shard_classes += c.plan->nshard_classes;
    yki_plan_destroy(apart);
    release(&c);
}

/* Every mesh of up to 24 devices, with what else a layout may have in turn: zero's stages over all shards or
 * groups of them, sequence parallelism, both kinds of context parallelism, recomputation, bf16, ragged
 * batches. */
static void test_every_rank(void **state)
{
    (void)state;
    static const char *const models[] = {"gpt2", "llama", "llama_tied", "mlp", "conv", "batchnorm"};
    static const char *const more[] = {"",
                                       "; layout.sp=true",
                                       "; layout.recompute=full",
                                       "; train.precision=bf16",
                                       "; layout.cp_kind=ulysses",
                                       "; layout.recompute=selective; train.optimizer=lion",
                                       "; layout.schedule=zb-h1"};
    counts n = {0};
    int turn = 0;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (int tp = 1; tp <= 6; tp++)
            for (int cp = 1; cp <= 4 && tp * cp <= 24; cp++)
                for (int pp = 1; pp <= 3 && tp * cp * pp <= 24; pp++)
                    for (int dp = 1; dp <= 5 && tp * cp * pp * dp <= 24; dp++) {
                        char overrides[400];
                        if (m > 2 && cp > 1) continue; /* no sequences */
                        int zero = dp > 1 ? turn % 4 : 0, length = 0;
                        length = snprintf(overrides, sizeof overrides,
                                          "train.batch=%d; layout.tp=%d; layout.cp=%d; layout.pp=%d; "
                                          "layout.dp=%d; layout.microbatches=%d; layout.zero=%d%s",
                                          11 + turn % 3, tp, cp, pp, dp, 1 + turn % 2, zero, more[turn % 7]);
                        if (zero && dp == 4)
                            snprintf(overrides + length, sizeof overrides - (size_t)length,
                                     "; layout.dp_shard=2");
                        check_layout(models[m], overrides, &n);
                        turn++;
                    }
    print_message("%d plans, %d refused; %d lanes in %d classes, %d shards in %d\n", n.plans, n.refused,
                  n.lanes, n.lane_classes, n.shards, n.shard_classes);
    assert_true(n.plans > 500 && n.refused < n.plans / 4);
    assert_true(n.lane_classes < n.lanes * 9 / 10 && n.shard_classes < n.shards);
}

/* Layers on devices of choice, and more shards than rows. */
static void test_others(void **state)
{
    (void)state;
    counts n = {0};
    check_layout("devices", "train.batch=12; layout.dp=3; layout.zero=2; layout.microbatches=2", &n);
    check_layout("mlp", "train.batch=64; data.samples=64; layout.dp=64; layout.zero=1", &n);
    check_layout("mlp", "train.batch=64; data.samples=64; layout.dp=64; layout.zero=3", &n);
    check_layout("gpt2", "train.batch=48; data.samples=96; layout.dp=48; layout.zero=2; layout.dp_shard=16",
                 &n);
    check_layout("gpt2", "train.batch=12; layout.tp=12; layout.cp=4; layout.sp=true", &n);
    assert_int_equal(n.refused, 0);
}

/* --- larger than this machine --- */

#define LARGE                                                                                                \
    "model.layers=128; model.width=12288; model.heads=96; model.context=2048; train.sequence=2048; "         \
    "model.vocab=50257; model.dropout=0; data.samples=16384; train.batch=16384; "                            \
    "layout.device_memory=1000TiB; "

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MOST_SECONDS = 60, MOST_MIB = 8000 };
#else
enum { MOST_SECONDS = 2, MOST_MIB = 500 };
#endif

static void check_large(const char *overrides)
{
    char all[600];
    clock_t before = clock();
    snprintf(all, sizeof all, "%s%s", LARGE, overrides);
    compiled c = compile("gpt2", all, false);
    if (!c.plan) fail_msg("%s: %s %s", overrides, yoke_error_get()->key, yoke_error_get()->message);
    double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    print_message("%s: %.2f s, %ld MiB, %d and %d classes\n", overrides, seconds, used.ru_maxrss / 1024,
                  c.plan->nlane_classes, c.plan->nshard_classes);
    assert_int_equal(c.plan->mesh.nranks, 16384);
    assert_true(c.plan->nlane_classes <= 4 && c.plan->nshard_classes <= 8);
    assert_true(seconds < MOST_SECONDS && used.ru_maxrss / 1024 < MOST_MIB);
    int64_t total = 0;
    for (int rank = 0; rank < c.plan->mesh.nranks; rank++)
        total += yki_rank_states(c.plan, rank)->total_bytes;
    assert_int_equal(total, yki_plan_total_bytes(c.plan));
    for (int rank = 0; rank < c.plan->mesh.nranks; rank += 997) check_states(c.plan, rank);
    release(&c);
}

static void test_larger_than_this_machine(void **state)
{
    (void)state;
    static const char *const layouts[] = {
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=1f1b",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=gpipe",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=zb-h1",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=zb-h2",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=zb-v",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.schedule=interleaved; "
        "layout.chunks=2",
        "layout.dp=32; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.zero=1",
        "layout.dp=8; layout.cp=4; layout.tp=8; layout.pp=64; layout.microbatches=512; layout.zero=1",
        "layout.dp=16384; layout.zero=1",
        "layout.dp=16384; layout.zero=3"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) check_large(layouts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_larger_than_this_machine), /* by its peak */
                                       cmocka_unit_test(test_every_rank), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
