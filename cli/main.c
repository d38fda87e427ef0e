/* The program yoke: finds the command, and leaves the rest to it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cluster.h"
#include "commands.h"
#include "help.h"
#include "page.h"
#include "signs.h"
#include "yoke/version.h"

static int unknown_command(cli *run, const char *name, const char *nearest)
{
    return cli_fail(run, 2, name, "'%s' is no command of yoke%s%s%s; `yoke --help` lists them", name,
                    nearest ? "; the nearest is '" : "", nearest ? nearest : "", nearest ? "'" : "");
}

/* yoke help [COMMAND] */
static int help(cli *run, const char *name)
{
    const char *nearest = NULL;
    const command *which = name ? command_find(name, &nearest) : NULL;
    if (name && !which) return unknown_command(run, name, nearest);
    if (which)
        help_command(run, which);
    else
        help_program(run);
    return 0;
}

static int dispatch(cli *run, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL, *nearest = NULL;
    if (!name) return cli_fail(run, 2, "", "no command given; `yoke --help` lists them");
    if (strcmp(name, "--version") == 0) {
        fprintf(run->out, "yoke %s\n", YOKE_VERSION);
        if (run->json) put_string(run->json, "yoke", YOKE_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help(run, NULL);
    if (strcmp(name, "help") == 0) return help(run, argc > 2 && argv[2][0] != '-' ? argv[2] : NULL);
    if (name[0] == '-')
        return cli_fail(run, 2, name,
                        "the command comes first: yoke COMMAND %s ...; `yoke --help` lists them", name);
    run->command = command_find(name, &nearest);
    if (!run->command) return unknown_command(run, name, nearest);
    int code = options_parse(run, argc, argv, 2);
    if (code < 0) code = page_begin(run, argc, argv);
    if (code < 0) code = signs_begin(run);
    if (code < 0) code = cluster_enter(run);
    return code >= 0 ? code : run->command->run(run);
}

/* A standard stream that the caller closed must not become a file that yoke opens: writing to it fails
 * instead. */
static void hold_standard_streams(void)
{
    int file;
    while ((file = open("/dev/null", O_RDONLY)) >= 0 && file <= STDERR_FILENO) continue;
    if (file >= 0) close(file);
}

int main(int argc, char **argv)
{
    cli run;
    hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a reader that went away must not cost a run its checkpoint */
    int code = cli_open(&run, argc, argv);
    if (code < 0) cluster_begin(&run);
    code = cli_close(&run, code >= 0 ? code : dispatch(&run, argc, argv));
    signs_end(code);
    return cluster_leave(code);
}
