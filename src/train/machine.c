/* The devices of this machine. */
#include <stdio.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "base/fail.h"
#include "job/job.h"
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

/* Kinds of devices beside the CPU's. */
static const yoke_device_kind others[] = {YOKE_CUDA};
enum { OTHERS = sizeof others / sizeof *others };

static void describe_cpu(yoke_device_info *info, int index)
{
    static const char *const sets[] = {
        [YKI_ISA_BASE] = "base", [YKI_ISA_AVX2] = "avx2", [YKI_ISA_AVX512] = "avx512"};
    const yki_backend_ops *cpu = yki_backend_get("cpu");
    *info = (yoke_device_info){.memory_bytes = cpu->memory_bytes(index), .cores = cpu->count()};
    snprintf(info->name, sizeof info->name, "cpu:%d", index);
    snprintf(info->instructions, sizeof info->instructions, "%s", sets[yki_isa_get()]);
    processor_name(info->model, sizeof info->model);
}

int yoke_devices(yoke_device_info *infos, int most)
{
    int cores = yki_backend_get("cpu")->count(), count = cores;
    for (int i = 0; infos && i < cores && i < most; i++) describe_cpu(&infos[i], i);
    for (int k = 0; k < OTHERS; k++) {
        const char *name = yki_device_kind_name(others[k]);
        const yki_backend_ops *backend = yki_backend_get(name);
        for (int i = 0; backend && i < backend->count(); i++, count++) {
            if (!infos || count >= most) continue;
            yoke_device_info *info = &infos[count];
            *info = (yoke_device_info){0};
            snprintf(info->name, sizeof info->name, "%s:%d", name, i);
            if (backend->describe(i, info->model, sizeof info->model, &info->memory_bytes) != YOKE_OK)
                snprintf(info->model, sizeof info->model, "%.90s", yoke_error_get()->message);
        }
    }
    return count;
}

int yoke_devices_missing(yoke_missing_devices *infos, int most)
{
    YKI_KEEP_RECORD;
    int count = 0;
    for (int k = 0; k < OTHERS; k++) {
        const char *name = yki_device_kind_name(others[k]);
        const yki_backend_ops *backend = yki_backend_get(name);
        if (backend && (backend->count() > 0 || backend->check(0) == YOKE_OK)) continue;
        if (infos && count < most) {
            infos[count] = (yoke_missing_devices){0};
            snprintf(infos[count].backend, sizeof infos[count].backend, "%s", name);
            snprintf(infos[count].reason, sizeof infos[count].reason, "%.250s",
                     backend ? yoke_error_get()->message : "this build has no CUDA");
        }
        count++;
    }
    return count;
}
