/* A timeline as text, a row per stage, time from left to right. A cell is the kind's letter, the micro-batch
 * and dashes to its end; where cells are narrower than their numbers the numbers lose leading digits, then
 * go. With colours the kind is the background and chunks above 0 are brighter; without, their letters are
 * small. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "schedule/schedule.h"

enum { MIN_COLUMNS = 24, MAX_COLUMNS = 4096 };

typedef struct cell {
    char letter;
    uint8_t style; /* 0: idle; otherwise 1 + 2 * kind + is chunk above 0 */
} cell;

static const char *const colours[] = {
    "\033[2m",      "\033[30;46m",  "\033[30;106m", /* idle, F */
    "\033[30;43m",  "\033[30;103m", "\033[30;42m",  /* B, B, W */
    "\033[30;102m", "\033[30;45m",  "\033[30;105m"  /* W, BW, BW */
};

/* What the drawing shows, found before it is drawn. */
typedef struct picture {
    bool has_kind[4], has_chunks;
    bool colour;
    bool cut_numbers; /* some cell was too narrow for its number */
    double scale;     /* columns per unit of time */
    int columns;      /* of a row, without its name */
} picture;

/* B stands for either backward pass unless both are there, when BW is X. */
static char kind_letter(const picture *p, int kind, bool later_chunk)
{
    static const char upper[] = "FBW", lower[] = "fbw";
    bool both = p->has_kind[YOKE_ACTION_B] && p->has_kind[YOKE_ACTION_BW];
    if (kind == YOKE_ACTION_BW && both) return later_chunk ? 'x' : 'X';
    int letter = kind == YOKE_ACTION_BW ? YOKE_ACTION_B : kind;
    return later_chunk ? lower[letter] : upper[letter];
}

static void survey(picture *p, const yoke_timeline *timeline, int columns)
{
    double shortest = INFINITY;
    for (int i = 0; i < timeline->nevents; i++) {
        const yoke_event *e = &timeline->events[i];
        p->has_kind[e->action.kind] = true;
        p->has_chunks |= e->action.chunk > 0;
        if (e->end > e->start) shortest = fmin(shortest, e->end - e->start);
    }
    p->columns = columns;
    if (!(timeline->makespan > 0)) return;
    p->scale = columns / timeline->makespan;
    /* equal actions look equal where the shortest takes whole columns; not at the price of a third of the
     * width */
    double cell_columns = floor(shortest * p->scale + 1e-9);
    if (cell_columns >= 1 && cell_columns > shortest * p->scale * 2 / 3) p->scale = cell_columns / shortest;
    int used = (int)floor(timeline->makespan * p->scale + 0.5);
    p->columns = used < columns ? used : columns;
}

static int to_column(const picture *p, double time)
{
    double column = floor(time * p->scale + 0.5);
    return column < p->columns ? (int)column : p->columns;
}

static void draw_event(picture *p, const yoke_event *event, cell *row)
{
    int from = to_column(p, event->start), width = to_column(p, event->end) - from;
    bool later_chunk = event->action.chunk > 0;
    uint8_t style = (uint8_t)(1 + 2 * event->action.kind + later_chunk);
    char number[16];
    int digits = snprintf(number, sizeof number, "%d", event->action.microbatch), at = 0;
    for (int i = 0; i < width; i++) row[from + i] = (cell){p->colour ? ' ' : '-', style};
    if (!p->colour && width > 0) row[from + at++].letter = kind_letter(p, event->action.kind, later_chunk);
    int skip = digits > width - at ? digits - (width - at) : 0;
    p->cut_numbers |= skip > 0;
    for (int i = skip; i < digits && at < width; i++) row[from + at++].letter = number[i];
}

static void append_row(const picture *p, yki_text *text, const cell *row)
{
    int style = -1;
    for (int i = 0; i < p->columns; i++) {
        if (p->colour && row[i].style != style) {
            if (style >= 0) yki_text_append(text, "\033[0m");
            style = row[i].style;
            yki_text_append(text, "%s", colours[style]);
        }
        yki_text_append_bytes(text, &row[i].letter, 1);
    }
    yki_text_append(text, p->colour && p->columns > 0 ? "\033[0m\n" : "\n");
}

static void append_legend(const picture *p, yki_text *text)
{
    bool both = p->has_kind[YOKE_ACTION_B] && p->has_kind[YOKE_ACTION_BW];
    const char *const names[] = {"forward", "input gradient", "weight gradient",
                                 both ? "both gradients" : "backward"};
    for (int kind = 0; kind < 4; kind++) {
        if (!p->has_kind[kind]) continue;
        if (p->colour)
            yki_text_append(text, "%s 0 \033[0m %s  ", colours[1 + 2 * kind], names[kind]);
        else
            yki_text_append(text, "%c %s  ", kind_letter(p, kind, false), names[kind]);
    }
    yki_text_append(text, ". idle");
    if (p->has_chunks)
        yki_text_append(text, p->colour ? "  bright: chunks above 0" : "  small letters: chunks above 0");
    yki_text_append(text, p->cut_numbers
                              ? "\nnumbers are micro-batches, cut to their last digits where too long\n"
                              : "\nnumbers are micro-batches\n");
}

char *yoke_timeline_draw(const yoke_schedule *schedule, const yoke_timeline *timeline, int columns,
                         int colour)
{
    if (!schedule || !timeline) return NULL;
    columns = columns < MIN_COLUMNS ? MIN_COLUMNS : columns > MAX_COLUMNS ? MAX_COLUMNS : columns;
    int name_width = snprintf(NULL, 0, "stage %d  ", schedule->parts.nstages - 1);
    picture p = {.colour = colour != 0};
    survey(&p, timeline, columns - name_width);
    cell *row = malloc((size_t)columns * sizeof *row);
    if (!row) return NULL;
    yki_text text = {0};
    for (int i = 0, s = 0; s < schedule->parts.nstages; s++) {
        for (int k = 0; k < columns; k++) row[k] = (cell){'.', 0};
        for (; i < timeline->nevents && timeline->events[i].stage == s; i++)
            draw_event(&p, &timeline->events[i], row);
        yki_text_append(&text, "stage %-*d", name_width - 6, s);
        append_row(&p, &text, row);
    }
    free(row);
    append_legend(&p, &text);
    yki_text_append(&text, "makespan %.6g   bubble %.2f %%   idle %.2f %%\n", timeline->makespan,
                    100 * timeline->bubble_rate, 100 * timeline->idle_share);
    if (fabs(timeline->bubble_rate - timeline->idle_share) >= 5e-5)
        yki_text_append(&text,
                        "bubble: gaps in the stage that takes longest; idle: of all stages, ends included\n");
    return yki_text_take(&text);
}
