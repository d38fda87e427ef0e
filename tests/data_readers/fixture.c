#include "folder.h"

#include "fixture.h"

#include <zlib.h>

int fixture_begin(void **state)
{
    return make_folder(state);
}

int fixture_end(void **state)
{
    return remove_folder(state);
}

const char *fixture_path(const char *name)
{
    return in_folder(name);
}

const char *fixture_write(const char *name, const void *bytes, size_t count)
{
    const char *path = in_folder(name);
    write_file(path, bytes, count);
    return path;
}

const char *fixture_write_text(const char *name, const char *text)
{
    return fixture_write(name, text, strlen(text));
}

const char *fixture_write_gzip(const char *name, const void *bytes, size_t count)
{
    const char *path = in_folder(name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, (unsigned)count), count);
    assert_int_equal(gzclose(file), Z_OK);
    return path;
}

size_t fixture_read(const char *path, unsigned char *bytes, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t count = fread(bytes, 1, size, file);
    fclose(file);
    return count;
}

const char *fixture_write_npy(const char *name, int version, const char *header, const void *bytes,
                              size_t count)
{
    unsigned char file[8192] = "\x93NUMPY";
    size_t length = strlen(header), start = version == 1 ? 10 : 12;
    assert_true(start + length + count <= sizeof file);
    file[6] = (unsigned char)version;
    for (size_t i = 8; i < start; i++) file[i] = (unsigned char)(length >> 8 * (i - 8));
    memcpy(file + start, header, length);
    if (count) memcpy(file + start + length, bytes, count);
    return fixture_write(name, file, start + length + count);
}

const char *fixture_write_tokens(const char *name, int magic, int version, int count, const void *ids,
                                 size_t bytes)
{
    unsigned char file[8192] = {0};
    const int header[] = {magic, version, count};
    for (int i = 0; i < 12; i++) file[i] = (unsigned char)((unsigned)header[i / 4] >> 8 * (i % 4));
    assert_true(1024 + bytes <= sizeof file);
    if (bytes) memcpy(file + 1024, ids, bytes);
    return fixture_write(name, file, 1024 + bytes);
}

void fixture_refused(yoke_status status, const char *needle, yoke_data *data)
{
    const yoke_error *error = yoke_error_get();
    if (status != YOKE_INVALID || error->status != YOKE_INVALID || data)
        fail_msg("wanted a refusal that says \"%s\", got %s", needle, yoke_status_name(status));
    if (!strstr(error->message, needle) && !strstr(error->file, needle))
        fail_msg("wanted \"%s\" in \"%s\" (%s)", needle, error->message, error->file);
}
