/* compare's last sentence: which row to take, because of what, and when the answer would be another. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "predict/explain.h"

static bool ran(const yoke_compare_row *row)
{
    return row->status == YOKE_ROW_OK && isfinite(row->step_ms) && row->step_ms > 0;
}

/* The fastest whose fullest device holds less than `below`; NULL: none does. */
static const yoke_compare_row *fastest_below(const yoke_comparison *c, int64_t below)
{
    const yoke_compare_row *best = NULL;
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        if (ran(row) && row->measured_peak_bytes < below && (!best || row->step_ms < best->step_ms))
            best = row;
    }
    return best;
}

/* Those that were as fast in some round as `best` was in another. */
static void name_equals(const yoke_comparison *c, const yoke_compare_row *best, char *text, size_t size)
{
    text[0] = '\0';
    for (int i = 0; i < c->nrows; i++) {
        const yoke_compare_row *row = &c->rows[i];
        size_t said = strlen(text);
        if (row == best || !ran(row) || row->step_ms_min > best->step_ms_max || said + 60 > size) continue;
        snprintf(text + said, size - said, "%s%.40s",
                 said ? ", " : "; as fast within the rounds' spread: ", row->strategy);
    }
}

void yki_compare_verdict(const yoke_job *job, yoke_comparison *c)
{
    const yoke_compare_row *best = fastest_below(c, INT64_MAX);
    char equals[200], over[64] = "", least[24], less[24], smaller[200] = "";
    const char *file = strrchr(job->path, '/');
    c->verdict[0] = '\0';
    if (!best) return;
    const yoke_compare_row *small = fastest_below(c, best->measured_peak_bytes);
    name_equals(c, best, equals, sizeof equals);
    if (best != &c->rows[0] && isfinite(best->speedup))
        snprintf(over, sizeof over, ", %.2f times as fast as single", best->speedup);
    if (small)
        snprintf(smaller, sizeof smaller, "where a device may hold less than %s, take %.60s (%s, %.4g ms); ",
                 yki_size_print(least, (double)best->measured_peak_bytes), small->strategy,
                 yki_size_print(less, (double)small->measured_peak_bytes), small->step_ms);
    snprintf(c->verdict, sizeof c->verdict,
             "%stake %.160s (%.4g ms a step%s)%s, because %.400s; %sat which batch, model, links or number "
             "of devices "
             "the answer changes, `yoke plan %.200s --devices %d --why` says",
             c->trusted ? "" : "as far as these times can be trusted, ", best->strategy, best->step_ms, over,
             equals, best->limit, smaller, file ? file + 1 : job->path, c->devices);
}
