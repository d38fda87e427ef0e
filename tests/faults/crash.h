/* What a disk may hold after the power went at any moment of a log (record.h).
 *
 * What is not flushed may be lost, each write, each name by itself and in any order: a file's bytes when no
 * flush of that file by the process that wrote them followed, a name made, changed or removed when no flush
 * of its folder did. A rename within a folder is one change, and so is an exchange; a file's flush makes its
 * name no safer, nor a folder's its own name. That is what POSIX leaves open, and more than most file systems
 * do to us. */
#ifndef YKI_TESTS_FAULTS_CRASH_H
#define YKI_TESTS_FAULTS_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

typedef struct crash_log crash_log;

/* Reads the log of what was done to the folder `root`, which was empty. */
crash_log *crash_read(const char *log, const char *root);
void crash_free(crash_log *log);
int crash_records(const crash_log *log);
const record *crash_record(const crash_log *log, int i);

/* One state after record number `after`; what of it is not sure is in `fates`, of every change. Borrowed by
 * the function that is shown it. */
typedef struct crash_state {
    int after;
    const unsigned char *fates;
    uint64_t shown; /* the hash of all that does not begin with "."; and of the rest too: */
    uint64_t whole;
} crash_state;

/* Shows the states after each record from number `first` on: nothing of what is unsure has survived, all of
 * it, only removals, only names, only what came first or last, all but one, one alone; and all combinations
 * where they are few, else `samples` drawn by `seed`. A state comes again after other records. */
void crash_each(const crash_log *log, int first, int samples, uint64_t seed,
                void (*show)(void *context, const crash_state *state), void *context);
/* Makes the state in the empty folder `root`. */
void crash_build(const crash_log *log, const crash_state *state, const char *root);
/* What of the state's unsure changes has become, a line each, on standard error. */
void crash_print(const crash_log *log, const crash_state *state);
/* The state in which all is done and kept; its fates live as long as the log. */
crash_state crash_end(const crash_log *log);
unsigned crash_effects(const crash_log *log);

#endif
