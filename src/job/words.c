/* Words for keys; those for layers stand in their rows (key.c). A word is there if many programs have it and
 * the nearest spelling would mislead. */
#include "job/words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

typedef struct usual {
    const char *words, *means; /* words: spaces between, in lower case, with '_' */
} usual;

static const usual keys[] = {
    {"learning_rate max_lr base_lr", "train.optimizer.lr"},
    {"wd decay_rate", "train.optimizer.weight_decay"},
    {"optim optimizer", "train.optimizer.name"},
    {"adam_betas adam_beta1 adam_beta2 beta1 beta2", "train.optimizer.betas"},
    {"epsilon adam_epsilon adam_eps", "train.optimizer.eps"},
    {"lr_schedule lr_scheduler lr_scheduler_type scheduler", "train.schedule.name"},
    {"warmup_steps num_warmup_steps warmup_iters", "train.schedule.warmup"},
    {"min_lr end_lr lr_end", "train.schedule.final_lr"},
    {"num_decay_steps cooldown cooldown_steps", "train.schedule.decay_steps"},
    {"decay_type", "train.schedule.decay_shape"},
    {"max_steps num_steps train_steps total_steps iters max_iters train_iters iterations num_iterations "
     "n_steps",
     "train.steps"},
    {"num_epochs num_train_epochs max_epochs n_epochs epoch", "train.epochs"},
    {"batch_size bs train_batch_size global_batch_size per_device_train_batch_size batchsize mini_batch_size",
     "train.batch"},
    {"seq_len seq_length sequence_length max_length max_len max_seq_len max_seq_length block_size ctx_len",
     "train.sequence"},
    {"criterion loss_fn objective", "train.loss"},
    {"max_grad_norm grad_clip gradient_clip gradient_clip_val clip_grad clip_grad_norm gradient_clipping",
     "train.clip"},
    {"dtype mixed_precision amp torch_dtype", "train.precision"},
    {"frozen freeze_layers freeze_modules freeze_parameters", "train.freeze"},
    {"lora peft lora_config peft_config", "model.adapter.kind"},
    {"lora_r r lora_rank", "model.adapter.rank"},
    {"lora_alpha", "model.adapter.alpha"},
    {"lora_dropout", "model.adapter.dropout"},
    {"target_modules lora_target lora_targets lora_target_modules", "model.adapter.targets"},
    {"random_seed random_state manual_seed", "train.seed"},
    {"micro_batches num_microbatches n_microbatches grad_accum grad_accumulation gradient_accumulation "
     "gradient_accumulation_steps grad_accum_steps accumulation_steps accumulate_grad_batches accum_steps "
     "micro_batch_size",
     "layout.microbatches"},
    {"ddp data_parallel data_parallel_size dp_size world_size", "layout.dp"},
    {"tensor_parallel tensor_parallel_size tensor_model_parallel_size tp_size", "layout.tp"},
    {"pipeline_parallel pipeline_parallel_size pipeline_model_parallel_size pp_size", "layout.pp"},
    {"context_parallel context_parallel_size cp_size", "layout.cp"},
    {"sequence_parallel", "layout.sp"},
    {"fsdp zero_stage", "layout.zero"},
    {"gradient_checkpointing grad_checkpointing activation_checkpointing activation_recompute "
     "checkpoint_activations",
     "layout.recompute"},
    {"num_threads nthreads cpus num_workers workers", "layout.threads"},
    {"max_memory memory_limit memory", "layout.device_memory"},
    {"model pretrained model_name model_name_or_path model_path weights init_from from_pretrained",
     "model.from"},
    {"num_layers n_layer n_layers num_hidden_layers", "model.layers"},
    {"hidden_size d_model n_embd embed_dim dim", "model.width"},
    {"num_heads n_head n_heads num_attention_heads", "model.heads"},
    {"num_key_value_heads num_kv_heads n_kv_heads", "model.kv_heads"},
    {"head_size head_width d_head", "model.head_dim"},
    {"attention_bias", "model.qkv_bias"},
    {"window attention_window window_size", "model.sliding_window"},
    {"intermediate_size ffn_dim ffn_hidden_size", "model.hidden"},
    {"vocab_size", "model.vocab"},
    {"context_length n_positions n_ctx max_position_embeddings", "model.context"},
    {"rms_norm_eps layer_norm_eps layer_norm_epsilon", "model.norm_eps"},
    {"tie_word_embeddings tie_embeddings", "model.tied"},
    {"input_shape input_size", "model.input"},
    {"data dataset train_data train_file train_path data_path data_file data_dir file", "data.path"},
    {"token_type token_dtype dtype_tokens", "data.token_bytes"},
    {"packing packed", "data.pack"},
    {"chat_template template", "data.chat"},
    {"val_split validation_split val_size test_size validation_size holdout_fraction eval_split",
     "data.holdout"},
    {"target target_column target_columns label label_column labels", "data.targets"},
    {"eval_steps eval_every eval_interval eval_freq", "eval.every"},
    {"early_stopping early_stopping_patience", "stop.patience"},
    {"save_best keep_best load_best_model_at_end", "checkpoint.best"},
    {"out output output_dir out_dir save save_dir checkpoint_dir checkpoints", "checkpoint.dir"},
    {"save_steps save_every save_interval save_freq checkpoint_every checkpoint_interval",
     "checkpoint.every"},
    {"save_total_limit max_checkpoints", "checkpoint.keep"},
};

/* What a layer takes from its input. */
static const char of_input[] =
    "in in_features in_channels num_features num_channels normalized_shape input_dim input_shape input";

#define COUNT(table) (int)(sizeof(table) / sizeof *(table))

/* Lower case with '_', as the tables have it; false: too long for any of them. */
static bool normalise(char out[48], const char *word)
{
    size_t n = 0;
    for (; word[n] && n < 47; n++) out[n] = word[n] == '-' ? '_' : (char)tolower((unsigned char)word[n]);
    out[n] = '\0';
    return n > 0 && !word[n];
}

static bool holds(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; *at;) {
        size_t own = strcspn(at, " ");
        if (own == length && memcmp(at, word, own) == 0) return true;
        at += own + (at[own] == ' ');
    }
    return false;
}

static const char *find(const usual *table, int count, const char *word)
{
    for (int i = 0; i < count; i++)
        if (holds(table[i].words, word)) return table[i].means;
    return NULL;
}

int yki_key_depth(const char *path)
{
    int depth = 0;
    for (const char *dot = path; (dot = strchr(dot, '.')); dot++) depth++;
    return depth;
}

const char *yki_key_of_word(const char *word)
{
    char plain[48];
    const char *found = NULL;
    bool several = false;
    if (!normalise(plain, word)) return NULL;
    for (int i = 0; i < yki_job_nkeys; i++) {
        const char *path = yki_job_keys[i].path, *last = strrchr(path, '.') + 1;
        if (strcmp(path, plain) == 0) return path;
        if (strcmp(last, plain) != 0 || (found && strcmp(found, path) == 0)) continue;
        int deeper = found ? yki_key_depth(path) - yki_key_depth(found) : -1;
        if (deeper > 0) continue; /* of an inner section */
        several = deeper == 0;
        found = path;
    }
    if (several) return NULL; /* keys that have that name */
    return found ? found : find(keys, COUNT(keys), plain);
}

const char *yki_layer_key_of_word(const char *word)
{
    char plain[48];
    if (!normalise(plain, word)) return NULL;
    for (int i = 0; i < yki_layer_nkeys; i++)
        if (yki_layer_keys[i].words && holds(yki_layer_keys[i].words, plain)) return yki_layer_keys[i].path;
    return holds(of_input, plain) ? "" : NULL;
}

const char *yki_layer_type_of_word(const char *word)
{
    char plain[48];
    if (!normalise(plain, word)) return NULL;
    for (int i = 0; yki_layer_names[i]; i++)
        if (strcasecmp(yki_layer_names[i], word) == 0) return yki_layer_names[i];
    for (int i = 0; yki_layer_names[i]; i++)
        if (holds(yki_layer_words[i], plain)) return yki_layer_names[i];
    return NULL;
}

const char *yoke_job_key_of(const char *word)
{
    return word ? yki_key_of_word(word) : NULL;
}

const char *const *yoke_job_key_values(const char *key)
{
    static const char *const switches[] = {"true", "false", NULL};
    for (int i = 0; key && i < yki_job_nkeys; i++) {
        const yki_key *k = &yki_job_keys[i];
        if (strcmp(k->path, key) != 0) continue;
        if (k->kind == YKI_KEY_BOOL || k->kind == YKI_KEY_SWITCH) return switches;
        return k->kind == YKI_KEY_NAME ? k->names : NULL;
    }
    return NULL;
}
