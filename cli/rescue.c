/* Saves of runs that ended early, and the command line that goes on from them. */
#include "rescue.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "records.h"
#include "signs.h"
#include "text.h"
#include "yoke/cluster.h"

#define PLACE "yoke-interrupted"

/* "yoke train JOB flags --resume DIR": this run's own command line, going on from `folder`. Of several
 * processes, what each of them runs. */
static char *resume_command(const cli *run, const char *folder)
{
    const arguments *given_flags = &run->arguments;
    char *command_line = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&command_line, &size);
    if (!out) return NULL;
    text_shell_word(out, run->program);
    fputs(" train", out);
    if (given_flags->npositional > 0) { /* else it was the step's */
        fputc(' ', out);
        text_shell_word(out, given_flags->positional[0]);
    }
    arguments_print(out, given_flags, "", false);
    const char *flag, *value;
    for (int i = 0; (flag = records_kept(i, &value)); i++) {
        if (!value) continue;
        fprintf(out, " %s ", flag);
        text_shell_word(out, value);
    }
    fputs(" --resume ", out);
    text_shell_word(out, folder);
    if (fclose(out) != 0) {
        free(command_line);
        return NULL;
    }
    return command_line;
}

static const char *temporary(void)
{
    const char *given = getenv("TMPDIR");
    return given && given[0] ? given : "/tmp";
}

void rescue_check(cli *run, const yoke_job *job)
{
    if (job->checkpoint.dir[0] || access(access(PLACE, F_OK) == 0 ? PLACE : ".", W_OK) == 0) return;
    cli_notice(run,
               "this folder cannot be written, and the job has no checkpoint.dir: what is interrupted would "
               "be saved below %s",
               temporary());
}

/* In which folder the step at hand is now, saved before or now; the record says why it is not. */
static yoke_status keep(yoke_trainer *trainer, char folder[YOKE_PATH_BYTES])
{
    int64_t saved, first, count;
    snprintf(folder, YOKE_PATH_BYTES, "%s", yoke_trainer_saved(trainer, &saved));
    yoke_trainer_losses(trainer, &first, &count);
    return saved == first + count ? YOKE_OK : yoke_trainer_rescue(trainer, folder);
}

static char *say(cli *run, const char *folder)
{
    bool launched = signs_path; /* by `yoke launch`, which says its own command */
    char *again = launched ? NULL : resume_command(run, folder), *said = NULL, under[80] = "";
    if (yoke_cluster_size() > 1)
        snprintf(under, sizeof under, ", in %d processes again", yoke_cluster_size());
    int length = launched ? asprintf(&said, "saved in %s", folder)
                          : asprintf(&said, "saved in %s; go on with%s: %s", folder, under,
                                     again ? again : "--resume");
    if (length < 0) said = NULL;
    free(again);
    if (run->json) put_string(run->json, "saved", folder);
    return said;
}

int rescue_save(cli *run, yoke_trainer *trainer, char **said_out)
{
    char folder[YOKE_PATH_BYTES];
    *said_out = NULL;
    if (keep(trainer, folder) != YOKE_OK) return cli_fail_library(run);
    *said_out = say(run, folder);
    return 0;
}

void rescue_after(cli *run, yoke_trainer *trainer)
{
    char folder[YOKE_PATH_BYTES], why[CLI_SENTENCE];
    yoke_error first = *yoke_error_get();
    int64_t step, count;
    yoke_trainer_losses(trainer, &step, &count);
    if (first.status != YOKE_PEER_FAILED && count > 0) {
        if (keep(trainer, folder) == YOKE_OK) {
            char *said = say(run, folder);
            cli_notice(run, "%s", said ? said : "saved");
            free(said);
            return;
        }
        cli_sentence(yoke_error_get(), why, sizeof why);
        if (strcmp(yoke_error_get()->message, first.message) != 0) cli_notice(run, "%s", why);
    }
    const char *newest = yoke_trainer_saved(trainer, &step);
    if (newest[0])
        cli_notice(run, "the newest step that is saved is %s", newest);
    else if (count > 0)
        cli_notice(run, "no step is saved; checkpoint.every saves on the way");
}
