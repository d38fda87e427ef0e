/* Where output goes, and how errors are said. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cluster.h"
#include "page.h"
#include "text.h"

static int columns_of(int file)
{
    struct winsize size;
    if (ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    return columns && isatty(file) && atoi(columns) > 0 ? atoi(columns) : 80;
}

static const char *find_json(int argc, char **argv)
{
    const char *path = NULL;
    bool launches = argc > 1 && strcmp(argv[1], "launch") == 0; /* what it launches has a --json of its own */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        bool is_value = argv[i - 1][0] == '-' && !strchr(argv[i - 1], '=');
        if (launches && strcmp(argv[i], "train") == 0 && !is_value) break;
        if (strncmp(argv[i], "--json=", 7) == 0)
            path = argv[i] + 7;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
            path = argv[i + 1];
    }
    return path;
}

int cli_open(cli *run, int argc, char **argv)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool redraws = term && strcmp(term, "dumb") != 0, colours = redraws && !(no_colour && no_colour[0]);
    *run = (cli){.out = stdout, .json_file = -1, .program = argc > 0 ? argv[0] : "yoke"};
    run->out_terminal = redraws && isatty(STDOUT_FILENO);
    run->error_terminal = redraws && isatty(STDERR_FILENO);
    run->out_colour = run->out_terminal && colours;
    run->error_colour = run->error_terminal && colours;
    run->columns = columns_of(STDOUT_FILENO);
    run->error_columns = columns_of(STDERR_FILENO);
    run->width = isatty(STDOUT_FILENO) ? run->columns : PIPE_COLUMNS;
    run->error_wraps = isatty(STDERR_FILENO) && run->error_columns >= 40;

    run->json_path = find_json(argc, argv);
    if (!run->json_path) return -1;
    const char *path = run->json_path;
    if (strcmp(path, "-") == 0) {
        run->json_file = STDOUT_FILENO;
        run->out = fopen("/dev/null", "w");
    } else
        run->json_file =
            open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* emptied when there is something to write */
    run->json = out_create();
    if (run->json_file < 0 || !run->out || !run->json) {
        const char *why = run->json ? strerror(errno) : "out of memory";
        out_destroy(run->json);
        run->json = NULL;
        return cli_fail(run, 1, "--json", "cannot write the JSON to %s: %s", path, why);
    }
    put_begin_object(run->json, NULL);
    put_integer(run->json, "version", 1);
    return -1;
}

/* Writes all of `text`; sets errno. */
static bool write_all(int file, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t count = write(file, text, left);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text += count;
        left -= (size_t)count;
    }
    return true;
}

/* Wherever in the document it came up. */
static void put_error(const cli *run)
{
    json *j = run->json;
    const yoke_error *error = &run->error;
    put_end_inner(j);
    put_begin_object(j, "error");
    put_integer(j, "code", run->failed_with);
    put_string(j, "message", error->message);
    put_string(j, "file", error->file[0] ? error->file : NULL);
    if (error->line > 0)
        put_integer(j, "line", error->line);
    else
        put_null(j, "line");
    put_string(j, "key", error->key[0] ? error->key : NULL);
    put_begin_array(j, "would_fit");
    for (int i = 0; i < error->nwould_fit; i++) put_string(j, NULL, error->would_fit[i]);
    put_end_array(j);
    put_end_object(j);
}

static void put_notices(const cli *run)
{
    put_end_inner(run->json);
    put_begin_array(run->json, "notices");
    for (int i = 0; i < run->nnotices; i++) put_string(run->json, NULL, run->notices[i]);
    put_end_array(run->json);
}

static bool write_json(cli *run, const char *text)
{
    if (!text) {
        errno = ENOMEM;
        return false;
    }
    if (run->json_file == STDOUT_FILENO) return write_all(run->json_file, text);
    /* What cannot be emptied (a pipe, a device) is simply written to. */
    if (ftruncate(run->json_file, 0) != 0 && errno != EINVAL) return false;
    bool written = write_all(run->json_file, text);
    int first = errno;
    if (close(run->json_file) != 0) return false;
    errno = first;
    return written;
}

int cli_close(cli *run, int code)
{
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && run->out == stdout) {
        if (errno != EPIPE) /* who reads no further needs no sentence */
            fprintf(stderr, "yoke: cannot write to standard output: %s\n", strerror(errno));
        code = code ? code : 1;
    }
    if (run->json) {
        if (run->nnotices > 0) put_notices(run);
        if (run->failed_with) put_error(run);
        const char *text = out_text(run->json);
        if (run->json_file >= 0 && !write_json(run, text)) {
            if (errno != EPIPE)
                fprintf(stderr, "yoke: cannot write the JSON to %s: %s\n", run->json_path, strerror(errno));
            code = code ? code : 1;
        }
        code = page_end(run, text, code);
        out_destroy(run->json);
    }
    if (run->out && run->out != stdout) fclose(run->out);
    for (int i = 0; i < run->nnotices; i++) free(run->notices[i]);
    arguments_release(&run->arguments);
    return code;
}

/* The first is the one that counts. */
static void note_error(cli *run, int code, const yoke_error *error)
{
    if (run->failed_with) return;
    run->failed_with = code;
    run->error = *error;
}

void cli_say(const cli *run, const char *text)
{
    char *shown = text_escaped(text, false);
    fputs("yoke: ", stderr);
    if (shown && run->error_wraps)
        text_wrap(stderr, shown, 6, run->error_columns);
    else
        fprintf(stderr, "%s\n", shown ? shown : "out of memory");
    free(shown);
}

int cli_fail(cli *run, int code, const char *key, const char *format, ...)
{
    yoke_error error = {.rank = -1};
    va_list rest;
    va_start(rest, format);
    vsnprintf(error.message, sizeof error.message, format, rest);
    va_end(rest);
    snprintf(error.key, sizeof error.key, "%s", key);
    note_error(run, code, &error);
    if (!run->quiet) cli_say(run, error.message);
    return code;
}

void cli_notice(cli *run, const char *format, ...)
{
    enum { MOST = sizeof run->notices / sizeof *run->notices };
    char *text = NULL;
    va_list rest;
    va_start(rest, format);
    if (vasprintf(&text, format, rest) < 0) text = NULL;
    va_end(rest);
    if (!text || run->quiet) {
        free(text);
        return;
    }
    cli_say(run, text);
    if (run->json && run->nnotices < MOST)
        run->notices[run->nnotices++] = text;
    else
        free(text);
}

/* The sentence of a record with the flag at fault as it was typed; NULL: the command line is not at fault.
 * What the library calls `--set layout.dp=0` may have been typed as `--dp 0`. */
static char *sentence_of_flag(const cli *run, const yoke_error *error)
{
    const arguments *given = &run->arguments;
    const char *flag = arguments_flag_of(given, error->key), *message = error->message;
    char *sentence = NULL;
    for (int i = 0; i < given->noverrides && strncmp(message, "--set ", 6) == 0; i++) {
        size_t length = strlen(given->overrides[i]);
        if (strncmp(message + 6, given->overrides[i], length) == 0 &&
            strncmp(message + 6 + length, ": ", 2) == 0) {
            flag = given->typed[i];
            message += length + 8;
        }
    }
    if (strncmp(message, "--", 2) == 0) flag = "";
    if (!flag || asprintf(&sentence, "%s%s%s", flag, flag[0] ? ": " : "", message) < 0) return NULL;
    return sentence;
}

void cli_sentence(const yoke_error *error, char *text, size_t size)
{
    yoke_error_print(error, text, size);
}

int cli_fail_library(cli *run)
{
    yoke_error error = *yoke_error_get();
    int code = yoke_status_exit_code(error.status);
    if (!cluster_speaks(run, &error)) {
        note_error(run, code, &error);
        return code;
    }
    char *of_flag = sentence_of_flag(run, &error), text[CLI_SENTENCE];
    if (of_flag) snprintf(error.message, sizeof error.message, "%s", of_flag);
    cli_sentence(&error, text, sizeof text);
    cli_say(run, of_flag ? error.message : text);
    for (int i = 0; i < error.nwould_fit && i < 3; i++) { /* flags, to be copied: each on a line */
        char *flags = text_escaped(error.would_fit[i], false);
        fputs(i == 0 ? "would fit: " : "       or: ", stderr);
        text_wrap_with(stderr, flags ? flags : "out of memory", 11, 11,
                       run->error_wraps ? run->error_columns : INT_MAX, " \\");
        free(flags);
    }
    cluster_spoken();
    note_error(run, code, &error);
    free(of_flag);
    return code;
}

yoke_job *cli_load_job(cli *run, int *code_out)
{
    yoke_job *job = NULL;
    if (yoke_job_load(run->arguments.positional[0], run->arguments.noverrides,
                      (const char *const *)run->arguments.overrides, &job) == YOKE_OK)
        return job;
    *code_out = cli_fail_library(run);
    return NULL;
}
