/* yoke merge: a base and its adapters as one model's folder. */
#include "cli.h"
#include "yoke/checkpoint.h"

static struct {
    const char *out, *base;
} given;

static const option_group group_merge = {
    "Merging",
    (const option[]){
        OPTION("out", "FOLDER", OPTION_TEXT, "where the model goes: a new folder", .target = &given.out),
        OPTION("base", "DIR", OPTION_TEXT,
               "the model that the adapters belong to; without it, the one that they were trained beside",
               .target = &given.base),
        {0},
    },
};

static int command_run(cli *run)
{
    yoke_merged merged;
    if (!given.out) return cli_fail(run, 2, "", "merge writes a new folder: --out FOLDER names it");
    if (yoke_merge(run->arguments.positional[0], given.base, given.out, &merged) != YOKE_OK)
        return cli_fail_library(run);
    if (merged.note[0]) cli_notice(run, "%s", merged.note);
    if (run->json) {
        put_string(run->json, "folder", given.out);
        put_string(run->json, "adapter", merged.adapter);
        put_string(run->json, "base", merged.base);
        put_integer(run->json, "tensors", merged.tensors);
    }
    fprintf(run->out, "merged %d tensors of %s into %s: %s\n", merged.tensors, merged.adapter, merged.base,
            given.out);
    return 0;
}

const command command_merge = {
    .name = "merge",
    .summary = "a base and its adapters as one model",
    .usage = "DIR --out FOLDER [options]",
    .operand = "DIR",
    .least = 1,
    .most = 1,
    .about =
        "Writes what adapters make of their base as a folder as Hugging Face lays it out, with the base's "
        "tokenizer and "
        "configuration. DIR is a folder of steps (its newest), one step's folder, or a folder of adapters as "
        "the package "
        "PEFT saves it, with --base.",
    .groups = (const option_group *const[]){&group_merge, &options_general, NULL},
    .examples = "yoke merge runs/lora --out merged\nyoke merge adapter --base ./llama --out merged",
    .codes =
        "0   done\n1   the system refused\n2   bad usage, no adapters there, or a folder that is not empty",
    .run = command_run,
};
