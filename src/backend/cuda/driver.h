/* The driver's functions, found when they are first wanted: nothing of CUDA is linked, and where there is no
 * driver there are no devices. */
#ifndef YKI_BACKEND_CUDA_DRIVER_H
#define YKI_BACKEND_CUDA_DRIVER_H

#include <cuda.h>

#include "yoke/status.h"

/* Names as cuda.h versions them. */
#define YKI_CUDA_DRIVER_LIST(X)                                                                              \
    X(cuInit)                                                                                                \
    X(cuDriverGetVersion)                                                                                    \
    X(cuGetErrorName)                                                                                        \
    X(cuGetErrorString)                                                                                      \
    X(cuDeviceGetCount)                                                                                      \
    X(cuDeviceGet)                                                                                           \
    X(cuDeviceGetName)                                                                                       \
    X(cuDeviceTotalMem)                                                                                      \
    X(cuDeviceGetAttribute)                                                                                  \
    X(cuDevicePrimaryCtxRetain)                                                                              \
    X(cuCtxSetCurrent)                                                                                       \
    X(cuMemGetInfo)                                                                                          \
    X(cuMemAlloc)                                                                                            \
    X(cuMemFree)                                                                                             \
    X(cuMemsetD8Async)                                                                                       \
    X(cuMemcpyHtoDAsync)                                                                                     \
    X(cuMemcpyDtoHAsync)                                                                                     \
    X(cuMemcpyDtoDAsync)                                                                                     \
    X(cuMemcpy2DAsync)                                                                                       \
    X(cuStreamCreate)                                                                                        \
    X(cuStreamDestroy)                                                                                       \
    X(cuStreamWaitEvent)                                                                                     \
    X(cuEventCreate)                                                                                         \
    X(cuEventDestroy)                                                                                        \
    X(cuEventRecord)                                                                                         \
    X(cuEventQuery)                                                                                          \
    X(cuEventElapsedTime)                                                                                    \
    X(cuModuleLoadData)                                                                                      \
    X(cuModuleUnload)                                                                                        \
    X(cuModuleGetFunction)                                                                                   \
    X(cuLaunchKernel)

typedef struct yki_cuda_driver {
#define YKI_CUDA_FIELD(name) __typeof__(name) *name;
    YKI_CUDA_DRIVER_LIST(YKI_CUDA_FIELD)
#undef YKI_CUDA_FIELD
    int devices; /* 1 or more */
} yki_cuda_driver;

/* Loads and starts the driver, once for the process; any thread. YOKE_INVALID: there is none here, it is too
 * old for this build, it finds no device. */
yoke_status yki_cuda_open(const yki_cuda_driver **driver_out);

/* "CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)"; driver NULL: the number alone. */
void yki_cuda_print_error(const yki_cuda_driver *driver, CUresult error, char *text, size_t size);

#endif
