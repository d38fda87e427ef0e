/* The loop of steps: a batch, a step, who is told, what is evaluated and saved; and every way out of it, with
 * the trainer whole wherever ranks are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "optim/rate.h"
#include "train/trainer.h"

static yki_update update_at(const yoke_trainer *trainer, int64_t s, yki_rule_of rule)
{
    const yoke_train_options *t = &trainer->options;
    int64_t done = s - trainer->skipped; /* a step that was left out has updated nothing */
    return yki_optimizer_update(t, rule, yki_rate_at(t, trainer->steps, s), done);
}

yoke_status yki_trainer_fetch_together(yoke_trainer *trainer, yoke_data *data, int64_t count)
{
    yoke_status status = yki_trainer_fetch(trainer, data, trainer->indices, count);
    if (status != YOKE_OK && !yki_trainer_alone(trainer)) {
        memset(trainer->inputs, 0, (size_t)count * trainer->input_bytes);
        memset(trainer->targets, 0, (size_t)count * trainer->target_bytes);
    }
    return status;
}

yoke_status yki_trainer_together(yoke_trainer *trainer, yki_step *step, yoke_status fetched,
                                 yki_step_result *result)
{
    yoke_error fault = {.status = YOKE_OK};
    if (fetched != YOKE_OK && yki_trainer_alone(trainer)) return fetched;
    step->failed = fetched != YOKE_OK;
    if (step->failed) fault = *yoke_error_get();
    YKI_TRY(yki_run_step(trainer->run, step, result));
    if (!result->failed) return YOKE_OK;
    if (step->failed) yki_error_set(&fault);
    return yki_trainer_agreed(trainer, yki_trainer_agree(trainer, fetched, "", 0));
}

yoke_status yki_trainer_agreed(yoke_trainer *trainer, yoke_status status)
{
    trainer->agreed = status != YOKE_OK && status != YOKE_PEER_FAILED;
    return status;
}

yoke_status yki_trainer_step(yoke_trainer *trainer, yki_run_mode mode, yki_step_result *result)
{
    int64_t s = trainer->next_step, count = yki_order_batch(&trainer->order, s, trainer->indices);
    YKI_TRY(yki_reference_order(trainer, count)); /* of a trainer that is alone */
    double began = yki_now_ns();
    yoke_status fetched = yki_trainer_fetch_together(trainer, trainer->data, count);
    trainer->fetch_s += 1e-9 * (yki_now_ns() - began);
    trainer->fetched++;
    yki_step step = {.mode = mode,
                     .samples = count,
                     .inputs = trainer->inputs,
                     .targets = trainer->targets,
                     .step = s,
                     .clip = trainer->options.clip,
                     .stop = atomic_load(&trainer->stop) != 0,
                     .ended = yki_saves_ended(trainer)};
    for (int rule = 0; rule < YKI_RULES; rule++) step.update[rule] = update_at(trainer, s, (yki_rule_of)rule);
    YKI_TRY(yki_trainer_together(trainer, &step, fetched, result));
    trainer->stopping = result->stop;
    trainer->all_ended = result->ended == yki_cluster_size();
    bool updated = result->finite && result->counted > 0;
    for (int i = 0; i < trainer->model->ncounters && mode == YKI_RUN_TRAIN && updated; i++)
        trainer->tracked[i] += yki_run_tracked(trainer->run, trainer->model->counters[i].of);
    if (mode == YKI_RUN_TRAIN && updated) memcpy(trainer->moved, result->moved, sizeof trainer->moved);
    return YOKE_OK;
}

/* Room for the figures of a run of `steps` steps, for the next million of them at least: reserved when a run
 * starts, so that steps allocate nothing but once in a million. */
static yoke_status reserve(yoke_trainer *trainer, int64_t steps)
{
    enum { AT_ONCE = 1 << 20 };
    int64_t done = trainer->next_step - trainer->first_step;
    int64_t capacity = steps - done < AT_ONCE ? steps : done + AT_ONCE;
    if (trainer->capacity >= capacity) return YOKE_OK;
    double *losses = realloc(trainer->losses, sizeof(double) * (size_t)capacity);
    if (losses) trainer->losses = losses;
    double *seconds = realloc(trainer->step_seconds, sizeof(double) * (size_t)capacity);
    if (seconds) trainer->step_seconds = seconds;
    if (!losses || !seconds) return yki_fail_memory("the losses of a run");
    trainer->capacity = capacity;
    return YOKE_OK;
}

/* A step that is not finite is left out where train.skip_nonfinite allows so many in a row: it has used its
 * batch and its number, and updated nothing. Else the run ends before it. */
static yoke_status leave_out(yoke_trainer *trainer, const yki_step_result *result)
{
    int64_t s = trainer->next_step, most = trainer->options.skip_nonfinite;
    const char *what = isfinite(result->loss) ? "gradient" : "loss";
    trainer->suspect = true; /* the weights before it may not be finite either */
    if (trainer->skipped_in_a_row >= most)
        return most > 0
                   ? yki_fail(YOKE_NON_FINITE,
                              "step %lld: the %s is not finite, after %lld steps in a row that were left "
                              "out for that (train.skip_nonfinite); nothing was updated",
                              (long long)s, what, (long long)trainer->skipped_in_a_row)
                   : yki_fail(YOKE_NON_FINITE,
                              "step %lld: the %s is not finite; nothing was updated, and the same step "
                              "would end a resumed run too: train.skip_nonfinite: 1 leaves such a step "
                              "out; a smaller learning rate, clipping or a look at the data may help",
                              (long long)s, what);
    trainer->skipped++;
    trainer->skipped_in_a_row++;
    yki_fail(YOKE_OK, "step %lld: the %s is not finite; the step was left out (%lld in a row, of %lld)",
             (long long)s, what, (long long)trainer->skipped_in_a_row, (long long)most);
    yki_trainer_notice(trainer);
    return YOKE_OK;
}

/* A step none of whose targets is counted: its batch and its number are used, and there is nothing to learn.
 */
static void pass_over(yoke_trainer *trainer)
{
    trainer->skipped++;
    if (trainer->said_uncounted) return;
    trainer->said_uncounted = true;
    yki_trainer_note(
        trainer,
        "step %lld: no target of its samples is counted (all are -100, or of a prompt): nothing was "
        "updated; said once",
        (long long)trainer->next_step);
}

static yoke_status take_step(yoke_trainer *trainer, yoke_progress progress, void *context,
                             double *mean_seconds)
{
    int64_t s = trainer->next_step, done = s - trainer->first_step;
    yki_step_result result;
    YKI_TRY(yki_trainer_step(trainer, YKI_RUN_TRAIN, &result));
    if (!result.finite)
        YKI_TRY(leave_out(trainer, &result));
    else if (result.counted == 0)
        pass_over(trainer);
    else {
        trainer->last_loss = result.loss;
        trainer->skipped_in_a_row = 0;
        trainer->suspect = false;
        if (result.gradient_norm == 0 && !trainer->said_nothing_learnt) {
            trainer->said_nothing_learnt = true;
            yki_trainer_note(
                trainer,
                "step %lld: every gradient is exactly 0: it has taught nothing (activations that "
                "are all off, targets that are met exactly, a loss that does not depend on the "
                "weights); said once",
                (long long)s);
        }
    }
    trainer->losses[done] = result.finite ? result.loss : (double)NAN;
    trainer->step_seconds[done] = result.seconds;
    trainer->next_step++;
    *mean_seconds =
        *mean_seconds == 0 || done < 2 ? result.seconds : 0.9 * *mean_seconds + 0.1 * result.seconds;
    int64_t samples = yki_order_batch_count(&trainer->order, s);
    double rate = (double)samples / result.seconds;
    yoke_step_report report = {.step = s,
                               .steps = trainer->steps,
                               .loss = result.loss,
                               .lr = yki_rate_at(&trainer->options, trainer->steps, s),
                               .gradient_norm = result.gradient_norm,
                               .seconds = result.seconds,
                               .samples_per_s = rate,
                               .tokens_per_s =
                                   trainer->model->is_sequence ? rate * (double)trainer->input_bytes / 4 : 0,
                               .seconds_left = *mean_seconds * (double)(trainer->steps - s - 1),
                               .samples = samples,
                               .skipped = !result.finite || result.counted == 0};
    yki_trainer_tell(trainer, &report);
    if (progress) progress(context, &report);
    return YOKE_OK;
}

/* Alone, at the next step's edge; with others, when all have heard of it with a step's losses. */
static bool stops(yoke_trainer *trainer)
{
    bool asked = trainer->alone || yki_cluster_size() == 1 ? atomic_load(&trainer->stop) : trainer->stopping;
    if (asked) atomic_store(&trainer->stop, 0);
    trainer->stopping = false;
    return asked;
}

static yoke_status stopped(const yoke_trainer *trainer)
{
    return yki_fail(YOKE_STOPPED, "stopped after step %lld", (long long)trainer->next_step - 1);
}

/* What follows a step: an evaluation, a save, where they are due. */
static yoke_status follow_up(yoke_trainer *trainer, const yoke_checkpoint_spec *c)
{
    int64_t every = trainer->options.eval_every, at = trainer->next_step;
    bool last = at == trainer->steps, better = false;
    if (every > 0 && (at % every == 0 || last)) YKI_TRY(yki_trainer_judge(trainer, at % every == 0, &better));
    if (!c) return YOKE_OK;
    bool due = c->every > 0 && at % c->every == 0;
    return due || last || trainer->stopped_early || (c->best && better) ? yki_saves_step(trainer) : YOKE_OK;
}

static yoke_status run_steps(yoke_trainer *trainer, int64_t end, yoke_progress progress, void *context)
{
    if (end > trainer->next_step) YKI_TRY(reserve(trainer, end - trainer->first_step));
    const yoke_checkpoint_spec *c =
        trainer->job && trainer->job->checkpoint.dir[0] ? &trainer->job->checkpoint : NULL;
    double mean_seconds = 0;
    trainer->stopped_early = yki_trainer_is_patient(trainer) ? false : trainer->next_step < end;
    if (c && end > trainer->next_step) YKI_TRY(yki_saves_begin(trainer));
    while (trainer->next_step < end && !trainer->stopped_early) {
        if (stops(trainer)) return stopped(trainer);
        YKI_TRY(yki_saves_look(trainer, false));
        if (trainer->next_step - trainer->first_step == trainer->capacity)
            YKI_TRY(reserve(trainer, end - trainer->first_step));
        YKI_TRY(take_step(trainer, progress, context, &mean_seconds));
        if (trainer->next_step - trainer->first_step == 2 && trainer->next_step < end)
            yki_run_reset_idle(trainer->run); /* warm-up */
        YKI_TRY(follow_up(trainer, c));
    }
    /* a request that came in the last step is over with it: it stops no later run, and is not lost either */
    bool asked = atomic_exchange(&trainer->stop, 0);
    return asked && trainer->next_step < trainer->steps && !trainer->stopped_early ? stopped(trainer)
                                                                                   : YOKE_OK;
}

/* Said once: whoever measures should know. */
static void notice_sharing(yoke_trainer *trainer)
{
    int place, cores = yki_backend_get("cpu")->count(), threads = trainer->plan->options.threads;
    int here = trainer->plan->mesh.nranks;
    if (!trainer->alone) {
        here /= yki_cluster_size();
        if (!yki_cluster_bound()) here *= yki_cluster_neighbours(&place);
    }
    if (trainer->said_sharing || here * threads <= cores) return;
    trainer->said_sharing = true;
    char who[64], about[48];
    snprintf(about, sizeof about, here == 1 ? "%d threads" : "%d devices", here == 1 ? threads : here);
    snprintf(who, sizeof who, here == 1 ? "%s of one device" : "%s of %d thread%s", about, threads,
             threads == 1 ? "" : "s");
    yki_fail(YOKE_OK, "%s share %d core%s: they wait for a core, and times say nothing about %s", who, cores,
             cores == 1 ? "" : "s", about);
    yki_trainer_notice(trainer);
}

yoke_status yoke_trainer_run(yoke_trainer *trainer, int64_t at_most, yoke_progress progress, void *context)
{
    static const yoke_run_event_kind ends[] = {[YOKE_OK] = YOKE_RUN_ENDED,
                                               [YOKE_STOPPED] = YOKE_RUN_STOPPED,
                                               [YOKE_NON_FINITE] = YOKE_RUN_NON_FINITE};
    YKI_NEED(trainer);
    if (at_most < 0)
        return yki_fail(YOKE_INVALID, "yoke_trainer_run: at most %lld steps, which must be at least 0",
                        (long long)at_most);
    int64_t end = trainer->steps;
    if (at_most > 0 && at_most < end - trainer->next_step) end = trainer->next_step + at_most;
    trainer->agreed = false;
    if (end > trainer->next_step) notice_sharing(trainer);
    yki_trainer_event(trainer, YOKE_RUN_STARTED, "");
    yoke_status status = yki_saves_end(trainer, run_steps(trainer, end, progress, context));
    bool known = status == YOKE_OK || status == YOKE_STOPPED || status == YOKE_NON_FINITE;
    /* of a failure that only this process knows of the others do not hear in a save */
    bool heard = known || trainer->agreed || yki_trainer_alone(trainer);
    if (!heard || yki_run_lost(trainer->run)->status != YOKE_OK) trainer->apart = *yoke_error_get();
    if (status == YOKE_OK && trainer->stopped_early) yki_trainer_say_early(trainer);
    yki_trainer_event(trainer,
                      !known                                        ? YOKE_RUN_FAILED
                      : status == YOKE_OK && trainer->stopped_early ? YOKE_RUN_STOPPED_EARLY
                                                                    : ends[status],
                      "");
    return status;
}

void yoke_trainer_stop(yoke_trainer *trainer)
{
    if (!trainer) return;
    atomic_store(&trainer->stop, 1);
}
