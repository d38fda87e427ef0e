/* Who started this process, and the MPI module that goes with it. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "comm/mpi/cluster.h"

static const struct {
    const char *size, *rank, *also, *here, *launcher, *module;
} launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", NULL, "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun of Open MPI",
     "openmpi"},
    {"PMI_SIZE", "PMI_RANK", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "srun", "mpich"},
    {"PMI_SIZE", "PMI_RANK", NULL, "MPI_LOCALRANKID", "mpirun of MPICH", "mpich"},
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "PMIX_RANK", "SLURM_LOCALID", "srun", "openmpi"},
    {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", NULL, "SLURM_LOCALID", "srun", NULL},
};

static const char *const modules[] = {"openmpi", "mpich"};

/* YOKE_ALONE=1: processes that a launcher has started have nothing to do with each other. */
static bool is_alone(void)
{
    const char *alone = getenv("YOKE_ALONE");
    return alone && alone[0] && strcmp(alone, "0") != 0;
}

bool yki_launch_find(yki_launched *out)
{
    if (is_alone()) return false;
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const char *size = getenv(launchers[i].size), *rank = getenv(launchers[i].rank);
        if (!size || !rank || (launchers[i].also && !getenv(launchers[i].also))) continue;
        const char *here = getenv(launchers[i].here);
        *out = (yki_launched){launchers[i].launcher, launchers[i].module, atoi(rank), atoi(size),
                              here ? atoi(here) == 0 : atoi(rank) == 0};
        return out->size > 1;
    }
    return false;
}

/* The file that this code is in: the program, or the shared library. */
static bool own_file(char path[PATH_MAX])
{
    Dl_info info;
    if (dladdr((void *)(uintptr_t)&launchers, &info) && strchr(info.dli_fname, '/') &&
        realpath(info.dli_fname, path))
        return true;
    return realpath("/proc/self/exe", path) != NULL;
}

static uint64_t hash_file(const char *path, uint64_t hash)
{
    unsigned char block[1 << 14];
    FILE *file = fopen(path, "rb");
    for (size_t count; file && (count = fread(block, 1, sizeof block, file)) > 0;)
        for (size_t i = 0; i < count; i++) hash = (hash ^ block[i]) * 0x100000001b3u;
    if (file) fclose(file);
    return hash;
}

uint64_t yki_binary_hash(void)
{
    char own[PATH_MAX], program[PATH_MAX];
    uint64_t hash = 0xcbf29ce484222325u;
    if (!realpath("/proc/self/exe", program)) program[0] = '\0';
    hash = hash_file(program, hash);
    return own_file(own) && strcmp(own, program) != 0 ? hash_file(own, hash) : hash;
}

/* The module's row in a folder's file, or in the file that `at` is itself; NULL: *why says what the loader
 * does, where there is such a file. */
static const yki_mpi_module *load_from(const char *at, const char *name, char *why, size_t size)
{
    char path[PATH_MAX + 40];
    struct stat is;
    snprintf(path, sizeof path, "%s", at);
    if (stat(path, &is) != 0) return NULL;
    if (S_ISDIR(is.st_mode)) {
        snprintf(path, sizeof path, "%s/yoke-mpi-%s.so", at, name);
        if (stat(path, &is) != 0) return NULL;
    }
    /* global: MPI's own plugins look for its names */
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    const yki_mpi_module *row = library ? dlsym(library, YKI_MPI_MODULE_SYMBOL) : NULL;
    if (row && row->version == YKI_MPI_MODULE_VERSION) return row;
    if (row)
        snprintf(why, size, "the file is of another version of yoke");
    else
        snprintf(why, size, "%s", dlerror());
    return NULL;
}

yoke_status yki_mpi_load(const yki_launched *launch, const yki_mpi_module **module_out)
{
    char own[PATH_MAX] = ".", installed[PATH_MAX + 64], why[400] = "";
    const char *given = getenv("YOKE_MPI_PATH");
    if (own_file(own)) *strrchr(own, '/') = '\0';
    snprintf(installed, sizeof installed, "%s/../" YOKE_LIBDIR, own);
    const char *places[] = {given && given[0] ? given : own, given && given[0] ? NULL : installed};
    *module_out = NULL;
    for (size_t m = 0; m < sizeof modules / sizeof *modules && !*module_out; m++) {
        if (launch->module && strcmp(launch->module, modules[m]) != 0) continue;
        for (int p = 0; p < 2 && !*module_out && places[p]; p++)
            *module_out = load_from(places[p], modules[m], why, sizeof why);
    }
    if (*module_out) return YOKE_OK;
    return yki_fail(YOKE_INVALID,
                    "%s started this as process %d of %d, but %s%s is not in %s%s%s; build yoke where that "
                    "MPI's compiler wrapper is, or name the module's folder with YOKE_MPI_PATH",
                    launch->launcher, launch->rank, launch->size,
                    launch->module ? "its module yoke-mpi-" : "a module yoke-mpi-*.so",
                    launch->module ? launch->module : "", places[0], why[0] ? ": " : "", why);
}
