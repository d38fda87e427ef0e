/* Memory by kind. */
#include "kinds.h"

#include <math.h>

#include "html.h"

static const char *const kinds[] = {"weights",     "gradients", "optimizer",
                                    "activations", "movement",  "workspace"};
enum { NKINDS = sizeof kinds / sizeof kinds[0] };

void kinds_of_bytes(chart_bar *bar, const json_t *bytes)
{
    bar->nparts = NKINDS;
    for (int k = 0; k < NKINDS; k++) {
        double part = json_number_of(bytes, kinds[k]);
        bar->parts[k] = part > 0 ? part : 0;
    }
}

void kinds_legend(FILE *out)
{
    chart_legend(out, kinds, NKINDS);
}

void kinds_bars(FILE *out, const chart_bar *bars, int count, double limit)
{
    const double far = 4;
    double most = 0;
    html_word size;
    char text[120];
    for (int i = 0; i < count; i++) {
        double sum = 0;
        for (int k = 0; k < bars[i].nparts; k++) sum += bars[i].parts[k];
        most = fmax(most, sum);
    }
    snprintf(text, sizeof text, "one device may take %s", word_bytes(size, limit));
    bool draws = limit > 0 && limit <= far * most;
    chart_bars(out, bars, count, draws ? limit : 0, text);
    if (limit > 0 && !draws)
        html_paragraph(out, "note", "The limit is beyond the picture: %s, %.0f times the longest bar.", text,
                       limit / most);
}
