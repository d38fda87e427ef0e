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
    return run->columns < 60 ? 60 : run->columns > 100 ? 100 : run->columns;
}

static void heading(const cli *run, const char *title)
{
    fprintf(run->out, "\n%s%s:%s\n", run->out_colour ? "\033[1m" : "", title,
            run->out_colour ? "\033[0m" : "");
}

/* Lines of a text, each indented by two. */
static void lines(const cli *run, const char *text)
{
    while (*text) {
        int length = (int)strcspn(text, "\n");
        fprintf(run->out, "  %.*s\n", length, text);
        text += length;
        text += *text == '\n';
    }
}

static void row(const cli *run, const char *left, int left_columns, const char *right)
{
    fprintf(run->out, "  %-*s  ", left_columns, left);
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
    fprintf(
        run->out,
        "yoke %s trains neural networks on many devices. One job file describes the run; the layout says\n"
        "how data and model are split, and every layout gives the same training run.\n",
        YOKE_VERSION);
    heading(run, "Usage");
    lines(run, "yoke COMMAND [arguments] [options]\nyoke COMMAND --help\nyoke --version");
    heading(run, "Commands");
    for (const command *const *c = commands; *c; c++) row(run, (*c)->name, 10, (*c)->summary);
    heading(run, "Examples");
    lines(run, "yoke train gpt.yaml --dp 2         train on two devices, data parallel\n"
               "yoke compare gpt.yaml --devices 2  the same job under every strategy, in one table\n"
               "yoke generate runs/gpt --prompt 'Once'");
    heading(run, "Exit codes");
    lines(run, "0   done\n1   a check failed, or the system refused (disk full)\n2   bad usage or input\n"
               "3   does not fit in a device's memory\n4   a rank or peer failed\n"
               "5   stopped on a value that is not finite\n75  stopped by a signal, state saved: run again");
}

void help_command(struct cli *run, const struct command *which)
{
    fprintf(run->out, "%sUsage:%s yoke %s %s\n\n", run->out_colour ? "\033[1m" : "",
            run->out_colour ? "\033[0m" : "", which->name, which->usage);
    text_wrap(run->out, which->about, 0, width(run));
    for (const option_group *const *group = which->groups; *group; group++) print_group(run, *group);
    heading(run, "Examples");
    lines(run, which->examples);
    heading(run, "Exit codes");
    lines(run, which->codes);
}
