/* Kernels with the faults that the emulator is to find. Each is given an array of as many floats as a block
 * has threads. */
#include "backend/cuda/kernels/device.cuh"

struct wrong_args {
    float *x;
};

extern "C" __global__ void wrong_no_barrier(const wrong_args a)
{
    YKI_SHARED(float, value, 64);
    value[threadIdx.x] = (float)threadIdx.x;
    a.x[threadIdx.x] = value[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void right_barrier(const wrong_args a)
{
    YKI_SHARED(float, value, 64);
    value[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    a.x[threadIdx.x] = value[blockDim.x - 1 - threadIdx.x] + block_sum(1.0f);
}

extern "C" __global__ void wrong_not_all_at_barrier(const wrong_args a)
{
    if (threadIdx.x % 2) __syncthreads();
    a.x[threadIdx.x] = 0;
}

extern "C" __global__ void wrong_not_all_in_shuffle(const wrong_args a)
{
    float value = 0;
    if (threadIdx.x < 40) value = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
    a.x[threadIdx.x] = value;
}
