/* Saves of a run: by the thread that runs, or, where the job says checkpoint.async, by a thread beside it.
 * Then the ranks copy their shares into one staging buffer, as large as all tensors, taken once; the thread
 * writes it to disk while steps go on. The next save waits for the one before it, and nothing ends before the
 * last one has. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "run/rank.h"
#include "train/trainer.h"

struct yki_background {
    yoke_trainer *trainer;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy, quit, ended; /* ended: a save, and nobody has looked yet */
    yki_snapshot snapshot;  /* the thread's while it is busy */
    yki_stored_tensor *tensors;
    int ntensors;
    char *image;
    size_t bytes;
    yoke_error fault; /* of the save before; status YOKE_OK: none */
};

static void *write_saves(void *argument)
{
    yki_background *b = argument;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->busy && !b->quit) pthread_cond_wait(&b->changed, &b->lock);
        if (!b->busy) break;
        pthread_mutex_unlock(&b->lock);
        yoke_status status = yki_snapshot_write(b->trainer, &b->snapshot, b->trainer->job->checkpoint.dir);
        pthread_mutex_lock(&b->lock);
        b->fault = *yoke_error_get();
        b->fault.status = status;
        b->busy = false;
        b->ended = true;
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

void yki_background_destroy(yki_background *b)
{
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->quit = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->snapshot.tracked);
    free(b->tensors);
    free(b->image);
    free(b);
}

static yoke_status create(yoke_trainer *trainer, yki_background **made_out)
{
    yki_background *b = calloc(1, sizeof *b);
    if (!b) return yki_fail_memory("saves beside the run");
    b->trainer = trainer;
    yoke_status status = yki_saved_tensors(trainer, &b->tensors, &b->ntensors, &b->bytes);
    if (status == YOKE_OK && !(b->image = malloc(b->bytes + 1)))
        status = yki_fail_memory("the copy that checkpoint.async saves from");
    if (status == YOKE_OK) {
        memset(b->image, 0, b->bytes + 1); /* the system hands its pages out now, not in the first save */
        pthread_mutex_init(&b->lock, NULL);
        pthread_cond_init(&b->changed, NULL);
        if (pthread_create(&b->thread, NULL, write_saves, b) == 0) {
            *made_out = b;
            return YOKE_OK;
        }
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        status = yki_fail(YOKE_SYSTEM, "the system gives no thread for checkpoint.async");
    }
    free(b->tensors);
    free(b->image);
    free(b);
    return status;
}

/* Waits for the save under way, or looks whether there is one; hands its failure on, once. */
static yoke_status fetch(yki_background *b, bool waits)
{
    pthread_mutex_lock(&b->lock);
    while (b->busy && waits) pthread_cond_wait(&b->changed, &b->lock);
    bool ended = !b->busy && b->ended;
    yoke_error fault = {.status = YOKE_OK};
    if (ended) {
        fault = b->fault;
        b->ended = false;
    }
    pthread_mutex_unlock(&b->lock);
    if (fault.status != YOKE_OK)
        yki_error_set(&fault);
    else if (ended)
        yki_trainer_event_at(b->trainer, YOKE_RUN_SAVED, b->snapshot.state.step, b->snapshot.folder);
    return fault.status;
}

/* Copies what the ranks have and hands it over; nothing is under way. */
static yoke_status start(yki_background *b)
{
    yki_snapshot snapshot;
    YKI_TRY(yki_snapshot_take(b->trainer, &snapshot));
    snapshot.image = b->image;
    yoke_status status = yki_run_stage(b->trainer->run, b->image, b->tensors, b->ntensors);
    if (status != YOKE_OK) {
        free(snapshot.tracked);
        return status;
    }
    pthread_mutex_lock(&b->lock);
    free(b->snapshot.tracked);
    b->snapshot = snapshot;
    b->busy = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return YOKE_OK;
}

/* What the end of the save of `step` means for the run: a failure is the run's, or only a notice. */
static yoke_status settle(yoke_trainer *trainer, yoke_status status, int64_t step, bool goes_on)
{
    if (status == YOKE_OK) return YOKE_OK;
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
    const yoke_checkpoint_spec *c = &trainer->job->checkpoint;
    return c->async && !trainer->background ? create(trainer, &trainer->background) : YOKE_OK;
}

yoke_status yki_saves_look(yoke_trainer *trainer, bool waits)
{
    yki_background *b = trainer->background;
    if (!b) return YOKE_OK;
    double began = yki_now_ns();
    yoke_status status = fetch(b, waits);
    trainer->save_seconds += (yki_now_ns() - began) * 1e-9;
    return settle(trainer, status, b->snapshot.state.step, goes_on(trainer, b->snapshot.state.step));
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
    if (status == YOKE_OK) return yki_saves_look(trainer, true);
    if (!trainer->background) return status;
    yoke_error first = *yoke_error_get(); /* why the run ends; a failed save is said beside it */
    double began = yki_now_ns();
    yoke_status saved = fetch(trainer->background, true);
    trainer->save_seconds += (yki_now_ns() - began) * 1e-9;
    if (saved != YOKE_OK) {
        trainer->failed_saves++;
        yki_trainer_notice(trainer);
    }
    yki_error_set(&first);
    return status;
}

int64_t yki_staging_bytes(const yoke_trainer *trainer)
{
    yki_stored_tensor *tensors;
    int count;
    size_t bytes;
    const yoke_job *job = trainer->job;
    if (!job || !job->checkpoint.async || !job->checkpoint.dir[0]) return 0;
    if (yki_saved_tensors(trainer, &tensors, &count, &bytes) != YOKE_OK) return 0;
    free(tensors);
    return (int64_t)bytes;
}
