/* What a layout takes and holds at least. One replica that runs the whole batch at once, on the machine's
 * first tp * cp devices, does all that each of its parts does, in the largest products: dealt out evenly over
 * replicas and stages no layout of the same tp and cp computes in less. */
#include <math.h>

#include "base/fail.h"
#include "predict/search/search.h"
#include "predict/simulate/simulate.h"

static yoke_status simulate_reference(const yki_bounds *b, const yki_plan *plan, yki_reference *r)
{
    yki_costs costs;
    yki_classes classes = {0};
    yki_works works = {0};
    yki_what_if none = {0};
    yki_simulated s;
    yoke_status status = yki_costs_of(b->machine, plan, &costs);
    if (status == YOKE_OK) status = yki_classes_of(plan, &costs, false, &classes);
    if (status == YOKE_OK) status = yki_works_of(plan, &costs, &classes, false, &works);
    if (status == YOKE_OK) status = yki_simulate(&works, &none, &s);
    if (status == YOKE_OK) {
        r->ends_s = s.mean.ends;
        r->bodies_s = fmax(s.seconds - s.mean.ends, 0);
        r->bytes = plan->states[0].bytes;
        r->possible = true;
    }
    yki_works_release(&works);
    yki_classes_release(&classes);
    return status;
}

static yki_reference *reference_of(yki_bounds *b, const yki_candidate *c)
{
    for (int i = 0; i < b->count; i++) {
        yki_reference *r = &b->list[i];
        if (r->tp == c->tp && r->cp == c->cp && r->sp == c->sp) return r;
    }
    if (b->count == (int)(sizeof b->list / sizeof *b->list)) return NULL;
    yki_reference *r = &b->list[b->count++];
    const yki_candidate alone = {.dp = 1, .tp = c->tp, .cp = c->cp, .pp = 1, .microbatches = 1, .sp = c->sp};
    yki_plan_options options = *b->options;
    yki_plan *plan;
    *r = (yki_reference){.tp = c->tp, .cp = c->cp, .sp = c->sp};
    options.layout = yki_candidate_layout(&alone, &b->options->layout);
    options.device_memory_bytes = options.all_memory_bytes = 0;
    if (yki_plan_create(&options, &plan) != YOKE_OK) return r;
    if (simulate_reference(b, plan, r) != YOKE_OK) r->possible = false;
    yki_plan_destroy(plan);
    return r;
}

/* Seconds that gradients, and weights that zero deals out, are on their way, all else at rest. */
static double moving(const yki_bounds *b, const yki_candidate *c, const yki_reference *r)
{
    enum { MOST = 1024 };
    int ranks[MOST], size = c->dp < MOST ? c->dp : MOST;
    yki_costs costs = {.machine = b->machine};
    if (c->dp == 1) return 0;
    for (int i = 0; i < size; i++) ranks[i] = i * c->tp * c->cp;
    yki_route route = yki_route_of(&costs, ranks, size);
    double gradients = (double)r->bytes.gradients, weights = (double)r->bytes.weights;
    double moved = gradients + (c->zero == 0 ? gradients : c->zero == 3 ? 2 * weights : weights);
    return moved / c->pp * (c->dp - 1) / c->dp / route.bytes_s;
}

/* The last stage waits for all before it to fill and to drain, so that no even load of the stages is the
 * fastest; with loads that fall from stage to stage all end together, and that is what none is faster than.
 */
static double over_stages(const yki_candidate *c, double one_pass)
{
    double m = c->microbatches, waits = yki_tried_schedules[c->schedule].waits;
    return one_pass * waits / (1 - pow(1 - waits / m, c->pp));
}

bool yki_bound(yki_bounds *b, yki_candidate *c)
{
    const yki_reference *r = reference_of(b, c);
    if (!r || !r->possible) return false;
    int shards = c->zero > 0 ? c->dp : 1;
    double again = c->recompute == YOKE_RECOMPUTE_FULL ? 1.2 : 1; /* a third, less what need not be */
    double one_pass = again * r->bodies_s / c->dp / c->microbatches;
    double body = c->pp > 1 ? over_stages(c, one_pass) : one_pass * c->microbatches;
    c->least_s = fmax(body + r->ends_s / c->pp / shards, moving(b, c, r));
    c->least_bytes = (r->bytes.weights / (c->zero > 2 ? c->dp : 1) +
                      r->bytes.gradients / (c->zero > 1 ? c->dp : 1) + r->bytes.optimizer / shards) /
                     c->pp;
    return true;
}
