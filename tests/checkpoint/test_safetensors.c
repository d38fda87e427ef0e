/* safetensors: what is written is read back, byte for byte as the format says; values of every float dtype;
 * shards; writers that must not leave half a file. */
#include "files.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void a_written_file_has_exactly_these_bytes(void **state)
{
    (void)state;
    yki_safetensors_writer *writer;
    const char *path = in_folder("exact.safetensors");
    const unsigned char b[3] = {7, 8, 9};
    const float a[2] = {1.0f, -2.0f};
    const int64_t one_by_two[] = {1, 2}, three[] = {3}, none[] = {0, 5};
    assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "b", "U8", 1, three), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "e", "F32", 2, none), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "a\"\n", "F32", 2, one_by_two), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "s", "I64", 0, NULL), YOKE_OK);
    assert_int_equal(yki_safetensors_begin(writer), YOKE_OK);
    assert_false(yki_path_exists(path)); /* not under its name before it is whole */
    const int64_t s = -1;
    assert_int_equal(yki_safetensors_write(writer, "b", 0, b, 3), YOKE_OK);
    assert_int_equal(yki_safetensors_write(writer, "a\"\n", 4, &a[1], 4), YOKE_OK);
    assert_int_equal(yki_safetensors_write(writer, "a\"\n", 0, &a[0], 4), YOKE_OK);
    assert_int_equal(yki_safetensors_write(writer, "s", 0, &s, 8), YOKE_OK);
    assert_int_equal(yki_safetensors_finish(writer), YOKE_OK);

    char want[600], got[600];
    char header[512] = "{\"__metadata__\":{\"format\":\"pt\"},"
                       "\"s\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
                       "\"a\\\"\\n\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]},"
                       "\"e\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[16,16]},"
                       "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[16,19]}}";
    while (strlen(header) % 8) strcat(header, " ");
    size_t count = make_file(want, header, 0);
    memset(want + count, 255, 8);
    memcpy(want + count + 8, "\x00\x00\x80\x3f\x00\x00\x00\xc0\x07\x08\x09", 11);
    assert_int_equal(get(path, got, sizeof got), count + 19);
    assert_memory_equal(got, want, count + 19);

    yki_safetensors *file;
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    assert_int_equal(yki_safetensors_count(file), 4);
    assert_string_equal(yki_safetensors_get(file, 0)->name, "a\"\n");
    assert_string_equal(yki_safetensors_get(file, 3)->name, "s");
    assert_string_equal(yki_safetensors_metadata(file, "format"), "pt");
    assert_null(yki_safetensors_metadata(file, "other"));
    assert_null(yki_safetensors_find(file, "c"));
    const yki_safetensor *tensor = yki_safetensors_find(file, "e");
    assert_int_equal(tensor->elems, 0);
    assert_int_equal(tensor->bytes, 0);
    assert_int_equal(yki_safetensors_check_finite(file, tensor), YOKE_OK);
    assert_int_equal(yki_safetensors_read_f32(file, tensor, 0, 0, NULL), YOKE_OK);
    tensor = yki_safetensors_find(file, "a\"\n");
    float values[2];
    assert_int_equal(yki_safetensors_read_f32(file, tensor, 1, 1, values), YOKE_OK);
    assert_true(values[0] == -2.0f);
    refused(yki_safetensors_read_f32(file, tensor, 1, 2, values), path, "has 2 elements");
    refused(yki_safetensors_read_f32(file, tensor, -1, 1, values), path, "has 2 elements");
    refused(yki_safetensors_read_f32(file, tensor, 1, INT64_MAX, values), path, "has 2 elements");
    refused(yki_safetensors_read_f32(file, yki_safetensors_find(file, "b"), 0, 1, values), path, "dtype U8");
    yki_safetensors_close(file);
    yki_safetensors_close(NULL);
}

static void empty_files_are_legal(void **state)
{
    (void)state;
    yki_safetensors_writer *writer;
    yki_safetensors *file;
    const char *path = in_folder("empty.safetensors");
    assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
    assert_int_equal(yki_safetensors_finish(writer), YOKE_OK);
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    assert_int_equal(yki_safetensors_count(file), 0);
    assert_null(yki_safetensors_find(file, ""));
    yki_safetensors_close(file);
    put_tensors(path, "{}", 0);
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    yki_safetensors_close(file);
}

/* The value of a binary16 by its definition, in double. */
static double half_value(unsigned half)
{
    int exponent = (int)(half >> 10 & 31);
    double fraction = half & 1023, sign = half & 0x8000 ? -1 : 1;
    if (exponent == 31) return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
}

static void every_half_has_its_value(void **state)
{
    (void)state;
    enum { ALL = 65536 };
    char *bytes = malloc(200 + 2 * ALL);
    /* An odd header length, so that no element is aligned. */
    size_t count = make_file(
        bytes, "{\"h\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}} ", 2 * ALL);
    for (unsigned i = 0; i < ALL; i++) {
        uint16_t half = (uint16_t)i;
        memcpy(bytes + count - 2 * ALL + 2 * i, &half, 2);
    }
    write_file(in_folder("half.safetensors"), bytes, count);
    free(bytes);
    yki_safetensors *file;
    float *values = malloc(ALL * sizeof *values);
    assert_int_equal(yki_safetensors_open(in_folder("half.safetensors"), &file), YOKE_OK);
    assert_int_equal(yki_safetensors_read_f32(file, yki_safetensors_get(file, 0), 0, ALL, values), YOKE_OK);
    for (unsigned i = 0; i < ALL; i++) {
        double want = half_value(i);
        bool same =
            isnan(want) ? isnan(values[i]) : (double)values[i] == want && !signbit(values[i]) == !(i >> 15);
        if (!same) fail_msg("half %04x is %a, read as %a", i, want, (double)values[i]);
    }
    free(values);
    yki_safetensors_close(file);
}

static void floats_of_other_widths_are_read(void **state)
{
    (void)state;
    const char *header = "{\"d\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]}}";
    char bytes[300];
    size_t count = make_file(bytes, header, 28);
    const double d[3] = {0.1, -1e300, 1e-320};
    const uint16_t b[2] = {0x3fc0, 0xff80};
    memcpy(bytes + count - 28, d, 24);
    memcpy(bytes + count - 4, b, 4);
    write_file(in_folder("wide.safetensors"), bytes, count);
    yki_safetensors *file;
    float values[3];
    assert_int_equal(yki_safetensors_open(in_folder("wide.safetensors"), &file), YOKE_OK);
    assert_int_equal(yki_safetensors_read_f32(file, yki_safetensors_find(file, "d"), 0, 3, values), YOKE_OK);
    assert_true(values[0] == 0.1f && values[1] == -INFINITY && values[2] == 0);
    assert_int_equal(yki_safetensors_read_f32(file, yki_safetensors_find(file, "b"), 0, 2, values), YOKE_OK);
    assert_true(values[0] == 1.5f && values[1] == -INFINITY);
    refused(yki_safetensors_check_finite(file, yki_safetensors_find(file, "b")), "",
            "tensor 'b' is infinite at element [1]");
    yki_safetensors_close(file);
}

/* All that the format's Dtype has, with the bits that its bitsize() says: a tensor of eight elements has as
 * many bytes, and no other count of them is one. */
static void elements_have_the_formats_bits(void **state)
{
    (void)state;
    static const struct {
        const char *dtype;
        int bits;
    } all[] = {
        {"BOOL", 8},        {"F4", 4},          {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
        {"F8_E5M2", 8},     {"F8_E4M3", 8},     {"F8_E8M0", 8}, {"I16", 16},    {"U16", 16}, {"F16", 16},
        {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"BF16", 16},   {"I32", 32},    {"U32", 32}, {"F32", 32},
        {"C64", 64},        {"F64", 64},        {"I64", 64},    {"U64", 64},
    };
    const char *path = in_folder("dtype.safetensors");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (int more = -1; more <= 1; more++) {
            char header[200], words[100];
            int bytes = all[i].bits + more;
            yki_safetensors *file;
            snprintf(header, sizeof header,
                     "{\"a\":{\"dtype\":\"%s\",\"shape\":[2,4],\"data_offsets\":[0,%d]}}", all[i].dtype,
                     bytes);
            snprintf(words, sizeof words, "dtype and shape make %d bytes, data_offsets %d", all[i].bits,
                     bytes);
            put_tensors(path, header, (size_t)bytes);
            yoke_status status = yki_safetensors_open(path, &file);
            if (more != 0) {
                refused(status, path, words);
                continue;
            }
            if (status != YOKE_OK) fail_msg("%s: %s", all[i].dtype, yoke_error_get()->message);
            const yki_safetensor *tensor = yki_safetensors_get(file, 0);
            assert_string_equal(tensor->dtype, all[i].dtype);
            assert_int_equal(tensor->bytes, bytes);
            yki_safetensors_close(file);
        }
}

static void what_is_not_finite_is_named(void **state)
{
    (void)state;
    enum { ROWS = 3, COLUMNS = 1000 };
    static float values[ROWS][COLUMNS];
    const int64_t dims[] = {ROWS, COLUMNS};
    yki_safetensors_writer *writer;
    yki_safetensors *file;
    const char *path = in_folder("nan.safetensors");
    for (int round = 0; round < 2; round++) {
        values[2][17] = round ? NAN : 0;
        assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
        assert_int_equal(yki_safetensors_declare(writer, "w", "F32", 2, dims), YOKE_OK);
        assert_int_equal(yki_safetensors_begin(writer), YOKE_OK);
        assert_int_equal(yki_safetensors_write(writer, "w", 0, values, sizeof values), YOKE_OK);
        assert_int_equal(yki_safetensors_finish(writer), YOKE_OK);
        assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
        yoke_status status = yki_safetensors_check_finite(file, yki_safetensors_get(file, 0));
        if (round)
            refused(status, path, "tensor 'w' is not a number at element [2,17]");
        else
            assert_int_equal(status, YOKE_OK);
        yki_safetensors_close(file);
    }
}

static void writers_refuse_what_no_reader_takes(void **state)
{
    (void)state;
    const int64_t one[] = {1}, huge[] = {INT64_MAX, 2}, less[] = {-1};
    const char *path = in_folder("refused.safetensors");
    yki_safetensors_writer *writer;
    assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
    refused(yki_safetensors_declare(writer, "a", "F31", 1, one), path, "dtype F31");
    refused(yki_safetensors_declare(writer, "a", "F32", 9, one), path, "9 dims");
    refused(yki_safetensors_declare(writer, "a", "F32", 2, huge), path, "no file can hold");
    refused(yki_safetensors_declare(writer, "a", "F32", 1, less), path, "no file can hold");
    refused(yki_safetensors_declare(writer, "a", "F4", 1, one), path, "no file can hold");
    refused(yki_safetensors_declare(writer, "__metadata__", "F32", 1, one), path,
            "no tensor can have the name");
    refused(yki_safetensors_declare(writer, "\xff", "F32", 1, one), path, "no tensor can have the name");
    refused(yki_safetensors_write(writer, "a", 0, "", 0), path, "was not declared");
    assert_int_equal(yki_safetensors_declare(writer, "a", "F32", 1, one), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "b", "F32", 1, one), YOKE_OK);
    assert_int_equal(yki_safetensors_begin(writer), YOKE_OK);
    refused(yki_safetensors_declare(writer, "c", "F32", 1, one), path, "after the header");
    refused(yki_safetensors_write(writer, "c", 0, "abcd", 4), path, "'c' was not declared");
    refused(yki_safetensors_write(writer, "a", 1, "abcd", 4), path, "4 at 1 were to be written");
    refused(yki_safetensors_write(writer, "a", 5, "", 0), path, "has 4 bytes");
    refused(yki_safetensors_write(writer, "a", SIZE_MAX, "ab", 2), path, "has 4 bytes");
    assert_int_equal(yki_safetensors_write(writer, "a", 0, "abcd", 4), YOKE_OK);
    assert_int_equal(yki_safetensors_write(writer, "b", 0, "abc", 3), YOKE_OK);
    refused(yki_safetensors_finish(writer), path, "tensor 'b' has 4 bytes, and 3 were written");
    assert_false(yki_path_exists(path));

    assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "a", "F32", 1, one), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "a", "U8", 1, one), YOKE_OK);
    refused(yki_safetensors_begin(writer), path, "'a' is declared twice");
    yki_safetensors_abandon(writer);
    yki_safetensors_abandon(NULL);
    refused(yki_safetensors_writer_create(in_folder("missing/x.safetensors"), &writer), "",
            "cannot create it");
    refused(yki_safetensors_writer_create(folder, &writer), folder, "is a folder");
    assert_int_equal(rmdir(folder), -1); /* other tests' files are there; no partial ones: */
    char command[200];
    snprintf(command, sizeof command, "ls -A %s | grep -q partial", folder);
    assert_int_not_equal(system(command), 0);
}

static void a_full_disk_is_said_before_and_while_writing(void **state)
{
    (void)state;
    const char *path = in_folder("full.safetensors");
    const int64_t huge[] = {(int64_t)1 << 50};
    yki_safetensors_writer *writer;
    write_text(path, "what was there");
    assert_int_equal(yki_safetensors_writer_create(path, &writer), YOKE_OK);
    assert_int_equal(yki_safetensors_declare(writer, "a", "F32", 1, huge), YOKE_OK);
    assert_int_equal(yki_safetensors_begin(writer), YOKE_SYSTEM);
    assert_string_equal(yoke_error_get()->file, path);
    assert_non_null(strstr(yoke_error_get()->message, "it needs 4503599627370"));
    assert_non_null(strstr(yoke_error_get()->message, "free there"));
    yki_safetensors_abandon(writer);
    assert_int_equal(yki_disk_create("/dev/full", "abc", 3), YOKE_SYSTEM);
    assert_string_equal(yoke_error_get()->file, "/dev/full");
    assert_non_null(strstr(yoke_error_get()->message, "No space left on device; it needs 3 bytes"));

    pid_t child = fork();
    if (child == 0) { /* a limit on the file's size stands for a quota that fills up */
        const int64_t some[] = {1 << 20};
        struct rlimit limit = {1 << 20, 1 << 20};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        bool right = yki_safetensors_writer_create(path, &writer) == YOKE_OK &&
                     yki_safetensors_declare(writer, "a", "F32", 1, some) == YOKE_OK &&
                     yki_safetensors_begin(writer) == YOKE_SYSTEM &&
                     strstr(yoke_error_get()->message, "it needs 4194") &&
                     strcmp(yoke_error_get()->file, path) == 0;
        yki_safetensors_abandon(writer);
        _exit(right ? 0 : 1);
    }
    int exit_status;
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_int_equal(exit_status, 0);
    char kept[32];
    assert_int_equal(get(path, kept, sizeof kept), strlen("what was there"));
}

enum { THREADS = 4, PER_THREAD = 10007 };

typedef struct task {
    yki_safetensors_writer *writer;
    int number;
    yoke_status status;
} task;

/* A tensor of the thread's own in pieces, and its quarter of one that all share. */
static void *write_share(void *context)
{
    task *mine = context;
    char name[16];
    uint32_t values[PER_THREAD];
    for (uint32_t i = 0; i < PER_THREAD; i++) values[i] = (uint32_t)mine->number << 24 | i;
    snprintf(name, sizeof name, "own.%d", mine->number);
    for (size_t first = 0; first < PER_THREAD && mine->status == YOKE_OK; first += 1000) {
        size_t count = PER_THREAD - first < 1000 ? PER_THREAD - first : 1000;
        mine->status = yki_safetensors_write(mine->writer, name, 4 * first, values + first, 4 * count);
    }
    if (mine->status == YOKE_OK)
        mine->status = yki_safetensors_write(mine->writer, "shared", (size_t)mine->number * sizeof values,
                                             values, sizeof values);
    return NULL;
}

static void threads_write_at_once(void **state)
{
    (void)state;
    const int64_t own[] = {PER_THREAD}, shared[] = {THREADS, PER_THREAD};
    yki_safetensors_writer *writer;
    pthread_t threads[THREADS];
    task tasks[THREADS];
    assert_int_equal(yki_safetensors_writer_create(in_folder("threads.safetensors"), &writer), YOKE_OK);
    for (int i = 0; i < THREADS; i++) {
        char name[16];
        snprintf(name, sizeof name, "own.%d", i);
        assert_int_equal(yki_safetensors_declare(writer, name, "U32", 1, own), YOKE_OK);
    }
    assert_int_equal(yki_safetensors_declare(writer, "shared", "U32", 2, shared), YOKE_OK);
    assert_int_equal(yki_safetensors_begin(writer), YOKE_OK);
    for (int i = 0; i < THREADS; i++) {
        tasks[i] = (task){writer, i, YOKE_OK};
        assert_int_equal(pthread_create(&threads[i], NULL, write_share, &tasks[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(tasks[i].status, YOKE_OK);
    }
    assert_int_equal(yki_safetensors_finish(writer), YOKE_OK);
    yki_safetensors *file;
    assert_int_equal(yki_safetensors_open(in_folder("threads.safetensors"), &file), YOKE_OK);
    const yki_safetensor *all = yki_safetensors_find(file, "shared");
    for (int i = 0; i < THREADS; i++) {
        char name[16];
        snprintf(name, sizeof name, "own.%d", i);
        const yki_safetensor *part = yki_safetensors_find(file, name);
        assert_memory_equal(part->data, (const char *)all->data + i * (int)part->bytes, part->bytes);
        for (uint32_t j = 0; j < PER_THREAD; j++) {
            uint32_t value;
            memcpy(&value, (const char *)part->data + 4 * j, 4);
            assert_int_equal(value, (uint32_t)i << 24 | j);
        }
    }
    yki_safetensors_close(file);
}

static void shards_are_one_file(void **state)
{
    (void)state;
    char shards[200];
    snprintf(shards, sizeof shards, "%s", in_folder("shards"));
    assert_int_equal(mkdir(shards, 0777), 0);
    put_tensors(
        in_folder("shards/model-00001-of-00002.safetensors"),
        "{\"__metadata__\":{\"format\":\"pt\"},\"z\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
        "\"c\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
        3);
    put_tensors(in_folder("shards/model-00002-of-00002.safetensors"),
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]}}",
                5);
    write_text(in_folder("shards/model.safetensors.index.json"),
               "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"z\":\"model-00001-of-00002.safetensors\","
               "\"a\":\"model-00002-of-00002.safetensors\",\"b\":\"model-00002-of-00002.safetensors\","
               "\"c\":\"model-00001-of-00002.safetensors\"}}");
    yki_safetensors *file;
    assert_int_equal(yki_safetensors_open(shards, &file), YOKE_OK);
    assert_int_equal(yki_safetensors_count(file), 4);
    assert_string_equal(yki_safetensors_get(file, 0)->name, "a");
    assert_string_equal(yki_safetensors_get(file, 3)->name, "z");
    assert_int_equal(yki_safetensors_find(file, "b")->elems, 4);
    assert_string_equal(yki_safetensors_find(file, "z")->path,
                        in_folder("shards/model-00001-of-00002.safetensors"));
    assert_string_equal(yki_safetensors_metadata(file, "format"), "pt");
    yki_safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_file_has_exactly_these_bytes),
        cmocka_unit_test(empty_files_are_legal),
        cmocka_unit_test(every_half_has_its_value),
        cmocka_unit_test(floats_of_other_widths_are_read),
        cmocka_unit_test(elements_have_the_formats_bits),
        cmocka_unit_test(what_is_not_finite_is_named),
        cmocka_unit_test(writers_refuse_what_no_reader_takes),
        cmocka_unit_test(a_full_disk_is_said_before_and_while_writing),
        cmocka_unit_test(threads_write_at_once),
        cmocka_unit_test(shards_are_one_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
