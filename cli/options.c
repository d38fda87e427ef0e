/* The parser, and the groups of options that several commands share. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "commands.h"
#include "help.h"
#include "text.h"
#include "usual.h"

const option_group options_general = {
    "General",
    (const option[]){
        OPTION("json", "FILE", OPTION_JSON,
               "write the result, or the error, as one JSON object; - is standard output"),
        OPTION("help", NULL, OPTION_HELP, "print this help (also -h)"),
        {0},
    },
};

const option_group options_job = {
    "Job",
    (const option[]){
        OPTION("set", "KEY=VALUE", OPTION_SET,
               "override any key of the job file, e.g. train.optimizer.lr=1e-3"),
        {0},
    },
};

const option_group options_training = {
    "Training",
    (const option[]){
        OPTION("steps", "N", OPTION_KEY, "optimizer steps in all, those of a resumed run included",
               .key = "train.steps"),
        OPTION("precision", "NAME", OPTION_KEY, "f32 | bf16", .key = "train.precision"),
        {0},
    },
};

const option_group options_layout = {
    "Layout",
    (const option[]){
        OPTION("dp", "N", OPTION_KEY, "data parallelism: N replicas share each batch", .key = "layout.dp"),
        OPTION("tp", "N", OPTION_KEY, "tensor parallelism: every layer is split over N devices",
               .key = "layout.tp"),
        OPTION("pp", "N", OPTION_KEY, "pipeline: the layers are dealt to N stages", .key = "layout.pp"),
        OPTION("cp", "N", OPTION_KEY, "context parallelism: N devices share each sequence",
               .key = "layout.cp"),
        OPTION("zero", "0..3", OPTION_KEY,
               "deal over replicas the optimizer's state (1), gradients too (2), weights too (3)",
               .key = "layout.zero"),
        OPTION("microbatches", "N", OPTION_KEY, "run each replica's share of the batch in N parts",
               .key = "layout.microbatches"),
        OPTION("schedule", "NAME|FILE", OPTION_KEY,
               "order of the pipeline: gpipe | 1f1b | interleaved | zb-h1 | zb-h2 | zb-v, or a file",
               .key = "layout.schedule"),
        OPTION("chunks", "N", OPTION_KEY, "stages per device that the schedule alternates between",
               .key = "layout.chunks"),
        OPTION("recompute", "WHAT", OPTION_KEY,
               "activations to compute again instead of keeping them: none | selective | full, or one a "
               "stage: full,none",
               .key = "layout.recompute"),
        OPTION("devices", "N|LIST", OPTION_DEVICES,
               "devices to use: a number, or a list as cpu:0,cpu:1 or "
               "cuda:0,cuda:1",
               .key = "layout.devices"),
        OPTION("device-memory", "SIZE", OPTION_KEY, "bytes that one device may use, e.g. 512MiB or 2GB",
               .key = "layout.device_memory"),
        OPTION("threads", "N", OPTION_KEY, "threads per device; 0: the cores shared out evenly",
               .key = "layout.threads"),
        OPTION("layout", "TEXT", OPTION_LAYOUT,
               "the same keys as one text, e.g. dp=2,tp=2; auto: what yoke plan chooses"),
        {0},
    },
};

const char *option_dashes(const option *o)
{
    return o->name[1] ? "--" : "-";
}

void arguments_release(arguments *given)
{
    for (int i = 0; i < given->noverrides; i++) {
        free(given->overrides[i]);
        free(given->typed[i]);
    }
    free(given->overrides);
    free(given->typed);
    *given = (arguments){0};
}

static bool append(arguments *given, char *override, char *typed)
{
    size_t size = sizeof(char *) * (size_t)(given->noverrides + 1);
    char **overrides = realloc(given->overrides, size);
    if (overrides) given->overrides = overrides;
    char **flags = realloc(given->typed, size);
    if (flags) given->typed = flags;
    if (!overrides || !flags || !override || !typed) {
        free(override);
        free(typed);
        return false;
    }
    given->overrides[given->noverrides] = override;
    given->typed[given->noverrides++] = typed;
    return true;
}

void arguments_print(FILE *out, const arguments *given, const char *only, bool no_layout)
{
    static const char layout[] = "layout";
    for (int i = 0; i < given->noverrides; i++) {
        const char *typed = given->typed[i], *space = strchr(typed, ' ');
        if (i > 0 && strcmp(typed, given->typed[i - 1]) == 0) continue; /* one --layout, several keys */
        if (strncmp(typed, only, strlen(only)) != 0) continue;
        if (no_layout && strncmp(given->overrides[i], layout, sizeof layout - 1) == 0) continue;
        fprintf(out, " %.*s ", (int)(space - typed), typed);
        text_shell_word(out, space + 1);
    }
}

bool arguments_override(arguments *given, const char *key, const char *value, const char *typed)
{
    char *override = NULL;
    if (asprintf(&override, key[0] ? "%s=%s" : "%s%s", key, value) < 0) override = NULL;
    return append(given, override, strdup(typed));
}

const char *arguments_flag_of(const arguments *given, const char *key)
{
    size_t length = strlen(key);
    if (length == 0) return NULL;
    for (int i = given->noverrides - 1; i >= 0; i--) {
        const char *override = given->overrides[i];
        size_t own = strcspn(override, "=");
        size_t shared = own < length ? own : length;
        if (strncmp(override, key, shared) == 0 &&
            (own == length || (own < length ? key : override)[shared] == '.' ||
             (own < length ? key : override)[shared] == '['))
            return given->typed[i];
    }
    return NULL;
}

static const option *find(const command *which, const char *name, size_t length)
{
    for (const option_group *const *group = which->groups; *group; group++)
        for (const option *o = (*group)->options; o->name; o++)
            if (strlen(o->name) == length && memcmp(o->name, name, length) == 0) return o;
    return NULL;
}

/* value: what followed it, NULL: nothing. */
static int unknown(struct cli *run, const char *typed, const char *name, size_t length, const char *value)
{
    const char *names[64], *nearest;
    char word[48], means[200];
    int count = 0;
    for (const option_group *const *group = run->command->groups; *group; group++)
        for (const option *o = (*group)->options; o->name && count < 64; o++) names[count++] = o->name;
    snprintf(word, sizeof word, "%.*s", (int)(length < 40 ? length : 40), name);
    if (usual_meaning(run->command, word, value, means, sizeof means))
        return cli_fail(run, 2, typed, "%s is no option of `yoke %s`: %s%s", typed, run->command->name,
                        means[0] == '-' ? "write " : "", means);
    nearest = text_nearest(word, names, count, sizeof names[0]);
    return cli_fail(run, 2, typed, "%s is no option of `yoke %s`%s%s; `yoke %s --help` lists them", typed,
                    run->command->name,
                    !nearest     ? ""
                    : nearest[1] ? "; the nearest is --"
                                 : "; the nearest is -",
                    nearest ? nearest : "", run->command->name);
}

/* The next KEY=VALUE of a layout's text, cut off at its end: what follows a comma without a `=` of its own
 * belongs to the value before it, as in recompute=full,none. */
static char *next_pair(char **rest)
{
    char *pair = *rest, *end = pair;
    if (!pair) return NULL;
    do {
        end = strchr(end, ',');
        if (!end) {
            *rest = NULL;
            return pair;
        }
        end++;
    } while (*end && end[strcspn(end, ",=")] != '=');
    end[-1] = '\0';
    *rest = end;
    return pair;
}

static int take_layout(struct cli *run, const char *text, const char *typed)
{
    if (strcmp(text, "auto") == 0) {
        run->arguments.layout_auto = true;
        return -1;
    }
    char *pairs = strdup(text), *rest = pairs, *pair;
    int code = pairs ? -1 : cli_fail(run, 1, "--layout", "out of memory");
    while (code < 0 && (pair = next_pair(&rest))) {
        char key[64];
        while (isspace((unsigned char)*pair)) pair++;
        char *equals = strchr(pair, '=');
        if (!equals || equals == pair || !equals[1] || equals - pair > 40) {
            code = cli_fail(run, 2, "--layout",
                            "%s: '%s' is no KEY=VALUE; right would be --layout 'dp=2,zero=1'", typed, pair);
            break;
        }
        *equals = '\0';
        snprintf(key, sizeof key, "layout.%s", pair);
        if (!arguments_override(&run->arguments, key, equals + 1, typed))
            code = cli_fail(run, 1, "--layout", "out of memory");
    }
    free(pairs);
    return code;
}

/* A list of devices becomes YAML's: cpu:0,cpu:1 -> [cpu:0, cpu:1]. */
static bool take_devices(arguments *given, const option *o, const char *value, const char *typed)
{
    if (value[0] == '[' || !strpbrk(value, ":,")) return arguments_override(given, o->key, value, typed);
    char *list = malloc(2 * strlen(value) + 3), *at = list;
    if (!list) return false;
    *at++ = '[';
    for (const char *c = value; *c; c++) {
        *at++ = *c;
        if (*c == ',') *at++ = ' ';
    }
    strcpy(at, "]");
    bool kept = arguments_override(given, o->key, list, typed);
    free(list);
    return kept;
}

static int take_number(struct cli *run, const option *o, const char *value)
{
    char *end = NULL, bound[64] = "", flag[64];
    snprintf(flag, sizeof flag, "%s%s", option_dashes(o), o->name);
    errno = 0;
    if (o->kind == OPTION_NUMBER) {
        double number = strtod(value, &end);
        if (end == value || *end || errno || !isfinite(number) || number < 0)
            return cli_fail(run, 2, flag, "%s takes a number of at least 0, not '%s'", flag, value);
        *(double *)o->target = number;
        return -1;
    }
    long long number = strtoll(value, &end, 10);
    if (o->most) snprintf(bound, sizeof bound, " and at most %lld", (long long)o->most);
    if (end == value || *end || errno || number < o->least || (o->most && number > o->most))
        return cli_fail(run, 2, flag, "%s takes a whole number of at least %lld%s, not '%s'", flag,
                        (long long)o->least, bound, value);
    *(int64_t *)o->target = number;
    return -1;
}

/* Options that override keys of the job. */
static int take_override(struct cli *run, const option *o, const char *value)
{
    char *typed = NULL;
    int code = -1;
    bool kept = asprintf(&typed, "--%s %s", o->name, value) >= 0;
    if (!kept)
        typed = NULL;
    else if (o->kind == OPTION_LAYOUT)
        code = take_layout(run, value, typed);
    else if (o->kind == OPTION_DEVICES)
        kept = take_devices(&run->arguments, o, value, typed);
    else if (o->kind == OPTION_SET && (!strchr(value, '=') || value[0] == '='))
        code = cli_fail(run, 2, "--set", "--set takes KEY=VALUE, e.g. train.steps=20, not '%s'", value);
    else
        kept = arguments_override(&run->arguments, o->kind == OPTION_SET ? "" : o->key, value, typed);
    free(typed);
    return kept ? code : cli_fail(run, 1, "", "out of memory");
}

static int take(struct cli *run, const option *o, const char *value)
{
    switch (o->kind) {
    case OPTION_TEXT:
        *(const char **)o->target = value;
        break;
    case OPTION_LIST:
        if (*o->count == o->most)
            return cli_fail(run, 2, o->name, "--%s: %lld of them are the most", o->name, (long long)o->most);
        ((const char **)o->target)[(*o->count)++] = value;
        break;
    case OPTION_SWITCH:
        *(bool *)o->target = true;
        break;
    case OPTION_COUNT:
    case OPTION_NUMBER:
        return take_number(run, o, value);
    case OPTION_KEY:
    case OPTION_DEVICES:
    case OPTION_SET:
    case OPTION_LAYOUT:
        return take_override(run, o, value);
    case OPTION_JSON: /* read before all others */
        break;
    case OPTION_HELP:
        help_command(run, run->command);
        return 0;
    }
    return -1;
}

/* One option at argv[*at], with its value; moves *at to its last word. */
static int parse_option(struct cli *run, char **argv, int *at)
{
    const char *word = argv[*at], *name = word + 2, *value = NULL, *next = argv[*at + 1];
    size_t length = strcspn(name, "=");
    if (strcmp(word, "-h") == 0)
        name = "help", length = 4;
    else if (word[1] != '-') {
        name = word + 1;
        length = strcspn(name, "=");
        if (length > 1) return unknown(run, word, name, length, name[length] ? name + length + 1 : next);
    }
    const option *o = find(run->command, name, length);
    if (!o && word[1] != '-') return unknown(run, word, name, length, next);
    if (!o) {
        char typed[200];
        snprintf(typed, sizeof typed, "--%.*s", (int)(length < 150 ? length : 150), name);
        return unknown(run, typed, name, length, name[length] ? name + length + 1 : next);
    }
    if (name[length] == '=') value = name + length + 1;
    if (!o->value && value) return cli_fail(run, 2, word, "--%s takes no value", o->name);
    if (o->value && !value) {
        if (o->bare && (!next || next[0] == '-')) return take(run, o, o->bare);
        if (!next || (strncmp(next, "--", 2) == 0 && find(run->command, next + 2, strcspn(next + 2, "="))))
            return cli_fail(run, 2, word, "%s%s needs a value: %s%s %s", option_dashes(o), o->name,
                            option_dashes(o), o->name, o->value);
        value = next;
        ++*at;
    }
    return take(run, o, value);
}

int options_parse(struct cli *run, int argc, char **argv, int first)
{
    const command *which = run->command;
    arguments *given = &run->arguments;
    bool only_positional = false;
    for (int i = first; i < argc; i++) {
        if (!only_positional && argv[i][0] == '-' && argv[i][1]) {
            if (strcmp(argv[i], "--") == 0 && which->takes_rest) {
                given->rest = argv + i + 1;
                given->nrest = argc - i - 1;
                break;
            }
            if (strcmp(argv[i], "--") == 0) {
                only_positional = true;
                continue;
            }
            int code = parse_option(run, argv, &i);
            if (code >= 0) return code;
        } else if (which->takes_rest && given->npositional == which->most) { /* `--` may be left out */
            given->rest = argv + i;
            given->nrest = argc - i;
            break;
        } else if (given->npositional == which->most)
            return cli_fail(run, 2, argv[i], "'%s' is one argument too many; usage: yoke %s %s", argv[i],
                            which->name, which->usage);
        else
            given->positional[given->npositional++] = argv[i];
    }
    if (given->npositional < which->least)
        return cli_fail(run, 2, which->operand, "%s is missing; usage: yoke %s %s", which->operand,
                        which->name, which->usage);
    return -1;
}
