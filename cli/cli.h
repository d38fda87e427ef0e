/* One run of the program: where results, progress, errors and JSON go. Results go to standard output,
 * progress and errors to standard error; --json - takes standard output for itself. All text that came from
 * outside is escaped on its way. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "commands.h"
#include "json.h"
#include "options.h"
#include "yoke/status.h"

typedef struct cli {
    const char *program;    /* as it was called */
    const command *command; /* NULL before it is known */
    arguments arguments;
    bool quiet; /* one of many processes, of which another one speaks */
    FILE *out;  /* for results: standard output, or nowhere under --json - */
    json *json; /* NULL without --json and --html; open in its outermost object */
    const char *json_path;
    int json_file;                     /* -1: none */
    bool out_terminal, error_terminal; /* a terminal that can redraw a line */
    bool out_colour, error_colour;     /* the same, and NO_COLOR is not set */
    int columns;                       /* of the terminal on standard output, or 80 */
    int error_columns;
    int width;        /* of lines of results: the terminal's columns; in a pipe PIPE_COLUMNS */
    bool error_wraps; /* sentences on standard error, which is a terminal of error_columns */
    int failed_with;  /* the exit code of the first failure; 0: there is none yet */
    yoke_error error; /* the failure's; the JSON's last key */
    int nnotices;
    char *notices[16]; /* the first ones that were said; the JSON has them under `notices` */
} cli;

enum { PIPE_COLUMNS = 110 };

/* Finds --json anywhere in the arguments and opens its file. Returns -1 to go on, or the exit code. */
int cli_open(cli *run, int argc, char **argv);
/* Writes the JSON, flushes standard output and releases everything. Returns `code`, or 1 where writing
 * failed. */
int cli_close(cli *run, int code);

/* Says what went wrong ("yoke: SENTENCE") and writes the JSON's error object; key: what the error is about,
 * for the JSON ("" none). Returns code. */
int cli_fail(cli *run, int code, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same from the library's record, naming the flag that gave the key at fault. Returns the status's exit
 * code. */
int cli_fail_library(cli *run);
/* Says what a person should know though nothing failed: "yoke: SENTENCE" on standard error, and among the
 * JSON's notices. */
void cli_notice(cli *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A record in one line: "FILE:LINE: KEY: MESSAGE", as far as it has them. */
enum { CLI_SENTENCE = sizeof(yoke_error) };
void cli_sentence(const yoke_error *error, char *text, size_t size);

/* "yoke: SENTENCE" on standard error: wrapped in a terminal, one line in a pipe, where programs read it. */
void cli_say(const cli *run, const char *text);

/* Reads the job of the first argument with all overrides; NULL: said, and *code_out is the exit code. */
yoke_job *cli_load_job(cli *run, int *code_out);

#endif
