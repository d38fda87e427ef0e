/* Names of kernels. */
#include "backend/kernel.h"

const char *yki_kernel_name(yki_kernel kernel)
{
    static const char *const names[] = {
#define YKI_KERNEL_NAME(id, name) name,
        YKI_KERNEL_LIST(YKI_KERNEL_NAME)
#undef YKI_KERNEL_NAME
    };
    return (unsigned)kernel < YKI_KERNEL_COUNT ? names[kernel] : "unknown";
}
