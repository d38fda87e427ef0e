/* Where the choice changes: one figure of the job or the machine at a time is turned down and up, and every
 * contestant simulated there, until another kind of layout is the first; then the interval is halved. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "predict/of_job.h"
#include "predict/why/why.h"

enum { SIMULATIONS = 1500, FAR = 16 };
enum { MOST_LAYERS = 128 };             /* a plan of many takes long to make */
static const double NEAR_ENOUGH = 0.02; /* of a value: where halving ends */
static const double BEHIND =
    1.5; /* contestants so far behind the first at both ends are not looked at between */

typedef struct dial dial;

/* A job on a machine, with one figure changed. */
typedef struct setting {
    yoke_job job;
    yoke_machine machine;
    int devices;
} setting;

typedef struct dial_kind {
    const char *name;                  /* per_level: with the level's own in the place of * */
    const char *before, *after, *unit; /* a value in a sentence; unit: NULL where it is a number */
    /* What it is now, and how it may be turned; false: there is none. */
    bool (*find)(const yki_why *why, dial *out);
    void (*turn)(setting *to, const dial *d, double value);
    double step;           /* by which it is turned until something changes */
    bool per_level, whole; /* whole: between two steps there is nothing */
} dial_kind;

struct dial {
    const dial_kind *kind;
    int level;
    double now, grain, least, most; /* values are multiples of grain; most: 0 where there is none */
};

/* --- what can be turned --- */

static bool find_batch(const yki_why *why, dial *d)
{
    d->now = (double)why->job.train.batch, d->grain = d->least = 1;
    return true;
}

static void turn_batch(setting *to, const dial *d, double value)
{
    (void)d;
    to->job.train.batch = (int64_t)value;
}

static bool find_depth(const yki_why *why, dial *d)
{
    d->now = (double)why->job.model.depth, d->grain = d->least = 1;
    d->most = MOST_LAYERS;
    return d->now > 0;
}

static void turn_depth(setting *to, const dial *d, double value)
{
    (void)d;
    to->job.model.depth = (int64_t)value;
}

static bool find_width(const yki_why *why, dial *d)
{
    d->now = (double)why->job.model.width;
    d->grain = d->least = (double)(2 * why->job.model.heads);
    return why->job.model.depth > 0;
}

static void turn_width(setting *to, const dial *d, double value)
{
    yoke_model_spec *m = &to->job.model;
    m->width = (int64_t)value;
    m->hidden = llround((double)m->hidden * value / d->now);
}

static bool find_memory(const yki_why *why, dial *d)
{
    const yoke_machine_device *device = &why->machine.device;
    int64_t own = why->job.layout.device_memory_bytes, most = device->memory_bytes - device->reserve_bytes;
    d->now = (double)device->memory_bytes;
    d->grain = 1, d->least = (double)device->reserve_bytes + 1;
    return own == 0 || own >= most; /* else it is not the machine's that counts */
}

static void turn_memory(setting *to, const dial *d, double value)
{
    (void)d;
    to->machine.device.memory_bytes = (int64_t)value;
}

static bool find_link(const yki_why *why, dial *d)
{
    int64_t within = 1;
    for (int l = 0; l < d->level; l++) within *= why->machine.levels[l].count;
    d->now = why->machine.levels[d->level].bandwidth, d->grain = d->least = 1;
    return why->machine.levels[d->level].count > 1 && within < why->devices;
}

static void turn_link(setting *to, const dial *d, double value)
{
    to->machine.levels[d->level].bandwidth = value;
}

static bool find_devices(const yki_why *why, dial *d)
{
    bool grows = why->machine.nlevels > 0 && why->machine.device.cores == 0;
    d->now = why->devices, d->grain = d->least = 1;
    d->most = grows ? YOKE_MAX_DEVICES / FAR : (double)why->machine.ndevices;
    return true;
}

static void turn_devices(setting *to, const dial *d, double value)
{
    (void)d;
    to->devices = (int)value;
    yoke_machine *m = &to->machine;
    if (to->devices <= m->ndevices) return;
    yoke_machine_level *outer = &m->levels[m->nlevels - 1];
    int64_t each = m->ndevices / outer->count;
    outer->count = (to->devices + each - 1) / each;
    m->ndevices = each * outer->count;
}

static const dial_kind kinds[] = {
    {"train.batch", "a batch of ", " samples", NULL, find_batch, turn_batch, .step = 4},
    {"model.layers", "", " layers", NULL, find_depth, turn_depth, .step = 4},
    {"model.width", "a width of ", "", NULL, find_width, turn_width, .step = 4},
    {"device.memory", "", " of memory a device", "B", find_memory, turn_memory, .step = 4},
    {"levels.*.bandwidth", "links of ", "", "B/s", find_link, turn_link, .step = 4, .per_level = true},
    {"devices", "", " devices", NULL, find_devices, turn_devices, .step = 2, .whole = true},
};

/* --- a point --- */

typedef struct point {
    double value, seconds[YKI_CONTESTANTS]; /* INFINITY: cannot be, or does not fit */
    yoke_status status[YKI_CONTESTANTS];
    int first; /* -1: none fits */
} point;

typedef struct turning {
    yki_why *why;
    const dial *dial;
    setting at;
    const bool *looked_at; /* by contestant */
    point *out;
} turning;

/* On another number of devices: along its only axis, or along dp. False: not so many. */
static bool grow(yoke_layout *l, int from, int to)
{
    int only = (l->tp > 1) + (l->pp > 1) + (l->cp > 1) + (l->dp > 1);
    int *axis = only == 1 && l->tp > 1 ? &l->tp : only == 1 && l->pp > 1 ? &l->pp : &l->dp;
    if (only == 0 || from == to) return true;
    int64_t devices = (int64_t)*axis * to;
    if (devices % from) return false;
    *axis = (int)(devices / from);
    if (axis == &l->pp) l->microbatches = l->microbatches * to / from > 0 ? l->microbatches * to / from : 1;
    if (l->dp == 1) l->zero = 0;
    return *axis > 0;
}

static yoke_status simulate_all(const yki_plan_options *options, void *context)
{
    turning *t = context;
    yki_why *why = t->why;
    point *p = t->out;
    p->first = -1;
    for (int i = 0; i < why->ncontestants; i++) {
        yki_plan_options one = *options;
        p->seconds[i] = INFINITY;
        p->status[i] = YOKE_INVALID;
        if (t->looked_at && !t->looked_at[i]) continue;
        one.layout = why->contestants[i].layout;
        if (!grow(&one.layout, why->devices, t->at.devices)) continue;
        if ((int64_t)one.layout.dp * one.layout.microbatches > one.batch) continue;
        if (yki_plan_ranks(one.model, &one.layout, one.one_part) > t->at.devices) continue;
        why->out->simulated++;
        yki_step step;
        yoke_status status = yki_simulated_step(&one, &t->at.machine, &step);
        if (status == YOKE_SYSTEM) return status;
        p->status[i] = status;
        if (status == YOKE_OK) p->seconds[i] = step.seconds;
        if (isfinite(p->seconds[i]) && (p->first < 0 || p->seconds[i] < p->seconds[p->first])) p->first = i;
    }
    return YOKE_OK;
}

/* What cannot be planned at all there has no first. */
static yoke_status look(turning *t, double value, const bool *looked_at, point *out)
{
    out->value = value, out->first = -1;
    t->at.job = t->why->job, t->at.machine = t->why->machine, t->at.devices = t->why->devices;
    t->dial->kind->turn(&t->at, t->dial, value);
    t->looked_at = looked_at, t->out = out;
    yoke_status status = yki_with_plan_options(&t->at.job, simulate_all, t);
    return status == YOKE_SYSTEM ? status : YOKE_OK;
}

static bool is_other(const yki_why *why, const point *p)
{
    return p->first >= 0 && why->contestants[p->first].kind != why->contestants[0].kind;
}

static bool is_same(const yki_why *why, const point *p)
{
    return p->first >= 0 && !is_other(why, p);
}

/* --- between two points --- */

/* The contestants that matter between two points. */
static void choose(const yki_why *why, const point *a, const point *b, bool looked_at[YKI_CONTESTANTS])
{
    for (int i = 0; i < why->ncontestants; i++) {
        bool close_a = a->first >= 0 && a->seconds[i] <= BEHIND * a->seconds[a->first];
        bool close_b = b->first >= 0 ? b->seconds[i] <= BEHIND * b->seconds[b->first] : true;
        looked_at[i] = close_a || close_b;
    }
}

static double between(const dial *d, double a, double b)
{
    double middle = sqrt(a * b);
    return d->grain * round(middle / d->grain);
}

static bool is_close(const dial *d, double a, double b)
{
    return fabs(a - b) <= fmax(d->grain, NEAR_ENOUGH * fmax(a, b));
}

/* As the plan's rows have it, and for a sentence. */
static void layout_texts(const yki_why *why, int contestant, int devices, char text[512], char said[256])
{
    yoke_layout l = why->contestants[contestant].layout;
    grow(&l, why->devices, devices);
    yoke_layout_print(&l, said, 256);
    if (!said[0]) strcpy(said, "dp=1");
    yki_why_text(why, &l, text);
}

/* "25 GB/s", "64". */
static const char *say_value(const dial *d, double value, char text[32])
{
    static const char prefixes[] = " kMGTP";
    int p = 0;
    for (; d->kind->unit && value >= 1000 && prefixes[p + 1]; p++) value /= 1000;
    if (d->kind->unit)
        snprintf(text, 32, "%.3g %.*s%s", value, p > 0, &prefixes[p], d->kind->unit);
    else
        snprintf(text, 32, "%.0f", value);
    return text;
}

static void keep(const turning *t, const point *from, const point *to)
{
    yoke_reasons *out = t->why->out;
    const dial *d = t->dial;
    char said_from[256], said_to[256], value[32], now[32];
    if (out->nbreak_even == (int)(sizeof out->break_even / sizeof *out->break_even)) return;
    yoke_break_even *b = &out->break_even[out->nbreak_even++];
    const char *level = t->why->machine.levels[d->level].name, *name = d->kind->name;
    int head = (int)strcspn(name, "*"), devices = d->kind->whole ? (int)to->value : t->why->devices;
    snprintf(b->parameter, sizeof b->parameter, "%.*s%s%s", head, name, d->kind->per_level ? level : "",
             name + head + d->kind->per_level);
    b->now = d->now, b->value = to->value;
    layout_texts(t->why, from->first, devices, b->from, said_from);
    layout_texts(t->why, to->first, devices, b->to, said_to);
    yoke_status status = to->status[from->first];
    snprintf(b->sentence, sizeof b->sentence, "%s%s%s%s%s or %s (now %s): %.200s, not %.200s%s",
             d->kind->before, say_value(d, b->value, value), d->kind->after,
             d->kind->per_level ? " over " : "", d->kind->per_level ? level : "",
             b->value < b->now ? "less" : "more", say_value(d, b->now, now), said_to, said_from,
             status == YOKE_OK             ? ""
             : status == YOKE_DOES_NOT_FIT ? ", which does not fit there"
                                           : ", which is not possible there");
}

/* From a point where the choice is the first to one where it is not. */
static yoke_status halve(turning *t, point same, point other)
{
    bool looked_at[YKI_CONTESTANTS];
    choose(t->why, &same, &other, looked_at);
    while (!t->dial->kind->whole && !is_close(t->dial, same.value, other.value)) {
        double value = between(t->dial, same.value, other.value);
        point middle;
        if (value == same.value || value == other.value) break;
        YKI_TRY(look(t, value, looked_at, &middle));
        if (is_same(t->why, &middle))
            same = middle;
        else
            other = middle;
    }
    if (is_other(t->why, &other)) keep(t, &same, &other);
    return YOKE_OK;
}

/* In steps to a sixteenth, or to sixteen times, of what is. */
static yoke_status turn(turning *t, const point *now, bool up)
{
    const dial *d = t->dial;
    point last = *now, next;
    for (double factor = d->kind->step; factor <= FAR; factor *= d->kind->step, last = next) {
        double value = up ? d->now * factor : d->now / factor;
        value = d->grain * round(value / d->grain);
        if (!d->kind->whole && d->most > 0) value = fmin(value, fmax(d->most, d->now));
        if (value < d->least || (d->most > 0 && value > d->most) || value == last.value) return YOKE_OK;
        if (d->kind->whole && !up && d->now != value * factor) return YOKE_OK;
        if (t->why->out->simulated > SIMULATIONS) return YOKE_OK;
        YKI_TRY(look(t, value, NULL, &next));
        if (!is_same(t->why, &next)) return halve(t, last, next);
    }
    return YOKE_OK;
}

static yoke_status turn_both(yki_why *why, const dial *d)
{
    turning t = {.why = why, .dial = d};
    point now;
    YKI_TRY(look(&t, d->now, NULL, &now));
    why->is_first = is_same(why, &now);
    if (!why->is_first) return YOKE_OK; /* what was compared has nothing to say of the choice */
    YKI_TRY(turn(&t, &now, false));
    return turn(&t, &now, true);
}

yoke_status yki_why_break_even(yki_why *why)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int levels = kinds[i].per_level ? why->machine.nlevels : 1;
        for (int level = 0; level < levels; level++) {
            dial d = {.kind = &kinds[i], .level = level};
            if (kinds[i].find(why, &d)) YKI_TRY(turn_both(why, &d));
        }
    }
    return YOKE_OK;
}
