/* What is wrong with a file is said in a sentence, and nothing is believed that a header says. A table a
 * format: the file, and what the refusal must say. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/rng.h"
#include "data/data.h"
#include "fixture.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void files_that_are_none(void **state)
{
    (void)state;
    const char *empty = fixture_write("empty", "", 0), *fifo = fixture_path("fifo"),
               *missing = fixture_path("none");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const char *loop = fixture_path("loop"), *socket_path = fixture_path("socket");
    assert_int_equal(symlink("loop", loop), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(socket_path) < sizeof address.sun_path);
    strcpy(address.sun_path, socket_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    static char long_path[5000];
    memset(long_path, 'x', sizeof long_path - 1);
    const struct {
        const char *path, *says;
    } cases[] = {{empty, "is empty"},
                 {fifo, "is a FIFO"},
                 {missing, "No such file"},
                 {"/tmp", "is a folder"},
                 {"", "is empty"},
                 {"/dev/null", "is a device"},
                 {loop, "symbolic links"},
                 {socket_path, "no regular file"},
                 {fixture_path("empty/x"), "Not a directory"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        yoke_data *data = NULL;
        const char *path = cases[i].path, *says = cases[i].says;
        fixture_refused(yoke_data_from_text(&data, path, 4), says, data);
        fixture_refused(yoke_data_from_tokens(&data, path, 4, 100), says, data);
        fixture_refused(yoke_data_from_npy(&data, path, path), says, data);
        fixture_refused(yoke_data_from_idx(&data, path, path), says, data);
        fixture_refused(yoke_data_from_csv(&data, path, 1, (const char *const[]){"y"}), says, data);
        if (*path && !strstr(yoke_error_get()->file, path) && !strstr(yoke_error_get()->message, path))
            fail_msg("%s isn't named in: %s", path, yoke_error_get()->message);
    }
    yoke_data *data = NULL;
    fixture_refused(yoke_data_from_text(&data, NULL, 4), "path is NULL", data);
    fixture_refused(yoke_data_from_text(&data, long_path, 4), "too long", data);
    close(listener);
}

static void text_too_short(void **state)
{
    (void)state;
    const char *path = fixture_write("short", "abcd", 4);
    yoke_data *data = NULL;
    fixture_refused(yoke_data_from_text(&data, path, 4), "has 4 bytes", data);
    fixture_refused(yoke_data_from_text(&data, path, INT64_MAX), "has 4 bytes", data);
    fixture_refused(yoke_data_from_text(&data, path, 0), "at least 1", data);
    fixture_refused(yoke_data_from_text(&data, path, -1), "at least 1", data);
}

static void token_files(void **state)
{
    (void)state;
    static const unsigned char ids[] = {1, 0, 2, 0, 3, 0, 4, 0};
    static const unsigned char wide[] = {1, 0, 0, 0, 2, 0, 0, 0x80, 3, 0, 0, 0};
    const struct {
        const char *path, *says;
        int64_t sequence, vocab;
    } cases[] = {
        {fixture_write("bad.bin", ids, 7), "has 7 bytes", 2, 100},
        {fixture_write("few.bin", ids, 8), "has 4 tokens", 4, 100},
        {fixture_write("few.bin", ids, 8), "has 4 tokens", INT64_MAX, 100},
        {fixture_write("few.bin", ids, 8), "token 3 (counted from 0) is 4", 2, 4},
        {fixture_write("few.bin", ids, 8), "at least 1", 0, 100},
        {fixture_write("few.bin", ids, 8), "vocabulary of 0", 2, 0},
        {fixture_write("few.bin", ids, 8), "vocabulary of 4294967296", 2, INT64_C(1) << 32},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_tokens(&data, cases[i].path, cases[i].sequence, cases[i].vocab),
                        cases[i].says, data);
    }
    const struct {
        int magic, version, count;
        const void *ids;
        size_t bytes;
        const char *says;
    } headers[] = {
        {20240520, 1, 5, ids, 8, "has 1032 bytes"},
        {20240520, 1, 5, ids, 8, "cut off"},
        {20240520, 1, 3, ids, 8, "too long"},
        {20240520, 1, 4, ids, 7, "cut off"},
        {20240520, 1, 2147483647, ids, 8, "makes 4294968318"},
        {20240520, 1, -1, ids, 8, "counts -1 tokens"},
        {20240520, 1, 0, ids, 0, "has 0 tokens"},
        {20240520, 7, 4, ids, 8, "version 7"},
        {20240801, 1, 2, ids, 8, "version 1"},
        {20240801, 7, 4, ids, 8, "makes 1040"},
        {20240801, 7, 3, wide, 12, "token 1 (counted from 0) is 2147483650"},
        {20240522, 1, 4, ids, 8, "evaluation"},
        {20240326, 3, 4, ids, 8, "model checkpoint"},
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        const char *path = fixture_write_tokens("header.bin", headers[i].magic, headers[i].version,
                                                headers[i].count, headers[i].ids, headers[i].bytes);
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_tokens(&data, path, 2, 100), headers[i].says, data);
    }
    yoke_data *data = NULL;
    fixture_refused(
        yoke_data_from_tokens(&data, fixture_write("cut.bin", "\x88\xd8\x34\x01\1\0\0\0", 8), 2, 60000),
        "header of llm.c has 1024 bytes", data);
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n";
    fixture_refused(yoke_data_from_tokens(&data, fixture_write_text("lfs.bin", pointer), 2, 60000),
                    "Git LFS pointer", data);
    fixture_refused(yoke_data_from_tokens(&data, fixture_write_npy("x.npy", 1, "{}", ids, 8), 2, 60000),
                    "NumPy", data);
}

#define HEADER(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"

static void npy_headers(void **state)
{
    (void)state;
    static const float two[] = {1, 2};
    static const struct {
        const char *header, *says;
        size_t bytes;
    } cases[] = {
        {HEADER("'<f4'", "False", "(2,)"), "cut off", 7},
        {HEADER("'<f4'", "False", "(1,)"), "too long", 8},
        {HEADER("'<f4'", "True", "(2, 1)"), "ascontiguousarray", 8},
        {HEADER("'>f4'", "False", "(2,)"), "astype('<f4')", 8},
        {HEADER("'<c8'", "False", "(1,)"), "'<c8'", 8},
        {HEADER("'|O'", "False", "(1,)"), "no type of numbers", 8},
        {HEADER("'|S8'", "False", "(1,)"), "'|S8'", 8},
        {HEADER("'<f16'", "False", "(1,)"), "'<f16'", 8},
        {HEADER("[('a', '<f4'), ('b', '<f4')]", "False", "(1,)"), "records", 8},
        {HEADER("'<f4'", "False", "()"), "single number", 4},
        {HEADER("'<f4'", "False", "(0, 2)"), "has 0 samples", 0},
        {HEADER("'<f4'", "False", "(2, 0)"), "has 0 elements", 0},
        {HEADER("'<f4'", "False", "(-2,)"), "no tuple", 8},
        {HEADER("'<f4'", "False", "(2.0,)"), "no tuple", 8},
        {HEADER("'<f4'", "False", "2"), "no tuple", 8},
        {HEADER("'<f4'", "False", "(2"), "no tuple", 8},
        {HEADER("'<f4'", "False", "(99999999999999999999,)"), "no tuple", 8},
        {HEADER("'<f4'", "False", "(4611686018427387904, 4)"), "more bytes than can be counted", 8},
        {HEADER("'<f4'", "False", "(2, 4611686018427387904, 4)"), "more bytes than can be counted", 8},
        {HEADER("'<f4'", "False", "(1000000000000,)"), "cut off", 8},
        {HEADER("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 2)"), "more than 7 dims", 8},
        {HEADER("'<f4'", "0", "(2,)"), "neither True nor False", 8},
        {"{'descr': '<f4', 'shape': (2,)}", "missing", 8},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "twice", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}", "a key other", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", "follows", 8},
        {"{'descr': '<f4", "no type", 8},
        {"{'descr'", "no dict", 8},
        {"{", "no dict", 8},
        {"", "no dict", 8},
        {"[]", "no dict", 8},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (int version = 1; version <= 3; version++) {
            const char *path = fixture_write_npy("bad.npy", version, cases[i].header, two, cases[i].bytes);
            yoke_data *data = NULL;
            fixture_refused(yoke_data_from_npy(&data, path, path), cases[i].says, data);
        }
    }
}

static void npy_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        const char *says;
    } cases[] = {
        {"\x93NUM", 4, "no npy file"},
        {"\x93NUMPY\1\0\x76", 9, "no npy file"},
        {"NUMPY.....", 10, "no npy file"},
        {"\x93NUMPY\1\0\x76\0{", 11, "cut off"},
        {"\x93NUMPY\2\0\x76\0\0", 11, "cut off inside"},
        {"\x93NUMPY\2\0\xff\xff\xff\xff{}", 14, "4294967295 bytes"},
        {"\x93NUMPY\0\0\2\0{}", 12, "version 0.0"},
        {"\x93NUMPY\4\0\2\0{}", 12, "version 4.0"},
        {"PK\3\4..........", 14, "zip archive"},
        {"<!DOCTYPE html><html>", 21, "HTML"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *path = fixture_write("bad.npy", cases[i].bytes, cases[i].count);
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_npy(&data, path, path), cases[i].says, data);
    }
}

static void npy_values(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        unsigned char bytes[16];
        size_t count;
        const char *says;
    } cases[] = {
        {HEADER("'<f4'", "False", "(2, 1)"),
         {0, 0, 0, 0, 0, 0, 0xC0, 0x7F},
         8,
         "sample 1 (element 0 of its row) is NaN"},
        {HEADER("'<f4'", "False", "(1, 2)"),
         {0, 0, 0, 0, 0, 0, 0x80, 0xFF},
         8,
         "sample 0 (element 1 of its row) is minus inf"},
        {HEADER("'<f2'", "False", "(2,)"), {0, 0, 0, 0x7C}, 4, "sample 1 (element 0 of its row) is infinite"},
        {HEADER("'<f8'", "False", "(1,)"),
         {0, 0, 0, 0, 0, 0, 0, 0x7F},
         8,
         "is infinite"}, /* too large for f32 */
        {HEADER("'<i8'", "False", "(1, 2)"),
         {5, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255},
         16,
         "(element 1 of its row) is -1"},
        {HEADER("'<i8'", "False", "(1, 1)"), {0, 0, 0, 0, 1}, 8, "is 4.2949673e+09"},
        {HEADER("'<u4'", "False", "(1, 1)"), {0, 0, 0, 0x80}, 4, "is 2.14748365e+09"},
        {HEADER("'|i1'", "False", "(2, 1)"), {0, 0x80}, 2, "sample 1 (element 0 of its row) is -128"},
    };
    static const int64_t classes[] = {0, 1};
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t samples = strstr(cases[i].header, "(2") ? 2 : 1;
        const char *bad = fixture_write_npy("bad.npy", 1, cases[i].header, cases[i].bytes, cases[i].count);
        const char *good = fixture_write_npy(
            "good.npy", 1, samples == 2 ? HEADER("'<i8'", "False", "(2,)") : HEADER("'<i8'", "False", "(1,)"),
            classes, (size_t)samples * 8);
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_npy(&data, bad, good), cases[i].says, data);
        assert_non_null(strstr(yoke_error_get()->file, "bad.npy"));
        fixture_refused(yoke_data_from_npy(&data, good, bad), cases[i].says, data);
    }
    const char *two = fixture_write_npy("two.npy", 1, HEADER("'<i8'", "False", "(2,)"), classes, 16);
    const char *one = fixture_write_npy("one.npy", 1, HEADER("'<i8'", "False", "(1,)"), classes, 8);
    yoke_data *data = NULL;
    fixture_refused(yoke_data_from_npy(&data, two, one), "two.npy has 2 samples but", data);
    fixture_refused(yoke_data_from_npy(&data, two, one), "one.npy has 1 targets", data);
}

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 10, 20, 30, 40};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};

/* Each change to the images is refused, whether compressed or not. */
static void idx_files(void **state)
{
    (void)state;
    static const struct {
        int at, value; /* at < 0: the file ends after `value` bytes */
        const char *says;
    } cases[] = {
        {-1, 19, "has 19 bytes; its header makes 20: it is cut off"},
        {-1, 16, "has 16 bytes; its header makes 20: it is cut off"},
        {-1, 15, "15 bytes"},
        {-1, 3, "3 bytes"},
        {-1, 21, "too long"},
        {3, 1, "holds IDX labels"},
        {3, 4, "begins with 0x00000804"},
        {2, 13, "begins with 0x00000d03"},
        {7, 0, "none may be 0"},
        {11, 0, "none may be 0"},
        {7, 3, "cut off"},
        {7, 1, "too long"},
    };
    const char *good = fixture_write("labels", labels, sizeof labels);
    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char bytes[32] = {0};
        size_t count = cases[i].at < 0 ? (size_t)cases[i].value : sizeof images;
        memcpy(bytes, images, sizeof images);
        if (cases[i].at >= 0) bytes[cases[i].at] = (unsigned char)cases[i].value;
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_idx(&data, fixture_write("bad", bytes, count), good), cases[i].says,
                        data);
        fixture_refused(yoke_data_from_idx(&data, fixture_write_gzip("bad.gz", bytes, count), good),
                        cases[i].says, data);
    }
    yoke_data *data = NULL;
    const char *x = fixture_write("images", images, sizeof images);
    fixture_refused(yoke_data_from_idx(&data, x, x), "holds IDX images", data);
    const char *three = fixture_write("three", "\0\0\x8\1\0\0\0\3\1\2\3", 11);
    fixture_refused(yoke_data_from_idx(&data, x, three), "has 2 images but", data);
    fixture_refused(
        yoke_data_from_idx(&data, fixture_write_text("lfs", "version https://git-lfs.github.com/spec/v1"), x),
        "Git LFS", data);
}

static void idx_counts_are_not_believed(void **state)
{
    (void)state;
    unsigned char bytes[20];
    const char *good = fixture_write("labels", labels, sizeof labels);
    static const struct {
        int first, last;
        const char *plain, *compressed;
    } cases[] = {
        {4, 16, "more bytes than there can be", "more bytes than there can be"}, /* 2^96 */
        {8, 16, "more bytes than there can be", "more bytes than there can be"}, /* 2 * 2^64 */
        {4, 8, "makes 8589934606: it is cut off", "more than its"},              /* 2^32 * 2 */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        memcpy(bytes, images, sizeof bytes);
        memset(bytes + cases[i].first, 255, (size_t)(cases[i].last - cases[i].first));
        yoke_data *data = NULL;
        fixture_refused(yoke_data_from_idx(&data, fixture_write("bad", bytes, sizeof bytes), good),
                        cases[i].plain, data);
        fixture_refused(yoke_data_from_idx(&data, fixture_write_gzip("bad.gz", bytes, sizeof bytes), good),
                        cases[i].compressed, data);
    }
}

static void idx_damaged_gzip(void **state)
{
    (void)state;
    const char *y = fixture_write("labels", labels, sizeof labels);
    unsigned char bytes[128];
    size_t count = fixture_read(fixture_write_gzip("bad.gz", images, sizeof images), bytes, sizeof bytes);
    yoke_data *data = NULL;
    for (size_t cut = 1; cut < count; cut++)
        fixture_refused(yoke_data_from_idx(&data, fixture_write("cut.gz", bytes, cut), y), "cut.gz", data);
    fixture_refused(yoke_data_from_idx(&data, fixture_write("cut.gz", bytes, count - 1), y), "cut off", data);
    bytes[count] = 'x';
    fixture_refused(yoke_data_from_idx(&data, fixture_write("long.gz", bytes, count + 1), y),
                    "something follows", data);
    bytes[count - 5] ^= 1; /* the checksum */
    fixture_refused(yoke_data_from_idx(&data, fixture_write("sum.gz", bytes, count), y), "damaged", data);
}

/* Members one after the other are one file, and each is held to its checksum. */
static void damaged_members(void **state)
{
    (void)state;
    static const char *const y[] = {"y"};
    unsigned char bytes[512];
    size_t first = fixture_read(fixture_write_gzip("a.gz", "x,y\n1,0\n", 8), bytes, sizeof bytes);
    size_t both =
        first + fixture_read(fixture_write_gzip("b.gz", "2,1\n", 4), bytes + first, sizeof bytes - first);
    yoke_data *data = NULL;
    for (size_t cut = first + 1; cut < both; cut++)
        fixture_refused(yoke_data_from_csv(&data, fixture_write("cut.csv.gz", bytes, cut), 1, y), "cut off",
                        data);
    bytes[both] = 'x';
    fixture_refused(yoke_data_from_csv(&data, fixture_write("long.csv.gz", bytes, both + 1), 1, y),
                    "something follows", data);
    bytes[first - 5] ^= 1;
    fixture_refused(yoke_data_from_csv(&data, fixture_write("sum.csv.gz", bytes, both), 1, y), "damaged",
                    data);
    /* what yoke does not unpack is named */
    fixture_refused(
        yoke_data_from_csv(&data, fixture_write("t.csv.zst", "\x28\xb5\x2f\xfd\x04\x00\x41\n", 8), 1, y),
        "looks like compressed by zstd", data);
    assert_int_equal(yoke_error_get()->line, 1);
}

static void csv_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        int line;
    } cases[] = {
        {"x,y\n", "no rows", 0},
        {"x,y", "no rows", 0},
        {"x,y\n\n \n", "no rows", 0},
        {"x,z\n1,2\n", "no column is named \"y\"", 1},
        {"y\n1\n", "none is left as input", 1},
        {"x,y,x\n1,2,3\n", "two columns are named \"x\"", 1},
        {"x,,y\n1,2,3\n", "column 2 has no name", 1},
        {"x,y,\n1,2,3\n", "column 3 has no name", 1},
        {"x,y\n1,2\n3\n", "has 1 fields; the header has 2", 3},
        {"x,y\n1,2,3\n", "more fields", 2},
        {"x,y\n1,2,", "more fields", 2},
        {"x,y\n1,\n", "column \"y\" is empty", 2},
        {"x,y\n1,\"\"\n", "column \"y\" is empty", 2},
        {"x,y\n1,2\n\n\nabc,2\n", "\"abc\" is not a number", 5},
        {"x,y\r\n1,2\r\n1;5,2\r\n", "\"1;5\" is not a number", 3},
        {"x,y\n0x10,2\n", "not a number", 2},
        {"x,y\n1e,2\n", "not a number", 2},
        {"x,y\n1 2,2\n", "not a number", 2},
        {"x,y\n--1,2\n", "not a number", 2},
        {"x,y\n.,2\n", "not a number", 2},
        {"x,y\nnan,2\n", "not a finite number", 2},
        {"x,y\n-Inf,2\n", "not a finite number", 2},
        {"x,y\n1e39,2\n", "larger than 32 bits", 2},
        {"x,y\n1,-1e999\n", "larger than 32 bits", 2},
        {"x,y\n1,\"2\n", "never closed", 2},
        {"x,\"y\n1,2\n", "never closed", 1},
        {"x,y\n1,\"2\"3\n", "follows a closing quote", 2},
        {"x,y\n1,2\"3\"\n", "a quote inside", 2},
        {"x,\"y\",\"a\nb\"\n1,2,z\n", "\"z\" is not a number", 3},
        {"x,y\n\xff\x01\xfe,2\n", "\"???\" is not a number", 2},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        yoke_data *data = NULL;
        const char *path = fixture_write_text("bad.csv", cases[i].text);
        fixture_refused(yoke_data_from_csv(&data, path, 1, (const char *const[]){"y"}), cases[i].says, data);
        assert_string_equal(yoke_error_get()->file, path);
        assert_int_equal(yoke_error_get()->line, cases[i].line);
    }
    yoke_data *data = NULL;
    const char *path = fixture_write_text("good.csv", "length,width,y\n1,2,3\n");
    fixture_refused(yoke_data_from_csv(&data, path, 1, (const char *const[]){"widht"}),
                    "did you mean \"width\"", data);
    fixture_refused(yoke_data_from_csv(&data, path, 2, (const char *const[]){"y", "y"}), "named twice", data);
    fixture_refused(yoke_data_from_csv(&data, path, 0, NULL), "no target column is named", data);
    fixture_refused(yoke_data_from_csv(&data, fixture_write("zero.csv", "x\0,y\n1,2\n", 9), 1,
                                       (const char *const[]){"y"}),
                    "zero byte", data);
}

static yoke_status never_called(void *context, int64_t index, void *input, void *target)
{
    (void)context, (void)index, (void)input, (void)target;
    return YOKE_SYSTEM;
}

static void rows_and_counts_of_callers(void **state)
{
    (void)state;
    static const float values[4];
    const yoke_row good = {YOKE_F32, 1, {2}};
    const struct {
        yoke_row row;
        int64_t samples;
        const char *says;
    } cases[] = {
        {{YOKE_F32, 1, {0}}, 1, "at least 1"},
        {{YOKE_F32, 1, {-1}}, 1, "at least 1"},
        {{YOKE_F32, -1, {0}}, 1, "-1 dims"},
        {{YOKE_F32, YOKE_MAX_DIMS + 1, {1, 1, 1, 1, 1, 1}}, 1, "7 dims"},
        {{(yoke_type)9, 1, {2}}, 1, "element type 9"},
        {{YOKE_F32, 2, {INT64_MAX, 2}}, 1, "counted"},
        {{YOKE_F32, 1, {INT64_MAX / 2}}, 1, "counted"},
        {{YOKE_F32, 1, {2}}, 0, "0 samples"},
        {{YOKE_F32, 1, {2}}, -5, "-5 samples"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const yoke_row *row = &cases[i].row;
        yoke_data *data = NULL;
        int64_t n = cases[i].samples;
        fixture_refused(yoke_data_from_memory(&data, n, row, values, &good, values), cases[i].says, data);
        fixture_refused(yoke_data_from_memory(&data, n, &good, values, row, values), cases[i].says, data);
        fixture_refused(yoke_data_from_callback(&data, n, row, &good, never_called, NULL), cases[i].says,
                        data);
        fixture_refused(yoke_data_random(&data, n, &good, 5, row, 5, 1), cases[i].says, data);
    }
    yoke_data *data = NULL;
    const yoke_row ids = {YOKE_I32, 0, {0}};
    fixture_refused(yoke_data_from_memory(&data, INT64_MAX / 4, &good, values, &good, values),
                    "larger than memory", data);
    fixture_refused(yoke_data_from_memory(&data, 1, &good, NULL, &good, values), "NULL", data);
    fixture_refused(yoke_data_from_callback(&data, 1, &good, &good, NULL, NULL), "NULL", data);
    fixture_refused(yoke_data_random(&data, 1, &ids, 0, &good, 0, 1), "below 0", data);
    fixture_refused(yoke_data_random(&data, 1, &good, 0, &ids, INT64_C(1) << 31, 1), "below 2147483648",
                    data);
}

/* Whatever the bytes, a reader answers: with a dataset whose samples can all be read, or with a sentence. */
static void answer(yoke_status status, yoke_data *data, const char *what)
{
    if (status != YOKE_OK) {
        if (status != YOKE_INVALID || data || !yoke_error_get()->message[0])
            fail_msg("%s: %s", what, yoke_status_name(status));
        return;
    }
    yoke_row input, target;
    int64_t ninput, ntarget;
    yoke_data_rows(data, &input, &target);
    assert_int_equal(yki_row_check(&input, "input", &ninput), YOKE_OK);
    assert_int_equal(yki_row_check(&target, "target", &ntarget), YOKE_OK);
    void *x = malloc((size_t)ninput * 4), *y = malloc((size_t)ntarget * 4);
    for (int64_t i = 0; i < yoke_data_samples(data); i++)
        assert_int_equal(yoke_data_get(data, i, x, y), YOKE_OK);
    free(x);
    free(y);
    yoke_data_destroy(data);
}

static void read_as_everything(const char *path, const char *partner)
{
    yoke_data *data[5] = {NULL};
    const char *const names[] = {"text", "tokens", "npy", "idx", "csv"}, *const target = "y";
    for (int i = 0; i < 5; i++) {
        yoke_status status = i == 0   ? yoke_data_from_text(&data[i], path, 3)
                             : i == 1 ? yoke_data_from_tokens(&data[i], path, 3, 65536)
                             : i == 2 ? yoke_data_from_npy(&data[i], path, path)
                             : i == 3 ? yoke_data_from_idx(&data[i], path, partner)
                                      : yoke_data_from_csv(&data[i], path, 1, &target);
        answer(status, data[i], names[i]);
    }
}

static void any_bytes_get_an_answer(void **state)
{
    (void)state;
    unsigned char file[4096], gz[256];
    static const float values[] = {1, 2, 3, 4};
    const char *partner = fixture_write("labels", labels, sizeof labels);
    const char *path = fixture_write_gzip("seed.gz", images, sizeof images);
    FILE *stream = fopen(path, "rb");
    size_t gz_count = fread(gz, 1, sizeof gz, stream);
    fclose(stream);
    path = fixture_write_npy("seed.npy", 1, HEADER("'<f4'", "False", "(2, 2)"), values, sizeof values);
    unsigned char npy[256], llm[1032] = {0x88, 0xD8, 0x34, 1, 1, 0, 0, 0, 4};
    stream = fopen(path, "rb");
    size_t npy_count = fread(npy, 1, sizeof npy, stream);
    fclose(stream);
    static const char csv[] = "x,\"y\"\n1,2\n\"3\",4e2\n-5,.6\n";
    const struct {
        const void *bytes;
        size_t count;
    } seeds[] = {
        {images, sizeof images}, {gz, gz_count}, {npy, npy_count}, {csv, sizeof csv - 1}, {llm, sizeof llm}};
    uint64_t key = yki_rng_key(1, "mutations", 0), draw = 0;
    for (int round = 0; round < 3000; round++) {
        size_t s = (size_t)round % COUNT(seeds), count = seeds[s].count;
        memcpy(file, seeds[s].bytes, count);
        if (round % 3 == 0) count = yki_rng_below(key, draw++, count + 1);
        for (uint64_t change = yki_rng_below(key, draw++, 4); change > 0 && count > 0; change--) {
            uint64_t at = yki_rng_below(key, draw++, count < 400 ? count : 400);
            bool likely = yki_rng_below(key, draw++, 2);
            uint64_t pick = yki_rng_bits(key, draw++);
            file[at] = likely ? (unsigned char)",\"\n0(9'\xff"[pick % 8] : (unsigned char)pick;
        }
        read_as_everything(fixture_write("mutated", file, count), partner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(text_too_short),
        cmocka_unit_test(token_files),
        cmocka_unit_test(npy_headers),
        cmocka_unit_test(npy_files),
        cmocka_unit_test(npy_values),
        cmocka_unit_test(idx_files),
        cmocka_unit_test(idx_counts_are_not_believed),
        cmocka_unit_test(idx_damaged_gzip),
        cmocka_unit_test(damaged_members),
        cmocka_unit_test(csv_files),
        cmocka_unit_test(rows_and_counts_of_callers),
        cmocka_unit_test(any_bytes_get_an_answer),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
