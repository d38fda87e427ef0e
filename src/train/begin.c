/* How a run begins: anew or from a step, and the folder that it holds while it lives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/disk.h"
#include "base/fail.h"
#include "train/trainer.h"

yoke_status yki_step_find(const char *dir, char folder[YKI_FOLDER_BYTES], char passed_over[256],
                          yki_saved_state *state_out)
{
    int is_step;
    YKI_TRY(yki_checkpoint_find(dir, folder, &is_step, passed_over));
    if (!is_step)
        return yki_fail(YOKE_INVALID,
                        "%s holds weights but no state to resume from; start from them with model.from",
                        folder);
    return yki_checkpoint_state(folder, state_out);
}

void yki_trainer_follow(yoke_trainer *trainer, const yki_saved_state *state)
{
    trainer->unnamed = !state->identity.run[0];
    trainer->from_step = state->step;
    if (state->identity.run[0])
        memcpy(trainer->identity.run, state->identity.run, sizeof trainer->identity.run);
}

yoke_status yoke_trainer_create_to_start(yoke_trainer **trainer_out, const yoke_job *job,
                                         const yoke_start *start)
{
    YKI_NEED(trainer_out, job, start);
    yki_trainer_options options = {.job = job, .start = start};
    if (start->run && !yki_is_run(start->run))
        return yki_fail(YOKE_INVALID, "a run is called by 32 hexadecimal digits, not '%.40s'", start->run);
    return yki_trainer_create(trainer_out, &options);
}

/* About what a save takes: tensors, and what says what they are. */
static yoke_status save_bytes(const yoke_trainer *trainer, size_t *bytes_out)
{
    yki_stored_tensor *tensors;
    int count;
    YKI_TRY(yki_saved_tensors(trainer, &tensors, &count, bytes_out));
    free(tensors);
    *bytes_out += 65536 + 256 * (size_t)count;
    return YOKE_OK;
}

static yoke_status take(yoke_trainer *trainer, const char *dir, yki_claim *claim_out)
{
    yki_claim_wish wish = {.run = trainer->identity.run,
                           .unnamed = trainer->unnamed,
                           .step = trainer->next_step > trainer->from_step ? trainer->next_step
                                                                           : trainer->from_step,
                           .overwrite = trainer->overwrite,
                           .take_over = trainer->take_over};
    if (!yki_trainer_leads(trainer)) return YOKE_OK;
    YKI_TRY(save_bytes(trainer, &wish.bytes));
    return yki_claim_take(dir, &wish, claim_out);
}

yoke_status yki_trainer_claim(yoke_trainer *trainer, const char *dir, yki_claim *claim_out)
{
    *claim_out = (yki_claim){.held = false};
    YKI_TRY(yki_trainer_agree(trainer, take(trainer, dir, claim_out), "", 0));
    yoke_status status = yki_trainer_leads(trainer) ? YOKE_OK : yki_claim_seen(dir, trainer->identity.run);
    status = yki_trainer_agree(trainer, status, "", 0);
    if (status == YOKE_OK)
        snprintf(claim_out->dir, sizeof claim_out->dir, "%s", dir);
    else {
        yki_claim_release(claim_out);
    }
    return status;
}

yoke_status yoke_trainer_claim(yoke_trainer *trainer)
{
    YKI_NEED(trainer);
    const char *dir = trainer->job ? trainer->job->checkpoint.dir : "";
    int64_t done = trainer->next_step > trainer->from_step ? trainer->next_step : trainer->from_step;
    if (!dir[0] || strcmp(trainer->claim.dir, dir) == 0 || done >= trainer->steps) return YOKE_OK;
    return yki_trainer_claim(trainer, dir, &trainer->claim);
}

/* The first place that takes the save; why the last one did not. */
yoke_status yoke_trainer_rescue(yoke_trainer *trainer, char folder[YOKE_PATH_BYTES])
{
    enum { MOST = 9 };
    YKI_NEED(trainer);
    const char *temporary = getenv("TMPDIR");
    const char *places[] = {"", temporary && temporary[0] == '/' ? temporary : "/tmp"};
    char dir[YKI_FOLDER_BYTES];
    if (trainer->job && trainer->job->checkpoint.dir[0])
        return yoke_trainer_save(trainer, trainer->job->checkpoint.dir, folder);
    yoke_status status = YOKE_INVALID;
    for (int p = 0; p < 2; p++)
        for (int i = 1; i <= MOST && status != YOKE_OK; i++) {
            char number[16] = "";
            if (i > 1) snprintf(number, sizeof number, "-%d", i);
            snprintf(dir, sizeof dir, "%.1000s%syoke-interrupted%s", places[p], places[p][0] ? "/" : "",
                     number);
            status = yoke_trainer_save(trainer, dir, folder);
            if (status != YOKE_OK && status != YOKE_INVALID && status != YOKE_SYSTEM) return status;
        }
    return status;
}
