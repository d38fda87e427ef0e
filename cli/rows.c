/* Three formats behind one table of functions. */
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"

typedef struct format {
    const char *name;
    void (*begin)(rows *r);
    void (*row)(rows *r, const float *values);
} format;

struct rows {
    const format *format;
    rows_shape shape;
    FILE *file;
    const char *path; /* NULL: standard output */
    char *partial;    /* what is written until all is there; NULL: the path itself */
};

static int64_t likeliest(const rows *r, const float *values)
{
    int64_t best = 0;
    for (int64_t i = 1; i < r->shape.numbers; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

static const char *name_of(const rows *r, int64_t i)
{
    return r->shape.name ? r->shape.name(r->shape.of, i) : NULL;
}

/* ---- csv (RFC 4180) ---- */

static void csv_text(FILE *out, const char *text)
{
    if (!strpbrk(text, "\",\n\r")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', out);
}

static void csv_begin(rows *r)
{
    bool each = !r->shape.classes || r->shape.all;
    if (r->shape.classes) fputs("class,probability", r->file);
    for (int64_t i = 0; each && i < r->shape.numbers; i++) {
        const char *name = name_of(r, i);
        if (i > 0 || r->shape.classes) fputc(',', r->file);
        if (name)
            csv_text(r->file, name);
        else if (r->shape.classes)
            fprintf(r->file, "%lld", (long long)i);
        else
            fprintf(r->file, r->shape.numbers == 1 ? "output" : "output_%lld", (long long)i);
    }
    fputc('\n', r->file);
}

static void csv_row(rows *r, const float *values)
{
    bool each = !r->shape.classes || r->shape.all;
    if (r->shape.classes) {
        int64_t best = likeliest(r, values);
        const char *name = name_of(r, best);
        if (name)
            csv_text(r->file, name);
        else
            fprintf(r->file, "%lld", (long long)best);
        fprintf(r->file, ",%.9g", values[best]);
    }
    for (int64_t i = 0; each && i < r->shape.numbers; i++)
        fprintf(r->file, i > 0 || r->shape.classes ? ",%.9g" : "%.9g", values[i]);
    fputc('\n', r->file);
}

/* ---- npy, version 1: float32 [samples, columns]; of classes the number and its probability ---- */

static void npy_begin(rows *r)
{
    enum { ROUND = 64 };
    char head[256];
    int64_t columns = r->shape.classes && !r->shape.all ? 2 : r->shape.numbers;
    int length =
        snprintf(head, sizeof head, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                 (long long)r->shape.samples, (long long)columns);
    int padded = (length + 11 + ROUND - 1) / ROUND * ROUND - 10;
    fwrite("\x93NUMPY\x01", 1, 7, r->file);
    fputc(0, r->file);
    fputc(padded & 0xff, r->file);
    fputc(padded >> 8, r->file);
    fprintf(r->file, "%-*s\n", padded - 1, head);
}

static void npy_number(rows *r, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned char bytes[] = {bits & 0xff, bits >> 8 & 0xff, bits >> 16 & 0xff, bits >> 24};
    fwrite(bytes, 1, sizeof bytes, r->file);
}

static void npy_row(rows *r, const float *values)
{
    int64_t best = likeliest(r, values);
    if (r->shape.classes && !r->shape.all) {
        npy_number(r, (float)best);
        npy_number(r, values[best]);
    } else
        for (int64_t i = 0; i < r->shape.numbers; i++) npy_number(r, values[i]);
}

/* ---- JSON lines: {"class": ..., "probability": ...}, {"outputs": [...]} ---- */

static void jsonl_begin(rows *r)
{
    (void)r;
}

static void jsonl_number(FILE *out, float value)
{
    if (isfinite(value))
        fprintf(out, "%.9g", value);
    else
        fputs("null", out);
}

static void jsonl_row(rows *r, const float *values)
{
    bool each = !r->shape.classes || r->shape.all;
    fputc('{', r->file);
    if (r->shape.classes) {
        int64_t best = likeliest(r, values);
        const char *name = name_of(r, best);
        fputs("\"class\": ", r->file);
        if (name)
            json_text(r->file, name);
        else
            fprintf(r->file, "%lld", (long long)best);
        fputs(", \"probability\": ", r->file);
        jsonl_number(r->file, values[best]);
    }
    if (each) fputs(r->shape.classes ? ", \"probabilities\": [" : "\"outputs\": [", r->file);
    for (int64_t i = 0; each && i < r->shape.numbers; i++) {
        if (i > 0) fputs(", ", r->file);
        jsonl_number(r->file, values[i]);
    }
    fputs(each ? "]}\n" : "}\n", r->file);
}

static const format formats[] = {
    {"csv", csv_begin, csv_row}, {"npy", npy_begin, npy_row}, {"jsonl", jsonl_begin, jsonl_row}};
enum { NFORMATS = sizeof formats / sizeof *formats };

/* By what stands after the last dot. */
static const format *format_of(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : ".csv";
    for (int i = 0; dot && i < NFORMATS; i++)
        if (strcasecmp(dot + 1, formats[i].name) == 0) return &formats[i];
    return NULL;
}

/* Beside the file, with the rights that a new one would have; errno where that fails. */
static FILE *open_partial(rows *r)
{
    struct stat info;
    if (stat(r->path, &info) == 0 && !S_ISREG(info.st_mode)) return fopen(r->path, "we");
    if (asprintf(&r->partial, "%s.XXXXXX", r->path) < 0) {
        r->partial = NULL;
        return NULL;
    }
    int file = mkostemp(r->partial, O_CLOEXEC);
    if (file < 0) {
        free(r->partial);
        r->partial = NULL;
        return NULL;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(file, 0666 & ~mask);
    return fdopen(file, "w");
}

rows *rows_open(cli *run, const char *path, const rows_shape *shape, int *code_out)
{
    const format *by = format_of(path);
    if (!by) {
        *code_out = cli_fail(run, 2, "--out", "--out %s: the name must end in .csv, .npy or .jsonl", path);
        return NULL;
    }
    rows *r = calloc(1, sizeof *r);
    if (r) *r = (rows){.format = by, .shape = *shape, .path = path, .file = path ? NULL : run->out};
    if (r && path) r->file = open_partial(r);
    if (!r || !r->file) {
        bool missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EISDIR;
        *code_out = cli_fail(run, missing ? 2 : 1, "--out", "cannot write %s: %s", path ? path : "rows",
                             strerror(errno));
        free(r);
        return NULL;
    }
    r->format->begin(r);
    return r;
}

void rows_add(rows *r, const float *values)
{
    r->format->row(r, values);
}

const char *rows_format(const rows *r)
{
    return r->format->name;
}

int rows_close(cli *run, rows *r, bool keep)
{
    int code = 0;
    if (r->path) {
        bool written = fflush(r->file) == 0 && !ferror(r->file);
        if (keep && written && r->partial) written = fsync(fileno(r->file)) == 0;
        int fault = errno;
        if (fclose(r->file) != 0 && written) written = false, fault = errno;
        if (keep && written && r->partial && rename(r->partial, r->path) != 0) written = false, fault = errno;
        if (r->partial && !(keep && written)) unlink(r->partial);
        if (keep && !written)
            code = cli_fail(run, 1, "--out", "cannot write %s: %s", r->path, strerror(fault));
    }
    free(r->partial);
    free(r);
    return code;
}
