/* A folder of its own for a test program: made before its first test, and gone after the last. */
#ifndef YKI_TESTS_FOLDER_H
#define YKI_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#include "base/disk.h"
#include "cmocka_all.h"

static char folder[64];

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/yoke-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return yki_disk_remove_folder(folder) == YOKE_OK ? 0 : -1;
}

#endif
