/* What classes of ranks do when, instruction by instruction, as a trace of a run has it. */
#include <stdlib.h>

#include "predict/simulate/simulate.h"

/* NULL: memory. */
static yki_seen *add(yki_tape *tape, double now)
{
    if (tape->count == tape->room) {
        int room = 2 * tape->room + 64;
        yki_seen *more = realloc(tape->rows, sizeof *more * (size_t)room);
        if (!more) return NULL;
        tape->rows = more, tape->room = room;
    }
    yki_seen *made = &tape->rows[tape->count++];
    *made = (yki_seen){.start = now, .end = now};
    return made;
}

/* The row under way ends. */
static void close_row(yki_tape *tape, double now)
{
    if (tape->in < 0) return;
    tape->rows[tape->in].end = now;
    tape->rows[tape->in].received = tape->received;
    tape->in = -1;
}

bool yki_tape_instruction(yki_tape *tape, const yki_instruction *in, double now)
{
    if (tape->in >= 0 && tape->rows[tape->in].in == in) return true; /* its wait */
    close_row(tape, now);
    yki_seen *row = add(tape, now);
    if (!row) return false;
    row->in = in;
    tape->in = tape->count - 1;
    return true;
}

bool yki_tape_begin(yki_tape *tape, const yoke_action *action, yki_end end, int64_t samples, double now)
{
    yki_seen *row = add(tape, now);
    if (!row) return false;
    row->action = action, row->ends = end, row->samples = samples;
    tape->of = tape->count - 1;
    return true;
}

void yki_tape_end(yki_tape *tape, double now)
{
    close_row(tape, now);
    if (tape->of >= 0) tape->rows[tape->of].end = now;
    tape->of = -1;
}

yki_tape *yki_tapes_create(int count)
{
    yki_tape *tapes = calloc((size_t)count, sizeof *tapes);
    for (int i = 0; i < count && tapes; i++) tapes[i].in = tapes[i].of = -1;
    return tapes;
}

void yki_tapes_destroy(yki_tape *tapes, int count)
{
    for (int i = 0; i < count && tapes; i++) free(tapes[i].rows);
    free(tapes);
}
