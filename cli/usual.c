/* Words for what is no key of a job stand in a table here; those for keys the library knows. */
#include "usual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "yoke/job.h"

/* A row serves a command that has the option. */
typedef struct usual {
    const char *words;  /* spaces between; '-' for '_' too */
    const char *option; /* of the command; NULL: `says` is a sentence for all of them */
    const char *says;   /* its value; NULL: what was typed, or the option's own placeholder */
} usual;

static const usual rows[] = {
    {"fp16 half float16", "precision", "bf16 (there is no fp16)"},
    {"bf16 bfloat16 amp mixed-precision autocast", "precision", "bf16"},
    {"fp32 float32 tf32", "precision", "f32"},
    {"gradient-checkpointing grad-checkpointing activation-checkpointing checkpoint-activations", "recompute",
     "full"},
    {"fsdp", "zero", "3"},
    {"resume-from-checkpoint resume-from resume-checkpoint load load-checkpoint load-dir checkpoint ckpt "
     "from-checkpoint continue",
     "resume", NULL},
    {"overwrite-output-dir force", "overwrite", NULL},
    {"log-file logfile log-path", "log", NULL},
    {"log-dir logging-dir tb tb-dir tensorboard-dir", "tensorboard", NULL},
    {"profile profiler trace-file", "trace", NULL},
    {"output output-file out-file o", "out", NULL},
    {"input input-file file dataset test-file test-data", "data", NULL},
    {"text query", "prompt", NULL},
    {"max-new-tokens max-tokens num-tokens length max-length", "tokens", NULL},
    {"temp t", "temperature", NULL},
    {"topk", "top-k", NULL},
    {"np nproc num-procs num-processes processes nproc-per-node", "n", NULL},
    {"nproc nproc-per-node num-processes processes np", "dp",
     "N, a replica a device; several processes are `yoke launch -n N -- train JOB --dp N`"},
    {"gpus gpu num-gpus n-gpus ngpus cuda use-cuda", "devices", "N of the CPU, or a list as cuda:0,cuda:1"},
    {"device", "devices", NULL},
    {"nnodes nodes hostfile hostlist", "hosts", NULL},
    {"layouts-file strategies strategy", "layouts", NULL},
    {"quiet silent q no-progress disable-tqdm", NULL,
     "progress goes to standard error: 2> /dev/null leaves it out"},
    {"verbose v debug", NULL, "there is no more to say; --log FILE of `yoke train` keeps every step"},
    {"version", NULL, "`yoke --version` says which yoke this is"},
    {"config config-file job yaml f c", NULL, "the job file is an argument without a flag: yoke COMMAND JOB"},
    {"model-dir model model-path checkpoint-path", NULL,
     "what to read is an argument without a flag: yoke COMMAND JOB, or the folder of a saved run"},
};

static bool same(const char *a, size_t length, const char *b)
{
    for (size_t i = 0; i < length; i++) {
        char c = (char)tolower((unsigned char)b[i]);
        if ((c == '_' ? '-' : c) != a[i]) return false;
    }
    return b[length] == '\0';
}

static bool holds(const char *words, const char *word)
{
    for (const char *at = words; *at;) {
        size_t own = strcspn(at, " ");
        if (same(at, own, word)) return true;
        at += own + (at[own] == ' ');
    }
    return false;
}

static const option *find(const command *which, const char *name, const char *key)
{
    for (const option_group *const *group = which->groups; *group; group++)
        for (const option *o = (*group)->options; o->name; o++)
            if ((name && strcmp(o->name, name) == 0) || (key && o->key && strcmp(o->key, key) == 0)) return o;
    return NULL;
}

/* A value that a shell takes as it stands. */
static bool is_plain(const char *value)
{
    return value && value[0] && value[0] != '-' &&
           strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+:,./@%-") ==
               strlen(value);
}

static void say_option(const option *o, const char *value, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s%s", option_dashes(o), o->name, o->value ? " " : "",
             !o->value ? ""
             : value   ? value
                       : o->value);
}

/* Among the words that the key takes. */
static bool takes(const char *const *values, const char *value)
{
    while (*values && strcmp(*values, value) != 0) values++;
    return *values;
}

/* "--set data.shuffle=false"; where what was typed is no value of the key, one that is, and the others. */
static void say_key(const char *key, const char *value, char *text, size_t size)
{
    const char *const *values = yoke_job_key_values(key);
    bool fits = value && (!values || takes(values, value));
    int n = snprintf(text, size, "--set %s=%s", key, fits ? value : values ? values[0] : "VALUE");
    for (int i = 1; !fits && values && values[i] && (size_t)n < size; i++)
        n += snprintf(text + n, size - (size_t)n, "%s%s%s", i == 1 ? " (or " : ", ", values[i],
                      values[i + 1] ? "" : ")");
}

/* The switch of a job that "no-shuffle" turns off. */
static const char *turned_off(const char *word)
{
    const char *key =
        strncmp(word, "no-", 3) == 0 || strncmp(word, "no_", 3) == 0 ? yoke_job_key_of(word + 3) : NULL;
    const char *const *values = key ? yoke_job_key_values(key) : NULL;
    return values && takes(values, "false") ? key : NULL;
}

bool usual_meaning(const command *which, const char *word, const char *value, char *text, size_t size)
{
    if (!is_plain(value)) value = NULL;
    bool sets = find(which, "set", NULL);
    const char *key = yoke_job_key_of(word), *off = turned_off(word);
    const usual *said = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const option *o = rows[i].option ? find(which, rows[i].option, NULL) : NULL;
        if (!holds(rows[i].words, word)) continue;
        if (o) {
            say_option(o, rows[i].says ? rows[i].says : value, text, size);
            return true;
        }
        if (!rows[i].option) said = &rows[i];
    }
    const option *flag = key ? find(which, NULL, key) : NULL;
    if (flag)
        say_option(flag, value, text, size);
    else if (key && strncmp(key, "layout.", 7) == 0 && find(which, "layouts", NULL))
        snprintf(text, size, "--layouts %s=%s, which adds a row, or --devices N for all rows", key + 7,
                 value ? value : "VALUE");
    else if (off && sets)
        say_key(off, "false", text, size);
    else if (key && sets)
        say_key(key, value, text, size);
    else if (said)
        snprintf(text, size, "%s", said->says);
    return flag || ((key || off) && sets) || said;
}
