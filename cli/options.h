/* Options: one table-driven parser for all commands. An option is a row: its name, what its value is, where
 * it goes and its help. Values are checked here as far as their type; what a key of a job may hold is the
 * library's to say. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "yoke/job.h"

struct cli;

typedef enum option_kind {
    OPTION_TEXT,    /* const char *target */
    OPTION_LIST,    /* const char *target[most], int64_t count of them: one each time it is given */
    OPTION_COUNT,   /* int64_t target, in least..most (most 0: no bound) */
    OPTION_NUMBER,  /* double target, finite and at least 0 */
    OPTION_SWITCH,  /* bool target: no value, true where it is given */
    OPTION_KEY,     /* an override of the job's `key` */
    OPTION_DEVICES, /* the same for layout.devices: N or a list */
    OPTION_SET,     /* an override as it stands: a.b=value */
    OPTION_LAYOUT,  /* overrides of layout's keys: dp=2,zero=1 */
    OPTION_JSON,    /* read before all others, see cli.c */
    OPTION_HELP,
} option_kind;

typedef struct option {
    const char *name;  /* without the dashes; of one letter: -n */
    const char *value; /* what help calls the value; NULL: none */
    option_kind kind;
    const char *help;
    const char *key;
    void *target;
    int64_t *count;
    int64_t least, most;
    const char *bare; /* what it means where no value follows; NULL: one must */
} option;

/* A row of a table of options; further fields follow by name. */
#define OPTION(name_, value_, kind_, ...)                                                                    \
    {                                                                                                        \
        .name = name_, .value = value_, .kind = kind_, .help = __VA_ARGS__                                   \
    }

/* What stands before its name. */
const char *option_dashes(const option *o);

/* Options under one heading of the help; the row without a name ends the table. */
typedef struct option_group {
    const char *title;
    const option *options;
} option_group;

/* The groups that commands share. */
extern const option_group options_general, options_layout, options_training, options_job;

/* What a command line says beside its options' targets. */
typedef struct arguments {
    int npositional;
    const char *positional[4];
    int noverrides;
    char **overrides; /* "train.steps=20", as yoke_job_load takes them */
    char **typed;     /* the flag that each came from: "--steps 20" */
    int nrest;        /* what follows --, for a command that takes it */
    char **rest;
    bool layout_auto; /* --layout auto */
} arguments;

/* Parses argv[first..argc) for the command of `run` into targets and run->arguments. Returns -1 to go on, or
 * the exit code where the help was asked for or something is wrong (and said). */
int options_parse(struct cli *run, int argc, char **argv, int first);
void arguments_release(arguments *given);
/* Appends the override key=value that stands for the flag `typed`. False when memory is out. */
bool arguments_override(arguments *given, const char *key, const char *value, const char *typed);
/* Prints the flags that overrides came from, each after a space, as a shell reads them; of those that begin
 * with `only`, such as "--set", and without the layout's where `no_layout`. */
void arguments_print(FILE *out, const arguments *given, const char *only, bool no_layout);
/* The flag that gave `key` (or a part of it) last, NULL where the command line didn't. */
const char *arguments_flag_of(const arguments *given, const char *key);

#endif
