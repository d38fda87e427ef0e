/* What a step's time goes to. */
#include "shares.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"
#include "html.h"

static const struct {
    const char *key, *name;
    bool computes;
} shares[] = {
    {"compute", "forward and backward pass", true},
    {"recompute", "computed again", true},
    {"optimizer", "update of weights", true},
    {"launch", "launching kernels", false},
    {"fill_drain", "pipeline fills and drains", false},
    {"imbalance", "some have more to do", false},
    {"exposed_tp", "waits for tp", false},
    {"exposed_dp", "waits for dp", false},
    {"exposed_pp", "waits for pp", false},
    {"exposed_cp", "waits for cp", false},
    {"straggler", "slow devices", false},
    {"data", "waits for samples", false},
    {"memory", "memory", false},
    {"other", "other", false},
};
enum { NSHARES = sizeof shares / sizeof *shares, COMPUTES = 0, LOST = 1, MEASURED = 2 };
static const double least = 0.001;

static int find(const char *key)
{
    for (int i = 0; i < NSHARES && key; i++)
        if (strcmp(shares[i].key, key) == 0) return i;
    return -1;
}

const char *share_name(const char *key)
{
    int at = find(key);
    return at < 0 ? key : shares[at].name;
}

bool share_computes(const char *key)
{
    int at = find(key);
    return at >= 0 && shares[at].computes;
}

typedef struct row {
    const char *key;
    double share, measured;
} row;

static int by_share(const void *a, const void *b)
{
    const row *x = a, *y = b;
    double most[2] = {fmax(x->share, x->measured), fmax(y->share, y->measured)};
    return most[0] > most[1] ? -1 : most[0] < most[1];
}

static chart_bar bar_of(const char *name, int series, double share, html_word word)
{
    return (chart_bar){
        .label = name, .value = word_share(word, share), .first = series, .nparts = 1, .parts = {share}};
}

void shares_bars(FILE *out, const json_t *of, const json_t *measured)
{
    size_t room = json_object_size(of) + 1;
    row *rows = calloc(room, sizeof *rows);
    chart_bar *bars = calloc(2 * room, sizeof *bars);
    html_word *words = calloc(2 * room, sizeof *words);
    int n = 0, nbars = 0;
    const char *key, *names[3] = {"predicted: computing", "predicted: lost", measured ? "measured" : NULL};
    json_t *value;
    if (!measured) names[COMPUTES] = "computing", names[LOST] = "lost";
    json_object_foreach((json_t *)of, key, value)
    {
        if (!rows) break;
        rows[n++] = (row){key, json_number_of(of, key), measured ? json_number_of(measured, key) : NAN};
    }
    if (n > 0) qsort(rows, (size_t)n, sizeof *rows, by_share);
    for (int i = 0; i < n && bars && words; i++) {
        bool seen = rows[i].share >= least || rows[i].measured >= least;
        if (seen) {
            bars[nbars] = bar_of(share_name(rows[i].key), share_computes(rows[i].key) ? COMPUTES : LOST,
                                 rows[i].share, words[nbars]);
            nbars++;
        }
        if (seen && isfinite(rows[i].measured)) {
            bars[nbars] = bar_of("", MEASURED, rows[i].measured, words[nbars]);
            nbars++;
        }
    }
    if (nbars > 0) {
        chart_legend(out, names, 3);
        chart_bars(out, bars, nbars, 0, "");
    }
    free(words);
    free(bars);
    free(rows);
}
