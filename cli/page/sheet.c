/* What all pages have: the head, the heading, what failed, the run's machine, job and commands, and the
 * document. And how a document is made short enough for a page. */
#include <math.h>
#include <string.h>

#include "chart.h"
#include "html.h"
#include "page.h"

enum { MOST_BYTES = 1000000, FIRST_LENGTH = 1 << 16, LEAST_LENGTH = 16 };

/* Inside a script's element neither its end nor a comment may begin; both are still JSON. */
static void put_document(FILE *out, const char *text)
{
    fputs("<script type=\"application/json\" id=\"data\">", out);
    for (; *text; text++)
        if (*text != '<')
            fputc(*text, out);
        else if (text[1] == '/')
            fputs("<\\/", out), text++;
        else
            fputs("\\u003c", out);
    fputs("</script>\n", out);
}

static void print_error(FILE *out, const json_t *data)
{
    const json_t *error = json_object_get(data, "error");
    if (error) html_paragraph(out, "bad", "The run ended early: %s", json_text_of(error, "message"));
    size_t i;
    const json_t *notice;
    json_array_foreach(json_object_get(data, "notices"), i, notice)
        html_paragraph(out, "bad", "%s", json_string_value(notice));
}

/* The machine that the command ran on; where another is described, that one too. */
static void print_machine(FILE *out, const json_t *data, const json_t *about)
{
    const json_t *machine = json_object_get(about, "machine");
    const char *described = json_text_of(data, "machine_file");
    html_word size;
    if (described) {
        html_section(out, "Machine", "As it was described: what the figures of this page are of.");
        html_lines(out, described);
        html_section_end(out);
    }
    html_section(out, described ? "Where this was computed" : "Machine", NULL);
    html_figures(out);
    html_figure(out, "host", "%s", json_text_of(machine, "host"));
    html_figure(out, "processor", "%s, %s", json_text_of(machine, "model"),
                json_text_of(machine, "instructions"));
    html_figure(out, "cores", "%.0f", json_number_of(machine, "cores"));
    html_figure(out, "memory", "%s", word_bytes(size, json_number_of(machine, "memory_bytes")));
    html_figure(out, "yoke", "%s", json_text_of(about, "yoke"));
    html_figure(out, "when", "%s", json_text_of(about, "time"));
    html_figures_end(out);
    html_section_end(out);
}

static void print_source(FILE *out, const json_t *data)
{
    const json_t *about = json_object_get(data, "about"), *left = json_object_get(data, "left_out");
    const char *job = json_text_of(data, "job"), *line = json_text_of(about, "command");
    print_machine(out, data, about);
    if (job) {
        html_section(out, "Job", "With what the command line changed.");
        html_lines(out, job);
        html_section_end(out);
    }
    html_section(out, "Again", "The command that this page is of; with --html FILE it writes one.");
    fputs("<pre class=\"w\">", out);
    html_text(out, line);
    fputs("</pre>\n", out);
    const char *key;
    json_t *said;
    json_object_foreach((json_t *)left, key, said)
        html_paragraph(out, "note", "Of %s the page has %s; --json has all.", key, json_string_value(said));
    html_section_end(out);
}

void page_print(FILE *out, const page_kind *kind, const json_t *data, const char *text)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
          "content=\"width=device-width, initial-scale=1\">\n<title>yoke ",
          out);
    html_text(out, kind->command);
    fputs(": ", out);
    kind->title(out, data);
    fprintf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", page_style);
    chart_patterns(out);
    fputs("<header>\n<h1>", out);
    kind->title(out, data);
    fputs("</h1>\n", out);
    print_error(out, data);
    fputs("</header>\n<main>\n", out);
    kind->body(out, data);
    print_source(out, data);
    fputs("</main>\n", out);
    put_document(out, text);
    fputs("</body>\n</html>\n", out);
}

/* --- shorter documents --- */

static bool is_event(const json_t *value)
{
    return json_object_get(value, "start") || json_object_get(value, "start_ms");
}

static void note_left(json_t *root, const char *key, const char *how, size_t kept, size_t all)
{
    json_t *left = json_object_get(root, "left_out");
    if (!left) {
        json_object_set_new(root, "left_out", json_object());
        left = json_object_get(root, "left_out");
    }
    json_object_set_new(left, key, json_sprintf("%s %d of %d", how, (int)kept, (int)all));
}

static void shorten_list(json_t *root, const char *key, json_t *list, size_t most)
{
    size_t all = json_array_size(list), each = (all + most - 1) / most, kept = 0;
    if (all <= most) return;
    bool events = is_event(json_array_get(list, 0));
    for (size_t i = 0; i < all; i++) /* the last one stays, where it is no event */
        if (events ? i < most : i % each == 0 || i + 1 == all)
            json_array_set(list, kept++, json_array_get(list, i));
    while (json_array_size(list) > kept) json_array_remove(list, json_array_size(list) - 1);
    note_left(root, key, events ? "the first" : "every so many-th,", kept, all);
}

static void shorten(json_t *root, const char *key, json_t *value, size_t most)
{
    const char *name;
    json_t *inner;
    size_t i;
    if (json_is_array(value)) shorten_list(root, key, value, most);
    if (json_is_object(value) && json_object_get(root, "left_out") != value)
        json_object_foreach(value, name, inner) shorten(root, name, inner, most);
    else
        json_array_foreach(value, i, inner) shorten(root, key, inner, most);
    size_t length = json_string_length(value), longest = 64 * most;
    if (length <= longest) return;
    const char *text = json_string_value(value);
    while (longest > 0 && ((unsigned char)text[longest] & 0xC0) == 0x80) longest--; /* whole characters */
    json_t *cut = json_stringn(text, longest);
    json_string_set(value, json_string_value(cut));
    json_decref(cut);
    note_left(root, key, "the first bytes,", longest, length);
}

json_t *page_shorten(const json_t *data)
{
    json_t *shorter = json_deep_copy(data);
    for (size_t most = FIRST_LENGTH; most >= LEAST_LENGTH && shorter; most /= 2) {
        if (json_dumpb(shorter, NULL, 0, JSON_COMPACT) <= MOST_BYTES) break;
        json_decref(shorter);
        shorter = json_deep_copy(data);
        if (shorter) shorten(shorter, "", shorter, most);
    }
    return shorter;
}
