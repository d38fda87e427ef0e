/* The devices of this machine. */
#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "yoke/train.h"

/* The processor's name as the system says it; "" where it says none. */
static void processor_name(char *name, size_t size)
{
    char line[256];
    name[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", colon + 2);
        break;
    }
    if (file) fclose(file);
}

int yoke_devices(yoke_device_info *infos, int most)
{
    static const char *const sets[] = {
        [YKI_ISA_BASE] = "base", [YKI_ISA_AVX2] = "avx2", [YKI_ISA_AVX512] = "avx512"};
    const yki_backend_ops *cpu = yki_backend_get("cpu");
    int count = cpu->count();
    for (int i = 0; infos && i < count && i < most; i++) {
        infos[i] = (yoke_device_info){.memory_bytes = cpu->memory_bytes(i), .cores = count};
        snprintf(infos[i].name, sizeof infos[i].name, "cpu:%d", i);
        snprintf(infos[i].instructions, sizeof infos[i].instructions, "%s", sets[yki_isa_get()]);
        processor_name(infos[i].model, sizeof infos[i].model);
    }
    return count;
}
