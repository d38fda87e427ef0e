/* Help texts, laid out from the tables of commands and options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

struct cli;
struct command;

/* yoke --help */
void help_program(struct cli *run);
/* yoke COMMAND --help */
void help_command(struct cli *run, const struct command *which);

#endif
