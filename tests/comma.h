/* Numbers with a decimal comma: a locale that has them, for tests that what yoke reads and prints has points
 * all the same. */
#ifndef YKI_TESTS_COMMA_H
#define YKI_TESTS_COMMA_H

#include <locale.h>
#include <stdlib.h>

#include "cmocka_all.h"

/* Takes the first such locale that is here; put back with setlocale(LC_NUMERIC, "C"). Where there is none the
 * test is skipped, but under ./check, which makes one, fails. */
static inline void take_decimal_comma(void)
{
    static const char *const with_commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    for (size_t i = 0; i < sizeof with_commas / sizeof *with_commas; i++)
        if (setlocale(LC_NUMERIC, with_commas[i])) return;
    if (getenv("YOKE_CHECK")) fail_msg("no locale with a decimal comma is here; ./check makes one");
    skip();
}

#endif
