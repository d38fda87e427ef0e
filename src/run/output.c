/* Files of a save, and hashes of what is written to them. */
#include "run/output.h"

#include <string.h>

#include "base/fail.h"
#include "run/rank.h"

yoke_status yki_output_init(yki_output *out, const atomic_bool *quit)
{
    *out = (yki_output){.quit = quit, .stream.fd = -1, .finite = true};
    return yki_hasher_create(&out->hasher);
}

void yki_output_release(yki_output *out)
{
    yki_hasher_destroy(out->hasher);
}

void yki_output_begin(yki_output *out, const yki_stored_file *file)
{
    out->file = file;
    out->stream.fd = -1;
}

yoke_status yki_output_end(yki_output *out, yoke_status status)
{
    if (out->stream.fd < 0) return status;
    if (status == YOKE_OK) status = yki_stream_flush(&out->stream);
    yki_stream_close(&out->stream);
    return status;
}

static yoke_status prepare(yki_output *out)
{
    if (out->quit && atomic_load(out->quit)) return yki_fail(YOKE_STOPPED, "a save was given up");
    return out->stream.fd >= 0
               ? YOKE_OK
               : yki_stream_open(&out->stream, out->file->path, out->file->name, out->file->bytes);
}

/* Not so much at once that a run that ends waits for it; and what is hashed is written while it is in a
 * core's cache. */
yoke_status yki_output_write(yki_output *out, const void *data, size_t bytes, size_t place, bool hashed)
{
    const char *at = data;
    for (size_t part; bytes > 0; at += part, bytes -= part, place += part) {
        part = bytes < YKI_HASH_BLOCK_BYTES ? bytes : YKI_HASH_BLOCK_BYTES;
        YKI_TRY(prepare(out));
        if (hashed) {
            yki_hasher_add(out->hasher, at, part);
            out->finite &= yki_all_finite(at, part);
            YKI_TRY(yki_stream_write(&out->stream, at, part, place));
        } else
            YKI_TRY(yki_disk_write(out->stream.fd, out->file->name, at, part, place, out->file->bytes));
        out->bytes += (double)part;
    }
    return YOKE_OK;
}
