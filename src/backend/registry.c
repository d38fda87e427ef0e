/* The backends of this build, by name. */
#include "backend/backend.h"

#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/null/null.h"

const yki_backend_ops *yki_backend_get(const char *name)
{
    const yki_backend_ops *const backends[] = {&yki_backend_cpu, &yki_backend_null};
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}
