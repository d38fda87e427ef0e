/* What an evaluation found, for people and as JSON: of `yoke eval`, and of the samples that train holds out.
 */
#ifndef CLI_SCORES_H
#define CLI_SCORES_H

#include "cli.h"
#include "yoke/train.h"

/* loss, accuracy, perplexity, samples, confusion: into the object that is open. */
void scores_write(json *j, const yoke_evaluation *e);
/* "2.31, accuracy 83.1 %, perplexity 10.1": what there is, in a line. */
void scores_line(FILE *out, const yoke_evaluation *e);
/* A table of at most 20 classes, true ones down, what was said across; more classes, or none: nothing. */
void scores_print_confusion(const cli *run, const yoke_evaluation *e);

#endif
