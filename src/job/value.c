/* Numbers, sizes and texts: read strictly, printed so that they read back the same. */
#include "job/value.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9') p++;
    return p;
}

/* The end of the decimal number that text begins with, or NULL; *whole: no fraction, no exponent. */
static const char *number_end(const char *text, bool *whole)
{
    const char *p = text + (*text == '-' || *text == '+');
    const char *digits = p;
    p = skip_digits(p);
    long ndigits = p - digits;
    *whole = true;
    if (*p == '.') {
        const char *fraction = ++p;
        p = skip_digits(p);
        ndigits += p - fraction;
        *whole = false;
    }
    if (ndigits == 0) return NULL;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = p + 1 + (p[1] == '-' || p[1] == '+');
        const char *end = skip_digits(exponent);
        if (end == exponent) return NULL;
        *whole = false;
        p = end;
    }
    return p;
}

static yki_value_fault whole_number(const char *text)
{
    bool whole;
    const char *end = number_end(text, &whole);
    if (!end || *end) return YKI_VALUE_NOT_A_NUMBER;
    return whole ? YKI_VALUE_OK : YKI_VALUE_FRACTION;
}

yki_value_fault yki_value_int(const char *text, int64_t *value_out)
{
    yki_value_fault fault = whole_number(text);
    if (fault != YKI_VALUE_OK) return fault;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE) return YKI_VALUE_TOO_LARGE;
    *value_out = value;
    return YKI_VALUE_OK;
}

yki_value_fault yki_value_uint(const char *text, uint64_t *value_out)
{
    yki_value_fault fault = whole_number(text);
    if (fault != YKI_VALUE_OK) return fault;
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (errno == ERANGE || *text == '-') return YKI_VALUE_TOO_LARGE;
    *value_out = value;
    return YKI_VALUE_OK;
}

/* strtod in the C locale: the caller's program may have set one with another decimal point. */
static double to_double(const char *text)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    double value = plain ? strtod_l(text, NULL, plain) : strtod(text, NULL);
    if (plain) freelocale(plain);
    return value;
}

yki_value_fault yki_value_double(const char *text, double *value_out)
{
    bool whole;
    const char *end = number_end(text, &whole);
    if (!end || *end) return YKI_VALUE_NOT_A_NUMBER;
    double value = to_double(text);
    if (!isfinite(value)) return YKI_VALUE_TOO_LARGE;
    *value_out = value;
    return YKI_VALUE_OK;
}

yki_value_fault yki_value_bytes(const char *text, int64_t *bytes_out)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {{"", 1},          {"b", 1},           {"bytes", 1},          {"kb", 1000},
                 {"mb", 1000000},  {"gb", 1000000000}, {"tb", 1000000000000}, {"kib", 1ll << 10},
                 {"mib", 1 << 20}, {"gib", 1 << 30},   {"tib", 1ll << 40}};
    bool whole;
    const char *end = number_end(text, &whole);
    if (!end || *text == '-' || *text == '+') return YKI_VALUE_NOT_A_NUMBER;
    char digits[64];
    if ((size_t)(end - text) >= sizeof digits) return YKI_VALUE_TOO_LARGE;
    memcpy(digits, text, (size_t)(end - text));
    digits[end - text] = '\0';
    while (*end == ' ') end++;
    if (*end && !end[1] && strchr("kKmMgGtT", *end)) return YKI_VALUE_AMBIGUOUS;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(end, units[i].name) != 0) continue;
        int64_t count;
        if (whole) {
            if (yki_value_int(digits, &count) != YKI_VALUE_OK || count > (1ll << 62) / units[i].bytes)
                return YKI_VALUE_TOO_LARGE;
            *bytes_out = count * units[i].bytes;
            return YKI_VALUE_OK;
        }
        double bytes = to_double(digits) * (double)units[i].bytes;
        if (!(bytes <= 0x1p62)) return YKI_VALUE_TOO_LARGE;
        if (bytes != floor(bytes) && units[i].bytes == 1) return YKI_VALUE_FRACTION;
        *bytes_out = (int64_t)bytes;
        return YKI_VALUE_OK;
    }
    return YKI_VALUE_NOT_A_NUMBER;
}

static double of_unit(const yki_unit *unit, double count)
{
    return count * unit->times / unit->per;
}

yki_value_fault yki_value_quantity(const char *text, const yki_unit *units, double *value_out)
{
    bool whole;
    const char *end = number_end(text, &whole);
    if (!end) return YKI_VALUE_NOT_A_NUMBER;
    const char *name = end + strspn(end, " ");
    if (!*name) return YKI_VALUE_NO_UNIT;
    while (units->name && strcmp(name, units->name) != 0) units++;
    if (!units->name) return YKI_VALUE_NOT_A_NUMBER;
    double value = of_unit(units, to_double(text));
    if (!isfinite(value)) return YKI_VALUE_TOO_LARGE;
    *value_out = value;
    return YKI_VALUE_OK;
}

/* The shortest text of a count of `unit` that is `value`, of at least so many digits; false: 17 do not tell
 * it. In the C locale. */
static bool shortest(char shown[40], const yki_unit *unit, double value, int digits)
{
    do snprintf(shown, 40, "%.*g", digits, value / unit->times * unit->per);
    while (of_unit(unit, strtod(shown, NULL)) != value && digits++ < 17);
    return digits <= 17;
}

void yki_value_print_quantity(yki_text *text, const yki_unit *units, double value)
{
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t before = plain ? uselocale(plain) : (locale_t)0;
    char best[80] = "", shown[40];
    for (; units->name; units++) {
        double count = value / units->times * units->per;
        if (*best && count < 1) continue;
        int digits = 1; /* 300, not 3e+02 */
        for (double power = 10; power <= count && digits < 6; power *= 10) digits++;
        if (!shortest(shown, units, value, digits)) continue;
        if (*best && strlen(shown) + strlen(units->name) + 1 >= strlen(best)) continue;
        snprintf(best, sizeof best, "%s %s", shown, units->name);
    }
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    yki_text_append(text, "%s", best);
}

void yki_value_print_double(yki_text *text, double value)
{
    static const yki_unit one = {"", 1, 1};
    locale_t plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    locale_t before = plain ? uselocale(plain) : (locale_t)0;
    char shown[40];
    shortest(shown, &one, value, 1);
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    yki_text_append(text, "%s", shown);
}

void yki_value_print_bytes(yki_text *text, int64_t bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    int unit = 0;
    while (unit < 3 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    yki_text_append(text, "%lld%s", (long long)bytes, units[unit]);
}

/* Letters, digits and what paths and names are made of, not starting like a number or meaning something else.
 */
static bool is_plain(const char *value)
{
    static const char *const taken[] = {"true", "false", "null", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcasecmp(value, taken[i]) == 0) return false;
    bool letter_first = (value[0] >= 'a' && value[0] <= 'z') || (value[0] >= 'A' && value[0] <= 'Z');
    if (!letter_first && value[0] != '/' && value[0] != '_') return false;
    for (const char *p = value; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("/_-.+", *p)))
            return false;
    return true;
}

void yki_value_print_text(yki_text *text, const char *value)
{
    if (is_plain(value)) {
        yki_text_append(text, "%s", value);
        return;
    }
    yki_text_append(text, "\"");
    for (const char *p = value; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            yki_text_append(text, "\\%c", c);
        else if (c < 32 || c == 127)
            yki_text_append(text, "\\x%02x", c);
        else
            yki_text_append_bytes(text, p, 1);
    }
    yki_text_append(text, "\"");
}
