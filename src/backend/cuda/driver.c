/* Finding the driver. */
#include "backend/cuda/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"

enum { VERSION = CUDA_VERSION / 1000 * 1000 }; /* what serves binaries of this toolkit */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static yki_cuda_driver found;
static yoke_error failed; /* status YOKE_OK: there is a driver */

/* In the folders that YOKE_CUDA_LIBS names, a colon between two; else where the loader looks. */
static void *load(const char *library)
{
    char path[YOKE_PATH_BYTES];
    const char *folders = getenv("YOKE_CUDA_LIBS");
    for (const char *p = folders ? folders : ""; *p;) {
        size_t length = strcspn(p, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)(length < 1000 ? length : 1000), p, library);
        void *handle = length > 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        if (handle) return handle;
        p += length + (p[length] == ':');
    }
    return dlopen(library, RTLD_NOW | RTLD_LOCAL);
}

static yoke_status find_functions(void *handle)
{
#define NAME(name) #name
#define FIND(name)                                                                                           \
    *(void **)(void *)&found.name = dlsym(handle, NAME(name));                                               \
    if (!found.name)                                                                                         \
        return yki_fail(YOKE_INVALID, "NVIDIA's driver has no %s: it is too old for this build", NAME(name));
    YKI_CUDA_DRIVER_LIST(FIND)
#undef FIND
#undef NAME
    return YOKE_OK;
}

void yki_cuda_print_error(const yki_cuda_driver *driver, CUresult error, char *text, size_t size)
{
    const char *name = NULL, *meaning = NULL;
    if (driver && driver->cuGetErrorName) driver->cuGetErrorName(error, &name);
    if (driver && driver->cuGetErrorString) driver->cuGetErrorString(error, &meaning);
    if (name)
        snprintf(text, size, "%s%s%s%s", name, meaning ? " (" : "", meaning ? meaning : "",
                 meaning ? ")" : "");
    else
        snprintf(text, size, "CUDA error %d", (int)error);
}

static yoke_status start(void)
{
    char text[160];
    int version = 0;
    void *handle = load("libcuda.so.1");
    if (!handle) return yki_fail(YOKE_INVALID, "there is no NVIDIA driver here: %s", dlerror());
    __typeof__(cuDriverGetVersion) *get_version;
    *(void **)(void *)&get_version = dlsym(handle, "cuDriverGetVersion");
    if (!get_version || get_version(&version) != CUDA_SUCCESS || version < VERSION)
        return yki_fail(YOKE_INVALID,
                        "NVIDIA's driver serves CUDA %d.%d, and this build needs a driver of CUDA %d.%d or "
                        "later",
                        version / 1000, version % 1000 / 10, VERSION / 1000, VERSION % 1000 / 10);
    YKI_TRY(find_functions(handle));
    CUresult error = found.cuInit(0);
    if (error == CUDA_SUCCESS) error = found.cuDeviceGetCount(&found.devices);
    if (error == CUDA_ERROR_NO_DEVICE || (error == CUDA_SUCCESS && found.devices < 1))
        return yki_fail(YOKE_INVALID, "NVIDIA's driver finds no device");
    if (error == CUDA_SUCCESS) return YOKE_OK;
    yki_cuda_print_error(&found, error, text, sizeof text);
    return yki_fail(YOKE_INVALID, "NVIDIA's driver does not start: %s", text);
}

/* The library stays loaded, whatever came of it: drivers have threads. */
static void start_once(void)
{
    YKI_KEEP_RECORD;
    if (start() != YOKE_OK) failed = *yoke_error_get();
}

yoke_status yki_cuda_open(const yki_cuda_driver **driver_out)
{
    pthread_once(&once, start_once);
    if (failed.status != YOKE_OK) {
        yki_error_set(&failed);
        return failed.status;
    }
    *driver_out = &found;
    return YOKE_OK;
}
