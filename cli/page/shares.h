/* Shares of a step, as bars. */
#ifndef CLI_PAGE_SHARES_H
#define CLI_PAGE_SHARES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A share of the JSON document, for people; one that is not known stays as it is. */
const char *share_name(const char *key);
/* Whether it is work that a step needs; else time that is lost. */
bool share_computes(const char *key);
/* `shares`, the largest first, but for those under a thousandth that nobody sees; below each, where there
 * are some, what was measured of it. */
void shares_bars(FILE *out, const json_t *shares, const json_t *measured);

#endif
