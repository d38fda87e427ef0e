/* The answers, in sentences. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "predict/why/why.h"

static void say(yki_why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(yki_why *why, const char *format, ...)
{
    yoke_reasons *out = why->out;
    va_list rest;
    if (out->nsentences == (int)(sizeof out->sentences / sizeof *out->sentences)) return;
    va_start(rest, format);
    vsnprintf(out->sentences[out->nsentences], sizeof *out->sentences, format, rest);
    va_end(rest);
    out->nsentences++;
}

/* "29.3 ms", "4.5 s", "3.2 h". */
static const char *time_text(char text[32], double seconds)
{
    static const struct {
        double least, scale;
        const char *unit;
    } units[] = {{2 * 86400, 86400, "days"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {1, 1, "s"},
                 {1e-3, 1e-3, "ms"},         {0, 1e-6, "us"}};
    int i = 0;
    while (seconds < units[i].least) i++;
    snprintf(text, 32, "%.3g %s", seconds / units[i].scale, units[i].unit);
    return text;
}

static const char *layout_said(const yoke_layout *layout, char text[256])
{
    yoke_layout_print(layout, text, 256);
    if (!text[0]) strcpy(text, "dp=1");
    return text;
}

static int64_t memory_there(const yki_why *why)
{
    int64_t memory = why->machine.device.memory_bytes - why->machine.device.reserve_bytes,
            own = why->job.layout.device_memory_bytes;
    return own > 0 && own < memory ? own : memory;
}

/* One device can take it, at its own pace. */
static void tell_fitting(yki_why *why, const char *state, const char *acts, const char *has)
{
    const yoke_strategy *one = &why->out->strategies[0];
    const yoke_layout *best = &why->planned->rows[0].layout;
    long long steps = (long long)why->job.train.steps;
    bool alone = best->dp * best->tp * best->pp * best->cp == 1;
    char step[32], run[32], whole[96] = "";
    time_text(run, one->step_s * (double)steps);
    if (steps > 1) snprintf(whole, sizeof whole, ", and the job's %lld steps %s", steps, run);
    say(why,
        "the model fits one device: weights, gradients and optimizer state are %s, activations%s %s, of %s; "
        "a step of "
        "%lld samples takes it %s%s: %s",
        state, one->layout.microbatches > 1 ? " in micro-batches" : "", acts, has,
        (long long)why->job.train.batch, time_text(step, one->step_s), whole,
        alone ? "neither model nor data are too much for it" : "it is the data that one device is slow with");
}

/* Is it the data, or the model, that one device cannot take? */
static void tell_one_device(yki_why *why)
{
    const yoke_strategy *one = &why->out->strategies[0];
    int64_t states = one->bytes.weights + one->bytes.gradients + one->bytes.optimizer,
            most = memory_there(why);
    char state[24], has[24], all[24], acts[24], lacks[24];
    if (!one->possible) {
        say(why, "one device alone is not possible here: %s", one->limit);
        return;
    }
    yki_size_print(state, (double)states), yki_size_print(has, (double)most);
    yki_size_print(all, (double)one->peak_bytes), yki_size_print(acts, (double)one->bytes.activations);
    if (states > most)
        say(why,
            "it is the model that one device cannot take: weights, gradients and optimizer state are %s, and "
            "a "
            "device may hold %s, %s less, whatever the batch; data parallelism alone, which has all of them "
            "on "
            "every device, does not help",
            state, has, yki_size_print(lacks, (double)(states - most)));
    else if (!one->fits)
        say(why,
            "it is the batch's activations that one device cannot take: with weights, gradients and "
            "optimizer "
            "state of %s it would hold %s in micro-batches of one sample, with everything made a second "
            "time, "
            "and may hold %s",
            state, all, has);
    else
        tell_fitting(why, state, acts, has);
}

/* "(weights 1 GiB, ...)". */
static const char *kinds_text(const yoke_bytes *b, char text[200])
{
    char weights[24], gradients[24], state[24], acts[24];
    snprintf(text, 200, "(weights %s, gradients %s, optimizer %s, activations %s)",
             yki_size_print(weights, (double)b->weights), yki_size_print(gradients, (double)b->gradients),
             yki_size_print(state, (double)b->optimizer), yki_size_print(acts, (double)b->activations));
    return text;
}

static void tell_strategy(yki_why *why, const yoke_strategy *s)
{
    const char *kind = s == why->out->strategies ? "" : " parallelism";
    char layout[256], peak[24], has[24], kinds[200], moved[24], step[32], over[48] = "",
                                                                          moves[64] = "nothing moves";
    if (!s->possible) {
        say(why, "%s%s is not possible here: %s", s->name, kind, s->limit);
        return;
    }
    if (*kind && s->devices < why->devices)
        snprintf(over, sizeof over, ", over %d of the %d devices", s->devices, why->devices);
    if (s->moved_bytes > 0)
        snprintf(moves, sizeof moves, "%s %s a step", yki_size_print(moved, (double)s->moved_bytes),
                 s->fits ? "move" : "would move");
    say(why, "%s%s (%s%s)%s: a device %s %s of %s %s, %s, and a step %s %s, limited by %s", s->name, kind,
        layout_said(&s->layout, layout), over, s->fits ? "" : " does not fit",
        s->fits ? "holds" : "would hold", yki_size_print(peak, (double)s->peak_bytes),
        yki_size_print(has, (double)memory_there(why)), kinds_text(&s->bytes, kinds), moves,
        s->fits ? "takes" : "would take", time_text(step, s->step_s), s->limit);
}

static void tell_choice(yki_why *why)
{
    const yoke_planned_row *best = &why->planned->rows[0];
    const yoke_strategy *first = NULL, *one = &why->out->strategies[0];
    char layout[256], step[32], more[200] = "", than[96] = "";
    for (int i = 1; i < why->out->nstrategies; i++) {
        const yoke_strategy *s = &why->out->strategies[i];
        if (s->possible && s->fits && (!first || s->step_s < first->step_s)) first = s;
    }
    if (one->possible && one->fits && one->step_s > 1.005 * best->step_s)
        snprintf(than, sizeof than, ", %.2f times as fast as one device", one->step_s / best->step_s);
    if (first && first->step_s < 0.995 * best->step_s)
        snprintf(more, sizeof more,
                 "; %s parallelism alone was not among those that the search simulated, and is faster",
                 first->name);
    else if (first && first->step_s < 1.005 * best->step_s)
        snprintf(more, sizeof more, "; %s parallelism alone is as fast", first->name);
    else if (first)
        snprintf(more, sizeof more, "%s %.2f times as fast as the best strategy by itself, %s parallelism",
                 than[0] ? " and" : ",", first->step_s / best->step_s, first->name);
    say(why, "%s is the first of %lld layouts: a step takes %s%s%s; it is limited by %s",
        layout_said(&best->layout, layout), (long long)why->planned->considered,
        time_text(step, best->step_s), than, more, best->limit);
}

void yki_why_tell(yki_why *why)
{
    yoke_reasons *out = why->out;
    tell_one_device(why);
    for (int i = out->strategies[0].possible ? 0 : 1; i < out->nstrategies; i++)
        tell_strategy(why, &out->strategies[i]);
    tell_choice(why);
    for (int i = 0; i < out->nbreak_even; i++) say(why, "%s", out->break_even[i].sentence);
    if (out->nbreak_even == 0 && why->is_first)
        say(why, "between a sixteenth and sixteen times of batch, model, memory, links and devices no other "
                 "kind of layout "
                 "comes first");
}
