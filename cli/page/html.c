/* Text, sections and tables of a page. */
#include "html.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

double json_number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *json_text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool json_truth_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void html_text(FILE *out, const char *text)
{
    char *safe = text_escaped(text ? text : "-", true);
    for (const char *c = safe ? safe : ""; *c; c++) switch (*c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*c, out);
        }
    free(safe);
}

static void print(FILE *out, const char *format, va_list rest)
{
    char *text = NULL;
    if (vasprintf(&text, format, rest) < 0) return;
    html_text(out, text);
    free(text);
}

void html_format(FILE *out, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    print(out, format, rest);
    va_end(rest);
}

void html_section(FILE *out, const char *title, const char *note)
{
    fputs("<section>\n<h2>", out);
    html_text(out, title);
    fputs("</h2>\n", out);
    if (note) html_paragraph(out, "note", "%s", note);
}

void html_section_end(FILE *out)
{
    fputs("</section>\n", out);
}

void html_paragraph(FILE *out, const char *kind, const char *format, ...)
{
    va_list rest;
    fprintf(out, kind ? "<p class=\"%s\">" : "<p>", kind);
    va_start(rest, format);
    print(out, format, rest);
    va_end(rest);
    fputs("</p>\n", out);
}

void html_lines(FILE *out, const char *text)
{
    fputs("<pre tabindex=\"0\">", out);
    html_text(out, text);
    fputs("</pre>\n", out);
}

void html_figures(FILE *out)
{
    fputs("<dl class=\"figures\">\n", out);
}

void html_figure(FILE *out, const char *name, const char *format, ...)
{
    va_list rest;
    fputs("<div><dt>", out);
    html_text(out, name);
    fputs("</dt><dd>", out);
    va_start(rest, format);
    print(out, format, rest);
    va_end(rest);
    fputs("</dd></div>\n", out);
}

void html_figures_end(FILE *out)
{
    fputs("</dl>\n", out);
}

static bool stands_left(const char *title)
{
    return title[0] == '<';
}

void html_table_begin(html_table *t, FILE *out, const char *const *titles)
{
    *t = (html_table){.out = out, .titles = titles};
    fputs("<div class=\"wide\" tabindex=\"0\"><table>\n<thead><tr>", out);
    for (; titles[t->columns]; t->columns++) {
        const char *title = titles[t->columns];
        fprintf(out, "<th scope=\"col\"%s>", stands_left(title) ? " class=\"l\"" : "");
        html_text(out, title + stands_left(title));
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n<tbody>\n", out);
}

void html_cell(html_table *t, const char *format, ...)
{
    va_list rest;
    if (t->at == 0) fputs("<tr>", t->out);
    fprintf(t->out, "<td%s>", stands_left(t->titles[t->at]) ? " class=\"l\"" : "");
    va_start(rest, format);
    print(t->out, format, rest);
    va_end(rest);
    fputs("</td>", t->out);
    if (++t->at < t->columns) return;
    fputs("</tr>\n", t->out);
    t->at = 0;
}

void html_row_end(html_table *t)
{
    while (t->at > 0) html_cell(t, "%s", "");
}

void html_table_note(html_table *t, const char *format, ...)
{
    va_list rest;
    html_row_end(t);
    fprintf(t->out, "<tr class=\"n\"><td colspan=\"%d\">", t->columns);
    va_start(rest, format);
    print(t->out, format, rest);
    va_end(rest);
    fputs("</td></tr>\n", t->out);
}

void html_table_end(html_table *t)
{
    html_row_end(t);
    fputs("</tbody></table></div>\n", t->out);
}

const char *word_bytes(html_word word, double bytes)
{
    char size[32];
    snprintf(word, sizeof(html_word), "%s", isfinite(bytes) ? text_size(size, bytes) : "-");
    return word;
}

const char *word_ms(html_word word, double ms)
{
    char time[32];
    snprintf(word, sizeof(html_word), "%s", isfinite(ms) ? text_milliseconds(time, ms) : "-");
    return word;
}

const char *word_share(html_word word, double share)
{
    snprintf(word, sizeof(html_word), isfinite(share) ? "%.1f\u00a0%%" : "-", 100 * share);
    return word;
}

const char *word_number(html_word word, double number)
{
    snprintf(word, sizeof(html_word),
             !isfinite(number)                            ? "-"
             : fabs(number) < 1000 || fabs(number) > 1e15 ? "%.4g"
                                                          : "%.0f",
             number);
    return word;
}
