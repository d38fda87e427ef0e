/* Where the steps of a run went, from what its ranks took for computing and waiting: the shares that a
 * simulation has, without taking causes away one after the other, which a run cannot. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "predict/predict.h"
#include "train/trainer.h"

/* A rank that computes so many times as long as others of its stage is a straggler, not a spread. */
static const double STRAGGLES = 1.25;

typedef struct spent {
    double by[YKI_SPENT_COUNT], step;
    int place[YKI_AXIS_COUNT];
} spent;

typedef struct sums {
    const yoke_trainer *trainer;
    int n;
    spent *ranks; /* of this process, seconds of a step */
    double late;  /* waited for others that came later, on average */
} sums;

static double computing(const spent *r)
{
    return r->by[YKI_SPENT_BODIES] + r->by[YKI_SPENT_ENDS];
}

static double mean(const sums *s, int what)
{
    double sum = 0;
    for (int i = 0; i < s->n; i++) sum += s->ranks[i].by[what] / s->n;
    return sum;
}

/* Whether b is in a's group along an axis; axis YKI_AXIS_COUNT: all are. */
static bool together(const spent *a, const spent *b, int axis)
{
    for (int other = 0; other < YKI_AXIS_COUNT && axis < YKI_AXIS_COUNT; other++)
        if (other != axis && a->place[other] != b->place[other]) return false;
    return true;
}

/* Who waits least in a group comes last: what he waits is moving, what others wait beyond it is for him. */
static double take_moving(sums *s, int what, int axis)
{
    double moving = 0;
    for (int i = 0; i < s->n; i++) {
        double least = s->ranks[i].by[what];
        for (int k = 0; k < s->n; k++)
            if (together(&s->ranks[i], &s->ranks[k], axis)) least = fmin(least, s->ranks[k].by[what]);
        moving += least / s->n;
    }
    s->late += mean(s, what) - moving;
    return moving;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What ranks of a stage compute, the lower median; sorted: room. */
static double of_stage(const sums *s, int stage, double *sorted)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (s->ranks[i].place[YKI_AXIS_PP] == stage) sorted[n++] = computing(&s->ranks[i]);
    if (n == 0) return 0;
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return sorted[(n - 1) / 2];
}

/* Takes a cause's part of what was waited for. */
static double take_late(sums *s, double seconds)
{
    double taken = fmax(fmin(s->late, seconds), 0);
    s->late -= taken;
    return taken;
}

static void tell_late(sums *s, double step, double *sorted, yoke_measured *out)
{
    const yki_plan *plan = s->trainer->plan;
    int stages = plan->parts.nstages, seen = 0;
    double excess = 0, longest = 0, all = 0;
    for (int i = 0; i < s->n; i++) {
        double usual = of_stage(s, s->ranks[i].place[YKI_AXIS_PP], sorted), own = computing(&s->ranks[i]);
        if (own <= STRAGGLES * usual || own - usual <= excess) continue;
        excess = own - usual;
        out->slow_device = s->trainer->devices ? i : -1;
        out->slower = own / usual;
    }
    out->shares[YOKE_SHARE_STRAGGLER] = take_late(s, excess);
    for (int stage = 0; stage < stages; stage++) {
        double of = of_stage(s, stage, sorted);
        if (of > 0) longest = fmax(longest, of), all += of, seen++;
    }
    if (stages > 1 && seen == stages) {
        double uneven = longest - all / seen;
        out->shares[YOKE_SHARE_IMBALANCE] = take_late(s, uneven);
        out->shares[YOKE_SHARE_FILL_DRAIN] = take_late(s, yki_predict_idle(plan) * step - uneven);
    }
    out->shares[stages > 1 ? YOKE_SHARE_EXPOSED_PP : YOKE_SHARE_OTHER] += s->late;
}

static void tell(sums *s, double *sorted, yoke_measured *out)
{
    static const yoke_share exposed[] = {[YKI_AXIS_TP] = YOKE_SHARE_EXPOSED_TP,
                                         [YKI_AXIS_CP] = YOKE_SHARE_EXPOSED_CP,
                                         [YKI_AXIS_DP] = YOKE_SHARE_EXPOSED_DP};
    double step = 0, told = 0;
    for (int i = 0; i < s->n; i++) step += s->ranks[i].step / s->n;
    out->shares[YOKE_SHARE_COMPUTE] = mean(s, YKI_SPENT_BODIES);
    out->shares[YOKE_SHARE_OPTIMIZER] = mean(s, YKI_SPENT_ENDS);
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++)
        if (axis != YKI_AXIS_PP) out->shares[exposed[axis]] = take_moving(s, YKI_SPENT_WAITS + axis, axis);
    s->late += mean(s, YKI_SPENT_WAITS + YKI_AXIS_PP);
    out->shares[YOKE_SHARE_OTHER] = take_moving(s, YKI_SPENT_AGREE, YKI_AXIS_COUNT);
    tell_late(s, step, sorted, out);
    for (int i = 0; i < YOKE_SHARES; i++) told += out->shares[i];
    out->shares[YOKE_SHARE_OTHER] += fmax(step - told, 0); /* between instructions */
    double data = s->trainer->fetched > 0 ? s->trainer->fetch_s / (double)s->trainer->fetched : 0;
    out->shares[YOKE_SHARE_DATA] = data;
    out->step_s = fmax(step, told) + data;
    for (int i = 0; i < YOKE_SHARES; i++) out->shares[i] /= out->step_s;
}

yoke_status yoke_trainer_measured(const yoke_trainer *trainer, yoke_measured *measured_out)
{
    YKI_NEED(trainer, measured_out);
    int most = trainer->plan->mesh.nranks;
    sums s = {.trainer = trainer, .ranks = calloc((size_t)most, sizeof *s.ranks)};
    double *sorted = calloc((size_t)most, sizeof *sorted);
    *measured_out = (yoke_measured){.slow_device = -1, .slower = 1};
    for (int r = 0; r < most && s.ranks; r++) {
        spent *of = &s.ranks[s.n];
        if (!yki_run_spent(trainer->run, r, of->by, &of->step)) continue;
        yki_mesh_place(&trainer->plan->mesh, r, of->place);
        s.n++;
    }
    bool made = s.ranks && sorted;
    if (made && s.n > 0) tell(&s, sorted, measured_out);
    free(s.ranks);
    free(sorted);
    return made ? YOKE_OK : yki_fail_memory("what a run took");
}
