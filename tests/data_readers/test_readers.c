/* Every format of dataset, read back: values, shapes, counts. */
#include "cmocka_all.h"

#include "comma.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "data/data.h"
#include "fixture.h"

static void assert_row(const yoke_row *row, yoke_type type, int ndim, int64_t d0, int64_t d1, int64_t d2)
{
    const int64_t dims[] = {d0, d1, d2};
    assert_int_equal(row->type, type);
    assert_int_equal(row->ndim, ndim);
    for (int i = 0; i < ndim; i++) assert_int_equal(row->dims[i], dims[i]);
}

static void assert_floats(const float *got, const float *wanted, int count)
{
    for (int i = 0; i < count; i++)
        if (got[i] != wanted[i]) fail_msg("value %d is %g, not %g", i, (double)got[i], (double)wanted[i]);
}

static void ok(yoke_status status)
{
    if (status != YOKE_OK) fail_msg("%s: %s", yoke_error_get()->file, yoke_error_get()->message);
}

static void memory_is_borrowed_row_by_row(void **state)
{
    (void)state;
    static const float inputs[] = {1, 2, 3, 4, 5, 6};
    static const int32_t targets[] = {7, 8, 9};
    const yoke_row input = {YOKE_F32, 1, {2}}, target = {YOKE_I32, 0, {0}};
    yoke_data *data = NULL;
    ok(yoke_data_from_memory(&data, 3, &input, inputs, &target, targets));
    assert_int_equal(yoke_data_samples(data), 3);
    float x[2];
    int32_t y;
    ok(yoke_data_get(data, 2, x, &y));
    assert_floats(x, inputs + 4, 2);
    assert_int_equal(y, 9);
    assert_int_equal(yoke_data_get(data, 3, x, &y), YOKE_INVALID);
    assert_int_equal(yoke_data_get(data, -1, x, &y), YOKE_INVALID);
    yoke_data_destroy(data);
    yoke_data_destroy(NULL);
}

static yoke_status squares(void *context, int64_t index, void *input, void *target)
{
    if (index == *(int *)context) return YOKE_STOPPED;
    *(float *)input = (float)index;
    *(float *)target = (float)(index * index);
    return YOKE_OK;
}

static void a_callback_is_asked_and_its_status_handed_on(void **state)
{
    (void)state;
    const yoke_row one = {YOKE_F32, 0, {0}};
    int bad = 4;
    yoke_data *data = NULL;
    ok(yoke_data_from_callback(&data, 10, &one, &one, squares, &bad));
    float x, y;
    ok(yoke_data_get(data, 9, &x, &y));
    assert_true(x == 9 && y == 81);
    assert_int_equal(yoke_data_get(data, 4, &x, &y), YOKE_STOPPED);
    assert_non_null(strstr(yoke_error_get()->message, "sample 4"));
    yoke_data_destroy(data);
}

static void text_is_bytes_with_the_next_as_target(void **state)
{
    (void)state;
    /* 10 bytes, T = 3: samples 0-2, 3-5, 6-8, whose last target is byte 9; with 9 bytes the last has none. */
    const char *path = fixture_write("text", "abc\xFF\0fghij", 10);
    yoke_data *data = NULL;
    int32_t x[3], y[3];
    yoke_row input, target;
    ok(yoke_data_from_text(&data, path, 3));
    assert_int_equal(yoke_data_samples(data), 3);
    yoke_data_rows(data, &input, &target);
    assert_row(&input, YOKE_I32, 1, 3, 0, 0);
    assert_row(&target, YOKE_I32, 1, 3, 0, 0);
    ok(yoke_data_get(data, 1, x, y));
    assert_memory_equal(x, ((int32_t[]){255, 0, 'f'}), sizeof x);
    assert_memory_equal(y, ((int32_t[]){0, 'f', 'g'}), sizeof y);
    ok(yoke_data_get(data, 2, x, y));
    assert_memory_equal(y, ((int32_t[]){'h', 'i', 'j'}), sizeof y);
    yoke_data_destroy(data);
    ok(yoke_data_from_text(&data, fixture_write("text", "abcdefghi", 9), 3));
    assert_int_equal(yoke_data_samples(data), 2);
    yoke_data_destroy(data);
    ok(yoke_data_from_text(&data, fixture_write("text", "ab", 2), 1));
    assert_int_equal(yoke_data_samples(data), 1);
    yoke_data_destroy(data);
}

static void token_files_of_three_kinds_hold_the_same(void **state)
{
    (void)state;
    static const unsigned char narrow[] = {1, 0, 2, 0, 0x34, 0x12, 4, 0, 5, 0};
    static const unsigned char wide[] = {1, 0, 0, 0, 2, 0, 0, 0, 0x34, 0x12, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0};
    const char *paths[] = {
        fixture_write("bare.bin", narrow, sizeof narrow),
        fixture_write_tokens("gpt2.bin", 20240520, 1, 5, narrow, sizeof narrow),
        fixture_write_tokens("llama3.bin", 20240801, 7, 5, wide, sizeof wide),
    };
    for (int i = 0; i < 3; i++) {
        yoke_data *data = NULL;
        int32_t x[2], y[2];
        ok(yoke_data_from_tokens(&data, paths[i], 2, 0x1235));
        assert_int_equal(yoke_data_samples(data), 2);
        ok(yoke_data_get(data, 0, x, y));
        assert_memory_equal(x, ((int32_t[]){1, 2}), sizeof x);
        assert_memory_equal(y, ((int32_t[]){2, 0x1234}), sizeof y);
        ok(yoke_data_get(data, 1, x, y));
        assert_memory_equal(x, ((int32_t[]){0x1234, 4}), sizeof x);
        assert_memory_equal(y, ((int32_t[]){4, 5}), sizeof y);
        yoke_data_destroy(data);
    }
}

/* Past 64 MiB a bad id is found by the sample that it is in, and by no other. */
static void large_token_files_are_checked_when_they_are_opened(void **state)
{
    (void)state;
    const char *path = fixture_write("large.bin", "\0\0\1\0\2\0\1\0", 8);
    assert_int_equal(truncate(path, (64 << 20) + 8), 0); /* a hole of zeros: takes no room on the disk */
    yoke_data *data = NULL;
    int32_t x[2], y[2];
    ok(yoke_data_from_tokens(&data, path, 2, 3));
    ok(yoke_data_get(data, 0, x, y));
    assert_memory_equal(y, ((int32_t[]){1, 2}), sizeof y);
    fixture_write("large.bin", "\0\0\1\0\2\0\1\0\3\0",
                  10); /* meanwhile: the last target of sample 1, and the end */
    assert_int_equal(truncate(path, (64 << 20) + 8), 0);
    ok(yoke_data_get(data, 0, x, y));
    fixture_refused(yoke_data_get(data, 1, x, y), "token 4 (counted from 0) is 3", NULL);
    yoke_data_destroy(data);
    data = NULL;
    fixture_refused(yoke_data_from_tokens(&data, path, 2, 3), "token 4 (counted from 0) is 3", data);
}

/* Small files are held in memory, large ones are not: either way nothing is read past the end that there is.
 */
static void a_file_cut_short_ends_in_a_sentence(void **state)
{
    (void)state;
    yoke_data *data = NULL;
    int32_t x[3], y[3];
    const char *path = fixture_write("cut", "abcdefghij", 10);
    ok(yoke_data_from_text(&data, path, 3));
    ok(yki_data_look(data));
    data->looked_ns = 0;
    assert_int_equal(truncate(path, 4), 0);
    ok(yoke_data_get(data, 2, x, y));
    assert_memory_equal(x, ((int32_t[]){'g', 'h', 'i'}), sizeof x);
    fixture_refused(yki_data_look(data), "it had 10 bytes when it was opened, and has 4", NULL);
    yoke_data_destroy(data);
    path = fixture_write("large-cut", "abcdefghij", 10);
    assert_int_equal(truncate(path, (64 << 20) + 8), 0);
    data = NULL;
    ok(yoke_data_from_text(&data, path, 3));
    assert_int_equal(truncate(path, 4), 0);
    ok(yoke_data_get(data, 0, x, y));
    fixture_refused(yoke_data_get(data, 1, x, y), "was cut short while it was used", NULL);
    assert_int_equal(truncate(path, (64 << 20) + 8), 0); /* longer again: what is there is read */
    ok(yoke_data_get(data, 1, x, y));
    assert_memory_equal(x, ((int32_t[]){'d', 0, 0}), sizeof x);
    yoke_data_destroy(data);
}

#define HEADER(descr, shape) "{'descr': '" descr "', 'fortran_order': False, 'shape': " shape ", }\n"

static void npy_floats_and_classes(void **state)
{
    (void)state;
    static const float x_values[] = {1, 2, 3, 4, -5, 6.5f, 7, 8, 9, 10, 11, 1e-40f};
    static const int64_t y_values[] = {3, 0};
    const char *x = fixture_write_npy("x.npy", 1, HEADER("<f4", "(2, 3, 2)"), x_values, sizeof x_values);
    const char *y = fixture_write_npy("y.npy", 1, HEADER("<i8", "(2,)"), y_values, sizeof y_values);
    yoke_data *data = NULL;
    yoke_row input, target;
    ok(yoke_data_from_npy(&data, x, y));
    assert_int_equal(yoke_data_samples(data), 2);
    yoke_data_rows(data, &input, &target);
    assert_row(&input, YOKE_F32, 2, 3, 2, 0);
    assert_row(&target, YOKE_I32, 0, 0, 0, 0);
    float row[6];
    int32_t class;
    ok(yoke_data_get(data, 1, row, &class));
    assert_floats(row, x_values + 6, 6);
    assert_int_equal(class, 0);
    ok(yoke_data_get(data, 0, row, &class));
    assert_int_equal(class, 3);
    yoke_data_destroy(data);
}

static void npy_versions_keys_in_any_order_and_double_targets(void **state)
{
    (void)state;
    static const int32_t ids[] = {5, 6, 7, 8};
    static const double values[] = {0.1, -2, 3, 4};
    const char *x = fixture_write_npy(
        "x.npy", 2, "{\"shape\":(2,2),\"fortran_order\":False,\"descr\":\"<i4\"}      \n", ids, sizeof ids);
    const char *y = fixture_write_npy("y.npy", 3, HEADER("<f8", "(2, 1, 2)"), values, sizeof values);
    yoke_data *data = NULL;
    yoke_row input, target;
    ok(yoke_data_from_npy(&data, x, y));
    yoke_data_rows(data, &input, &target);
    assert_row(&input, YOKE_I32, 1, 2, 0, 0);
    assert_row(&target, YOKE_F32, 2, 1, 2, 0);
    int32_t tokens[2];
    float real[2];
    ok(yoke_data_get(data, 0, tokens, real));
    assert_memory_equal(tokens, ids, sizeof tokens);
    assert_floats(real, ((float[]){0.1f, -2}), 2);
    yoke_data_destroy(data);
}

/* Each type holds 1 and 100 (b1: both 1), as inputs [2] (f32) and as targets [2] (i32 for integers). */
static void npy_types_convert(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        unsigned char bytes[16];
        int width;
        bool integer;
    } cases[] = {
        {HEADER("|b1", "(2,)"), {1, 9}, 1, true},
        {HEADER("|u1", "(2,)"), {1, 100}, 1, true},
        {HEADER("|i1", "(2,)"), {1, 100}, 1, true},
        {HEADER("<u2", "(2,)"), {1, 0, 100, 0}, 2, true},
        {HEADER("<i2", "(2,)"), {1, 0, 100, 0}, 2, true},
        {HEADER("<u4", "(2,)"), {1, 0, 0, 0, 100, 0, 0, 0}, 4, true},
        {HEADER("<i4", "(2,)"), {1, 0, 0, 0, 100, 0, 0, 0}, 4, true},
        {HEADER("<u8", "(2,)"), {1, 0, 0, 0, 0, 0, 0, 0, 100}, 8, true},
        {HEADER("<i8", "(2,)"), {1, 0, 0, 0, 0, 0, 0, 0, 100}, 8, true},
        {HEADER("<f2", "(2,)"), {0x00, 0x3C, 0x40, 0x56}, 2, false},
        {HEADER("<f4", "(2,)"), {0, 0, 0x80, 0x3F, 0, 0, 0xC8, 0x42}, 4, false},
        {HEADER("<f8", "(2,)"), {0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 0x59, 0x40}, 8, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path =
            fixture_write_npy("types.npy", 1, cases[i].header, cases[i].bytes, 2 * (size_t)cases[i].width);
        yoke_data *data = NULL;
        yoke_row input, target;
        ok(yoke_data_from_npy(&data, path, path));
        yoke_data_rows(data, &input, &target);
        assert_row(&input, YOKE_F32, 0, 0, 0, 0);
        assert_row(&target, cases[i].integer ? YOKE_I32 : YOKE_F32, 0, 0, 0, 0);
        for (int64_t s = 0; s < 2; s++) {
            float x, wanted = s == 0 || i == 0 ? 1 : 100;
            union {
                int32_t integer;
                float real;
            } y;
            ok(yoke_data_get(data, s, &x, &y));
            assert_true(x == wanted);
            assert_true(cases[i].integer ? y.integer == (int32_t)wanted : y.real == wanted);
        }
        yoke_data_destroy(data);
    }
}

/* Bytes of pictures are divided by 255, which planes of 0 and 1 are hardly meant for: it is said of those,
 * and of nothing else. */
static void npy_pictures_that_look_like_planes_are_told_of(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        unsigned char bytes[4];
        float values[4];
        bool told;
    } cases[] = {
        {HEADER("|u1", "(2, 1, 2)"), {0, 1, 1, 0}, {0, 1 / 255.0f, 1 / 255.0f, 0}, true},
        {HEADER("|u1", "(2, 1, 2)"), {0, 0, 0, 0}, {0, 0, 0, 0}, true},
        {HEADER("|u1", "(2, 1, 2)"), {0, 1, 2, 0}, {0, 1 / 255.0f, 2 / 255.0f, 0}, false},
        {HEADER("|u1", "(2, 1, 2)"), {0, 1, 1, 255}, {0, 1 / 255.0f, 1 / 255.0f, 1}, false},
        {HEADER("|b1", "(2, 1, 2)"), {0, 1, 1, 0}, {0, 1, 1, 0}, false},
    };
    const char *targets = fixture_write_npy("plane_y.npy", 1, HEADER("|u1", "(2,)"), "\0\1", 2);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *inputs = fixture_write_npy("plane_x.npy", 1, cases[i].header, cases[i].bytes, 4);
        yoke_data *data = NULL;
        ok(yoke_data_from_npy(&data, inputs, targets));
        assert_int_equal(data->notes.count, cases[i].told);
        if (cases[i].told)
            assert_non_null(strstr(data->notes.names[0], "divided by 255, and none is above 1"));
        for (int64_t s = 0; s < 2; s++) {
            float x[2];
            int32_t y;
            ok(yoke_data_get(data, s, x, &y));
            assert_floats(x, cases[i].values + 2 * s, 2);
            assert_int_equal(y, s);
        }
        yoke_data_destroy(data);
    }
}

static void npy_halves_and_signs(void **state)
{
    (void)state;
    /* halves: -2, smallest subnormal, largest, largest subnormal, -0 */
    static const unsigned char halves[] = {0x00, 0xC0, 0x01, 0x00, 0xFF, 0x7B, 0xFF, 0x03, 0x00, 0x80};
    static const float wanted[] = {-2, 0x1p-24f, 65504, 1023 * 0x1p-24f, -0.0f};
    static const signed char signs[] = {-128, -1, 0, 1, 127};
    const char *x = fixture_write_npy("x.npy", 1, HEADER("<f2", "(1, 5)"), halves, sizeof halves);
    const char *y = fixture_write_npy("y.npy", 1, HEADER("<f2", "(1, 5, 1)"), halves, sizeof halves);
    yoke_data *data = NULL;
    float got[5], target[5];
    ok(yoke_data_from_npy(&data, x, y));
    ok(yoke_data_get(data, 0, got, target));
    assert_floats(got, wanted, 5);
    assert_floats(target, wanted, 5);
    yoke_data_destroy(data);
    /* Inputs of integers that are no [n, T] are features, and may be negative. */
    x = fixture_write_npy("x.npy", 1, HEADER("|i1", "(1, 1, 5)"), signs, sizeof signs);
    ok(yoke_data_from_npy(&data, x, y));
    ok(yoke_data_get(data, 0, got, target));
    assert_floats(got, ((float[]){-128, -1, 0, 1, 127}), 5);
    yoke_data_destroy(data);
}

static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0,   3,  0,   0, 0,
                                       2, 0, 0, 0, 1, 0, 255, 51, 102, 1, 254};
static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 9, 0, 255};

static void idx_plain_and_compressed(void **state)
{
    (void)state;
    const char *x[] = {fixture_write("images", images, sizeof images),
                       fixture_write_gzip("images.gz", images, sizeof images)};
    const char *y[] = {fixture_write("labels", labels, sizeof labels),
                       fixture_write_gzip("labels.gz", labels, sizeof labels)};
    static const int32_t classes[] = {9, 0, 255};
    for (int i = 0; i < 4; i++) {
        yoke_data *data = NULL;
        yoke_row input, target;
        ok(yoke_data_from_idx(&data, x[i % 2], y[i / 2]));
        assert_int_equal(yoke_data_samples(data), 3);
        yoke_data_rows(data, &input, &target);
        assert_row(&input, YOKE_F32, 3, 1, 2, 1);
        assert_row(&target, YOKE_I32, 0, 0, 0, 0);
        for (int64_t s = 0; s < 3; s++) {
            float image[2];
            int32_t class;
            ok(yoke_data_get(data, s, image, &class));
            assert_floats(image, ((float[]){images[16 + 2 * s] / 255.0f, images[17 + 2 * s] / 255.0f}), 2);
            assert_int_equal(class, classes[s]);
        }
        yoke_data_destroy(data);
    }
}

/* Several members, the first of which ends inside a line; more than one piece and one doubling of what they
 * are inflated into. */
static void gzip_of_several_members(void **state)
{
    (void)state;
    enum { ROWS = 40000 };
    static char text[ROWS * 16];
    static unsigned char packed[ROWS * 16];
    int n = sprintf(text, "x,y\n");
    for (int i = 0; i < ROWS; i++) n += sprintf(text + n, "%d.5,%d\n", i * 7919 % 100003, i % 3);
    int cuts[] = {0, n / 3, n / 3, n / 2, n};
    size_t count = 0;
    for (int m = 0; m < 4; m++)
        count += fixture_read(fixture_write_gzip("part.gz", text + cuts[m], (size_t)(cuts[m + 1] - cuts[m])),
                              packed + count, sizeof packed - count);
    yoke_data *data = NULL;
    static const char *const y[] = {"y"};
    ok(yoke_data_from_csv(&data, fixture_write("t.csv.gz", packed, count), 1, y));
    assert_int_equal(yoke_data_samples(data), ROWS);
    for (int i = 0; i < ROWS; i++) {
        float x;
        int32_t class;
        ok(yoke_data_get(data, i, &x, &class));
        assert_true(x == (float)(i * 7919 % 100003) + 0.5f && class == i % 3);
    }
    yoke_data_destroy(data);

    count = fixture_read(fixture_write_gzip("part.gz", images, 17), packed, sizeof packed);
    count += fixture_read(fixture_write_gzip("part.gz", images + 17, sizeof images - 17), packed + count,
                          sizeof packed - count);
    const char *x = fixture_write("images.gz", packed, count),
               *labels_file = fixture_write("labels", labels, sizeof labels);
    ok(yoke_data_from_idx(&data, x, labels_file));
    float image[2];
    int32_t class;
    ok(yoke_data_get(data, 2, image, &class));
    assert_floats(image, ((float[]){1 / 255.0f, 254 / 255.0f}), 2);
    yoke_data_destroy(data);
}

static void csv_quotes_and_columns(void **state)
{
    (void)state;
    /* a byte order mark, CRLF, a name with comma, quote and line end, blanks, no line end at the end */
    const char *path = fixture_write_text("data.csv", "\xEF\xBB\xBF"
                                                      "y,\"a,\"\"b\nc\", x ,z\r\n"
                                                      "1,\"2.5\", -3e1 ,+.5\r\n"
                                                      "\n"
                                                      "4,5,6,-0.25");
    yoke_data *data = NULL;
    yoke_row input, target;
    float x[3], y[2];
    ok(yoke_data_from_csv(&data, path, 2, (const char *const[]){"z", "y"}));
    assert_int_equal(yoke_data_samples(data), 2);
    yoke_data_rows(data, &input, &target);
    assert_row(&input, YOKE_F32, 1, 2, 0, 0);
    assert_row(&target, YOKE_F32, 1, 2, 0, 0);
    ok(yoke_data_get(data, 0, x, y));
    assert_floats(x, ((float[]){2.5f, -30}), 2);
    assert_floats(y, ((float[]){0.5f, 1}), 2);
    ok(yoke_data_get(data, 1, x, y));
    assert_floats(x, ((float[]){5, 6}), 2);
    assert_floats(y, ((float[]){-0.25f, 4}), 2);
    yoke_data_destroy(data);

    int32_t class; /* one target column of whole numbers: classes */
    ok(yoke_data_from_csv(&data, path, 1, (const char *const[]){"y"}));
    yoke_data_rows(data, &input, &target);
    assert_row(&target, YOKE_I32, 0, 0, 0, 0);
    ok(yoke_data_get(data, 1, x, &class));
    assert_floats(x, ((float[]){5, 6, -0.25f}), 3);
    assert_int_equal(class, 4);
    yoke_data_destroy(data);

    ok(yoke_data_from_csv(&data, path, 1, (const char *const[]){"a,\"b\nc"})); /* 2.5 is none */
    yoke_data_rows(data, &input, &target);
    assert_row(&target, YOKE_F32, 1, 1, 0, 0);
    yoke_data_destroy(data);
}

static void csv_grows_and_counts_rows(void **state)
{
    (void)state;
    char text[8000] = "x,y\n";
    size_t length = 4;
    for (int i = 0; i < 300; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%d.5,%d\n", i, i - 1);
    yoke_data *data = NULL;
    float x, y;
    ok(yoke_data_from_csv(&data, fixture_write_text("rows.csv", text), 1, (const char *const[]){"y"}));
    assert_int_equal(yoke_data_samples(data), 300);
    for (int64_t i = 0; i < 300; i++) {
        ok(yoke_data_get(data, i, &x, &y)); /* -1 is no class: f32 */
        assert_true(x == (float)i + 0.5f && y == (float)(i - 1));
    }
    yoke_data_destroy(data);
}

static void csv_reads_points_under_any_locale(void **state)
{
    (void)state;
    const char *path = fixture_write_text("point.csv", "x,y\n1.5,0\n");
    take_decimal_comma();
    yoke_data *data = NULL;
    float x;
    int32_t y;
    ok(yoke_data_from_csv(&data, path, 1, (const char *const[]){"y"}));
    ok(yoke_data_get(data, 0, &x, &y));
    setlocale(LC_NUMERIC, "C");
    assert_true(x == 1.5f);
    yoke_data_destroy(data);
}

static void random_samples_are_the_same_always(void **state)
{
    (void)state;
    const yoke_row input = {YOKE_F32, 2, {4, 8}}, target = {YOKE_I32, 1, {16}};
    yoke_data *data = NULL, *again = NULL, *other = NULL;
    ok(yoke_data_random(&data, 100, &input, 0, &target, 10, 1));
    ok(yoke_data_random(&again, 200, &input, 0, &target, 10, 1));
    ok(yoke_data_random(&other, 100, &input, 0, &target, 10, 2));
    float x[32], x2[32];
    int32_t y[16], y2[16];
    int counts[10] = {0}, negative = 0;
    for (int64_t i = 99; i >= 0; i--) {
        ok(yoke_data_get(data, i, x, y));
        ok(yoke_data_get(again, i, x2, y2));
        assert_memory_equal(x, x2, sizeof x);
        assert_memory_equal(y, y2, sizeof y);
        for (int e = 0; e < 32; e++) {
            assert_true(x[e] >= -1 && x[e] < 1);
            negative += x[e] < 0;
        }
        for (int e = 0; e < 16; e++) {
            assert_in_range(y[e], 0, 9);
            counts[y[e]]++;
        }
        ok(yoke_data_get(other, i, x2, y2));
        assert_memory_not_equal(x, x2, sizeof x);
        assert_memory_not_equal(y, y2, sizeof y);
    }
    assert_in_range(negative, 1600 - 142, 1600 + 142); /* 5 deviations */
    for (int c = 0; c < 10; c++) assert_in_range(counts[c], 160 - 60, 160 + 60);
    yoke_data_destroy(data);
    yoke_data_destroy(again);
    yoke_data_destroy(other);
}

static void a_view_reshapes_and_makes_floats_of_integers(void **state)
{
    (void)state;
    static const int32_t inputs[] = {1, 2, 3, 4, 5, 6, 7, 8}, targets[] = {9, 10};
    const yoke_row input = {YOKE_I32, 1, {4}}, target = {YOKE_I32, 0, {0}};
    const yoke_row square = {YOKE_F32, 2, {2, 2}}, one = {YOKE_F32, 1, {1}}, three = {YOKE_F32, 1, {3}};
    yoke_data *data = NULL;
    yoke_row seen;
    float x[4], y;
    int32_t class;
    ok(yoke_data_from_memory(&data, 2, &input, inputs, &target, targets));
    ok(yki_data_view(data, &square, &one));
    yoke_data_rows(data, &seen, NULL);
    assert_row(&seen, YOKE_F32, 2, 2, 2, 0);
    ok(yoke_data_get(data, 1, x, &y));
    assert_floats(x, ((float[]){5, 6, 7, 8}), 4);
    assert_true(y == 10);
    ok(yki_data_view(data, &square, NULL));
    ok(yoke_data_get(data, 0, x, &class));
    assert_int_equal(class, 9);
    assert_int_equal(yki_data_view(data, &three, NULL), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "i32 [4]; the model needs f32 [3]"));
    yoke_data_destroy(data);
    const yoke_row real = {YOKE_F32, 1, {4}};
    ok(yoke_data_from_memory(&data, 2, &real, inputs, &target, targets));
    assert_int_equal(yki_data_view(data, &input, NULL), YOKE_INVALID); /* never the other way round */
    yoke_data_destroy(data);
}

static void a_job_names_its_format(void **state)
{
    (void)state;
    yoke_data *data = NULL;
    const char *path = fixture_write("text", "hello", 5);
    yki_data_spec spec = {.format = "text", .npaths = 1, .paths = &path, .sequence = 2, .vocab = 300};
    ok(yki_data_open(&data, &spec));
    assert_int_equal(yoke_data_samples(data), 2);
    yoke_data_destroy(data);
    spec.format = "tokens";
    path = fixture_write("tokens", "\1\0\2\0\3\0", 6);
    ok(yki_data_open(&data, &spec));
    yoke_data_destroy(data);
    spec = (yki_data_spec){.format = "idx",
                           .inputs = fixture_write("images", images, sizeof images),
                           .targets = fixture_write("labels", labels, sizeof labels)};
    ok(yki_data_open(&data, &spec));
    yoke_data_destroy(data);
    path = fixture_write_text("job.csv", "a,b\n1,2\n");
    spec = (yki_data_spec){
        .format = "csv", .npaths = 1, .paths = &path, .ncolumns = 1, .columns = (const char *const[]){"b"}};
    ok(yki_data_open(&data, &spec));
    yoke_data_destroy(data);
    spec = (yki_data_spec){
        .format = "random", .samples = 3, .input = {YOKE_F32, 1, {2}}, .target = {YOKE_F32, 0, {0}}};
    ok(yki_data_open(&data, &spec));
    yoke_data_destroy(data);
    for (int i = 0; i < 7; i++) assert_non_null(yki_data_format(i));
    assert_null(yki_data_format(7));

    spec = (yki_data_spec){.format = "tokns"};
    assert_int_equal(yki_data_open(&data, &spec), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "did you mean \"tokens\""));
    assert_string_equal(yoke_error_get()->key, "data.format");
    spec.format = "zzzzzzzzzzzzz";
    assert_int_equal(yki_data_open(&data, &spec), YOKE_INVALID);
    assert_non_null(strstr(yoke_error_get()->message, "text, tokens, npy, idx, csv, random"));
    spec.format = "npy";
    spec.inputs = "x.npy";
    assert_int_equal(yki_data_open(&data, &spec), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->key, "data.targets");
    spec.format = NULL;
    assert_int_equal(yki_data_open(&data, &spec), YOKE_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_borrowed_row_by_row),
        cmocka_unit_test(a_callback_is_asked_and_its_status_handed_on),
        cmocka_unit_test(text_is_bytes_with_the_next_as_target),
        cmocka_unit_test(token_files_of_three_kinds_hold_the_same),
        cmocka_unit_test(large_token_files_are_checked_when_they_are_opened),
        cmocka_unit_test(a_file_cut_short_ends_in_a_sentence),
        cmocka_unit_test(npy_floats_and_classes),
        cmocka_unit_test(npy_versions_keys_in_any_order_and_double_targets),
        cmocka_unit_test(npy_types_convert),
        cmocka_unit_test(npy_pictures_that_look_like_planes_are_told_of),
        cmocka_unit_test(npy_halves_and_signs),
        cmocka_unit_test(idx_plain_and_compressed),
        cmocka_unit_test(gzip_of_several_members),
        cmocka_unit_test(csv_quotes_and_columns),
        cmocka_unit_test(csv_grows_and_counts_rows),
        cmocka_unit_test(csv_reads_points_under_any_locale),
        cmocka_unit_test(random_samples_are_the_same_always),
        cmocka_unit_test(a_view_reshapes_and_makes_floats_of_integers),
        cmocka_unit_test(a_job_names_its_format),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
