/* Streams against a copy in memory: pieces of all sizes, in and out of order, on file systems that take
 * writes past the system's memory and on such that do not. */
#include "folder.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/stream.h"

enum { BYTES = 5 << 20, PIECES = 60 };

static char wanted[BYTES];

static yki_stream open_stream(const char *path, bool direct)
{
    yki_stream stream;
    memset(wanted, 0, sizeof wanted);
    assert_int_equal(yki_disk_create(path, wanted, sizeof wanted), YOKE_OK);
    assert_int_equal(yki_stream_open(&stream, path, "a name", sizeof wanted), YOKE_OK);
    if (!direct && stream.direct >= 0) { /* as on a file system that has no such writes */
        close(stream.direct);
        stream.direct = -1;
    }
    return stream;
}

/* Half of the pieces go on where the last one ended. */
static void write_pieces(yki_stream *stream, uint64_t seed)
{
    size_t at = 0;
    for (uint64_t i = 0; i < PIECES; i++) {
        uint64_t draw = yki_rng_bits(seed, i), room = BYTES - at;
        if (draw % 2 || room == 0) at = draw / 2 % BYTES;
        size_t most = (size_t)1 << draw / 64 % 22, bytes = draw / 4096 % most + 1;
        if (bytes > BYTES - at) bytes = BYTES - at;
        memset(wanted + at, (int)(1 + i), bytes);
        assert_int_equal(yki_stream_write(stream, wanted + at, bytes, at), YOKE_OK);
        at += bytes;
    }
}

static void finish(yki_stream *stream, const char *path)
{
    char *found;
    size_t count;
    assert_int_equal(yki_stream_flush(stream), YOKE_OK);
    yki_stream_close(stream);
    assert_int_equal(yki_disk_read(path, BYTES, &found, &count), YOKE_OK);
    assert_int_equal(count, BYTES);
    assert_memory_equal(found, wanted, BYTES);
    free(found);
    unlink(path);
}

static void files_have_what_was_written(void **state)
{
    (void)state;
    char paths[2][100];
    snprintf(paths[0], sizeof *paths, "%s/file", folder);
    snprintf(paths[1], sizeof *paths, "/dev/shm/yoke-test-%ld", (long)getpid());
    for (int p = 0; p < (access("/dev/shm", W_OK) == 0 ? 2 : 1); p++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            yki_stream stream = open_stream(paths[p], seed % 4 != 0);
            if (seed == 1) print_message("%s: %s\n", paths[p], stream.direct < 0 ? "as usual" : "direct");
            write_pieces(&stream, seed);
            finish(&stream, paths[p]);
        }
}

/* What cannot go past the system's memory after all goes through it. */
static void refused_writes_are_done_as_usual(void **state)
{
    (void)state;
    char path[100];
    snprintf(path, sizeof path, "%s/file", folder);
    yki_stream stream = open_stream(path, true);
    if (stream.direct < 0) skip();
    int refuses = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(refuses >= 0);
    close(stream.direct);
    stream.direct = refuses;
    write_pieces(&stream, 7);
    finish(&stream, path);
}

static void failures_are_said(void **state)
{
    (void)state;
    char path[100];
    yki_stream stream;
    snprintf(path, sizeof path, "%s/none", folder);
    assert_int_equal(yki_stream_open(&stream, path, "a name", 1), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->file, "a name");
    for (int direct = 0; direct < 2; direct++) {
        snprintf(path, sizeof path, "%s/file", folder);
        stream = open_stream(path, direct);
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        if (full < 0) skip();
        close(stream.fd);
        stream.fd = full;
        yoke_status status = yki_stream_write(&stream, wanted, 100, 0);
        if (status == YOKE_OK) status = yki_stream_flush(&stream);
        assert_int_equal(status, YOKE_SYSTEM);
        assert_non_null(strstr(yoke_error_get()->message, "it needs 5242880 bytes (5.00 MiB)"));
        yki_stream_close(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_what_was_written),
        cmocka_unit_test(refused_writes_are_done_as_usual),
        cmocka_unit_test(failures_are_said),
    };
    return cmocka_run_group_tests(tests, make_folder_on_disk, remove_folder);
}
