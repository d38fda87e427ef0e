/* Files of samples: opening, reading at a place, and what a file that is another kind most often is. */
#include "data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static yoke_status check_kind(const char *path, const struct stat *about)
{
    if (S_ISREG(about->st_mode)) return YOKE_OK;
    const char *kind = S_ISDIR(about->st_mode)                              ? "a folder"
                       : S_ISFIFO(about->st_mode)                           ? "a FIFO"
                       : S_ISCHR(about->st_mode) || S_ISBLK(about->st_mode) ? "a device"
                                                                            : "no regular file";
    return yki_fail_at(YOKE_INVALID, path, 0, "", "is %s; data is read from regular files", kind);
}

static yoke_status examine(yki_file *file, const char *path)
{
    struct stat about;
    if (fstat(file->descriptor, &about) != 0) return yki_fail_errno("examine", path);
    YKI_TRY(check_kind(path, &about));
    if (about.st_size == 0) return yki_fail_at(YOKE_INVALID, path, 0, "", "is empty");
    file->size = (int64_t)about.st_size;
    file->device = (uint64_t)about.st_dev;
    file->number = (uint64_t)about.st_ino;
    file->head_size = file->size < YKI_FILE_HEAD ? (int)file->size : YKI_FILE_HEAD;
    file->path = strdup(path);
    if (!file->path) return yki_fail_memory("the name of a file");
    return yki_file_read(file, 0, file->head, file->head_size);
}

yoke_status yki_file_open(yki_file *file, const char *path)
{
    *file = (yki_file){0};
    if (!path || !*path) return yki_fail(YOKE_INVALID, "the name of a data file is empty");
    /* Without O_NONBLOCK opening a FIFO would wait for its writer. */
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        if (errno == ENXIO) /* a socket */
            return yki_fail_at(YOKE_INVALID, path, 0, "",
                               "is no regular file; data is read from regular files");
        return yki_fail_errno("open", path);
    }
    file->descriptor = descriptor;
    yoke_status status = examine(file, path);
    if (status != YOKE_OK) {
        close(descriptor);
        free(file->path);
        *file = (yki_file){0};
    }
    return status;
}

void yki_file_release(yki_file *file)
{
    if (file->path) yki_file_shut(file);
    free(file->path);
    free(file->held);
    *file = (yki_file){0};
}

void yki_file_shut(yki_file *file)
{
    if (file->descriptor >= 0) close(file->descriptor);
    file->descriptor = -1;
}

static yoke_status cut_short(const yki_file *file, int64_t size)
{
    long long now = size;
    return yki_file_fail(
        file,
        "was cut short while it was used: it had %lld bytes when it was opened, and has %lld; "
        "data must stay as they are during a run (replace a file by renaming another)",
        (long long)file->size, now);
}

static yoke_status examine_again(const yki_file *file, int descriptor, struct stat *about)
{
    if (fstat(descriptor, about) != 0) return yki_fail_errno("examine", file->path);
    if ((uint64_t)about->st_dev != file->device || (uint64_t)about->st_ino != file->number)
        return yki_file_fail(file,
                             "was replaced by another file while it was used; of many files only some are "
                             "kept open, and data must stay as they are during a run");
    return YOKE_OK;
}

/* The descriptor, or that of a file that is shut opened anew; given back by close_again. */
static yoke_status open_again(const yki_file *file, int *descriptor_out, struct stat *about)
{
    int descriptor = file->descriptor;
    if (descriptor < 0) descriptor = open(file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return yki_fail_errno("open", file->path);
    yoke_status status = examine_again(file, descriptor, about);
    if (status != YOKE_OK && file->descriptor < 0) close(descriptor);
    *descriptor_out = descriptor;
    return status;
}

static void close_again(const yki_file *file, int descriptor)
{
    if (file->descriptor < 0) close(descriptor);
}

static yoke_status read_from(const yki_file *file, int descriptor, int64_t offset, unsigned char *at,
                             int64_t bytes)
{
    while (bytes > 0) {
        ssize_t got = pread(descriptor, at, (size_t)bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return yki_fail_errno("read", file->path);
        struct stat about;
        if (got == 0) return cut_short(file, fstat(descriptor, &about) == 0 ? (int64_t)about.st_size : 0);
        at += got;
        offset += got;
        bytes -= got;
    }
    return YOKE_OK;
}

yoke_status yki_file_read(const yki_file *file, int64_t offset, void *to, int64_t bytes)
{
    int descriptor = file->descriptor;
    struct stat about;
    if (file->held) {
        memcpy(to, file->held + offset, (size_t)bytes);
        return YOKE_OK;
    }
    if (descriptor < 0) YKI_TRY(open_again(file, &descriptor, &about));
    yoke_status status = read_from(file, descriptor, offset, to, bytes);
    close_again(file, descriptor);
    return status;
}

yoke_status yki_file_hold(yki_file *file)
{
    return file->size <= YKI_FILE_HELD ? yki_file_load(file, &file->held) : YOKE_OK;
}

yoke_status yki_file_look(const yki_file *file)
{
    struct stat about;
    int descriptor = -1;
    YKI_TRY(open_again(file, &descriptor, &about));
    close_again(file, descriptor);
    return (int64_t)about.st_size < file->size ? cut_short(file, (int64_t)about.st_size) : YOKE_OK;
}

yoke_status yki_file_load(const yki_file *file, unsigned char **bytes_out)
{
    unsigned char *bytes = (uint64_t)file->size < SIZE_MAX ? malloc((size_t)file->size + 1) : NULL;
    if (!bytes) return yki_fail_memory("a file");
    yoke_status status = yki_file_read(file, 0, bytes, file->size);
    if (status != YOKE_OK) {
        free(bytes);
        return status;
    }
    bytes[file->size] = '\0';
    *bytes_out = bytes;
    return YOKE_OK;
}

/* What a file that isn't what it should be most often is. */
static const struct {
    const char *start;
    int length;
    const char *name;
} known_kinds[] = {
    {"version https://git-lfs", 23, "a Git LFS pointer: fetch the file itself with git lfs pull"},
    {"<!DOCTYPE", 9, "an HTML page, perhaps saved in place of a download"},
    {"<!doctype", 9, "an HTML page, perhaps saved in place of a download"},
    {"<html", 5, "an HTML page, perhaps saved in place of a download"},
    {"\x93NUMPY", 6, "a NumPy .npy file"},
    {"PK\x03\x04", 4, "a zip archive (.npz and PyTorch's files are such)"},
    {"\x1f\x8b", 2, "compressed by gzip"},
    {"\x28\xb5\x2f\xfd", 4, "compressed by zstd"},
    {"BZh", 3, "compressed by bzip2"},
    {"\xfd"
     "7zXZ",
     5, "compressed by xz"},
    {"%PDF-", 5, "a PDF document"},
    {"PAR1", 4, "a Parquet table"},
    {"\x89PNG", 4, "a PNG picture"},
    {"\xff\xd8\xff", 3, "a JPEG picture"},
    {"\x00\x00\x08\x03", 4, "IDX images"},
    {"\x00\x00\x08\x01", 4, "IDX labels"},
    {"\x80\x04\x95", 3, "a Python pickle"},
};

const char *yki_file_is(const yki_file *file, bool surely)
{
    for (size_t i = 0; i < sizeof known_kinds / sizeof *known_kinds; i++) {
        int length = known_kinds[i].length;
        if (length >= (surely ? 5 : 1) && file->head_size >= length &&
            memcmp(file->head, known_kinds[i].start, (size_t)length) == 0)
            return known_kinds[i].name;
    }
    return NULL;
}

/* Lines that are JSON objects, of which the first may be longer than the head. */
static bool looks_like_json_lines(const char *head, size_t size)
{
    size_t i = 0;
    while (i < size && (head[i] == ' ' || head[i] == '\t' || head[i] == '\r' || head[i] == '\n')) i++;
    if (i == size || head[i] != '{') return false;
    for (i++; i < size && (head[i] == ' ' || head[i] == '\t'); i++) continue;
    if (i == size || head[i] != '"') return false;
    const char *end = memchr(head + i + 1, '"', size - i - 1);
    if (!end) return false;
    for (end++; end < head + size && (*end == ' ' || *end == '\t'); end++) continue;
    return end < head + size && *end == ':';
}

/* Three lines at least in the head, with the same number of commas (or tabs, or semicolons), two or more. */
static bool looks_like_table(const char *head, size_t size, char separator)
{
    int lines = 0, wanted = -1, count = 0;
    for (size_t i = 0; i < size; i++) {
        count += head[i] == separator;
        if (head[i] != '\n') continue;
        if (wanted >= 0 && count != wanted) return false;
        wanted = count;
        lines++;
        count = 0;
    }
    return lines >= 3 && wanted >= 2;
}

const char *yki_file_is_no_text(const yki_file *file)
{
    const char *head = (const char *)file->head;
    size_t size = (size_t)file->head_size;
    const char *kind = yki_file_is(file, false);
    if (kind) return kind;
    if (size >= 2 && (memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0))
        return "text in UTF-16, two bytes a letter: save it as UTF-8";
    if (looks_like_json_lines(head, size)) return "JSON lines";
    static const char separators[] = ",\t;";
    for (const char *s = separators; *s; s++)
        if (looks_like_table(head, size, *s)) return "a table (data.format: csv reads one)";
    return NULL;
}

yoke_status yki_file_fail(const yki_file *file, const char *format, ...)
{
    char message[sizeof((yoke_error *)0)->message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return yki_fail_at(YOKE_INVALID, file->path, 0, "", "%s", message);
}

yoke_status yki_file_fail_kind(const yki_file *file, const char *format, ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *kind = yki_file_is(file, false);
    return kind ? yki_file_fail(file, "%s (it looks like %s)", message, kind)
                : yki_file_fail(file, "%s", message);
}
