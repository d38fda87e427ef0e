/* Saves of a run: by the threads that run, or, where the job says checkpoint.async, by a thread beside them.
 * Then the ranks copy their shares into a staging buffer of their process, as large as those, taken once; a
 * thread of each process writes it to disk while steps go on. The next save waits for the one before it, and
 * nothing ends before the last one has.
 *
 * A save goes through phases, which all processes begin and end together. The threads beside the steps do not
 * communicate: each notes that its part of the phase has ended, the steps' sums carry how many have, and at
 * the edge of the step that counted all of them the threads that train agree how it went, tell each other
 * what the next phase needs, and begin it. Where all ranks are in one process there is nothing to tell, and
 * the thread beside goes through all phases by itself. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "comm/cluster.h"
#include "train/trainer.h"

struct yki_background {
    yoke_trainer *trainer;
    yki_staging *stage;
    bool alone;
    bool whole; /* the leader has all tensors, and hashes what it writes: nobody has to read it again */
    int processes, process;
    uint64_t *told, *tells; /* hashes of blocks, of all processes and of this one */
    int64_t nblocks, most;  /* of one process */
    /* the save under way; the thread's while it is busy */
    yki_saving *saving; /* NULL: none; never the thread's */
    int64_t step;
    int phase;
    bool finite;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy, over;         /* over: thread, end */
    yoke_error fault;        /* of what it did; status YOKE_OK: none */
    atomic_bool ended, quit; /* ended: not busy, for the steps' sums; quit: the save is given up */
};

/* --- phases --- */

static yoke_status make(yki_background *b)
{
    return yki_saving_make(b->saving, b->trainer->job->checkpoint.dir);
}

static yoke_status share_files(yki_background *b)
{
    return yki_saving_share_files(b->saving);
}

static yoke_status write_copy(yki_background *b)
{
    return yki_staging_write(b->stage, yki_saving_stored(b->saving), &b->quit, &b->finite);
}

/* Each process's part of the blocks, whoever wrote them. */
static yoke_status hash(yki_background *b)
{
    if (b->whole) return YOKE_OK;
    int64_t first = yki_share_start(b->nblocks, b->processes, b->process),
            count = yki_share(b->nblocks, b->processes, b->process);
    return yki_stored_hash(yki_saving_stored(b->saving), first, first + count, &b->quit,
                           yki_saving_blocks(b->saving), &b->finite);
}

static yoke_status share_hashes(yki_background *b)
{
    uint64_t *blocks = yki_saving_blocks(b->saving);
    size_t each = (size_t)b->most + 1;
    if (b->whole) return YOKE_OK;
    b->tells[0] = b->finite;
    memcpy(b->tells + 1, blocks + yki_share_start(b->nblocks, b->processes, b->process),
           sizeof *blocks * (size_t)yki_share(b->nblocks, b->processes, b->process));
    YKI_TRY(yki_cluster_gather(b->tells, b->told, sizeof *blocks * each));
    for (int p = 0; p < b->processes; p++) {
        b->finite &= b->told[(size_t)p * each] != 0;
        memcpy(blocks + yki_share_start(b->nblocks, b->processes, p), b->told + (size_t)p * each + 1,
               sizeof *blocks * (size_t)yki_share(b->nblocks, b->processes, p));
    }
    return YOKE_OK;
}

static yoke_status finish(yki_background *b)
{
    return yki_saving_finish(b->saving, b->finite);
}

static yoke_status share_folder(yki_background *b)
{
    return yki_saving_share_folder(b->saving);
}

static const struct {
    yoke_status (*work)(yki_background *b);  /* this process's, on the thread beside the steps */
    yoke_status (*share)(yki_background *b); /* what all processes tell each other after it; NULL: nothing */
} phases[] = {{make, share_files}, {write_copy, NULL}, {hash, share_hashes}, {finish, share_folder}};
enum { NPHASES = sizeof phases / sizeof *phases };

/* From a phase to the next one, by all processes together; after a failure of any of them there is none. */
static yoke_status go_on(yki_background *b, yoke_status status)
{
    status = yki_trainer_agree(b->trainer, status, "", 0);
    if (status == YOKE_OK && phases[b->phase].share) status = phases[b->phase].share(b);
    b->phase = status == YOKE_OK ? b->phase + 1 : NPHASES;
    return status;
}

static yoke_status work(yki_background *b)
{
    yoke_status status = phases[b->phase].work(b);
    while (b->alone) {
        status = go_on(b, status);
        if (b->phase == NPHASES) break;
        status = phases[b->phase].work(b);
    }
    return status;
}

static void *work_on(void *argument)
{
    yki_background *b = argument;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->busy && !b->over) pthread_cond_wait(&b->changed, &b->lock);
        if (!b->busy) break;
        pthread_mutex_unlock(&b->lock);
        yoke_status status = work(b);
        pthread_mutex_lock(&b->lock);
        b->fault = *yoke_error_get();
        b->fault.status = status;
        b->busy = false;
        atomic_store(&b->ended, true);
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- the threads that train --- */

static void hand_over(yki_background *b)
{
    b->trainer->all_ended = false;
    pthread_mutex_lock(&b->lock);
    b->busy = true;
    atomic_store(&b->ended, false);
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* Until the thread has nothing to do; how what it did has ended. */
static yoke_status await(yki_background *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->busy) pthread_cond_wait(&b->changed, &b->lock);
    yoke_error fault = b->fault;
    pthread_mutex_unlock(&b->lock);
    if (fault.status != YOKE_OK) yki_error_set(&fault);
    return fault.status;
}

static bool can_go_on(yki_background *b)
{
    if (!b->alone) return b->trainer->all_ended; /* all know the same */
    pthread_mutex_lock(&b->lock);
    bool ended = !b->busy;
    pthread_mutex_unlock(&b->lock);
    return ended;
}

/* The save under way, as far as it can be taken without waiting, or to its end; says once how it ended. */
static yoke_status fetch(yki_background *b, bool waits)
{
    yoke_status status = YOKE_OK;
    while (b->saving && (waits || can_go_on(b))) {
        status = await(b);
        if (!b->alone) status = go_on(b, status);
        if (b->phase < NPHASES) {
            hand_over(b);
            continue;
        }
        if (status == YOKE_OK) yki_trainer_saved(b->trainer, b->step, yki_saving_folder(b->saving));
        yki_saving_destroy(b->saving);
        b->saving = NULL;
    }
    return status;
}

/* Without the other processes, which may be gone. */
static void give_up(yki_background *b)
{
    atomic_store(&b->quit, true);
    await(b);
    yki_saving_destroy(b->saving);
    b->saving = NULL;
    atomic_store(&b->quit, false);
}

/* Copies what the ranks have and hands it over; nothing is under way. */
static yoke_status start(yki_background *b)
{
    yki_saving *saving;
    YKI_TRY(yki_saving_create(b->trainer, &b->trainer->claim, &saving));
    yoke_status status = yki_run_stage(b->trainer->run, b->stage);
    if (status != YOKE_OK) {
        yki_saving_destroy(saving);
        return status;
    }
    b->saving = saving;
    b->step = b->trainer->next_step;
    b->phase = 0;
    hand_over(b);
    return YOKE_OK;
}

static void release(yki_background *b)
{
    yki_saving_destroy(b->saving);
    yki_staging_destroy(b->stage);
    free(b->told);
    free(b->tells);
    free(b);
}

void yki_background_destroy(yki_background *b)
{
    YKI_KEEP_RECORD;
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->over = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    release(b);
}

static yoke_status make_buffers(yki_background *b)
{
    yki_stored_tensor *tensors;
    int count;
    size_t bytes;
    YKI_TRY(yki_saved_tensors(b->trainer, &tensors, &count, &bytes));
    yki_stored stored = {.tensors = tensors, .ntensors = count};
    b->nblocks = yki_stored_blocks(&stored);
    b->most = yki_share(b->nblocks, b->processes, 0);
    yoke_status status = yki_staging_create(b->trainer->run, tensors, count, &b->stage);
    free(tensors);
    YKI_TRY(status);
    b->tells = calloc((size_t)b->most + 1, sizeof *b->tells);
    b->told = calloc((size_t)b->processes * ((size_t)b->most + 1), sizeof *b->told);
    return b->tells && b->told ? YOKE_OK : yki_fail_memory("saves beside the run");
}

static yoke_status create(yoke_trainer *trainer, yki_background **made_out)
{
    yki_background *b = calloc(1, sizeof *b);
    if (!b) return yki_fail_memory("saves beside the run");
    b->trainer = trainer;
    b->alone = yki_trainer_alone(trainer);
    b->processes = b->alone ? 1 : yki_cluster_size();
    b->process = b->alone ? 0 : yki_cluster_rank();
    yoke_status status = make_buffers(b);
    if (status == YOKE_OK) {
        pthread_mutex_init(&b->lock, NULL);
        pthread_cond_init(&b->changed, NULL);
        if (pthread_create(&b->thread, NULL, work_on, b) == 0) {
            *made_out = b;
            return YOKE_OK;
        }
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        status = yki_fail(YOKE_SYSTEM, "the system gives no thread for checkpoint.async");
    }
    release(b);
    return status;
}

/* What the end of the save of `step` means for the run: a failure is the run's, or only a notice. */
static yoke_status settle(yoke_trainer *trainer, yoke_status status, int64_t step, bool goes_on)
{
    if (status == YOKE_OK) return YOKE_OK;
    yki_trainer_agreed(trainer, status);
    if (trainer->standing.best_step == step) { /* it is not there to be the best */
        trainer->standing.best_step = trainer->passed.best_step;
        trainer->standing.best_loss = trainer->passed.best_loss;
    }
    trainer->failed_saves++;
    if (!goes_on || (status != YOKE_SYSTEM && status != YOKE_INVALID)) return status;
    yoke_error *record = yki_error_edit();
    char sentence[sizeof record->message];
    memcpy(sentence, record->message, sizeof sentence);
    snprintf(record->message, sizeof record->message, "step %lld was not saved, and the run goes on: %.900s",
             (long long)step, sentence);
    yki_trainer_event_at(trainer, YOKE_RUN_NOT_SAVED, step, "");
    yki_trainer_notice(trainer);
    return YOKE_OK;
}

static bool goes_on(const yoke_trainer *trainer, int64_t step)
{
    return trainer->job && trainer->job->checkpoint.on_error == YOKE_ON_ERROR_CONTINUE &&
           step < trainer->steps;
}

yoke_status yki_saves_begin(yoke_trainer *trainer)
{
    YKI_TRY(yoke_trainer_claim(trainer));
    if (!trainer->job->checkpoint.async || trainer->background) return YOKE_OK;
    yoke_status status = yki_trainer_agree(trainer, create(trainer, &trainer->background), "", 0);
    if (status == YOKE_OK) {
        yki_background *b = trainer->background;
        b->whole = yki_staging_whole(b->stage);
        status = yki_trainer_share(trainer, &b->whole, sizeof b->whole);
    }
    if (status != YOKE_OK) {
        yki_background_destroy(trainer->background);
        trainer->background = NULL;
    }
    return status;
}

yoke_status yki_saves_look(yoke_trainer *trainer, bool waits)
{
    yki_background *b = trainer->background;
    if (!b || !b->saving) return YOKE_OK;
    double began = yki_now_ns();
    yoke_status status = fetch(b, waits);
    trainer->save_seconds += (yki_now_ns() - began) * 1e-9;
    return settle(trainer, status, b->step, goes_on(trainer, b->step));
}

yoke_status yki_saves_step(yoke_trainer *trainer)
{
    double began = yki_now_ns();
    yoke_status status;
    if (trainer->background && trainer->job->checkpoint.async) {
        YKI_TRY(yki_saves_look(trainer, true));
        began = yki_now_ns();
        status = start(trainer->background);
    } else
        status = yoke_trainer_save(trainer, trainer->job->checkpoint.dir, NULL);
    trainer->save_seconds += (yki_now_ns() - began) * 1e-9;
    trainer->saves++;
    return settle(trainer, status, trainer->next_step, goes_on(trainer, trainer->next_step));
}

yoke_status yki_saves_end(yoke_trainer *trainer, yoke_status status)
{
    yki_background *b = trainer->background;
    if (status == YOKE_OK) return yki_saves_look(trainer, true);
    if (!b || !b->saving) return status;
    yoke_error first = *yoke_error_get(); /* why the run ends; a failed save is said beside it */
    double began = yki_now_ns();
    yoke_status saved = YOKE_OK;
    if (b->alone || status == YOKE_STOPPED || status == YOKE_NON_FINITE) /* all processes end with these */
        saved = fetch(b, true);
    else
        give_up(b);
    trainer->save_seconds += (yki_now_ns() - began) * 1e-9;
    if (saved != YOKE_OK) {
        trainer->failed_saves++;
        yki_trainer_notice(trainer);
    }
    yki_error_set(&first);
    return status;
}

const atomic_bool *yki_saves_ended(const yoke_trainer *trainer)
{
    const yki_background *b = trainer->background;
    return b && b->saving ? &b->ended : NULL;
}

int64_t yki_trainer_staging_bytes(const yoke_trainer *trainer)
{
    return trainer->background ? (int64_t)yki_staging_bytes(trainer->background->stage) : 0;
}
