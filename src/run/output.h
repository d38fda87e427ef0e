/* A file of a save under way, by one thread. What somebody has all of is written past the system's memory of
 * files and hashed meanwhile; other bytes as usual, since whoever hashes them reads them back. */
#ifndef YKI_RUN_OUTPUT_H
#define YKI_RUN_OUTPUT_H

#include <stdatomic.h>

#include "base/stream.h"
#include "checkpoint/hashes.h"
#include "run/run.h"

typedef struct yki_output {
    const atomic_bool *quit; /* NULL: nobody gives the save up */
    const yki_stored_file *file;
    yki_stream stream; /* fd -1: not opened yet */
    yki_hasher *hasher;
    bool finite;  /* what was hashed is */
    double bytes; /* written */
} yki_output;

/* YOKE_SYSTEM: memory. */
yoke_status yki_output_init(yki_output *out, const atomic_bool *quit);
void yki_output_release(yki_output *out);
/* One file after the other; opened when something is written, flushed and closed at its end. `status`: how
 * writing went, returned if that is an error. */
void yki_output_begin(yki_output *out, const yki_stored_file *file);
yoke_status yki_output_end(yki_output *out, yoke_status status);

/* hashed: f32 values of a tensor, in the order of the file, between the hasher's begin and end. YOKE_STOPPED:
 * the save was given up. Else as yki_disk_write. */
yoke_status yki_output_write(yki_output *out, const void *data, size_t bytes, size_t place, bool hashed);

#endif
