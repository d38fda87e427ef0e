/* MNIST's IDX files: big-endian magic 0x0000TTDD (element type, number of dims), a u32 for each dim, then the
 * elements. Images (0x803: bytes, [n, rows, columns]) become f32 [1, rows, columns] in 0..1, labels (0x801:
 * bytes, [n]) become i32. A plain file is read as samples need it; one compressed by gzip is inflated once,
 * and only after its header has been found to promise no more bytes than the compressed file can hold.
 * Format: Y. LeCun's page of MNIST. */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "data/data.h"
#include "data/gzip.h"

enum {
    LABELS_MAGIC = 0x801,
    IMAGES_MAGIC = 0x803,
    LABELS_HEADER_BYTES = 8,
    IMAGES_HEADER_BYTES = 16,
    DEFLATE_MOST =
        1032, /* no byte of deflate's output takes less than 1/1032 byte (zlib, "Technical Details") */
    PIECE = 1 << 14,
};

/* One file: `count` elements of rows x columns bytes (labels: 1 x 1) begin at `place`, or were inflated. */
typedef struct idx_file {
    yki_file file;
    unsigned char *inflated; /* NULL for a plain file */
    int64_t place;
    int64_t count, rows, columns;
} idx_file;

typedef struct idx_data {
    yoke_data base;
    idx_file images, labels;
} idx_data;

static yoke_status read_bytes(const idx_file *file, int64_t first, unsigned char *to, int64_t count)
{
    if (!file->inflated) return yki_file_read(&file->file, file->place + first, to, count);
    memcpy(to, file->inflated + first, (size_t)count);
    return YOKE_OK;
}

static yoke_status idx_read(yoke_data *base, int64_t index, void *input, void *target)
{
    idx_data *data = (idx_data *)base;
    int64_t pixels = base->input_elements;
    unsigned char bytes[PIECE], label;
    float *image = input;
    for (int64_t done = 0; input && done < pixels; done += PIECE) {
        int64_t count = pixels - done < PIECE ? pixels - done : PIECE;
        YKI_TRY(read_bytes(&data->images, index * pixels + done, bytes, count));
        for (int64_t i = 0; i < count; i++) image[done + i] = (float)bytes[i] / 255.0f;
    }
    if (!target) return YOKE_OK;
    YKI_TRY(read_bytes(&data->labels, index, &label, 1));
    *(int32_t *)target = label;
    return YOKE_OK;
}

static yoke_status idx_check(yoke_data *base, int64_t inputs, int64_t targets)
{
    idx_data *data = (idx_data *)base;
    unsigned char bytes[PIECE];
    int64_t least = 255, most = 0, bad = -1, value = 0;
    (void)inputs;
    for (int64_t done = 0; targets > 0 && done < base->samples; done += PIECE) {
        int64_t count = base->samples - done < PIECE ? base->samples - done : PIECE;
        YKI_TRY(read_bytes(&data->labels, done, bytes, count));
        for (int64_t i = 0; i < count; i++) {
            least = bytes[i] < least ? bytes[i] : least;
            most = bytes[i] > most ? bytes[i] : most;
            if (bytes[i] < targets || bad >= 0) continue;
            bad = done + i;
            value = bytes[i];
        }
    }
    return bad < 0 ? YOKE_OK : yki_fail_class(base->target_file, bad, value, targets, least, most);
}

static void idx_file_release(idx_file *file)
{
    free(file->inflated);
    yki_file_release(&file->file);
}

static void idx_release(yoke_data *base)
{
    idx_data *data = (idx_data *)base;
    idx_file_release(&data->images);
    idx_file_release(&data->labels);
}

static const yki_data_ops idx_ops = {.read = idx_read, .check = idx_check, .release = idx_release};

/* Checks the header of `magic`'s kind and counts the bytes of the whole (uncompressed) file. */
static yoke_status parse_header(idx_file *file, const unsigned char *header, uint32_t magic,
                                int64_t *expected_out)
{
    const char *wanted = magic == IMAGES_MAGIC ? "images" : "labels";
    uint32_t found = yki_be32(header);
    if (found != magic) {
        if (found == IMAGES_MAGIC || found == LABELS_MAGIC)
            return yki_file_fail(&file->file, "holds IDX %s (magic 0x%08lx); %s (0x%08lx) are needed here",
                                 found == IMAGES_MAGIC ? "images" : "labels", (unsigned long)found, wanted,
                                 (unsigned long)magic);
        return yki_file_fail_kind(&file->file, "begins with 0x%08lx; IDX %s of bytes begin with 0x%08lx",
                                  (unsigned long)found, wanted, (unsigned long)magic);
    }
    file->count = yki_be32(header + 4);
    file->rows = file->columns = 1;
    int64_t header_bytes = LABELS_HEADER_BYTES;
    if (magic == IMAGES_MAGIC) {
        file->rows = yki_be32(header + 8);
        file->columns = yki_be32(header + 12);
        header_bytes = IMAGES_HEADER_BYTES;
    }
    if (file->count == 0 || file->rows == 0 || file->columns == 0)
        return yki_file_fail(&file->file, "has a header of %lld %s of %lld x %lld: none may be 0",
                             (long long)file->count, wanted, (long long)file->rows, (long long)file->columns);
    int64_t bytes;
    if (__builtin_mul_overflow(file->rows, file->columns, &bytes) ||
        __builtin_mul_overflow(bytes, file->count, &bytes) ||
        __builtin_add_overflow(bytes, header_bytes, expected_out))
        return yki_file_fail(&file->file, "has a header that counts more bytes than there can be");
    return YOKE_OK;
}

static yoke_status wrong_size(const idx_file *file, int64_t actual, int64_t expected)
{
    return yki_file_fail(&file->file, "has %lld bytes; its header makes %lld: it is %s", (long long)actual,
                         (long long)expected, actual < expected ? "cut off" : "too long");
}

static yoke_status open_plain(idx_file *file, uint32_t magic, int64_t header_bytes)
{
    int64_t expected;
    if (file->file.size < header_bytes)
        return yki_file_fail_kind(&file->file, "has %lld bytes; an IDX header alone takes %lld",
                                  (long long)file->file.size, (long long)header_bytes);
    YKI_TRY(parse_header(file, file->file.head, magic, &expected));
    if (file->file.size != expected) return wrong_size(file, file->file.size, expected);
    file->place = header_bytes;
    return yki_file_hold(&file->file);
}

/* ---- gzip ---- */

static yoke_status inflate_all(idx_file *file, yki_gzip *in, uint32_t magic, int64_t header_bytes)
{
    unsigned char header[IMAGES_HEADER_BYTES], beyond;
    int64_t got, expected;
    YKI_TRY(yki_gzip_read(in, header, header_bytes, &got));
    if (got < header_bytes)
        return yki_file_fail(&file->file, "has %lld bytes once inflated; an IDX header alone takes %lld",
                             (long long)got, (long long)header_bytes);
    YKI_TRY(parse_header(file, header, magic, &expected));
    if (expected / DEFLATE_MOST > file->file.size)
        return yki_file_fail(
            &file->file, "has a header that counts %lld bytes, more than its %lld compressed ones can hold",
            (long long)expected, (long long)file->file.size);
    int64_t wanted = expected - header_bytes;
    file->inflated = malloc((size_t)wanted);
    if (!file->inflated) return yki_fail_memory("an inflated file");
    YKI_TRY(yki_gzip_read(in, file->inflated, wanted, &got));
    if (got < wanted) return wrong_size(file, header_bytes + got, expected);
    /* Asking for one byte more also reads the checksum at the end, and finds that nothing follows. */
    YKI_TRY(yki_gzip_read(in, &beyond, 1, &got));
    if (got > 0)
        return yki_file_fail(&file->file,
                             "is too long: it has more than the %lld bytes that its header makes",
                             (long long)expected);
    return YOKE_OK;
}

static yoke_status open_gzip(idx_file *file, uint32_t magic, int64_t header_bytes)
{
    yki_gzip in;
    YKI_TRY(yki_gzip_begin(&in, &file->file));
    yoke_status status = inflate_all(file, &in, magic, header_bytes);
    yki_gzip_end(&in);
    return status;
}

static yoke_status open_file(idx_file *file, const char *path, uint32_t magic)
{
    int64_t header_bytes = magic == IMAGES_MAGIC ? IMAGES_HEADER_BYTES : LABELS_HEADER_BYTES;
    YKI_TRY(yki_file_open(&file->file, path));
    if (yki_file_is_gzip(&file->file)) return open_gzip(file, magic, header_bytes);
    return open_plain(file, magic, header_bytes);
}

/* targets: NULL: inputs alone. */
static yoke_status idx_open(idx_data *data, const char *inputs, const char *targets)
{
    YKI_TRY(open_file(&data->images, inputs, IMAGES_MAGIC));
    data->base.input_file = data->images.file.path;
    if (!targets) return YOKE_OK;
    YKI_TRY(open_file(&data->labels, targets, LABELS_MAGIC));
    data->base.target_file = data->labels.file.path;
    if (data->images.count != data->labels.count)
        return yki_fail(YOKE_INVALID, "%s has %lld images but %s has %lld labels", inputs,
                        (long long)data->images.count, targets, (long long)data->labels.count);
    return YOKE_OK;
}

yoke_status yki_data_from_idx(yoke_data **data_out, const char *inputs, const char *targets)
{
    idx_data *data;
    YKI_TRY(yki_data_create(&data, sizeof *data, &idx_ops));
    yoke_status status = idx_open(data, inputs, targets);
    if (status != YOKE_OK) {
        yoke_data_destroy(&data->base);
        return status;
    }
    yoke_row input = {.type = YOKE_F32, .ndim = 3, .dims = {1, data->images.rows, data->images.columns}};
    yoke_row target = {.type = YOKE_I32};
    data->base.no_targets = !targets;
    int nfiles = 0; /* those that were inflated are read from no more */
    if (!data->images.inflated) data->base.files[nfiles++] = &data->images.file;
    if (targets && !data->labels.inflated) data->base.files[nfiles] = &data->labels.file;
    return yki_data_finish(&data->base, data->images.count, &input, &target, data_out);
}

yoke_status yoke_data_from_idx(yoke_data **data_out, const char *inputs, const char *targets)
{
    YKI_NEED(data_out, inputs, targets);
    return yki_data_from_idx(data_out, inputs, targets ? targets : "");
}
