/* The backend "cuda": NVIDIA's GPUs through the driver's functions, and kernels of our own that are compiled
 * in. Where there is no driver it has no devices, and check says why. */
#ifndef YKI_BACKEND_CUDA_CUDA_H
#define YKI_BACKEND_CUDA_CUDA_H

#include "backend/backend.h"

extern const yki_backend_ops yki_backend_cuda;

#endif
