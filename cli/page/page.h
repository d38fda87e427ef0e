/* --html FILE: a command's result as one page that stands alone. A page is a function of the command's JSON
 * document, the one that --json writes, and carries it inside. The document says under `about` which command
 * it is of, and where and how it was run; a command that has a page is a row of pages.c. */
#ifndef CLI_PAGE_PAGE_H
#define CLI_PAGE_PAGE_H

#include <jansson.h>
#include <stdio.h>

#include "cli.h"
#include "yoke/machine.h"

/* The option group of commands that have pages. */
extern const option_group options_page;

/* After the options are read, before the command begins: where a page is asked for, sees that its file can be
 * written, opens the document, where --json has not, and says in it what is run. Returns -1 to go
 * on, or the exit code. */
int page_begin(cli *run, int argc, char **argv);
/* Adds the job as it is run, `job`, to the document of a page. */
void page_put_job(cli *run, const yoke_job *job);
/* Likewise the machine that the job is simulated on. */
void page_put_machine(cli *run, const yoke_machine *machine);
/* Writes the page of the whole document, where one is asked for and there is something to see: an older file
 * stays as it is until the new one is whole. Returns code, or 1 where it could not be written. */
int page_end(cli *run, const char *document, int code);
/* The file of --html; NULL: none is asked for. */
const char *page_path(void);

/* --- the pages --- */

typedef struct page_kind {
    const char *command;
    const char *shows; /* the key of the document without which there is nothing to see */
    /* The heading, and everything between it and what all pages have. */
    void (*title)(FILE *out, const json_t *data);
    void (*body)(FILE *out, const json_t *data);
} page_kind;

extern const page_kind page_compare, page_explain, page_plan, page_schedule, page_simulate, page_train;
extern const page_kind *const page_kinds[]; /* NULL-terminated */

/* sheet.c: the whole page of a document; text: the same as JSON, which it carries. */
void page_print(FILE *out, const page_kind *kind, const json_t *data, const char *text);
/* The document without what makes it longer than a page may be, which it says under `left_out`: of lists of
 * events (which have a start) the last ones, of other lists all but every k-th. NULL: out of memory. Owns:
 * the caller. */
json_t *page_shorten(const json_t *data);

extern const char page_style[];

#endif
