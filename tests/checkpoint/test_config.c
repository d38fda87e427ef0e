/* config.json and state.json: printed and read back; Hugging Face's files in their spellings; every refusal
 * in words. */
#include "files.h"

#include <math.h>

#include "job/job.h"

/* As the hub's gpt2 has it, shortened. */
#define GPT2                                                                                                 \
    "{\"activation_function\":\"gelu_new\",\"architectures\":[\"GPT2LMHeadModel\"],\"layer_norm_epsilon\":"  \
    "1e-05,"                                                                                                 \
    "\"model_type\":\"gpt2\",\"n_ctx\":1024,\"n_embd\":768,\"n_head\":12,\"n_layer\":12,\"n_positions\":"    \
    "1024,"                                                                                                  \
    "\"resid_pdrop\":0.1,\"vocab_size\":50257"
#define LLAMA                                                                                                \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_act\":\"silu\",\"hidden_size\":64,\"intermediate_"   \
    "size\":172,"                                                                                            \
    "\"max_position_embeddings\":2048,\"model_type\":\"llama\",\"num_attention_heads\":8,\"num_hidden_"      \
    "layers\":3,"                                                                                            \
    "\"rms_norm_eps\":1e-05,\"vocab_size\":32000"

/* The same of another type. */
#define OTHER(type, more)                                                                                    \
    "{\"hidden_size\":64,\"intermediate_size\":172,\"max_position_embeddings\":2048,\"model_type\":\"" type  \
    "\",\"num_attention_heads\":8,\"num_key_value_heads\":2,\"num_hidden_layers\":3,\"rms_norm_eps\":1e-05," \
    "\"vocab_size\":32000" more

static yoke_status read_text(const char *text, yoke_model_spec *model)
{
    write_text(in_folder("config.json"), text);
    return yki_config_read(folder, model);
}

static yoke_model_spec absent(yoke_family family)
{
    return yki_spec_absent(family);
}

static void gpt2_is_read_as_the_hub_has_it(void **state)
{
    (void)state;
    yoke_model_spec model = absent(YOKE_FAMILY_GPT2);
    assert_int_equal(read_text(GPT2 "}", &model), YOKE_OK);
    assert_int_equal(model.depth, 12);
    assert_int_equal(model.heads, 12);
    assert_int_equal(model.width, 768);
    assert_int_equal(model.context, 1024);
    assert_int_equal(model.vocab, 50257);
    assert_true(model.norm_eps == 1e-5 && model.dropout == 0);
    assert_int_equal(model.tied, 1);
    yoke_model_spec newer =
        absent(YOKE_FAMILY_GPT2); /* one name of two, defaults left out, what is known of both */
    assert_int_equal(
        read_text("{\"model_type\":\"gpt2\",\"n_positions\":64,\"hidden_size\":8,\"num_attention_heads\":2,"
                  "\"num_hidden_layers\":1,\"vocab_size\":5,\"n_inner\":32,\"dtype\":\"float32\"}",
                  &newer),
        YOKE_OK);
    assert_int_equal(newer.width, 8);
    assert_int_equal(newer.context, 64);
    assert_true(newer.norm_eps == 1e-5);
}

static void llama_is_read_older_and_newer(void **state)
{
    (void)state;
    yoke_model_spec model = absent(YOKE_FAMILY_LLAMA);
    assert_int_equal(read_text(LLAMA ",\"rope_scaling\":null,\"torch_dtype\":\"float16\"}", &model), YOKE_OK);
    assert_int_equal(model.kv_heads, 8);
    assert_int_equal(model.hidden, 172);
    assert_int_equal(model.tied, 0);
    assert_true(model.rope_theta == 10000 && model.norm_eps == 1e-5);
    model = absent(YOKE_FAMILY_LLAMA);
    assert_int_equal(
        read_text(LLAMA ",\"num_key_value_heads\":2,\"rope_theta\":500000.0,\"tie_word_embeddings\":true}",
                  &model),
        YOKE_OK);
    assert_int_equal(model.kv_heads, 2);
    assert_int_equal(model.tied, 1);
    assert_true(model.rope_theta == 500000);
    model = absent(YOKE_FAMILY_LLAMA);
    assert_int_equal(
        read_text(LLAMA ",\"dtype\":\"bfloat16\",\"head_dim\":8,\"rope_parameters\":{\"rope_theta\":2e4,"
                        "\"rope_type\":\"default\"}}",
                  &model),
        YOKE_OK);
    assert_true(model.rope_theta == 20000);
    static const char *const homes[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) { /* Llama 3.1's, where older and newer files say so */
        char text[1024];
        snprintf(text, sizeof text,
                 LLAMA ",\"%s\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                       "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}}",
                 homes[i]);
        model = absent(YOKE_FAMILY_LLAMA);
        assert_int_equal(read_text(text, &model), YOKE_OK);
        const yoke_rope_scaling *s = &model.rope_scaling;
        assert_true(s->factor == 8 && s->low == 1 && s->high == 4 && s->context == 8192);
        char *again = yki_config_print(&model, NULL, NULL, NULL);
        yoke_model_spec read = absent(YOKE_FAMILY_LLAMA);
        assert_int_equal(read_text(again, &read), YOKE_OK);
        assert_memory_equal(&read.rope_scaling, s, sizeof *s);
        free(again);
    }
}

static void the_job_and_the_file_must_agree(void **state)
{
    (void)state;
    const char *path = in_folder("config.json");
    yoke_model_spec model = {.family = YOKE_FAMILY_GPT2,
                             .depth = 24,
                             .dropout = 0.2,
                             .tied = -1,
                             .qkv_bias = -1,
                             .qk_norm = -1},
                    before = model;
    refused(read_text(GPT2 "}", &model), path, "is 12, but the job's model.layers is 24");
    assert_string_equal(yoke_error_get()->key, "n_layer");
    assert_memory_equal(&model, &before, sizeof model);
    model.depth = 12;
    model.norm_eps = 1e-6;
    refused(read_text(GPT2 "}", &model), path, "but the job's model.norm_eps is 1e-06");
    model.norm_eps = 1e-5;
    assert_int_equal(read_text(GPT2 "}", &model), YOKE_OK);
    assert_true(model.dropout == 0.2);
    model = absent(YOKE_FAMILY_LLAMA);
    refused(read_text(GPT2 "}", &model), path, "is 'gpt2', but the job's model.family is llama");
    model.tied = 1;
    refused(read_text(LLAMA ",\"tie_word_embeddings\":false}", &model), path,
            "is false, but the job's model.tied is true");
    assert_int_equal(read_text(LLAMA "}", &model), YOKE_OK);
    assert_int_equal(model.tied, 1);
    /* What only the job says stands. */
    model = (yoke_model_spec){
        .family = YOKE_FAMILY_GPT2, .depth = 2, .heads = 2, .width = 4, .context = 8, .vocab = 9};
    assert_int_equal(read_text("{\"model_type\":\"gpt2\"}", &model), YOKE_OK);
    assert_int_equal(model.vocab, 9);
}

static const struct {
    yoke_family family;
    const char *text, *key, *words;
} bad_configs[] = {
    {YOKE_FAMILY_GPT2, "", "", "is not valid JSON"},
    {YOKE_FAMILY_GPT2, "[1]", "", "is not a JSON object"},
    {YOKE_FAMILY_GPT2, "{} {}", "", "is not valid JSON"},
    {YOKE_FAMILY_GPT2, GPT2, "", "is not valid JSON"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"\xff\"}", "", "is not UTF-8"},
    {YOKE_FAMILY_GPT2, "version https://git-lfs.github.com/spec/v1\n", "", "is a Git LFS pointer"},
    {YOKE_FAMILY_GPT2, "<!doctype HTML>", "", "is an HTML page"},
    {YOKE_FAMILY_GPT2, "{}", "model_type", "is missing"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":3}", "model_type", "no string"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"mistral\"}", "model_type",
     "is 'mistral', but the job's model.family is gpt2"},
    {YOKE_FAMILY_LLAMA, "{\"model_type\":\"gemma\"}", "model_type",
     "is 'gemma'; yoke reads 'gpt2', 'llama', 'mistral', 'qwen2', 'qwen3' and 'yoke-llama'"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\"}", "n_layer", "is missing"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":0}", "n_layer", "whole number from 1 to 10000"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":10001}", "n_layer",
     "whole number from 1 to 10000"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":-1}", "n_layer", "is -1"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":\"12\"}", "n_layer", "is '12'"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":1.5}", "n_layer", "is 1.5"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"n_layer\":[[]]}", "n_layer", "whole number"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"num_hidden_layers\":13}", "num_hidden_layers",
     "is 13, but n_layer, which means the same, is 12"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"max_position_embeddings\":9}", "max_position_embeddings", "but n_positions"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"n_inner\":3073}", "n_inner", "is 3073"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"scale_attn_by_inverse_layer_idx\":true}", "scale_attn_by_inverse_layer_idx",
     "is true"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"tie_word_embeddings\":false}", "tie_word_embeddings", "is false"},
    {YOKE_FAMILY_GPT2, GPT2 ",\"quantization_config\":{\"bits\":4}}", "quantization_config", "is an object"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"activation_function\":\"relu\"}", "activation_function",
     "is 'relu', which yoke does not compute; it computes gelu_new"},
    {YOKE_FAMILY_GPT2, "{\"model_type\":\"gpt2\",\"activation_function\":\"gelu\"}", "activation_function",
     "is 'gelu'"},
    {YOKE_FAMILY_GPT2,
     "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":5,\"n_embd\":768,\"n_ctx\":4,\"vocab_size\":4}",
     "n_embd", "is 768, which 5 heads do not divide"},
    {YOKE_FAMILY_GPT2,
     "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":1,\"n_embd\":8,\"n_ctx\":4,\"vocab_size\":"
     "2147483649}",
     "vocab_size", "whole number from 1 to 2147483648"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"hidden_act\":\"gelu\"}", "", "duplicate"},
    {YOKE_FAMILY_LLAMA, OTHER("mistral", ",\"attention_bias\":true}"), "attention_bias",
     "is true, which yoke does not compute"},
    {YOKE_FAMILY_LLAMA, OTHER("qwen2", ",\"use_sliding_window\":true}"), "use_sliding_window",
     "is true, which yoke does not compute; it computes false"},
    {YOKE_FAMILY_LLAMA, OTHER("qwen3", ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]}"),
     "layer_types", "has 'sliding_attention', which yoke does not compute"},
    {YOKE_FAMILY_LLAMA, OTHER("mistral", ",\"sliding_window\":0}"), "sliding_window", "is 0"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"partial_rotary_factor\":0.5}", "partial_rotary_factor", "is 0.5"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":1e4}}}",
     "rope_parameters", "is an object"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"mlp_bias\":1}", "mlp_bias", "is 1; it must be true or false"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"num_key_value_heads\":3}", "num_key_value_heads",
     "is 3, which does not divide 8"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"num_key_value_heads\":16}", "num_key_value_heads", "is 16"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"head_dim\":9}", "head_dim",
     "gives heads a width of 9, and it must be even"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_theta\":0}", "rope_theta", "number above 0"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_theta\":\"x\"}", "rope_theta", "is 'x'"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_theta\":1e999}", "", "is not valid JSON"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2.0}}", "rope_scaling",
     "is 'dynamic'"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}}",
     "rope_scaling.factor", "is 0.5; it must be at least 1"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_scaling\":{\"factor\":2.0}}", "rope_scaling", "is an object"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"factor\":4.0}}",
     "rope_parameters",
     "is 'yarn', which yoke does not compute; it computes 'default', 'linear' and 'llama3'"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5e5}}",
     "rope_parameters.factor", "is missing; rope of type 'llama3' needs it"},
    {YOKE_FAMILY_LLAMA,
     LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
           "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
     "rope_scaling", "has a high_freq_factor of 4, which must be above low_freq_factor, 4"},
    {YOKE_FAMILY_LLAMA,
     LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":0.5,\"low_freq_factor\":1,"
           "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}}",
     "rope_scaling", "has a factor of 0.5"},
    {YOKE_FAMILY_LLAMA,
     LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,"
           "\"high_freq_factor\":4,\"original_max_position_embeddings\":64.5}}",
     "rope_scaling.original_max_position_embeddings", "is 64.5; it must be a whole number"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"rope_parameters\":7}", "rope_parameters", "is 7"},
    {YOKE_FAMILY_LLAMA, LLAMA ",\"tie_word_embeddings\":2}", "tie_word_embeddings", "is 2"},
};

static void configs_are_refused_in_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_configs / sizeof *bad_configs; i++) {
        yoke_model_spec model = absent(bad_configs[i].family);
        yoke_status status = read_text(bad_configs[i].text, &model);
        refused(status, in_folder("config.json"), bad_configs[i].words);
        assert_string_equal(yoke_error_get()->key, bad_configs[i].key);
    }
    yoke_model_spec model = absent(YOKE_FAMILY_GPT2);
    assert_int_equal(unlink(in_folder("config.json")), 0);
    refused(yki_config_read(folder, &model), in_folder("config.json"), "No such file");
}

static void configs_are_printed_and_read_back(void **state)
{
    (void)state;
    yoke_model_spec gpt2 = {
        .family = YOKE_FAMILY_GPT2, .depth = 2, .heads = 3, .width = 12, .context = 7, .vocab = 256};
    yoke_model_spec read = absent(YOKE_FAMILY_GPT2);
    gpt2.norm_eps = 3e-6;
    gpt2.dropout = 0.1;
    char *text = yki_config_print(&gpt2, NULL, NULL, NULL);
    static const char *const lines[] = {"\"model_type\": \"gpt2\"",
                                        "\"GPT2LMHeadModel\"",
                                        "\"activation_function\": \"gelu_new\"",
                                        "\"n_inner\": null",
                                        "\"n_ctx\": 7",
                                        "\"n_positions\": 7",
                                        "\"n_embd\": 12",
                                        "\"n_head\": 3",
                                        "\"n_layer\": 2",
                                        "\"vocab_size\": 256",
                                        "\"embd_pdrop\": 0.1",
                                        "\"attn_pdrop\": 0.1",
                                        "\"resid_pdrop\": 0.1",
                                        "\"bos_token_id\": null",
                                        "\"torch_dtype\": \"float32\"",
                                        "\"eos_token_id\": null",
                                        "\"layer_norm_epsilon\": 3e-06",
                                        "\"tie_word_embeddings\": true"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i])) fail_msg("no %s in %s", lines[i], text);
    assert_int_equal(read_text(text, &read), YOKE_OK);
    free(text);
    assert_true(read.width == 12 && read.heads == 3 && read.depth == 2 && read.norm_eps == 3e-6);
    gpt2.vocab = 50257;
    text = yki_config_print(&gpt2, NULL, NULL, NULL);
    assert_non_null(strstr(text, "\"eos_token_id\": 50256"));
    free(text);

    yoke_model_spec llama = {
        .family = YOKE_FAMILY_LLAMA, .depth = 1, .heads = 4, .kv_heads = 2, .width = 16, .hidden = 33};
    llama.context = 99, llama.vocab = 11, llama.tied = 1, llama.rope_theta = 1e5;
    text = yki_config_print(&llama, NULL, NULL, NULL);
    assert_non_null(strstr(text, "\"rope_theta\": 100000.0"));
    assert_non_null(strstr(text, "\"torch_dtype\": \"float32\""));
    read = absent(YOKE_FAMILY_LLAMA);
    assert_int_equal(read_text(text, &read), YOKE_OK);
    free(text);
    assert_true(read.hidden == 33 && read.kv_heads == 2 && read.rope_theta == 1e5 && read.tied == 1 &&
                read.norm_eps == 1e-6);

    char type[64], *job;
    yoke_model_spec layers = {.family = YOKE_FAMILY_LAYERS};
    text = yki_config_print(&layers, "model:\n  family: layers # \"\xff\" \xc3\xa9\n", NULL, NULL);
    write_text(in_folder("config.json"), text);
    free(text);
    assert_int_equal(yki_config_type(folder, type), YOKE_OK);
    assert_string_equal(type, "yoke-layers");
    assert_int_equal(yki_config_job(folder, &job), YOKE_OK);
    assert_string_equal(job, "model:\n  family: layers # \"\xef\xbf\xbd\" \xc3\xa9\n");
    free(job);
    refused(yki_config_read(folder, &read), in_folder("config.json"),
            "is 'yoke-layers', but the job's model.family is llama");
    text = yki_config_print(&layers, NULL, NULL, NULL);
    write_text(in_folder("config.json"), text);
    free(text);
    refused(yki_config_job(folder, &job), in_folder("config.json"), "no `layers` model was saved here");
}

/* What each type has, by itself and by its keys, and that it is printed as what it is. */
static void families_are_what_their_type_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type; /* as which it is printed */
        yoke_family family;
        int64_t head_dim, window;
        bool qkv, o, mlp, normed;
        double factor;
    } cases[] = {
        {LLAMA ",\"head_dim\":128,\"attention_bias\":true,\"mlp_bias\":true,\"rope_scaling\":{\"type\":"
               "\"linear\",\"factor\":2.0}}",
         "llama", YOKE_FAMILY_LLAMA, 128, 0, true, true, true, false, 2},
        {LLAMA ",\"sliding_window\":4096}", "llama", YOKE_FAMILY_LLAMA, 0, 0, false, false, false, false, 0},
        {OTHER("mistral", ",\"head_dim\":10,\"sliding_window\":6}"), "mistral", YOKE_FAMILY_MISTRAL, 10, 6,
         false, false, false, false, 0},
        {OTHER("mistral", ",\"sliding_window\":null}"), "mistral", YOKE_FAMILY_MISTRAL, 0, 0, false, false,
         false, false, 0},
        {OTHER("mistral", "}"), "mistral", YOKE_FAMILY_MISTRAL, 0, 4096, false, false, false, false, 0},
        {OTHER("qwen2", ",\"sliding_window\":4096,\"use_sliding_window\":false}"), "qwen2", YOKE_FAMILY_QWEN2,
         0, 0, true, false, false, false, 0},
        {OTHER("qwen3", "}"), "qwen3", YOKE_FAMILY_QWEN3, 128, 0, false, false, false, true, 0},
        {OTHER("qwen3", ",\"head_dim\":16,\"attention_bias\":true}"), "qwen3", YOKE_FAMILY_QWEN3, 16, 0, true,
         true, false, true, 0},
        {OTHER("yoke-llama", ",\"qk_norm\":true,\"qkv_bias\":true,\"sliding_window\":5}"), "yoke-llama",
         YOKE_FAMILY_LLAMA, 0, 5, true, false, false, true, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char type[64];
        yoke_model_spec model = absent(YOKE_FAMILY_LLAMA), again = absent(YOKE_FAMILY_QWEN2);
        if (read_text(cases[i].text, &model) != YOKE_OK)
            fail_msg("%s: %s %s", cases[i].text, yoke_error_get()->key, yoke_error_get()->message);
        assert_int_equal(model.family, cases[i].family);
        assert_int_equal(model.head_dim, cases[i].head_dim);
        assert_int_equal(model.window, cases[i].window);
        assert_true(model.qkv_bias == cases[i].qkv && model.o_bias == cases[i].o &&
                    model.mlp_bias == cases[i].mlp);
        assert_true(model.qk_norm == cases[i].normed && model.rope_scaling.factor == cases[i].factor);
        char *text = yki_config_print(&model, NULL, NULL, NULL);
        assert_int_equal(read_text(text, &again), YOKE_OK);
        assert_int_equal(yki_config_type(folder, type), YOKE_OK);
        assert_string_equal(type, cases[i].type);
        if (!model.head_dim) model.head_dim = again.head_dim; /* it is always printed */
        assert_memory_equal(&model, &again, sizeof model);
        free(text);
    }
    yoke_model_spec model = absent(YOKE_FAMILY_LLAMA);
    model.qkv_bias = 0;
    refused(read_text(OTHER("qwen2", "}"), &model), in_folder("config.json"),
            "is 'qwen2', which has biases of q, k and v, but the job's model.qkv_bias is false");
    model = absent(YOKE_FAMILY_QWEN3);
    model.window = 7;
    refused(read_text(OTHER("mistral", ",\"sliding_window\":6}"), &model), in_folder("config.json"),
            "is 6, but the job's model.sliding_window is 7");
}

/* A job's model is saved under the type that has what it has. */
static void models_are_saved_as_what_can_be_them(void **state)
{
    (void)state;
    static const struct {
        yoke_family family;
        int qkv, normed;
        int64_t window;
        const char *type;
    } cases[] = {{YOKE_FAMILY_LLAMA, -1, -1, 0, "llama"},     {YOKE_FAMILY_LLAMA, 1, -1, 0, "qwen2"},
                 {YOKE_FAMILY_LLAMA, -1, 1, 0, "qwen3"},      {YOKE_FAMILY_LLAMA, -1, -1, 9, "mistral"},
                 {YOKE_FAMILY_QWEN2, -1, -1, 0, "qwen2"},     {YOKE_FAMILY_QWEN2, 0, -1, 0, "llama"},
                 {YOKE_FAMILY_MISTRAL, -1, -1, 0, "mistral"}, {YOKE_FAMILY_QWEN3, -1, -1, 0, "qwen3"},
                 {YOKE_FAMILY_QWEN3, 1, -1, 0, "yoke-llama"}, {YOKE_FAMILY_QWEN2, -1, -1, 9, "yoke-llama"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char type[64];
        yoke_model_spec model = absent(cases[i].family), read = absent(YOKE_FAMILY_LLAMA);
        model.depth = 1, model.heads = 4, model.width = 16, model.hidden = 33, model.context = 99;
        model.vocab = 11, model.qkv_bias = cases[i].qkv, model.qk_norm = cases[i].normed;
        model.window = cases[i].window;
        char *text = yki_config_print(&model, NULL, NULL, NULL);
        assert_int_equal(read_text(text, &read), YOKE_OK);
        assert_int_equal(yki_config_type(folder, type), YOKE_OK);
        if (strcmp(type, cases[i].type) != 0) fail_msg("case %zu is saved as %s", i, type);
        assert_true(read.qkv_bias ==
                    (cases[i].qkv < 0 ? cases[i].family == YOKE_FAMILY_QWEN2 : cases[i].qkv));
        assert_int_equal(read.window, cases[i].window);
        free(text);
    }
    yoke_model_spec uneven = absent(YOKE_FAMILY_LLAMA); /* whose heads do not divide its width */
    uneven.depth = 1, uneven.heads = 12, uneven.width = 8, uneven.head_dim = 4, uneven.hidden = 33;
    char *text = yki_config_print(&uneven, NULL, NULL, NULL);
    assert_non_null(strstr(text, "\"model_type\": \"mistral\""));
    free(text);
}

/* All keys stay, in their order and to the digit; what a file does not say and the job did is added. */
static void what_a_model_came_with_stays(void **state)
{
    (void)state;
    static const char *const came =
        "{\n  \"architectures\": [\n    \"MistralForCausalLM\"\n  ],\n  \"bos_token_id\": "
        "1,\n  \"dtype\": \"bfloat16\",\n  \"eos_token_id\": [\n    2,\n    7\n  ],\n  "
        "\"head_dim\": 10,\n  \"hidden_size\": 64,\n  \"initializer_range\": 0.02,\n  "
        "\"intermediate_size\": 172,\n  \"max_position_embeddings\": 2048,\n  "
        "\"model_type\": \"mistral\",\n  \"num_attention_heads\": 8,\n  "
        "\"num_hidden_layers\": 3,\n  \"num_key_value_heads\": 2,\n  \"pi\": "
        "3.141592653589793,\n  \"rms_norm_eps\": 1e-05,\n  \"sliding_window\": 6,\n  "
        "\"strange\": {\n    \"a\": null\n  },\n  \"vocab_size\": 32000\n}\n";
    yoke_model_spec model = absent(YOKE_FAMILY_LLAMA);
    assert_int_equal(read_text(came, &model), YOKE_OK);
    char *text = yki_config_print(&model, NULL, NULL, came);
    assert_string_equal(text, came);
    free(text);
    model = absent(YOKE_FAMILY_LLAMA);
    model.kv_heads = 4, model.rope_theta = 5e4;
    static const char *const less = LLAMA ",\"bos_token_id\":17}";
    assert_int_equal(read_text(less, &model), YOKE_OK);
    text = yki_config_print(&model, NULL, NULL, less);
    assert_non_null(strstr(text, "\"num_key_value_heads\": 4"));
    assert_non_null(strstr(text, "\"rope_theta\": 50000.0"));
    assert_non_null(strstr(text, "\"bos_token_id\": 17"));
    free(text);
    model = absent(YOKE_FAMILY_LLAMA); /* a window over what has none: another type */
    model.window = 32;
    assert_int_equal(read_text(less, &model), YOKE_OK);
    text = yki_config_print(&model, NULL, NULL, less);
    assert_non_null(strstr(text, "\"model_type\": \"mistral\""));
    assert_non_null(strstr(text, "\"MistralForCausalLM\""));
    assert_non_null(strstr(text, "\"sliding_window\": 32"));
    free(text);
}

static const yki_saved_state saved = {.step = 100,
                                      .seed = 7,
                                      .batch = 32,
                                      .last_loss = 0.1,
                                      .skipped = 3,
                                      .skipped_in_a_row = 2,
                                      .no_better = 4,
                                      .least_loss = 0.30000000000000004,
                                      .least_step = 60,
                                      .best_loss = 2,
                                      .best_step = 40,
                                      .layout = "dp=2,zero=1",
                                      .optimizer = "adamw",
                                      .precision = "bf16"};

static void states_are_printed_and_read_back(void **state)
{
    (void)state;
    static const double losses[] = {0.1, 3,       1e-310, 1.7976931348623157e308, -0.30000000000000004,
                                    NAN, INFINITY};
    static const uint64_t seeds[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++)
        for (size_t j = 0; j < sizeof seeds / sizeof *seeds; j++) {
            yki_saved_state written = saved, read;
            written.last_loss = losses[i];
            written.seed = seeds[j];
            char *text = yki_state_print(&written);
            write_text(in_folder("state.json"), text);
            free(text);
            assert_int_equal(yki_checkpoint_state(folder, &read), YOKE_OK);
            assert_true(read.step == 100 && read.batch == 32 && read.seed == seeds[j]);
            assert_true(isfinite(losses[i]) ? read.last_loss == losses[i] : isnan(read.last_loss));
            assert_true(read.skipped == 3 && read.skipped_in_a_row == 2 && read.no_better == 4);
            assert_true(read.least_loss == 0.30000000000000004 && read.least_step == 60);
            assert_true(read.best_loss == 2 && read.best_step == 40);
            assert_string_equal(read.layout, "dp=2,zero=1");
            assert_string_equal(read.optimizer, "adamw");
            assert_string_equal(read.precision, "bf16");
        }
}

#define REST "\"batch\":1,\"last_loss\":1,\"layout\":\"\",\"optimizer\":\"sgd\",\"precision\":\"f32\"}"

#define RUN "0123456789abcdef0123456789abcdef"

/* A run and its facts, in any order and with characters of all kinds, under one hash; and none, as older
 * ones. */
static void a_run_is_printed_and_read_back(void **state)
{
    (void)state;
    yki_saved_state written = saved, read;
    strcpy(written.identity.run, RUN);
    yki_identity_add(&written.identity, "train.steps", "%d", 12);
    yki_identity_add(&written.identity, "data.files", "a \"b\" \\ \xc3\xa9.npy");
    yki_identity_add(&written.identity, "model", "%s", "");
    char *text = yki_state_print(&written);
    write_text(in_folder("state.json"), text);
    assert_non_null(strstr(text, "\"version\": 2,"));
    assert_int_equal(yki_checkpoint_state(folder, &read), YOKE_OK);
    assert_memory_equal(&read.identity, &written.identity, sizeof read.identity);
    assert_string_equal(yki_identity_find(&read.identity, "train.steps"), "12");
    assert_string_equal(yki_identity_find(&read.identity, "model"), "");
    assert_null(yki_identity_find(&read.identity, "data"));
    *strstr(text, "12\"") = '2';
    write_text(in_folder("state.json"), text);
    refused(yki_checkpoint_state(folder, &read), in_folder("state.json"), "changed after it was saved");
    free(text);
    text = yki_state_print(&saved);
    assert_non_null(strstr(text, "\"version\": 1,"));
    assert_null(strstr(text, "\"run\""));
    free(text);
}

/* A fact's key and value are kept with the 0 that ends them: as many bytes as there is room for, less one. */
static void facts_are_read_where_there_is_room_for_them(void **state)
{
    (void)state;
    enum { KEY = (int)sizeof((yki_fact *)NULL)->key, VALUE = YKI_FACT_BYTES };
    static const struct {
        int key, value;
        bool fits;
    } cases[] = {{KEY - 1, VALUE - 1, true}, {KEY, 1, false}, {1, VALUE, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[KEY + 1], value[VALUE + 1], text[1024];
        memset(key, 'k', sizeof key);
        key[cases[i].key] = '\0';
        memset(value, 'v', sizeof value);
        value[cases[i].value] = '\0';
        snprintf(text, sizeof text,
                 "{\"run\":\"" RUN "\",\"identity\":{\"%s\":\"%s\"},\"step\":1,\"seed\":1," REST, key, value);
        write_text(in_folder("state.json"), text);
        yki_saved_state read;
        if (cases[i].fits) {
            assert_int_equal(yki_checkpoint_state(folder, &read), YOKE_OK);
            assert_int_equal(read.identity.nfacts, 1);
            assert_string_equal(read.identity.facts[0].key, key);
            assert_string_equal(read.identity.facts[0].value, value);
        } else {
            refused(yki_checkpoint_state(folder, &read), in_folder("state.json"), "too long a one");
            assert_string_equal(yoke_error_get()->key, "identity");
        }
    }
}

static void states_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key, *words;
    } cases[] = {
        {"", "", "is not valid JSON"},
        {"null", "", "is not"},
        {"{}", "step", "is missing"},
        {"{\"step\":-1,\"seed\":1," REST, "step", "whole number from 0"},
        {"{\"step\":1.0,\"seed\":1," REST, "step", "whole number"},
        {"{\"step\":1," REST, "seed", "is missing"},
        {"{\"step\":1,\"seed\":-1," REST, "seed", "whole number"},
        {"{\"step\":1,\"seed\":\"18446744073709551616\"," REST, "seed", "below 2^64"},
        {"{\"step\":1,\"seed\":\"-1\"," REST, "seed", "below 2^64"},
        {"{\"step\":1,\"seed\":\"1x\"," REST, "seed", "below 2^64"},
        {"{\"step\":1,\"seed\":1,\"batch\":0}", "batch", "whole number from 1"},
        {"{\"step\":1,\"seed\":1,\"batch\":1}", "last_loss", "is missing"},
        {"{\"step\":1,\"seed\":1,\"batch\":1,\"last_loss\":NaN}", "", "is not valid JSON"},
        {"{\"step\":1,\"seed\":1,\"batch\":1,\"last_loss\":\"1\"}", "last_loss", "neither a number nor null"},
        {"{\"step\":1,\"seed\":1,\"batch\":1,\"last_loss\":1,\"layout\":7}", "layout", "no string"},
        {"{\"step\":1,\"seed\":1,\"batch\":1,\"last_loss\":1,\"layout\":\"\",\"optimizer\":"
         "\"0123456789abcdef\"}",
         "optimizer", "is longer than 15 bytes"},
        {"{\"version\":3,\"step\":1,\"seed\":1," REST, "version", "made by a newer yoke"},
        {"{\"run\":\"00\",\"step\":1,\"seed\":1," REST, "run", "not 32 hexadecimal digits"},
        {"{\"run\":7,\"step\":1,\"seed\":1," REST, "run", "no string"},
        {"{\"run\":\"" RUN "\",\"step\":1,\"seed\":1," REST, "identity", "is missing"},
        {"{\"run\":\"" RUN "\",\"identity\":{\"data\":7},\"step\":1,\"seed\":1," REST, "identity",
         "has at 'data' no string"},
        {"{\"step\":1,\"seed\":1,\"skipped\":0," REST, "skipped", "whole number from 1"},
        {"{\"step\":1,\"seed\":1,\"no_better\":\"1\"," REST, "no_better", "whole number from 1"},
        {"{\"step\":1,\"seed\":1,\"best_loss\":null," REST, "best_loss", "is no number"},
        {"{\"step\":1,\"seed\":1,\"least_loss\":1," REST, "least_step", "is missing"},
        {"{\"step\":1,\"step\":1,\"seed\":1," REST, "", "duplicate"},
    };
    yki_saved_state read = saved;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(in_folder("state.json"), cases[i].text);
        refused(yki_checkpoint_state(folder, &read), in_folder("state.json"), cases[i].words);
        assert_string_equal(yoke_error_get()->key, cases[i].key);
    }
    assert_memory_equal(&read, &saved, sizeof read);
    /* one bit of any value that is another value then */
    char *whole = yki_state_print(&saved);
    int changed = 0, accepted = 0;
    for (size_t i = 0; i < 8 * strlen(whole); i++) {
        whole[i / 8] = (char)(whole[i / 8] ^ 1 << i % 8);
        write_text(in_folder("state.json"), whole);
        whole[i / 8] = (char)(whole[i / 8] ^ 1 << i % 8);
        yki_saved_state other = {0};
        if (yki_checkpoint_state(folder, &other) != YOKE_OK) {
            changed += strcmp(yoke_error_get()->key, "hash") == 0;
            continue;
        }
        accepted++;
        assert_true(other.step == saved.step && other.batch == saved.batch && other.seed == saved.seed &&
                    other.last_loss == saved.last_loss && !other.hashed);
        assert_string_equal(other.layout, saved.layout);
        assert_string_equal(other.optimizer, saved.optimizer);
    }
    assert_true(changed > 40);
    assert_in_range(accepted, 1, 400); /* spaces, and names of keys that may be missing */
    free(whole);
    write_text(in_folder("state.json"), "{\"later\":[],\"step\":1,\"seed\":1," REST);
    assert_int_equal(yki_checkpoint_state(folder, &read), YOKE_OK);
}

static void no_mutation_crashes_the_readers(void **state)
{
    (void)state;
    uint64_t seed = 77;
    char bytes[2000];
    yoke_model_spec llama = {.family = YOKE_FAMILY_LLAMA,
                             .depth = 1,
                             .heads = 4,
                             .width = 16,
                             .hidden = 3,
                             .context = 9,
                             .vocab = 11};
    char *texts[] = {yki_config_print(&llama, NULL, NULL, NULL), yki_state_print(&saved)};
    int accepted[2] = {0, 0};
    for (int round = 0; round < 4000; round++) {
        int which = round % 2;
        size_t count = strlen(texts[which]);
        memcpy(bytes, texts[which], count);
        write_file(in_folder(which ? "state.json" : "config.json"), bytes,
                   mutate(bytes, count, sizeof bytes, &seed));
        yoke_model_spec model = absent(YOKE_FAMILY_LLAMA);
        yki_saved_state read;
        yoke_status status = which ? yki_checkpoint_state(folder, &read) : yki_config_read(folder, &model);
        assert_true(status == YOKE_OK || status == YOKE_INVALID);
        accepted[which] += status == YOKE_OK;
    }
    assert_in_range(accepted[0], 10, 1990);
    assert_in_range(accepted[1], 10, 1990);
    free(texts[0]);
    free(texts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_is_read_as_the_hub_has_it),
        cmocka_unit_test(llama_is_read_older_and_newer),
        cmocka_unit_test(the_job_and_the_file_must_agree),
        cmocka_unit_test(configs_are_refused_in_words),
        cmocka_unit_test(configs_are_printed_and_read_back),
        cmocka_unit_test(families_are_what_their_type_says),
        cmocka_unit_test(models_are_saved_as_what_can_be_them),
        cmocka_unit_test(what_a_model_came_with_stays),
        cmocka_unit_test(states_are_printed_and_read_back),
        cmocka_unit_test(a_run_is_printed_and_read_back),
        cmocka_unit_test(facts_are_read_where_there_is_room_for_them),
        cmocka_unit_test(states_are_refused_in_words),
        cmocka_unit_test(no_mutation_crashes_the_readers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
