/* Time lines from documents. */
#include "spans.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"

/* What is drawn for a kind of event, in the filling of its place. */
static const struct {
    const char *kind, *name;
    bool thin;
} kinds[CHART_SERIES] = {
    {"F", "forward (F)", false},
    {"B", "gradient of inputs (B)", false},
    {"W", "gradient of weights (W)", false},
    {"BW", "backward (BW)", false},
    {"update", "update of weights", false},
    {"reduce", "gradients summed, norm", false},
    {"move", "waits for a movement", true},
};

typedef struct rows {
    char **names;
    int count;
} rows;

static int series_of(const char *kind)
{
    for (int i = 0; i < CHART_SERIES && kind; i++)
        if (kinds[i].kind && strcmp(kinds[i].kind, kind) == 0) return i;
    return CHART_SERIES - 1;
}

/* The row of that name, which becomes one where there is none; -1: out of memory. Rows come in order, so that
 * the last one is the likeliest. */
static int row_of(rows *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->names[i], name) == 0) return i;
    char **names = realloc(r->names, sizeof *names * (size_t)(r->count + 1));
    if (!names) return -1;
    r->names = names;
    r->names[r->count] = strdup(name);
    return r->names[r->count] ? r->count++ : -1;
}

static void label(chart_span *s, const json_t *event, const char *row, const char *unit)
{
    double microbatch = json_number_of(event, "microbatch"), chunk = json_number_of(event, "chunk");
    const char *kind = json_text_of(event, "kind");
    if (isfinite(microbatch)) {
        int length = snprintf(s->label, sizeof s->label, "%.0f", microbatch);
        if (chunk > 0) snprintf(s->label + length, sizeof s->label - (size_t)length, ".%.0f", chunk);
    }
    snprintf(s->title, sizeof s->title, "%.8s %s%s on %.63s, %.5g to %.5g%s%s", kind ? kind : "", s->label,
             kinds[s->series].thin ? " (waits)" : "", row, s->start, s->end, unit[0] ? " " : "", unit);
}

static int by_start(const void *a, const void *b)
{
    double x = ((const chart_span *)a)->start, y = ((const chart_span *)b)->start;
    return x < y ? -1 : x > y;
}

/* cpu:10 after cpu:9 */
static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

static void draw(FILE *out, rows *r, const json_t *events, const char *row_key, const char *start_key,
                 const char *end_key, const char *unit, const char *about)
{
    enum { TITLES = 1500 };
    size_t i, count = json_array_size(events);
    chart_span *spans = calloc(count + 1, sizeof *spans);
    const char *names[CHART_SERIES] = {0};
    const json_t *event;
    double end = 0;
    int n = 0;
    json_array_foreach(events, i, event)
    {
        char name[64];
        const json_t *row = json_object_get(event, row_key);
        if (json_is_string(row))
            snprintf(name, sizeof name, "%s", json_string_value(row));
        else
            snprintf(name, sizeof name, "%s %.0f", row_key, json_number_value(row));
        if (!spans) break;
        chart_span *s = &spans[n];
        *s = (chart_span){.row = row_of(r, name), .series = series_of(json_text_of(event, "kind"))};
        s->start = json_number_of(event, start_key);
        s->end = json_number_of(event, end_key);
        s->thin = kinds[s->series].thin;
        if (s->row < 0 || !(s->end >= s->start)) continue;
        label(s, event, name, unit);
        if (count > TITLES) s->title[0] = '\0';
        names[s->series] = kinds[s->series].name ? kinds[s->series].name : "other";
        end = fmax(end, s->end);
        n++;
    }
    if (spans) qsort(spans, (size_t)n, sizeof *spans, by_start);
    chart_legend(out, names, CHART_SERIES);
    chart_spans(out, (const char *const *)r->names, r->count, spans, n, end, unit, about);
    free(spans);
    for (int k = 0; k < r->count; k++) free(r->names[k]);
    free(r->names);
}

void spans_of_stages(FILE *out, const json_t *data)
{
    rows r = {0};
    char name[64];
    int stages = (int)json_number_of(data, "stages");
    for (int s = 0; s < stages && s < 4096; s++) {
        snprintf(name, sizeof name, "stage %d", s);
        row_of(&r, name);
    }
    draw(out, &r, json_object_get(data, "actions"), "stage", "start", "end", "",
         "Time line of a pipeline schedule, a row for each stage");
}

void spans_of_devices(FILE *out, const json_t *timeline, const char *about)
{
    rows r = {0};
    size_t i;
    const json_t *event;
    json_array_foreach(timeline, i, event)
    {
        const char *device = json_text_of(event, "device");
        if (device) row_of(&r, device);
    }
    if (r.count == 0) return;
    qsort(r.names, (size_t)r.count, sizeof *r.names, by_name);
    draw(out, &r, timeline, "device", "start_ms", "end_ms", "ms", about);
}

/* What each device did, by series; in the last one nothing. */
typedef struct shares {
    double of[CHART_SERIES];
} shares;

/* The event that a movement is within: of the same device, the last that began no later. Events come by their
 * start; what starts at once may stand behind. */
static const json_t *holder_of(const json_t *timeline, size_t at)
{
    const json_t *move = json_array_get(timeline, at);
    double start = json_number_of(move, "start_ms");
    const char *device = json_text_of(move, "device");
    size_t i = at + 1, count = json_array_size(timeline);
    while (i < count && json_number_of(json_array_get(timeline, i), "start_ms") <= start) i++;
    while (i-- > 0) {
        const json_t *event = json_array_get(timeline, i);
        const char *other = json_text_of(event, "device");
        bool computes = !kinds[series_of(json_text_of(event, "kind"))].thin;
        if (computes && device && other && strcmp(device, other) == 0) return event;
    }
    return NULL;
}

static void add_up(rows *r, shares *sums, const json_t *timeline)
{
    size_t i;
    const json_t *event;
    json_array_foreach(timeline, i, event)
    {
        const char *device = json_text_of(event, "device");
        int series = series_of(json_text_of(event, "kind")), row = device ? row_of(r, device) : -1;
        double ms = json_number_of(event, "end_ms") - json_number_of(event, "start_ms");
        if (row < 0 || !(ms > 0)) continue;
        sums[row].of[series] += ms;
        const json_t *holder = kinds[series].thin ? holder_of(timeline, i) : NULL;
        if (holder) sums[row].of[series_of(json_text_of(holder, "kind"))] -= ms;
    }
}

void spans_shares(FILE *out, const json_t *timeline)
{
    rows r = {0};
    size_t i;
    const json_t *event;
    double end = 0;
    const char *names[CHART_SERIES] = {[CHART_SERIES - 1] = "idle"};
    json_array_foreach(timeline, i, event)
    {
        const char *device = json_text_of(event, "device");
        if (device) row_of(&r, device);
        end = fmax(end, json_number_of(event, "end_ms"));
    }
    shares *sums = calloc((size_t)r.count + 1, sizeof *sums);
    chart_bar *bars = calloc((size_t)r.count + 1, sizeof *bars);
    html_word *words = calloc((size_t)r.count + 1, sizeof *words);
    if (r.count > 0) qsort(r.names, (size_t)r.count, sizeof *r.names, by_name);
    if (sums) add_up(&r, sums, timeline);
    for (int row = 0; row < r.count && sums && bars && words; row++) {
        double sum = 0, idle;
        bars[row] = (chart_bar){.label = r.names[row], .nparts = CHART_SERIES};
        for (int k = 0; k < CHART_SERIES - 1; k++) {
            double share = fmax(sums[row].of[k], 0) / end;
            if (share > 0) names[k] = kinds[k].name;
            bars[row].parts[k] = share;
            sum += share;
        }
        idle = fmax(1 - sum, 0);
        bars[row].parts[CHART_SERIES - 1] = idle;
        snprintf(words[row], sizeof words[row], "%.0f\u00a0%% computes",
                 100 * (sum - bars[row].parts[series_of("move")]));
        bars[row].value = words[row];
    }
    if (r.count > 0 && sums && bars && words) {
        chart_legend(out, names, CHART_SERIES);
        chart_bars(out, bars, r.count, 0, "");
    }
    for (int k = 0; k < r.count; k++) free(r.names[k]);
    free(r.names);
    free(words);
    free(bars);
    free(sums);
}
