/* Files from strangers: every fault is refused in words, with the file named, and no byte sequence crashes
 * the reader. */
#include "files.h"

#define ONE "\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}"

static const struct {
    const char *header;
    size_t data;
    const char *words;
} bad_headers[] = {
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "is not valid JSON"},
    {"{" ONE "}x", 8, "is not valid JSON"},
    {"{" ONE ",}", 8, "is not valid JSON"},
    {"{" ONE "," ONE "}", 8, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "duplicate"},
    {"{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "is not UTF-8: byte 0xff at offset 3"},
    {"{\"\xed\xa0\x80\":{}}", 0, "is not UTF-8"},
    {"{\"\xc0\xaf\":{}}", 0, "is not UTF-8"},
    {"{\"a\\u0000\":{}}", 0, "is not valid JSON"},
    {"{\"a\":1}", 0, "tensor 'a' is not described by a JSON object"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor 'a' has no dtype"},
    {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "tensor 'a' has no dtype"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "tensor 'a' has the unknown dtype 'F33'"},
    {"{\"a\":{\"dtype\":\"\\u001b[2J\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     "unknown dtype '\\x1b[2J'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "dim 0 is not a whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,2.0],\"data_offsets\":[0,8]}}", 8,
     "dim 1 is not a whole number"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,8]}}", 8,
     "is not valid JSON"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "has 9 dims"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8,
     "product of its shape overflows"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]}}", 0,
     "product of its shape overflows"},
    {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,8]}}", 8,
     "size in bits overflows"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "does not end at a byte"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
     "dtype and shape make 12 bytes, data_offsets 8"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", 8, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{\"0\":0}}}", 8, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", 8, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "over the one before it"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,-8]}}", 8, "ends before it begins"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
     "begins at byte 4 of the data, after a gap"},
    {"{" ONE ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 8,
     "'b' begins at byte 4 of the data, over"},
    {"{" ONE ",\"b\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]}}", 8,
     "over the one before it: 8 expected"},
    {"{" ONE ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[9,13]}}", 13,
     "'b' begins at byte 9 of the data, after a gap"},
    {"{" ONE "}", 9, "has 1 bytes after its last tensor"},
    {"{" ONE "}", 7, "is truncated"},
    {"{}", 5, "has 5 bytes after its last tensor"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[9223372036854775],\"data_offsets\":[0,9223372036854775]}}", 8,
     "is truncated"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not a JSON object"},
    {"{\"__metadata__\":{\"format\":\"pt\",\"n\":1}}", 0, "__metadata__: 'n' is not a string"},
};

static void headers_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        yki_safetensors *file = NULL;
        const char *path = in_folder("case.safetensors");
        put_tensors(path, bad_headers[i].header, bad_headers[i].data);
        refused(yki_safetensors_open(path, &file), path, bad_headers[i].words);
        assert_null(file);
    }
}

static void lengths_are_refused_in_words(void **state)
{
    (void)state;
    yki_safetensors *file;
    const char *path = in_folder("length.safetensors");
    static const struct {
        const char *bytes;
        size_t count;
        const char *words;
    } cases[] = {
        {"", 0, "has 0 bytes; a safetensors file has at least 8"},
        {"\2\0\0\0\0\0\0", 7, "has 7 bytes"},
        {"\2\0\0\0\0\0\0\0{", 9, "is truncated: its header has 2 bytes"},
        {"\0\341\365\5\0\0\0\0{}", 10, "is truncated: its header has 100000000 bytes"},
        {"\1\341\365\5\0\0\0\0{}", 10, "more than the format's limit of 100000000"},
        {"\377\377\377\377\377\377\377\377{}", 10, "its header would have 18446744073709551615 bytes"},
        {"\0\0\0\0\0\0\0\200{}", 10, "its header would have 9223372036854775808 bytes"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", 64, "is a Git LFS pointer"},
        {"<!DOCTYPE html><html>", 21, "is an HTML page"},
        {" \n<HTML><body>404</body>", 24, "is an HTML page"},
        {"PK\3\4abcdefgh", 12, "is a zip archive"},
        {"GGUF\3\0\0\0\1\0\0\0", 12, "is a GGUF file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(path, cases[i].bytes, cases[i].count);
        refused(yki_safetensors_open(path, &file), path, cases[i].words);
    }
    refused(yki_safetensors_open(in_folder("nowhere.safetensors"), &file), in_folder("nowhere.safetensors"),
            "No such file");
    assert_int_equal(mkfifo(in_folder("pipe.safetensors"), 0666), 0);
    refused(yki_safetensors_open(in_folder("pipe.safetensors"), &file), in_folder("pipe.safetensors"),
            "not a plain file");
    refused(yki_safetensors_open(folder, &file), folder, "has neither model.safetensors nor");
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    enum { DEEP = 1000000 };
    yki_safetensors *file;
    const char *path = in_folder("deep.safetensors");
    char *header = malloc(DEEP + 16);
    strcpy(header, "{\"a\":");
    memset(header + 5, '[', DEEP);
    header[5 + DEEP] = '\0';
    put_tensors(path, header, 0);
    free(header);
    refused(yki_safetensors_open(path, &file), path, "maximum parsing depth");
}

static const char two_tensors[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],"
    "\"data_offsets\":[0,24]},\"h\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[24,34]}}";

static void every_truncation_is_refused(void **state)
{
    (void)state;
    char bytes[400];
    const char *path = in_folder("cut.safetensors");
    size_t count = make_file(bytes, two_tensors, 34);
    yki_safetensors *file;
    for (size_t cut = 0; cut < count; cut++) {
        write_file(path, bytes, cut);
        refused(yki_safetensors_open(path, &file), path, cut < 8 ? "at least 8" : "is truncated");
    }
    write_file(path, bytes, count);
    assert_int_equal(yki_safetensors_open(path, &file), YOKE_OK);
    yki_safetensors_close(file);
}

/* Opens and, where that works, reads everything that the file claims to hold. */
static bool survive(const char *path)
{
    yki_safetensors *file;
    yoke_status status = yki_safetensors_open(path, &file);
    if (status != YOKE_OK) {
        assert_int_equal(status, YOKE_INVALID);
        assert_true(yoke_error_get()->file[0] && yoke_error_get()->message[0]);
        return false;
    }
    float values[64];
    for (int i = 0; i < yki_safetensors_count(file); i++) {
        const yki_safetensor *tensor = yki_safetensors_get(file, i);
        assert_ptr_equal(yki_safetensors_find(file, tensor->name), tensor);
        yki_safetensors_check_finite(file, tensor);
        for (int64_t first = 0; first < tensor->elems; first += 64) {
            int64_t count = tensor->elems - first < 64 ? tensor->elems - first : 64;
            if (yki_safetensors_read_f32(file, tensor, first, count, values) != YOKE_OK) break;
        }
    }
    yki_safetensors_close(file);
    return true;
}

static void no_mutation_crashes_the_reader(void **state)
{
    (void)state;
    char whole[500], bytes[500];
    uint64_t seed = 20240611;
    int accepted = 0;
    size_t count = make_file(whole, two_tensors, 34);
    for (int round = 0; round < 6000; round++) {
        memcpy(bytes, whole, count);
        write_file(in_folder("mutant.safetensors"), bytes, mutate(bytes, count, sizeof bytes, &seed));
        accepted += survive(in_folder("mutant.safetensors"));
    }
    assert_in_range(accepted, 60, 5000); /* changed data and names are legal; the loop does reach both ways */
}

#define SHARD "model-00001-of-00001.safetensors"

static void indexes_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *file, *words, *key;
    } cases[] = {
        {"", "model.safetensors.index.json", "is not valid JSON", ""},
        {"[]", "model.safetensors.index.json", "is not a JSON object", ""},
        {"{}", "model.safetensors.index.json", "is missing or no JSON object", "weight_map"},
        {"{\"weight_map\":[]}", "model.safetensors.index.json", "is missing or no JSON object", "weight_map"},
        {"{\"weight_map\":{\"w\":3}}", "model.safetensors.index.json", "'w' has no file name", "weight_map"},
        {"{\"weight_map\":{\"w\":\"\"}}", "model.safetensors.index.json",
         "is in '', which is no plain file name", "weight_map"},
        {"{\"weight_map\":{\"w\":\"../" SHARD "\"}}", "model.safetensors.index.json", "is no plain file name",
         "weight_map"},
        {"{\"weight_map\":{\"w\":\"/etc/passwd\"}}", "model.safetensors.index.json", "is no plain file name",
         "weight_map"},
        {"{\"weight_map\":{\"w\":\"..\"}}", "model.safetensors.index.json", "is no plain file name",
         "weight_map"},
        {"{\"weight_map\":{\"w\":\".\"}}", "model.safetensors.index.json", "is no plain file name",
         "weight_map"},
        {"{\"weight_map\":{\"w\":\"" SHARD "\",\"w\":\"" SHARD "\"}}", "model.safetensors.index.json",
         "duplicate", ""},
        {"{\"weight_map\":{\"w\":\"" SHARD "\"}}", SHARD, "tensor 'h', which the weight_map", ""},
        {"{\"weight_map\":{\"w\":\"" SHARD "\",\"h\":\"other.safetensors\"}}", SHARD,
         "tensor 'h', which the weight_map of the folder's index places in 'other.safetensors'", ""},
        {"{\"weight_map\":{\"w\":\"" SHARD "\",\"h\":\"" SHARD "\",\"x\":\"" SHARD "\"}}",
         "model.safetensors.index.json", "tensor 'x' is not in '" SHARD "'", "weight_map"},
        {"{\"weight_map\":{\"w\":\"gone.safetensors\"}}", "gone.safetensors", "No such file", ""},
        {"{\"weight_map\":{\"w\":\"bad.safetensors\"}}", "bad.safetensors", "is truncated", ""},
        {"{\"weight_map\":{\"w\":\"folder\"}}", "folder", "is a folder, not a plain file", ""},
        {"version https://git-lfs.github.com/spec/v1\n", "model.safetensors.index.json",
         "is a Git LFS pointer", ""},
        {"<html></html>", "model.safetensors.index.json", "is an HTML page", ""},
    };
    char dir[200];
    yki_safetensors *file;
    snprintf(dir, sizeof dir, "%s", in_folder("index"));
    assert_int_equal(mkdir(dir, 0777), 0);
    assert_int_equal(mkdir(in_folder("index/folder"), 0777), 0);
    put_tensors(in_folder("index/" SHARD), two_tensors, 34);
    put_tensors(in_folder("index/bad.safetensors"), two_tensors, 33);
    put_tensors(in_folder("index/other.safetensors"), "{}", 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wanted[400];
        write_text(in_folder("index/model.safetensors.index.json"), cases[i].text);
        snprintf(wanted, sizeof wanted, "%s/%s", dir, cases[i].file);
        refused(yki_safetensors_open(dir, &file), wanted, cases[i].words);
        assert_string_equal(yoke_error_get()->key, cases[i].key);
    }
    const char *good = "{\"metadata\":{},\"weight_map\":{\"w\":\"" SHARD "\",\"h\":\"" SHARD "\"}}";
    char bytes[300];
    uint64_t seed = 5;
    int accepted = 0;
    for (int round = 0; round < 3000; round++) {
        size_t count = strlen(good);
        memcpy(bytes, good, count);
        if (round > 0) count = mutate(bytes, count, sizeof bytes, &seed);
        write_file(in_folder("index/model.safetensors.index.json"), bytes, count);
        accepted += survive(dir);
    }
    assert_in_range(accepted, 1, 2900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_refused_in_words),
        cmocka_unit_test(lengths_are_refused_in_words),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_mutation_crashes_the_reader),
        cmocka_unit_test(indexes_are_refused_in_words),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
