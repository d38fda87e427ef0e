/* Options that people type because other programs have them, answered with what means the same here. */
#ifndef CLI_USUAL_H
#define CLI_USUAL_H

#include <stdbool.h>
#include <stddef.h>

#include "commands.h"

/* What `word` (without dashes) means to `which`, ready to type, with `value` in it where there is one:
 * "--set train.optimizer.lr=1e-3", or a sentence where nothing does. False: nothing that is known. */
bool usual_meaning(const command *which, const char *word, const char *value, char *text, size_t size);

#endif
