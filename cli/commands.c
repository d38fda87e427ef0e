/* All commands, in the order that help lists them. */
#include "commands.h"

#include <string.h>

#include "text.h"

const command *const commands[] = {
    &command_train,
    &command_launch,
    &command_compare,
    &command_verify,
    &command_schedule,
    &command_plan,
    &command_simulate,
    &command_explain,
    &command_generate,
    &command_predict,
    &command_eval,
    &command_data,
    &command_merge,
    &command_inspect,
    &command_devices,
    &command_bench,
    NULL,
};

const command *command_find(const char *name, const char **nearest_out)
{
    const char *names[sizeof commands / sizeof commands[0]];
    int count = 0;
    for (; commands[count]; count++) {
        names[count] = commands[count]->name;
        if (strcmp(names[count], name) == 0) return commands[count];
    }
    *nearest_out = text_nearest(name, names, count, sizeof names[0]);
    return NULL;
}
