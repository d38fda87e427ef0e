/* Scores: one way to write them, and to print them. */
#include "scores.h"

#include <math.h>
#include <stdlib.h>

#include "table.h"
#include "text.h"

enum { SHOWN_MAX = 20 }; /* classes whose confusion people are shown */

void scores_write(json *j, const yoke_evaluation *e)
{
    put_number(j, "loss", e->loss);
    put_number(j, "accuracy", e->accuracy);
    put_number(j, "perplexity", e->perplexity);
    put_integer(j, "samples", e->samples);
    if (e->tokens > 0) put_integer(j, "tokens", e->tokens);
    if (e->classes) {
        put_begin_array(j, "classes");
        for (int64_t c = 0; c < e->nclasses; c++) put_string(j, NULL, e->classes[c]);
        put_end_array(j);
    }
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

/* A name's first letters, whatever bytes it has. */
static void shorten(char *out, size_t size, const char *name, int most)
{
    char *plain = text_escaped(name, false);
    size_t n = 0;
    for (int letters = 0; plain && plain[n] && letters < most; letters++) {
        size_t length = (size_t)text_utf8_length(plain + n);
        if (n + length >= size) break;
        n += length;
    }
    snprintf(out, size, "%.*s", (int)n, plain ? plain : "");
    free(plain);
}

void scores_print_confusion(const cli *run, const yoke_evaluation *e)
{
    enum { LETTERS_LEAST = 8, LETTERS_MOST = 30 };
    char numbers[SHOWN_MAX][4 * LETTERS_MOST + 1];
    int letters = run->width / (int)(e->nclasses + 1) - 2; /* what each column has, but for two spaces */
    letters = letters < LETTERS_LEAST ? LETTERS_LEAST : letters > LETTERS_MOST ? LETTERS_MOST : letters;
    const char *titles[SHOWN_MAX + 2] = {"<true"};
    if (!e->confusion || e->nclasses > SHOWN_MAX) return;
    for (int s = 0; s < e->nclasses; s++) {
        if (e->classes)
            shorten(numbers[s], sizeof numbers[s], e->classes[s], letters);
        else
            snprintf(numbers[s], sizeof numbers[s], "%d", s);
        titles[s + 1] = numbers[s];
    }
    table *t = table_create(titles);
    for (int c = 0; c < e->nclasses; c++) {
        table_cell(t, "%s", numbers[c]);
        for (int s = 0; s < e->nclasses; s++)
            table_cell(t, "%lld", (long long)e->confusion[c * e->nclasses + s]);
        table_end_row(t);
    }
    fputs("\nclasses, and what they were taken for\n", run->out);
    table_print(t, run->out, run->width, run->out_colour);
    table_destroy(t);
}
