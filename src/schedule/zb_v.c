/* ZB-V (Qi et al., ICLR 2024, section 6): two chunks a stage in the shape of a V, so that the stage that
 * starts a micro-batch also ends it. No bubble where F, B and W take the same time, within 1F1B's memory: a
 * stage holds at most 2 p chunks' activations.
 *
 * The order is written for at least 2 p - 1 micro-batches; with fewer, those that don't exist are left out,
 * which leaves everything else in an order that works. */
#include "schedule/schedule.h"

typedef struct writer {
    yoke_schedule *schedule;
    int stage;
    int count[2][3]; /* passes written so far, by chunk and kind F, B, W */
} writer;

static void write_pass(writer *w, int chunk, yoke_action_kind kind)
{
    int microbatch = w->count[chunk][kind]++;
    if (microbatch < w->schedule->microbatches)
        yki_schedule_add(w->schedule, w->stage, kind, chunk, microbatch);
}

static void write_whole_backward(writer *w, int chunk)
{
    write_pass(w, chunk, YOKE_ACTION_B);
    write_pass(w, chunk, YOKE_ACTION_W);
}

/* Down and up the V until the first gradient has come back. */
static void write_start(writer *w, int stages)
{
    for (int k = 0; k < 2 * (stages - w->stage) - 1; k++) write_pass(w, 0, YOKE_ACTION_F);
    for (int k = 0; k < w->stage; k++) {
        write_pass(w, 1, YOKE_ACTION_F);
        write_pass(w, 0, YOKE_ACTION_F);
    }
    for (int k = 0; k < stages - w->stage; k++) {
        write_pass(w, 1, YOKE_ACTION_F);
        write_whole_backward(w, 1);
    }
}

/* The last gradients hurry up the V; weight gradients fill the end. */
static void write_end(writer *w, int stages)
{
    for (int k = 0; k < w->stage; k++) {
        write_pass(w, 0, YOKE_ACTION_B);
        write_pass(w, 1, YOKE_ACTION_B);
    }
    for (int k = 0; k < stages - w->stage; k++) write_whole_backward(w, 0);
    for (int chunk = 1; chunk >= 0; chunk--)
        while (w->count[chunk][YOKE_ACTION_W] < w->count[chunk][YOKE_ACTION_B])
            write_pass(w, chunk, YOKE_ACTION_W);
}

static yoke_status generate(yoke_schedule *schedule)
{
    int stages = schedule->parts.nstages;
    int m = schedule->microbatches < 2 * stages - 1 ? 2 * stages - 1 : schedule->microbatches;
    for (int i = 0; i < stages; i++) {
        writer w = {.schedule = schedule, .stage = i};
        write_start(&w, stages);
        while (w.count[1][YOKE_ACTION_F] < m) {
            if (w.count[0][YOKE_ACTION_F] < m) write_pass(&w, 0, YOKE_ACTION_F);
            write_whole_backward(&w, 0);
            write_pass(&w, 1, YOKE_ACTION_F);
            write_whole_backward(&w, 1);
        }
        write_end(&w, stages);
    }
    return YOKE_OK;
}

const yki_schedule_family yki_schedule_zb_v = {
    .name = "zb-v",
    .description =
        "two chunks a stage in a V, split backward: no bubble where passes are even, in 1F1B's memory",
    .actions_a_pass = 3,
    .min_chunks = 2,
    .max_chunks = 2,
    .shape = YKI_SHAPE_VEE,
    .generate = generate,
};
