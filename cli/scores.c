/* Scores: one way to write them, and to print them. */
#include "scores.h"

#include <math.h>

#include "table.h"

enum { SHOWN_MAX = 20 }; /* classes whose confusion people are shown */

void scores_write(json *j, const yoke_evaluation *e)
{
    put_number(j, "loss", e->loss);
    put_number(j, "accuracy", e->accuracy);
    put_number(j, "perplexity", e->perplexity);
    put_integer(j, "samples", e->samples);
    if (!e->confusion) return;
    put_begin_array(j, "confusion");
    for (int64_t t = 0; t < e->nclasses; t++) {
        put_begin_array(j, NULL);
        for (int64_t s = 0; s < e->nclasses; s++) put_integer(j, NULL, e->confusion[t * e->nclasses + s]);
        put_end_array(j);
    }
    put_end_array(j);
}

void scores_line(FILE *out, const yoke_evaluation *e)
{
    fprintf(out, "%.6g", e->loss);
    if (isfinite(e->accuracy)) fprintf(out, ", accuracy %.2f %%", 100 * e->accuracy);
    if (isfinite(e->perplexity)) fprintf(out, ", perplexity %.4g", e->perplexity);
}

void scores_print_confusion(const cli *run, const yoke_evaluation *e)
{
    char numbers[SHOWN_MAX][24];
    const char *titles[SHOWN_MAX + 2] = {"<true"};
    if (!e->confusion || e->nclasses > SHOWN_MAX) return;
    for (int s = 0; s < e->nclasses; s++) {
        snprintf(numbers[s], sizeof numbers[s], "%d", s);
        titles[s + 1] = numbers[s];
    }
    table *t = table_create(titles);
    for (int c = 0; c < e->nclasses; c++) {
        table_cell(t, "%d", c);
        for (int s = 0; s < e->nclasses; s++)
            table_cell(t, "%lld", (long long)e->confusion[c * e->nclasses + s]);
        table_end_row(t);
    }
    fputs("\nclasses, and what they were taken for\n", run->out);
    table_print(t, run->out, run->columns, run->out_colour);
    table_destroy(t);
}
