/* The backends of this build, by name. */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cuda/cuda.h"
#include "backend/far/far.h"
#include "backend/null/null.h"
#include "base/fail.h"

static const yki_backend_ops *const backends[] = {
    &yki_backend_cpu,
    &yki_backend_far,
    &yki_backend_null,
#ifdef YOKE_HAVE_CUDA
    &yki_backend_cuda,
#endif
};

const yki_backend_ops *yki_backend_get(const char *name)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}

const yki_backend_ops *yki_backend_of_runs(void)
{
    const char *wish = getenv("YOKE_BACKEND");
    const yki_backend_ops *found = wish && wish[0] ? yki_backend_get(wish) : &yki_backend_cpu;
    return found && found != &yki_backend_null && !found->check ? found : &yki_backend_cpu;
}

yoke_status yki_backend_check(void)
{
    const char *wish = getenv("YOKE_BACKEND");
    if (!wish || !wish[0] || strcmp(wish, yki_backend_of_runs()->name) == 0) return YOKE_OK;
    return yki_fail(YOKE_INVALID, "YOKE_BACKEND is '%.40s'; it takes cpu, or far, which is for tests", wish);
}
