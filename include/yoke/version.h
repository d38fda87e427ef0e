/* Which yoke this is. The build takes its own version from here. */
#ifndef YOKE_VERSION_H
#define YOKE_VERSION_H

#include "yoke/export.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YOKE_VERSION_MAJOR 0
#define YOKE_VERSION_MINOR 1
#define YOKE_VERSION_PATCH 0

/* "0.1.0" */
#define YOKE_VERSION                                                                                         \
    YOKE_VERSION_TEXT_(YOKE_VERSION_MAJOR)                                                                   \
    "." YOKE_VERSION_TEXT_(YOKE_VERSION_MINOR) "." YOKE_VERSION_TEXT_(YOKE_VERSION_PATCH)
#define YOKE_VERSION_TEXT_(number)  YOKE_VERSION_TEXT__(number)
#define YOKE_VERSION_TEXT__(number) #number

/* YOKE_VERSION of the library that runs, which a program that was built against another may compare with its
 * own. Static storage. */
YOKE_API const char *yoke_version(void);

#ifdef __cplusplus
}
#endif
#endif
