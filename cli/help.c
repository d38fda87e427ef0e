/* Help: headings, aligned options, examples, exit codes. */
#include "help.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "commands.h"
#include "text.h"
#include "yoke/version.h"

static int width(const cli *run)
{
    return run->columns < 40 ? 40 : run->columns > 100 ? 100 : run->columns;
}

static void heading(const cli *run, const char *title)
{
    fprintf(run->out, "\n%s%s:%s\n", run->out_colour ? "\033[1m" : "", title,
            run->out_colour ? "\033[0m" : "");
}

/* Lines of a text, each indented by two; what is too long goes on further in, after `end`. */
static void lines_with(const cli *run, const char *text, int indent, const char *end)
{
    char line[400];
    while (*text) {
        int length = (int)strcspn(text, "\n");
        snprintf(line, sizeof line, "%.*s", length, text);
        fputs("  ", run->out);
        if (text_columns(line) + 2 <= width(run))
            fprintf(run->out, "%s\n", line); /* with the spaces that align it */
        else
            text_wrap_with(run->out, line, 2, indent, width(run), end);
        text += length;
        text += *text == '\n';
    }
}

static void lines(const cli *run, const char *text)
{
    lines_with(run, text, 6, "");
}

/* As a shell reads them. */
static void commands_of(const cli *run, const char *text)
{
    lines_with(run, text, 6, " \\");
}

static void row(const cli *run, const char *left, int left_columns, const char *right)
{
    bool beside = (int)strlen(left) <= left_columns;
    fprintf(run->out, "  %-*s  ", beside ? left_columns : 0, left);
    if (!beside) fprintf(run->out, "\n%*s", left_columns + 4, "");
    text_wrap(run->out, right, left_columns + 4, width(run));
}

static void print_group(const cli *run, const option_group *group)
{
    char left[64];
    heading(run, group->title);
    for (const option *o = group->options; o->name; o++) {
        snprintf(left, sizeof left, "%s%s%s%s", option_dashes(o), o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        row(run, left, 22, o->help);
    }
}

void help_program(struct cli *run)
{
    fputs("yoke ", run->out);
    text_wrap_with(run->out,
                   YOKE_VERSION
                   " trains neural networks on many devices. One job file describes the run; the layout "
                   "says how data and model are split, and every layout gives the same training run.",
                   5, 0, width(run), "");
    heading(run, "Usage");
    lines(run, "yoke COMMAND [arguments] [options]\nyoke COMMAND --help\nyoke --version");
    heading(run, "Commands");
    for (const command *const *c = commands; *c; c++) row(run, (*c)->name, 10, (*c)->summary);
    heading(run, "Examples");
    lines(run, "yoke train gpt.yaml --dp 2         train on two devices, data parallel\n"
               "yoke compare gpt.yaml --devices 2  every strategy, in one table\n"
               "yoke generate runs/gpt --prompt 'Once'");
    heading(run, "Exit codes");
    lines(run, "0   done\n1   a check failed, or the system refused (disk full)\n2   bad usage or input\n"
               "3   does not fit in a device's memory\n4   a rank or peer failed\n"
               "5   stopped on a value that is not finite\n75  stopped by a signal, state saved: run again");
}

void help_command(struct cli *run, const struct command *which)
{
    char usage[300];
    snprintf(usage, sizeof usage, "yoke %s %s\n", which->name, which->usage);
    fprintf(run->out, "%sUsage:%s ", run->out_colour ? "\033[1m" : "", run->out_colour ? "\033[0m" : "");
    text_wrap_with(run->out, usage, 7, 7, width(run), "");
    text_wrap(run->out, which->about, 0, width(run));
    for (const option_group *const *group = which->groups; *group; group++) print_group(run, *group);
    heading(run, "Examples");
    commands_of(run, which->examples);
    heading(run, "Exit codes");
    lines(run, which->codes);
}
