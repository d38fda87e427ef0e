/* What evaluations on the way mean for a run: which step is the best, and when nothing gets better. */
#include <math.h>
#include <stdlib.h>

#include "base/fail.h"
#include "train/trainer.h"

static yoke_status keep(yoke_trainer *trainer, const yoke_held_out *e)
{
    if (trainer->nevaluations == trainer->evaluation_room) {
        int64_t room = trainer->evaluation_room ? 2 * trainer->evaluation_room : 16;
        yoke_held_out *grown = realloc(trainer->evaluations, sizeof *grown * (size_t)room);
        if (!grown) return yki_fail_memory("the evaluations of a run");
        trainer->evaluations = grown;
        trainer->evaluation_room = room;
    }
    trainer->evaluations[trainer->nevaluations++] = *e;
    return YOKE_OK;
}

/* What is no number is better than nothing. */
static bool is_better(double loss, double least)
{
    return isfinite(loss) && (isnan(least) || loss < least);
}

int64_t yki_trainer_evaluated_samples(const yoke_trainer *trainer)
{
    const yoke_train_options *t = &trainer->options;
    int64_t held = yoke_trainer_held_out(trainer), batches = (held + t->batch - 1) / t->batch;
    return t->eval_batches > 0 && t->eval_batches < batches ? t->eval_batches * t->batch : held;
}

yoke_status yki_trainer_judge(yoke_trainer *trainer, bool counts, bool *best_out)
{
    yki_standing *s = &trainer->standing;
    double began = yki_now_ns();
    yoke_evaluation found;
    YKI_TRY(yoke_trainer_evaluate(trainer, NULL, yki_trainer_evaluated_samples(trainer), &found));
    yoke_evaluation_release(&found);
    yoke_held_out e = {.step = trainer->next_step,
                       .samples = found.samples,
                       .loss = found.loss,
                       .accuracy = found.accuracy,
                       .perplexity = found.perplexity};
    trainer->evaluation_seconds += (yki_now_ns() - began) * 1e-9;
    e.least = is_better(e.loss, s->least_loss);
    if (e.least) {
        s->least_loss = e.loss;
        s->least_step = e.step;
        s->no_better = 0;
    } else
        s->no_better += counts;
    *best_out = is_better(e.loss, s->best_loss);
    if (*best_out && trainer->job && trainer->job->checkpoint.best && trainer->job->checkpoint.dir[0]) {
        trainer->passed = *s; /* until the step is saved */
        s->best_loss = e.loss;
        s->best_step = e.step;
    }
    YKI_TRY(keep(trainer, &e));
    trainer->stopped_early = !yki_trainer_is_patient(trainer) && e.step < trainer->steps;
    yki_trainer_evaluated(trainer, &e);
    return YOKE_OK;
}

bool yki_trainer_is_patient(const yoke_trainer *trainer)
{
    int64_t patience = trainer->options.patience;
    return patience == 0 || trainer->standing.no_better < patience;
}

void yki_trainer_say_early(yoke_trainer *trainer)
{
    const yki_standing *s = &trainer->standing;
    char last[64] = "evaluation was";
    if (s->no_better > 1) snprintf(last, sizeof last, "%lld evaluations were", (long long)s->no_better);
    yki_fail(
        YOKE_OK,
        "stopped early, after step %lld of %lld: the last %s no better than the held-out loss of %.6g after "
        "step %lld (stop.patience)",
        (long long)trainer->next_step, (long long)trainer->steps, last, s->least_loss,
        (long long)s->least_step);
    yki_trainer_notice(trainer);
}

const yoke_held_out *yoke_trainer_evaluations(const yoke_trainer *trainer, int64_t *count_out)
{
    if (count_out) *count_out = trainer ? trainer->nevaluations : 0;
    return trainer ? trainer->evaluations : NULL;
}
