/* What a model was trained on: columns by name, words as classes, scales from the samples trained on alone;
 * kept as JSON and found again. And samples held out by a draw. */
#include "cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/json_file.h"
#include "data/facts.h"
#include "fixture.h"

static void ok(yoke_status status)
{
    if (status != YOKE_OK) fail_msg("%s: %s", yoke_error_get()->file, yoke_error_get()->message);
}

static const char *const klass[] = {"klass"};

static yoke_data *open_csv(const char *text, const yki_facts *facts, bool inputs_alone)
{
    const char *path = fixture_write_text("facts.csv", text);
    yki_data_spec spec = {.npaths = 1,
                          .paths = &path,
                          .ncolumns = 1,
                          .columns = klass,
                          .facts = facts,
                          .no_targets = inputs_alone};
    yoke_data *data = NULL;
    ok(yki_data_from_csv(&data, &spec));
    return data;
}

static void refuse_csv(const char *text, const yki_facts *facts, int line, const char *says)
{
    const char *path = fixture_write_text("facts.csv", text);
    yki_data_spec spec = {.npaths = 1, .paths = &path, .ncolumns = 1, .columns = klass, .facts = facts};
    yoke_data *data = NULL;
    fixture_refused(yki_data_from_csv(&data, &spec), says, data);
    assert_int_equal(yoke_error_get()->line, line);
}

static const char table[] = "a,klass,b\n1,mid,10\n2,high,20\n3,low,30\n4,mid,40\n";

static void words_are_classes_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    yoke_data *data = open_csv(table, NULL, false);
    static const int32_t wanted[] = {2, 0, 1, 2};
    assert_int_equal(data->classes.count, 3);
    assert_string_equal(data->classes.names[0], "high");
    assert_string_equal(data->classes.names[1], "low");
    assert_string_equal(data->classes.names[2], "mid");
    for (int i = 0; i < 4; i++) {
        float x[2];
        int32_t y = -1;
        ok(yoke_data_get(data, i, x, &y));
        assert_int_equal(y, wanted[i]);
        assert_true(x[0] == (float)(i + 1) && x[1] == (float)(10 * (i + 1)));
    }
    yoke_row target;
    yoke_data_rows(data, NULL, &target);
    assert_true(target.type == YOKE_I32 && target.ndim == 0);
    yoke_data_destroy(data);
}

/* As many words as make the list of them grow, in an order that is not theirs. */
static void many_words_are_numbered_alike(void **state)
{
    (void)state;
    enum { WORDS = 300 };
    static char text[WORDS * 2 * 24];
    int n = sprintf(text, "x,klass\n");
    for (int i = 0; i < 2 * WORDS; i++) n += sprintf(text + n, "%d,w%04d\n", i, i * 7 % WORDS);
    yoke_data *data = open_csv(text, NULL, false);
    assert_int_equal(data->classes.count, WORDS);
    for (int i = 0; i < 2 * WORDS; i++) {
        float x;
        int32_t y;
        ok(yoke_data_get(data, i, &x, &y));
        assert_int_equal(y, i * 7 % WORDS);
    }
    yoke_data_destroy(data);
}

static void words_and_numbers_are_not_mixed(void **state)
{
    (void)state;
    refuse_csv("a,klass\n1,2\n1,high\n", NULL, 3, "no number, and in line 2 it is '2'");
    refuse_csv("a,klass\n1,high\n1,2\n", NULL, 3, "a number, and in line 2 it is 'high'");
    refuse_csv("a,klass\n1,high\n1,\n", NULL, 3, "empty");
    refuse_csv("a,klass\n1,nan\n", NULL, 2, "not a finite number");
    refuse_csv("a,klass\nx,high\n", NULL, 2, "inputs are numbers");
    refuse_csv("a,klass\n1,h\xffgh\n", NULL, 2, "not UTF-8");
}

static void what_spreadsheets_write_is_named(void **state)
{
    (void)state;
    refuse_csv("a;b;klass\n1;2;high\n", NULL, 1, "separated by ';'");
    refuse_csv("a\tklass\n1\t2\n", NULL, 1, "separated by tabs");
    refuse_csv(",a,klass\n0,1,2\n", NULL, 1, "to_csv(index=False)");
    refuse_csv("a,klass\n\"1,5\",2\n", NULL, 2, "numbers have a point");
    refuse_csv("a,kl\xe4sse\n1,2\n", NULL, 1, "not UTF-8");
}

static yki_facts facts_of(yoke_data *data, yoke_scale scale, double holdout, yoke_holdout by)
{
    yki_facts facts = {.scale = YOKE_SCALE_NONE};
    yki_order order;
    ok(yki_order_init(&order, yoke_data_samples(data), holdout, by, 1, true, false, 7));
    ok(yki_facts_make(&facts, data, scale, &order));
    return facts;
}

static void columns_are_found_by_the_names_of_training(void **state)
{
    (void)state;
    yoke_data *data = open_csv(table, NULL, false);
    yki_facts facts = facts_of(data, YOKE_SCALE_NONE, 0, YOKE_HOLDOUT_END);
    yoke_data_destroy(data);
    assert_int_equal(facts.columns.count, 2);

    float x[2];
    int32_t y;
    data = open_csv("b,who,klass,a\n10,bob,low,1\n", &facts, false);
    ok(yoke_data_get(data, 0, x, &y));
    assert_true(x[0] == 1 && x[1] == 10 && y == 1); /* of three classes, though the file has one */
    assert_int_equal(data->notes.count, 1);
    assert_non_null(strstr(data->notes.names[0], "column \"who\": it is passed over"));
    yoke_data_destroy(data);

    for (int with = 0; with < 2; with++) { /* targets may be there, and are not looked at */
        data = open_csv(with ? "klass,b,a\nnever,10,1\n" : "b,a\n10,1\n", &facts, true);
        ok(yki_data_get_inputs(data, 0, x));
        assert_true(x[0] == 1 && x[1] == 10);
        assert_int_equal(yoke_data_get(data, 0, x, &y), YOKE_INVALID);
        assert_int_equal(data->notes.count, 0);
        yoke_data_destroy(data);
    }
    refuse_csv("b,klass\n10,low\n", &facts, 1,
               "no column is named \"a\", an input that the model was trained on");
    refuse_csv("a,b,klass\n1,2,low\n1,2,other\n", &facts, 3,
               "klass is 'other', and the model was trained on");
    yki_facts_release(&facts);
}

static void scales_come_from_the_samples_trained_on(void **state)
{
    (void)state;
    yoke_data *data = open_csv("a,c,klass\n1,5,0\n3,5,1\n100,9,0\n", NULL, false);
    const struct {
        yoke_scale scale;
        double shift[2], factor[2];
    } cases[] = {{YOKE_SCALE_STANDARD, {2, 5}, {1, 1}}, {YOKE_SCALE_MINMAX, {1, 5}, {0.5, 1}}};
    for (int i = 0; i < 2; i++) { /* the last of three is held out; c is constant in the others */
        yki_facts facts = facts_of(data, cases[i].scale, 0.34, YOKE_HOLDOUT_END);
        float x[2];
        int32_t y;
        assert_int_equal(facts.nscaled, 2);
        for (int c = 0; c < 2; c++) {
            assert_true(fabs(facts.shift[c] - cases[i].shift[c]) < 1e-12);
            assert_true(fabs(facts.factor[c] - cases[i].factor[c]) < 1e-12);
        }
        ok(yoke_data_get(data, 2, x, &y));
        ok(yki_facts_apply(&facts, 2, NULL, x, 2));
        assert_true(x[0] == (float)((100 - cases[i].shift[0]) * cases[i].factor[0]) && x[1] == 4);
        double real[2] = {100, 1 / 3.0};
        ok(yki_facts_apply(&facts, 2, real, x, 2)); /* rounded once */
        assert_true(x[1] == (float)((1 / 3.0 - cases[i].shift[1]) * cases[i].factor[1]));
        x[0] = 3e38f; /* still finite by the factor, or said */
        facts.factor[0] = 10;
        assert_int_equal(yki_facts_apply(&facts, 9, NULL, x, 2), YOKE_INVALID);
        assert_non_null(strstr(yoke_error_get()->message, "sample 9: column 0, a"));
        yki_facts_release(&facts);
    }
    yoke_data_destroy(data);
}

/* Of what f32 does not hold: decimals, doubles, and integers of 4 and 8 bytes. */
static void all_digits_are_there_to_be_scaled(void **state)
{
    (void)state;
    static const double f8[] = {0.1, 1700000000.25, -1e-30, 3};
    static const int64_t i8[] = {16777217, 2147483647, 0, 5};
    static const uint32_t u4[] = {16777217, 2147483647, 0, 5};
    const char *y = fixture_write_npy("y.npy", 1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
                                      i8 + 2, 16);
    const struct {
        const char *type;
        const void *values;
        size_t bytes;
    } files[] = {{"<f8", f8, sizeof f8}, {"<i8", i8, sizeof i8}, {"<u4", u4, sizeof u4}};
    for (int k = 0; k < 4; k++) {
        yoke_data *data = NULL;
        const yoke_row numbers = {YOKE_F32, 1, {2}};
        if (k < 3) {
            char header[96];
            snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (2, 2), }",
                     files[k].type);
            ok(yoke_data_from_npy(&data,
                                  fixture_write_npy("x.npy", 1, header, files[k].values, files[k].bytes), y));
        } else
            data = open_csv("a,b,klass\n0.1,1700000000.25,1\n-1e-30,3,0\n", NULL, false);
        ok(yki_data_view(data, &numbers, NULL));
        for (int i = 0; i < 2; i++) {
            float x[2];
            double real[2];
            int32_t target;
            ok(yki_data_get_real(data, i, x, &target, real));
            for (int c = 0; c < 2; c++) {
                assert_true(real[c] == (k == 0 || k == 3 ? f8[2 * i + c] : (double)i8[2 * i + c]));
                assert_true(x[c] == (float)real[c]);
            }
        }
        yoke_data_destroy(data);
    }
}

static void channels_are_columns_of_pictures(void **state)
{
    (void)state;
    static const float x[] = {0, 2, 10, 10, 4, 2, 10, 10};
    static const int32_t y[] = {0, 1};
    const yoke_row input = {YOKE_F32, 3, {2, 1, 2}}, target = {YOKE_I32, 0, {0}};
    yoke_data *data = NULL;
    ok(yoke_data_from_memory(&data, 2, &input, x, &target, y));
    yki_facts facts = facts_of(data, YOKE_SCALE_STANDARD, 0, YOKE_HOLDOUT_END);
    assert_int_equal(facts.nscaled, 2);
    assert_true(facts.shift[0] == 2 && fabs(facts.factor[0] - 1 / sqrt(2)) < 1e-12);
    assert_true(facts.shift[1] == 10 && facts.factor[1] == 1);
    yki_facts_release(&facts);
    yoke_data_destroy(data);
    const yoke_row ids = {YOKE_I32, 1, {4}};
    ok(yoke_data_from_memory(&data, 2, &ids, x, &target, y));
    yki_order order;
    ok(yki_order_init(&order, 2, 0, YOKE_HOLDOUT_END, 1, true, false, 7));
    assert_int_equal(yki_facts_make(&facts, data, YOKE_SCALE_MINMAX, &order), YOKE_INVALID);
    assert_string_equal(yoke_error_get()->key, "data.scale");
    yoke_data_destroy(data);
}

static void read_back(const yki_facts *facts)
{
    yki_text text = {0};
    yki_text_append(&text, "{\"model_type\": \"yoke-layers\"");
    yki_facts_print(&text, facts);
    yki_text_append(&text, "}");
    char *bytes = yki_text_take(&text);
    json_t *config;
    yki_facts again = {.scale = YOKE_SCALE_NONE};
    ok(yki_json_parse("config.json", "", bytes, strlen(bytes), &config));
    ok(yki_facts_read("config.json", config, &again));
    assert_true(yki_names_same(&facts->columns, &again.columns) &&
                yki_names_same(&facts->targets, &again.targets));
    assert_true(yki_names_same(&facts->classes, &again.classes));
    assert_int_equal(facts->scale, again.scale);
    assert_int_equal(facts->nscaled, again.nscaled);
    for (int64_t c = 0; c < facts->nscaled; c++)
        assert_true(facts->shift[c] == again.shift[c] && facts->factor[c] == again.factor[c]);
    yki_facts_release(&again);
    json_decref(config);
    free(bytes);
}

static void facts_are_kept_to_the_bit(void **state)
{
    (void)state;
    yoke_data *data = open_csv(
        "\"a \"\"b\"\"\",\xc3\xa4,klass\n0.1,1e-30,x\n0.7,3e30,\"a,b\"\n0.3,5,\xe2\x82\xac\n", NULL, false);
    for (int scale = YOKE_SCALE_NONE; scale <= YOKE_SCALE_MINMAX; scale++) {
        yki_facts facts = facts_of(data, (yoke_scale)scale, 0, YOKE_HOLDOUT_END);
        read_back(&facts);
        yki_facts_release(&facts);
    }
    yoke_data_destroy(data);
    read_back(&(yki_facts){.scale = YOKE_SCALE_NONE});
}

static void facts_of_strangers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json, *key;
    } cases[] = {
        {"{\"columns\": 3}", "columns"},
        {"{\"columns\": [\"a\", 4]}", "columns"},
        {"{\"classes\": [\"\"]}", "classes"},
        {"{\"scale\": 1}", "scale.kind"},
        {"{\"scale\": {\"kind\": \"log\", \"shift\": [1], \"factor\": [1]}}", "scale.kind"},
        {"{\"scale\": {\"kind\": \"minmax\", \"shift\": [1], \"factor\": []}}", "scale"},
        {"{\"scale\": {\"kind\": \"minmax\", \"shift\": [1], \"factor\": [true]}}", "scale.factor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *config;
        yki_facts facts = {.scale = YOKE_SCALE_NONE};
        ok(yki_json_parse("config.json", "", cases[i].json, strlen(cases[i].json), &config));
        assert_int_equal(yki_facts_read("config.json", config, &facts), YOKE_INVALID);
        assert_string_equal(yoke_error_get()->file, "config.json");
        assert_string_equal(yoke_error_get()->key, cases[i].key);
        assert_true(facts.columns.count == 0 && !facts.shift);
        json_decref(config);
    }
}

/* Each sample is trained on or held out, in every epoch, and which it is depends on the seed and the count
 * alone. */
static void a_drawn_share_parts_the_samples(void **state)
{
    (void)state;
    enum { N = 100 };
    int64_t first[N] = {0};
    for (int kind = 0; kind < 4; kind++) {
        yki_order order;
        int seen[N] = {0}, late = 0;
        ok(yki_order_init(&order, N, 0.2, YOKE_HOLDOUT_DRAW, kind % 2 ? 7 : 16, kind < 2, false, 5));
        assert_int_equal(order.samples, 80);
        assert_int_equal(order.held, 20);
        for (int i = 0; i < 20; i++) {
            int64_t sample = yki_order_held(&order, i);
            if (kind == 0) first[i] = sample;
            assert_int_equal(sample, first[i]);
            seen[sample]++;
            late += sample >= 80;
        }
        assert_true(late < 15); /* not the end: 4 are expected */
        int64_t indices[16];
        for (int64_t s = 0; s < yki_order_steps_per_epoch(&order); s++) {
            int64_t count = yki_order_batch(&order, s, indices);
            for (int64_t i = 0; i < count; i++) {
                seen[indices[i]]++;
                assert_int_equal(indices[i], yki_order_sample(&order, 0, s * order.batch + i));
            }
        }
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1);
    }
    yki_order other;
    int same = 0;
    ok(yki_order_init(&other, N, 0.2, YOKE_HOLDOUT_DRAW, 7, true, false, 6));
    for (int i = 0; i < 20; i++) same += yki_order_held(&other, i) == first[i];
    assert_true(same < 10);
    ok(yki_order_init(&other, N, 0.2, YOKE_HOLDOUT_END, 7, true, false, 6));
    for (int i = 0; i < 20; i++) assert_int_equal(yki_order_held(&other, i), 80 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_classes_in_the_order_of_their_bytes),
        cmocka_unit_test(many_words_are_numbered_alike),
        cmocka_unit_test(words_and_numbers_are_not_mixed),
        cmocka_unit_test(what_spreadsheets_write_is_named),
        cmocka_unit_test(columns_are_found_by_the_names_of_training),
        cmocka_unit_test(scales_come_from_the_samples_trained_on),
        cmocka_unit_test(all_digits_are_there_to_be_scaled),
        cmocka_unit_test(channels_are_columns_of_pictures),
        cmocka_unit_test(facts_are_kept_to_the_bit),
        cmocka_unit_test(facts_of_strangers_are_refused),
        cmocka_unit_test(a_drawn_share_parts_the_samples),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
