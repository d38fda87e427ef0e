/* The file of a page, and what the document says of where it comes from. */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "text.h"
#include "yoke/train.h"
#include "yoke/version.h"

static const char *path;

const option_group options_page = {
    "Page",
    (const option[]){
        OPTION("html", "FILE", OPTION_TEXT,
               "write the result as one page to read, with its pictures; it needs no network",
               .target = &path),
        {0},
    },
};

const char *page_path(void)
{
    return path;
}

static const page_kind *kind_of(const char *name)
{
    for (const page_kind *const *kind = page_kinds; *kind; kind++)
        if (strcmp((*kind)->command, name) == 0) return *kind;
    return NULL;
}

/* --- the file --- */

/* Where the file lies that `path` leads to, and a name beside it. NULL: out of memory. */
static char *place_beside(char **whole_out)
{
    char *whole = realpath(path, NULL), *beside = NULL;
    if (!whole) whole = strdup(path);
    if (whole && asprintf(&beside, "%s.XXXXXX", whole) < 0) beside = NULL;
    if (!beside) {
        free(whole);
        return NULL;
    }
    *whole_out = whole;
    return beside;
}

static int refuse(cli *run, const char *why)
{
    return cli_fail(run, errno == ENOSPC ? 1 : 2, "--html", "cannot write the page to %s: %s", path, why);
}

/* That it can be made now; devices and pipes are written to as they are. */
static int try_file(cli *run)
{
    struct stat found;
    char *whole, *beside;
    if (strcmp(path, "-") == 0)
        return cli_fail(run, 2, "--html", "--html takes a file's name, and '-' is none");
    if (stat(path, &found) == 0 && S_ISDIR(found.st_mode)) return refuse(run, "it is a folder");
    if (stat(path, &found) == 0 && !S_ISREG(found.st_mode))
        return access(path, W_OK) == 0 ? -1 : refuse(run, strerror(errno));
    beside = place_beside(&whole);
    int file = beside ? mkstemp(beside) : -1, code = -1;
    if (file < 0)
        code = refuse(run, strerror(errno));
    else {
        close(file);
        unlink(beside);
    }
    if (beside) free(whole);
    free(beside);
    return code;
}

/* All of it, or errno. */
static bool print_to(FILE *out, const page_kind *kind, const json_t *data, const char *text)
{
    page_print(out, kind, data, text);
    bool failed = fflush(out) != 0 || ferror(out);
    return (fclose(out) == 0) && !failed;
}

static bool replace_file(const page_kind *kind, const json_t *data, const char *text)
{
    struct stat found;
    if (stat(path, &found) == 0 && !S_ISREG(found.st_mode)) {
        FILE *out = fopen(path, "w");
        return out && print_to(out, kind, data, text);
    }
    char *whole, *beside = place_beside(&whole);
    int file = beside ? mkstemp(beside) : -1;
    mode_t mask = umask(0);
    umask(mask);
    FILE *out = file >= 0 && fchmod(file, 0666 & ~mask) == 0 ? fdopen(file, "w") : NULL;
    bool written = out && print_to(out, kind, data, text) && rename(beside, whole) == 0;
    int first = errno;
    if (file >= 0 && !written) unlink(beside);
    if (beside) free(whole);
    free(beside);
    errno = first;
    return written;
}

/* --- the document --- */

/* The command line without what only says where results go. */
static char *command_line(const command *which, int argc, char **argv)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fprintf(out, "yoke %s", which->name);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--html") == 0) {
            i++;
            continue;
        }
        if (strncmp(argv[i], "--json=", 7) == 0 || strncmp(argv[i], "--html=", 7) == 0) continue;
        fputc(' ', out);
        text_shell_word(out, argv[i]);
    }
    if (fclose(out) == 0) return text;
    free(text);
    return NULL;
}

static void put_about(cli *run, int argc, char **argv)
{
    char host[256] = "", when[40] = "";
    yoke_device_info info = {.cores = 0};
    time_t now = time(NULL);
    struct tm day;
    char *line = command_line(run->command, argc, argv);
    gethostname(host, sizeof host - 1);
    if (gmtime_r(&now, &day)) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &day);
    yoke_devices(&info, 1);
    put_begin_object(run->json, "about");
    put_string(run->json, "name", run->command->name);
    put_string(run->json, "command", line);
    put_string(run->json, "yoke", YOKE_VERSION);
    put_string(run->json, "time", when);
    put_begin_object(run->json, "machine");
    put_string(run->json, "host", host);
    put_string(run->json, "model", info.model);
    put_string(run->json, "instructions", info.instructions);
    put_integer(run->json, "cores", info.cores);
    put_integer(run->json, "memory_bytes", info.memory_bytes);
    put_end_object(run->json);
    put_end_object(run->json);
    free(line);
}

int page_begin(cli *run, int argc, char **argv)
{
    if (!path || run->quiet) return -1;
    int code = try_file(run);
    if (code >= 0) return code;
    if (!run->json) {
        run->json = out_create();
        if (!run->json) return cli_fail(run, 1, "--html", "out of memory for the page");
        put_begin_object(run->json, NULL);
        put_integer(run->json, "version", 1);
    }
    put_about(run, argc, argv);
    return -1;
}

void page_put_job(cli *run, const yoke_job *job)
{
    char *text = path && run->json ? yoke_job_print(job) : NULL;
    if (text) put_string(run->json, "job", text);
    free(text);
}

void page_put_machine(cli *run, const yoke_machine *machine)
{
    char *text = path && run->json ? yoke_machine_print(machine) : NULL;
    if (text) put_string(run->json, "machine_file", text);
    free(text);
}

int page_end(cli *run, const char *document, int code)
{
    const page_kind *kind = path && run->command && !run->quiet ? kind_of(run->command->name) : NULL;
    json_error_t wrong;
    if (!kind) return code;
    json_t *data = document ? json_loads(document, 0, &wrong) : NULL,
           *shown = data ? page_shorten(data) : NULL;
    char *shorter = NULL;
    bool whole = !json_object_get(shown, "left_out"), written = data && !json_object_get(data, kind->shows);
    errno = ENOMEM;
    if (shown && !written) {
        if (!whole) shorter = json_dumps(shown, JSON_COMPACT);
        written = (whole || shorter) && replace_file(kind, shown, whole ? document : shorter);
    }
    if (!written) {
        fprintf(stderr, "yoke: cannot write the page to %s: %s\n", path, strerror(errno));
        code = code ? code : 1;
    }
    free(shorter);
    json_decref(shown);
    json_decref(data);
    return code;
}
