/* The progress line. Nothing is printed more often than ten times a second in a terminal. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "text.h"

enum { BAR_MOST = 20, BAR_LEAST = 6, PLAIN_LINES = 20, QUIET_SECONDS = 50 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_start(progress *p, cli *run, int64_t stop_after)
{
    *p = (progress){.run = run, .first = -1, .last_printed = -1, .end = -stop_after, .held_out = NAN};
}

void progress_clear(progress *p)
{
    if (p->on_screen) fputs("\r\033[K", stderr);
    p->on_screen = false;
}

static void print_bar(const cli *run, double share, int columns)
{
    int filled = (int)(share * columns + .5);
    fputs(run->error_colour ? "\033[36m" : "", stderr);
    for (int i = 0; i < filled; i++) fputs("━", stderr);
    fputs(run->error_colour ? "\033[2m" : "", stderr);
    for (int i = filled; i < columns; i++) fputs(run->error_colour ? "━" : "·", stderr);
    fputs(run->error_colour ? "\033[0m" : "", stderr);
}

/* "loss 3.1416  norm 1.23  12.3k tokens/s", in at most `size` bytes. */
static void describe(const yoke_step_report *r, double held_out, char *text, size_t size)
{
    char rate[32];
    bool tokens = r->tokens_per_s > 0;
    text_count(rate, tokens ? r->tokens_per_s : r->samples_per_s);
    snprintf(text, size, "loss %-8.5g  norm %-8.4g  %s %s/s", r->loss, r->gradient_norm, rate,
             tokens ? "tokens" : "samples");
    size_t length = strlen(text);
    if (isfinite(held_out)) snprintf(text + length, size - length, "  held-out %.5g", held_out);
}

static void draw(progress *p, const yoke_step_report *r, int64_t end)
{
    char what[160], left[32], head[64];
    describe(r, p->held_out, what, sizeof what);
    snprintf(head, sizeof head, "step %lld/%lld", (long long)r->step + 1, (long long)r->steps);
    text_duration(left,
                  r->seconds_left * (double)(end - r->step - 1) / fmax(1, (double)(r->steps - r->step - 1)));
    if (strlen(head) + strlen(what) + strlen(left) + 9 > (size_t)p->run->error_columns)
        describe(r, NAN, what, sizeof what);
    int columns = (int)(strlen(head) + strlen(what) + strlen(left)) + 9,
        bar = p->run->error_columns - columns - 2;
    fprintf(stderr, "\r\033[K%s ", head);
    if (bar >= BAR_LEAST) {
        int64_t all = end - p->first;
        print_bar(p->run, (double)(r->step + 1 - p->first) / (double)(all > 0 ? all : 1),
                  bar < BAR_MOST ? bar : BAR_MOST);
        fputc(' ', stderr);
    }
    if (columns <= p->run->error_columns)
        fprintf(stderr, " %s  %s left", what, left);
    else
        fprintf(stderr, " loss %.5g", r->loss);
    fflush(stderr);
    p->on_screen = true;
}

void progress_step(void *context, const yoke_step_report *r)
{
    progress *p = context;
    if (p->first < 0) {
        p->first = r->step;
        p->end = p->end < 0 && r->step - p->end < r->steps ? r->step - p->end : r->steps;
    }
    bool last = r->step + 1 >= p->end;
    p->finished = r->step + 1 >= r->steps;
    if (p->run->quiet) return;
    if (p->run->error_terminal) {
        double t = now();
        if (!last && p->on_screen && t - p->last_drawn < .1) return;
        p->last_drawn = t;
        draw(p, r, p->end);
        return;
    }
    int64_t all = p->end - p->first, done = r->step + 1 - p->first;
    if (!last && all > PLAIN_LINES && p->last_printed >= 0 && now() - p->last_drawn < QUIET_SECONDS &&
        done / ((all + PLAIN_LINES - 1) / PLAIN_LINES) ==
            (done - 1) / ((all + PLAIN_LINES - 1) / PLAIN_LINES))
        return;
    char what[160], left[32];
    describe(r, NAN, what, sizeof what);
    p->last_printed = r->step;
    p->last_drawn = now();
    int digits = snprintf(NULL, 0, "%lld", (long long)r->steps);
    fprintf(stderr, "step %*lld/%lld  %s", digits, (long long)r->step + 1, (long long)r->steps, what);
    if (!last) fprintf(stderr, "  %s left", text_duration(left, r->seconds_left));
    fputc('\n', stderr);
    fflush(stderr);
}

/* What happens beside the steps: in a pipe a line of its own, in a terminal in the next line that is drawn.
 */
static void on_event(void *context, const yoke_run_event *event)
{
    progress *p = context;
    const yoke_held_out *e = event->evaluation;
    if (event->kind == YOKE_RUN_STOPPED_EARLY) p->finished = true;
    if (!e) return;
    p->held_out = e->loss;
    if (p->run->quiet || p->run->error_terminal) return;
    fprintf(stderr, "after %lld  held-out loss %.6g", (long long)e->step, e->loss);
    if (isfinite(e->accuracy)) fprintf(stderr, "  accuracy %.2f %%", 100 * e->accuracy);
    if (isfinite(e->perplexity)) fprintf(stderr, "  perplexity %.5g", e->perplexity);
    fputs(e->least ? "  the best so far\n" : "\n", stderr);
    fflush(stderr);
    p->last_drawn = now();
}

yoke_status progress_watch(progress *p, yoke_trainer *trainer)
{
    return yoke_trainer_watch(trainer, &(yoke_watcher){.context = p, .event = on_event});
}

void progress_end(progress *p)
{
    if (p->on_screen) fputc('\n', stderr);
    p->on_screen = false;
}

void progress_say(progress *p, const char *format, ...)
{
    char line[300];
    va_list rest;
    if (p->run->quiet) return;
    va_start(rest, format);
    vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    progress_clear(p);
    text_escape(stderr, line, false);
    if (p->run->error_terminal)
        p->on_screen = true;
    else
        fputc('\n', stderr);
    fflush(stderr);
}
