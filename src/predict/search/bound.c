/* What a layout takes and holds at least, from what its units do. A stage cannot begin before all before it
 * have run the first micro-batch forward; then it has all of its own to compute; and when it has done with
 * the last one, those before it have not. Movements are left out of what bounds, but for those along dp, all
 * else at rest; what is guessed has them, and decides the order alone. */
#include <math.h>

#include "base/fail.h"
#include "predict/search/search.h"

static const yki_parted *parted(yki_bounds *b, int parts)
{
    yki_references *all = b->references;
    for (yki_parted *c = b->cuts; c; c = c->next)
        if (c->parts == parts) return c;
    yki_parted *c = yki_arena_alloc(&all->arena, sizeof *c);
    int *run = yki_arena_alloc(&all->arena, sizeof *run * (size_t)all->units.count);
    int *end = yki_arena_alloc(&all->arena, sizeof *end * (size_t)parts);
    yki_arena scratch = {0};
    bool cut = c && run && end && yki_cut_evenly(&scratch, all->units.cost, all->units.count, parts, run);
    yki_arena_release(&scratch);
    if (!cut) return NULL;
    for (int i = 0; i < all->units.count; i++) end[run[i]] = i + 1;
    *c = (yki_parted){parts, end, b->cuts};
    return b->cuts = c;
}

/* Units [*from, *to) of chunk k of a stage. */
static void units_of(const yki_figures *f, int stage, int k, int *from, int *to)
{
    int part = f->schedule->returns && k == 1 ? 2 * f->pp - 1 - stage : k * f->pp + stage;
    *from = part > 0 ? f->cut->end[part - 1] : 0;
    *to = f->cut->end[part];
}

static double between(const double *sums, int from, int to)
{
    return sums[to] - sums[from];
}

/* Of movements among neighbouring replicas. */
static const yki_route *route_of(yki_bounds *b, int replicas, int apart)
{
    enum { MOST = 1024 };
    int ranks[MOST], count = replicas < MOST ? replicas : MOST;
    yki_costs costs = {.machine = b->references->machine};
    struct yki_known_route *known = &b->routes[(unsigned)(replicas * 31 + apart) % YKI_KNOWN_ROUTES];
    if (known->replicas == replicas && known->apart == apart) return &known->route;
    for (int i = 0; i < count; i++) ranks[i] = i * apart;
    *known = (struct yki_known_route){replicas, apart, yki_route_of(&costs, ranks, count)};
    return &known->route;
}

/* Seconds of what one stage hands to the next of a micro-batch. */
static double hop_of(const yki_bounds *b, const yki_figures *f, int apart)
{
    const int ranks[2] = {0, apart};
    yki_costs costs = {.machine = b->references->machine};
    if (f->pp == 1) return 0;
    yki_route route = yki_route_of(&costs, ranks, 2);
    return route.latency_s + f->r->edge_bytes * (double)f->largest / route.bytes_s;
}

/* Sets the seconds of the passes, at least and about. */
static void time_passes(yki_figures *f, double each, double hop)
{
    int small = f->microbatches - f->nlarge;
    double fill = 0, drain = 0, with_fill = 0, with_drain = 0;
    bool splits = f->schedule->splits;
    for (int s = 0; s < f->pp; s++) {
        double forward[2] = {0}, input[2] = {0}, weight[2] = {0}, with_forward = 0, with_backward = 0;
        const yki_unit_times *of[2] = {f->most, f->least};
        for (int k = 0; k < f->chunks; k++) {
            int from, to;
            units_of(f, s, k, &from, &to);
            for (int i = 0; i < 2; i++) {
                forward[i] += between(of[i]->forward, from, to);
                input[i] += between(of[i]->input, from, to);
                weight[i] += between(of[i]->weight, from, to);
            }
            with_forward += between(f->most->with_forward, from, to);
            with_backward += between(f->most->with_backward, from, to);
        }
        double late = f->nlarge * weight[0] + small * weight[1];
        double early = f->nlarge * (forward[0] + input[0]) + small * (forward[1] + input[1]);
        f->passes = fmax(f->passes, fill + early + (splits ? fmax(late, drain) : late + drain));
        double one = with_forward + with_backward, unhidden = splits ? with_drain * 0.5 : with_drain;
        f->guess = fmax(f->guess, with_fill + f->microbatches * fmax(one, 2 * f->chunks * hop) + unhidden);
        int from, to;
        units_of(f, s, 0, &from, &to);
        fill += between(f->least->forward, from, to);
        drain += between(f->least->input, from, to) + (splits ? 0 : between(f->least->weight, from, to));
        with_fill += between(f->most->with_forward, from, to) + hop;
        with_drain += between(f->most->with_backward, from, to) + hop;
    }
    f->passes /= each, f->guess /= each;
}

/* What one stage's micro-batches and states take. */
static void hold_stage(const yki_figures *f, int stage, int zero, int shards, double each, double *states,
                       double *kept)
{
    int held = f->schedule->held, later = f->pp - stage;
    *states = *kept = 0;
    for (int k = 0; k < f->chunks; k++) {
        int from, to, slots = held == 0 ? f->microbatches : held < 0 ? 1 : k + 1 < f->chunks ? f->pp : later;
        units_of(f, stage, k, &from, &to);
        const yki_unit_bytes *a = &f->r->bytes[from], *b = &f->r->bytes[to];
        *states += (double)(b->weights - a->weights) / (zero > 2 ? shards : 1) +
                   (double)(b->gradients - a->gradients) / (zero > 1 ? shards : 1) +
                   (double)(b->optimizer - a->optimizer) / (zero > 0 ? shards : 1);
        if (slots > f->microbatches) slots = f->microbatches;
        *kept += slots * (b->kept - a->kept) * (double)f->largest;
    }
    *states /= each, *kept /= each;
}

/* Seconds of what moves along dp, all else at rest: of the stage that has most of it. */
typedef struct moves {
    double gradients, weights; /* once, among those whom zero deals them out to; else among all */
    double copies;             /* gradients, among the copies of what is dealt out */
} moves;

static moves moves_of(yki_bounds *b, const yki_figures *f, const yki_candidate *c, int shards)
{
    int size = shards > 1 ? shards : c->dp, copies = c->dp / size;
    if (c->dp == 1) return (moves){0};
    double one = (size - 1.0) / size / route_of(b, size, c->tp * c->cp)->bytes_s / b->listing->each;
    moves m = {.gradients = f->gradients * one * (c->zero == 0 ? 2 : 1),
               .weights = c->zero == 0 ? 0 : f->weights * one};
    if (copies > 1)
        m.copies = 2 * f->gradients / size * (copies - 1) / copies /
                   route_of(b, copies, c->tp * c->cp * size)->bytes_s;
    return m;
}

/* What of it is guessed not to be hidden by `passes` seconds, of which the last `last` are one micro-batch's.
 */
static double exposed(const yki_candidate *c, const moves *m, double passes, double last)
{
    const double never = 0.1; /* of it: what the first and the last kernels wait for */
    double times = c->zero > 1 ? c->microbatches : 1, hides = c->zero > 1 ? passes : last;
    double hidden = m->gradients * times + (c->zero > 2 ? 2 * times * m->weights : 0);
    double after = m->copies + (c->zero < 3 ? m->weights : 0);
    return fmax(hidden - hides, never * hidden / times) + after;
}

/* What is the same whatever zero deals out, but for time. */
static bool find_figures(yki_bounds *b, const yki_candidate *c, yki_figures *f)
{
    *f = (yki_figures){
        .schedule = &yki_tried_schedules[c->schedule], .pp = c->pp, .microbatches = c->microbatches};
    yki_reference *r = f->r = yki_reference_of(b->references, c);
    int64_t share = yki_share(b->references->options->batch, c->dp, 0);
    if (!r) return false;
    f->chunks = f->schedule->returns ? 2 : f->schedule->chunks;
    f->nlarge = share % c->microbatches ? (int)(share % c->microbatches) : c->microbatches;
    f->largest = yki_share(share, c->microbatches, 0), f->smallest = share / c->microbatches;
    f->cut = parted(b, c->pp * f->chunks);
    for (int s = 0; s < f->pp && f->cut; s++) {
        double gradients = 0, weights = 0, update = 0;
        for (int k = 0; k < f->chunks; k++) {
            int from, to;
            units_of(f, s, k, &from, &to);
            gradients += (double)(r->bytes[to].gradients - r->bytes[from].gradients);
            weights += (double)(r->bytes[to].weights - r->bytes[from].weights);
            update += r->bytes[to].update_s - r->bytes[from].update_s;
        }
        f->gradients = fmax(f->gradients, gradients), f->weights = fmax(f->weights, weights);
        f->update = fmax(f->update, update / b->listing->each);
    }
    return f->cut != NULL;
}

/* And the time of its passes, once it is asked for. False: no memory. */
static bool find_passes(yki_bounds *b, const yki_candidate *c, yki_figures *f)
{
    if (f->passes > 0) return true;
    f->most = yki_reference_times(b->references, f->r, f->largest);
    f->least = yki_reference_times(b->references, f->r, f->smallest);
    if (f->most && f->least) time_passes(f, b->listing->each, hop_of(b, f, c->dp * c->tp * c->cp));
    return f->passes > 0;
}

static bool is_same_but_for_zero(const yki_candidate *a, const yki_candidate *b)
{
    return a->dp == b->dp && a->tp == b->tp && a->cp == b->cp && a->pp == b->pp &&
           a->microbatches == b->microbatches && a->schedule == b->schedule && a->recompute == b->recompute &&
           a->sp == b->sp && a->cp_kind == b->cp_kind;
}

void yki_bound(yki_bounds *b, yki_candidate *c, double most_bytes)
{
    double fullest = 0, likely = 0, each = b->listing->each,
           memory = (double)b->references->options->device_memory_bytes;
    c->least_s = c->guess_s = INFINITY;
    if (!b->known || !is_same_but_for_zero(&b->last, c)) {
        b->known = true, b->last = *c;
        b->possible = find_figures(b, c, &b->figures);
    }
    if (!b->possible) return;
    const yki_figures *f = &b->figures;
    int shards = c->zero == 0 ? 1 : c->shard > 0 ? c->shard : c->dp;
    for (int s = 0; s < c->pp; s++) {
        double states, kept;
        hold_stage(f, s, c->zero, shards, each, &states, &kept);
        fullest = fmax(fullest, states + kept);
        likely = fmax(likely, states + 0.8 * kept * fmin(c->pp, c->microbatches));
    }
    c->least_bytes = (int64_t)fullest;
    if (fullest > most_bytes || !find_passes(b, c, &b->figures)) return;
    moves m = moves_of(b, f, c, shards);
    double update = f->update / shards;
    c->least_s = fmax(f->passes, m.gradients) + update + (c->zero < 3 ? m.weights : 0);
    c->guess_s = f->guess + update + exposed(c, &m, f->guess, f->guess / c->microbatches);
    if (f->schedule->held < 0 && likely > memory) c->guess_s *= 1.5; /* it will be refused, rather */
}

bool yki_bound_mesh(yki_bounds *b, yki_candidate *mesh)
{
    const yki_candidate whole = {.dp = 1, .tp = 1, .cp = 1, .pp = 1, .microbatches = 1};
    yki_reference *r = yki_reference_of(b->references, &whole);
    if (!r) return false;
    int64_t share = b->references->options->batch / mesh->dp;
    const yki_unit_times *t = yki_reference_times(b->references, r, share);
    int n = b->references->units.count;
    if (!t) return false;
    double devices = (double)mesh->tp * mesh->cp * mesh->pp * b->listing->each;
    mesh->least_s = mesh->guess_s = (t->forward[n] + t->input[n] + t->weight[n]) / devices;
    mesh->least_bytes =
        (int64_t)((double)(r->bytes[n].weights + r->bytes[n].gradients + r->bytes[n].optimizer) / devices /
                  mesh->dp);
    return true;
}
