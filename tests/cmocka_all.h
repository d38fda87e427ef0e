/* cmocka with what it needs before it. */
#ifndef YKI_CMOCKA_ALL_H
#define YKI_CMOCKA_ALL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#endif
