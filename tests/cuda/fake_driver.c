/* The fake driver's functions: what they are given is checked, then put into streams. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda/fake.h"

fake_context fake_contexts[FAKE_MOST_DEVICES];

struct CUmod_st {
    fake_context *context;
    CUmodule next; /* nobody need keep it to be kept */
};

struct CUfunc_st {
    fake_context *context;
    const yki_emulated *kernel;
    struct CUfunc_st *next;
};

typedef enum fault {
    FAULT_NONE,
    FAULT_LAUNCH,
    FAULT_ALLOC,
    FAULT_LOAD,
    FAULT_CALL,
    FAULT_HANG,
    FAULTS
} fault;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local fake_context *current;
static struct {
    bool begun;
    int devices, version;
    size_t memory;
    fault fault;
    long at, counts[FAULTS];
    CUresult error;
    CUfunction functions;
    CUmodule modules;
} fake;

static int64_t number(const char *name, int64_t other)
{
    const char *text = getenv(name);
    return text && *text ? strtoll(text, NULL, 10) : other;
}

static void begin(void)
{
    static const char *const names[] = {"", "launch", "alloc", "load", "call", "hang"};
    if (fake.begun) return;
    fake.begun = true;
    fake.devices = (int)number("FAKE_CUDA_DEVICES", 1);
    if (fake.devices > FAKE_MOST_DEVICES) fake.devices = FAKE_MOST_DEVICES;
    fake.version = (int)number("FAKE_CUDA_DRIVER", 13000);
    fake.memory = (size_t)number("FAKE_CUDA_MEMORY", INT64_C(8) << 30);
    fake_seed((uint64_t)number("FAKE_CUDA_SEED", 0));
    for (int d = 0; d < FAKE_MOST_DEVICES; d++) fake_contexts[d].device = d;
    const char *fail = getenv("FAKE_CUDA_FAIL"), *colon = fail ? strchr(fail, ':') : NULL;
    for (int f = FAULT_LAUNCH; f < FAULTS && colon; f++)
        if (strncmp(fail, names[f], (size_t)(colon - fail)) == 0 &&
            strlen(names[f]) == (size_t)(colon - fail)) {
            char *end;
            fake.fault = (fault)f;
            fake.at = strtol(colon + 1, &end, 10);
            fake.error = *end == ':' ? (CUresult)strtol(end + 1, NULL, 10) : CUDA_ERROR_UNKNOWN;
        }
}

/* Whether the fault befalls this one. */
static bool befalls(fault kind)
{
    return fake.fault == kind && ++fake.counts[kind] == fake.at;
}

/* Every call begins here: with the lock, and what it returns if it cannot go on. */
static CUresult enter(bool in_context)
{
    pthread_mutex_lock(&lock);
    begin();
    if (befalls(FAULT_CALL)) {
        if (current && fake.error >= 700) current->lost = fake.error;
        return fake.error;
    }
    if (!in_context) return CUDA_SUCCESS;
    return current ? current->lost : CUDA_ERROR_INVALID_CONTEXT;
}

static CUresult leave(CUresult result)
{
    pthread_mutex_unlock(&lock);
    return result;
}

#define ENTER(in_context)                                                                                    \
    do {                                                                                                     \
        CUresult refused = enter(in_context);                                                                \
        if (refused != CUDA_SUCCESS) return leave(refused);                                                  \
    } while (0)

static CUresult finding(CUresult error, const char *what)
{
    FAKE_FINDING("%s", what);
    return leave(error);
}

CUresult cuInit(unsigned flags)
{
    ENTER(false);
    if (flags) return finding(CUDA_ERROR_INVALID_VALUE, "cuInit takes no flags");
    return leave(fake.devices > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE);
}

CUresult cuDriverGetVersion(int *version)
{
    ENTER(false);
    *version = fake.version;
    return leave(CUDA_SUCCESS);
}

/* Those that tests plant, and that this driver gives. */
static const struct {
    CUresult error;
    const char *name, *text;
} errors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {CUDA_ERROR_ECC_UNCORRECTABLE, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};
enum { ERRORS = sizeof errors / sizeof *errors };

CUresult cuGetErrorName(CUresult error, const char **name)
{
    *name = NULL;
    for (int i = 0; i < ERRORS; i++)
        if (errors[i].error == error) *name = errors[i].name;
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = NULL;
    for (int i = 0; i < ERRORS; i++)
        if (errors[i].error == error) *text = errors[i].text;
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count)
{
    ENTER(false);
    *count = fake.devices;
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceGet(CUdevice *device, int index)
{
    ENTER(false);
    if (index < 0 || index >= fake.devices) return leave(CUDA_ERROR_INVALID_DEVICE);
    *device = index;
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
    ENTER(false);
    snprintf(name, (size_t)size, "Fake GPU %d", device);
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
    (void)device;
    ENTER(false);
    *bytes = fake.memory;
    return leave(CUDA_SUCCESS);
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)device;
    ENTER(false);
    if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        *value = 9;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        *value = 0;
    else
        return finding(CUDA_ERROR_INVALID_VALUE, "an attribute that the fake does not know");
    return leave(CUDA_SUCCESS);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    ENTER(false);
    if (device < 0 || device >= fake.devices) return leave(CUDA_ERROR_INVALID_DEVICE);
    fake_contexts[device].retained = true;
    *context = &fake_contexts[device];
    return leave(CUDA_SUCCESS);
}

CUresult cuCtxSetCurrent(CUcontext context)
{
    ENTER(false);
    current = context;
    return leave(CUDA_SUCCESS);
}

CUresult cuMemGetInfo(size_t *available, size_t *total)
{
    ENTER(true);
    *total = fake.memory;
    *available = fake.memory - current->used;
    return leave(CUDA_SUCCESS);
}

/* As the real one, in pieces of 512 bytes; behind each is what nobody may touch. */
CUresult cuMemAlloc(CUdeviceptr *data, size_t bytes)
{
    ENTER(true);
    size_t rounded = (bytes + 511) / 512 * 512, mapped = (bytes + 4095) / 4096 * 4096;
    if (bytes == 0) return finding(CUDA_ERROR_INVALID_VALUE, "an allocation of 0 bytes");
    if (befalls(FAULT_ALLOC)) return leave(fake.error);
    if (rounded > fake.memory - current->used) return leave(CUDA_ERROR_OUT_OF_MEMORY);
    void *told = mmap(NULL, mapped + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    fake_block *block = malloc(sizeof *block);
    if (told == MAP_FAILED || !block) return leave(CUDA_ERROR_OUT_OF_MEMORY);
    fake_reach(true); /* what is left there is no zeros */
    mprotect(told, mapped, PROT_READ | PROT_WRITE);
    memset(told, 0xff, mapped < 1 << 20 ? mapped : 1 << 20);
    *block = (fake_block){current->blocks, told, bytes, mapped};
    current->blocks = block;
    current->used += rounded;
    fake_reach(false);
    *data = (CUdeviceptr)(uintptr_t)told;
    return leave(CUDA_SUCCESS);
}

CUresult cuMemFree(CUdeviceptr data)
{
    ENTER(true);
    fake_block **link = &current->blocks;
    while (*link && (CUdeviceptr)(uintptr_t)(*link)->data != data) link = &(*link)->next;
    fake_block *gone = *link;
    if (!gone) return finding(CUDA_ERROR_INVALID_VALUE, "memory is freed that is none of this device's");
    *link = gone->next;
    current->used -= (gone->bytes + 511) / 512 * 512;
    munmap(gone->data, gone->mapped + 4096);
    free(gone);
    return leave(CUDA_SUCCESS);
}

/* Whether the bytes lie in one block, of whichever device. */
static bool on_device(const void *data, size_t bytes)
{
    for (int d = 0; d < FAKE_MOST_DEVICES; d++)
        for (const fake_block *b = fake_contexts[d].blocks; b; b = b->next)
            if ((const char *)data >= b->data && (const char *)data + bytes <= b->data + b->bytes)
                return true;
    return false;
}

static bool is_stream(CUstream stream)
{
    return stream && !stream->dead && stream->context == current;
}

static CUresult put_copy(CUstream stream, char *to, bool to_device, const char *from, bool from_device,
                         size_t width, size_t rows, size_t to_step, size_t from_step)
{
    size_t to_bytes = (rows - 1) * to_step + width, from_bytes = (rows - 1) * from_step + width;
    if (!is_stream(stream)) return finding(CUDA_ERROR_INVALID_HANDLE, "a copy in no stream of this context");
    if (width == 0 || rows == 0 || (rows > 1 && (to_step < width || from_step < width)))
        return finding(CUDA_ERROR_INVALID_VALUE, "a copy of nothing, or of rows that overlap");
    if (on_device(to, to_bytes) != to_device || on_device(from, from_bytes) != from_device)
        return finding(CUDA_ERROR_INVALID_VALUE, "a copy to or from where it does not say");
    fake_work *w = fake_put(stream);
    w->kind = FAKE_COPY;
    w->copy.to = to, w->copy.from = from, w->copy.width = width, w->copy.rows = rows;
    w->copy.to_step = to_step, w->copy.from_step = from_step;
    return leave(CUDA_SUCCESS);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    ENTER(true);
    return put_copy(stream, (char *)(uintptr_t)to, true, from, false, bytes, 1, 0, 0);
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER(true);
    return put_copy(stream, to, false, (const char *)(uintptr_t)from, true, bytes, 1, 0, 0);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    ENTER(true);
    return put_copy(stream, (char *)(uintptr_t)to, true, (const char *)(uintptr_t)from, true, bytes, 1, 0, 0);
}

CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *c, CUstream stream)
{
    ENTER(true);
    bool to_device = c->dstMemoryType == CU_MEMORYTYPE_DEVICE,
         from_device = c->srcMemoryType == CU_MEMORYTYPE_DEVICE;
    if (c->srcXInBytes || c->srcY || c->dstXInBytes || c->dstY || c->Height == 0)
        return finding(CUDA_ERROR_INVALID_VALUE, "a copy of rows that the fake does not do");
    return put_copy(stream, to_device ? (char *)(uintptr_t)c->dstDevice : c->dstHost, to_device,
                    from_device ? (const char *)(uintptr_t)c->srcDevice : c->srcHost, from_device,
                    c->WidthInBytes, c->Height, c->dstPitch, c->srcPitch);
}

CUresult cuMemsetD8Async(CUdeviceptr data, unsigned char byte, size_t bytes, CUstream stream)
{
    ENTER(true);
    if (!is_stream(stream)) return finding(CUDA_ERROR_INVALID_HANDLE, "a fill in no stream of this context");
    if (bytes == 0 || !on_device((void *)(uintptr_t)data, bytes))
        return finding(CUDA_ERROR_INVALID_VALUE, "a fill of what is no device's");
    fake_work *w = fake_put(stream);
    w->kind = FAKE_FILL;
    w->copy.to = (char *)(uintptr_t)data, w->copy.width = bytes, w->byte = byte;
    return leave(CUDA_SUCCESS);
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
    ENTER(true);
    if (flags != CU_STREAM_NON_BLOCKING)
        return finding(CUDA_ERROR_INVALID_VALUE, "a stream that waits for the default one");
    *stream = fake_stream_create(current);
    return leave(*stream ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

/* What is in it is still done. */
CUresult cuStreamDestroy(CUstream stream)
{
    ENTER(true);
    if (!is_stream(stream)) return finding(CUDA_ERROR_INVALID_HANDLE, "a stream is destroyed that is none");
    CUresult error = fake_run(stream, stream->put);
    fake_stream_drop(stream);
    return leave(error == CUDA_ERROR_NOT_READY ? CUDA_SUCCESS : error);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    ENTER(true);
    if (!is_stream(stream) || !event || flags)
        return finding(CUDA_ERROR_INVALID_HANDLE, "a wait in no stream of this context");
    if (!event->stream)
        return finding(CUDA_ERROR_INVALID_HANDLE, "a stream waits for an event that nobody recorded");
    fake_work *w = fake_put(stream);
    w->kind = FAKE_WAIT;
    w->waits = event->stream, w->position = event->position;
    return leave(CUDA_SUCCESS);
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
    ENTER(true);
    if (flags & ~(unsigned)CU_EVENT_DISABLE_TIMING)
        return finding(CUDA_ERROR_INVALID_VALUE, "an event of a kind that the fake does not know");
    *event = calloc(1, sizeof **event);
    if (!*event) return leave(CUDA_ERROR_OUT_OF_MEMORY);
    (*event)->context = current;
    (*event)->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    return leave(CUDA_SUCCESS);
}

CUresult cuEventDestroy(CUevent event)
{
    ENTER(false);
    if (!event) return finding(CUDA_ERROR_INVALID_HANDLE, "an event is destroyed that is none");
    for (uint64_t i = event->stream && !event->stream->dead ? event->stream->done : 0;
         event->stream && !event->stream->dead && i < event->stream->put; i++) {
        fake_work *w = &event->stream->work[i % event->stream->room];
        if (w->event == event) w->event = NULL;
    }
    free(event);
    return leave(CUDA_SUCCESS);
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    ENTER(true);
    if (!is_stream(stream) || !event || event->context != current)
        return finding(CUDA_ERROR_INVALID_HANDLE, "an event is recorded in no stream of its context");
    if (event->stream && event->stream != stream && !event->stream->dead)
        for (uint64_t i = event->stream->done; i < event->stream->put; i++) {
            fake_work *w = &event->stream->work[i % event->stream->room];
            if (w->event == event) w->event = NULL;
        }
    fake_work *w = fake_put(stream);
    w->kind = FAKE_EVENT;
    w->event = event, w->serial = ++event->serial;
    event->stream = stream, event->position = stream->put;
    return leave(CUDA_SUCCESS);
}

CUresult cuEventQuery(CUevent event)
{
    ENTER(true);
    if (!event || event->context != current)
        return finding(CUDA_ERROR_INVALID_HANDLE, "a question about an event of another context");
    if (!event->stream) return leave(CUDA_SUCCESS);
    if (event->stream->done < event->position && fake_draw() % 2 == 1) return leave(CUDA_ERROR_NOT_READY);
    return leave(fake_run(event->stream, event->position));
}

CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
    ENTER(true);
    if (!from || !to || !from->timed || !to->timed || !from->stream || !to->stream)
        return finding(CUDA_ERROR_INVALID_HANDLE, "the time between events that take none");
    if (from->stream->done < from->position || to->stream->done < to->position)
        return leave(CUDA_ERROR_NOT_READY);
    *ms = (float)((to->ns - from->ns) * 1e-6);
    return leave(CUDA_SUCCESS);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
    static const unsigned char magic[] = {0x50, 0xed, 0x55, 0xba}; /* of a fatbin */
    ENTER(true);
    if (befalls(FAULT_LOAD)) return leave(fake.error);
    if ((uintptr_t)image % 8 || memcmp(image, magic, sizeof magic) != 0)
        return leave(CUDA_ERROR_INVALID_IMAGE);
    *module = calloc(1, sizeof **module);
    if (!*module) return leave(CUDA_ERROR_OUT_OF_MEMORY);
    **module = (struct CUmod_st){current, fake.modules};
    fake.modules = *module;
    return leave(CUDA_SUCCESS);
}

CUresult cuModuleUnload(CUmodule module)
{
    ENTER(true);
    CUmodule *link = &fake.modules;
    while (*link && *link != module) link = &(*link)->next;
    if (!*link) return finding(CUDA_ERROR_INVALID_HANDLE, "a module is unloaded that is none");
    *link = module->next;
    free(module);
    return leave(CUDA_SUCCESS);
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
    ENTER(true);
    const yki_emulated *kernel = yki_emulated_find(name);
    if (!module || module->context != current || !kernel) return leave(CUDA_ERROR_NOT_FOUND);
    *function = calloc(1, sizeof **function);
    if (!*function) return leave(CUDA_ERROR_OUT_OF_MEMORY);
    **function = (struct CUfunc_st){current, kernel, fake.functions};
    fake.functions = *function;
    return leave(CUDA_SUCCESS);
}

CUresult cuLaunchKernel(CUfunction function, unsigned x, unsigned y, unsigned z, unsigned threads_x,
                        unsigned threads_y, unsigned threads_z, unsigned shared, CUstream stream,
                        void **parameters, void **extra)
{
    ENTER(true);
    if (!is_stream(stream) || !function || function->context != current)
        return finding(CUDA_ERROR_INVALID_HANDLE, "a launch in no stream of its kernel's context");
    if (x == 0 || x > INT32_MAX || y == 0 || y > 65535 || z != 1 || threads_x == 0 || threads_x > 1024 ||
        threads_x % 32 || threads_y != 1 || threads_z != 1 || shared || !parameters || extra)
        return finding(CUDA_ERROR_INVALID_VALUE, "a launch of a shape that no device takes, or yoke has not");
    bool fails = befalls(FAULT_LAUNCH), hangs = befalls(FAULT_HANG);
    bool deadly =
        fake.error == CUDA_ERROR_ECC_UNCORRECTABLE ||
        (fake.error >= CUDA_ERROR_ILLEGAL_ADDRESS && fake.error != CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
    if (fails && !deadly) return leave(fake.error);
    fake_work *w = fake_put(stream);
    w->kind = FAKE_KERNEL;
    w->fails = fails ? fake.error : CUDA_SUCCESS;
    w->hangs = hangs;
    w->launch =
        (yki_emulated_launch){.kernel = function->kernel, .blocks_x = x, .blocks_y = y, .threads = threads_x};
    w->args = malloc(function->kernel->args_bytes);
    if (!w->args) abort();
    memcpy(w->args, parameters[0], function->kernel->args_bytes);
    return leave(CUDA_SUCCESS);
}
