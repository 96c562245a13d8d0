/* A stand-in for libcuda.so.1 and libamdhip64.so with two GPUs: the functions that the planner calls, with their real
 * names and arguments. Copies take the time that they would at 400 GB/s within (read and written), 25 GB/s from and
 * 20 GB/s to main memory; nothing is copied, but every pointer must lie in memory that was handed out.
 *
 * FAKE_GPU_FAULT holds one fault: no_device, no_memory (for more than half of what is free), no_pinned, lost:N,
 * crash:N, hang:N (the GPU that dies while it copies), old (no function of CUDA 11.4), talks (prints what it does).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FREE_BYTES (4ull << 30)
#define MOST 8

typedef unsigned long long device_pointer;

static struct { char *start; size_t bytes; int on_device; } blocks[MOST];
static int current = -1;
static double busy_s; /* of the copies that were queued */

static const char *fault(void) {
    const char *text = getenv("FAKE_GPU_FAULT");
    return text ? text : "";
}

static int strikes(const char *name) { /* whether the fault of this name is the current GPU's */
    size_t n = strlen(name);
    return !strncmp(fault(), name, n) && fault()[n] == ':' && atoi(fault() + n + 1) == current;
}

static int allocate(void **where, size_t bytes, int on_device) {
    if (current < 0) return 201; /* CUDA_ERROR_INVALID_CONTEXT */
    if (on_device && !strcmp(fault(), "no_memory") && bytes > FREE_BYTES / 16) return 2;
    if (!on_device && !strcmp(fault(), "no_pinned")) return 2;
    for (int i = 0; i < MOST; i++)
        if (!blocks[i].start) {
            blocks[i].start = malloc(bytes);
            blocks[i].bytes = bytes;
            blocks[i].on_device = on_device;
            *where = blocks[i].start;
            return blocks[i].start ? 0 : 2;
        }
    return 2;
}

static int release(void *where) {
    for (int i = 0; i < MOST; i++)
        if (where && blocks[i].start == where) {
            free(where);
            blocks[i].start = NULL;
            return 0;
        }
    return 1; /* CUDA_ERROR_INVALID_VALUE */
}

static int lies_in(const void *where, size_t bytes, int on_device) {
    for (int i = 0; i < MOST; i++)
        if (blocks[i].start && blocks[i].on_device == on_device && (char *)where >= blocks[i].start &&
            (char *)where + bytes <= blocks[i].start + blocks[i].bytes)
            return 1;
    return 0;
}

static int copy(void *to, int to_device, const void *from, int from_device, size_t bytes, void *stream) {
    if (stream || !lies_in(to, bytes, to_device) || !lies_in(from, bytes, from_device)) return 1;
    if (to_device && from_device && to == from) return 1;
    if (strikes("lost")) return 999; /* CUDA_ERROR_UNKNOWN */
    if (strikes("crash")) raise(SIGSEGV);
    while (strikes("hang")) pause();
    if (!strcmp(fault(), "talks")) printf("copying %zu bytes", bytes), fflush(stdout);
    busy_s += to_device && from_device ? 2.0 * bytes / 400e9 : bytes / (to_device ? 25e9 : 20e9);
    return 0;
}

static int finish(void) {
    struct timespec pause_for = {(time_t)busy_s, (long)((busy_s - (time_t)busy_s) * 1e9)};
    busy_s = 0;
    nanosleep(&pause_for, NULL);
    return 0;
}

static int text(const char *source, char *out, int length) {
    if ((int)strlen(source) >= length) return 1;
    strcpy(out, source);
    return 0;
}

static int address(char *out, int length, int device) {
    return text(device ? "0000:B1:00.0" : "0000:17:00.0", out, length);
}

/* ------------------------------------------------------------------ CUDA */

int cuInit(unsigned flags) { return flags ? 1 : !strcmp(fault(), "no_device") ? 100 : 0; }
int cuDriverGetVersion(int *version) { *version = 12080; return 0; }
int cuGetErrorName(int code, const char **name) {
    *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 999 ? "CUDA_ERROR_UNKNOWN" : NULL;
    return *name ? 0 : 1;
}
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) { (void)device; return text("NVIDIA Example", name, length); }
static int uuid(unsigned char *out, int device) {
    for (int i = 0; i < 16; i++) out[i] = (unsigned char)(16 * i + device);
    return 0;
}
int cuDeviceGetUuid_v2(unsigned char *out, int device) { return !strcmp(fault(), "old") ? 1 : uuid(out, device); }
int cuDeviceGetUuid(unsigned char *out, int device) { return uuid(out, device); }
int cuDeviceGetPCIBusId(char *out, int length, int device) { return address(out, length, device); }
int cuDevicePrimaryCtxRetain(void **context, int device) {
    static char contexts[2];
    *context = &contexts[device];
    contexts[device] = (char)device;
    return 0;
}
int cuCtxSetCurrent(void *context) { current = *(char *)context; return 0; }
int cuCtxSynchronize(void) { return finish(); }
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { *free_bytes = FREE_BYTES; *total = 2 * FREE_BYTES; return 0; }
int cuMemAlloc_v2(device_pointer *out, size_t bytes) {
    void *where = NULL;
    int code = allocate(&where, bytes, 1);
    *out = (device_pointer)where;
    return code;
}
int cuMemFree_v2(device_pointer where) { return release((void *)where); }
int cuMemAllocHost_v2(void **out, size_t bytes) { return allocate(out, bytes, 0); }
int cuMemFreeHost(void *where) { return release(where); }
int cuMemcpyDtoDAsync_v2(device_pointer to, device_pointer from, size_t bytes, void *stream) {
    return copy((void *)to, 1, (void *)from, 1, bytes, stream);
}
int cuMemcpyHtoDAsync_v2(device_pointer to, const void *from, size_t bytes, void *stream) {
    return copy((void *)to, 1, from, 0, bytes, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, device_pointer from, size_t bytes, void *stream) {
    return copy(to, 0, (void *)from, 1, bytes, stream);
}

/* ------------------------------------------------------------------- HIP */

int hipInit(unsigned flags) { return cuInit(flags); }
int hipRuntimeGetVersion(int *version) { *version = 60342134; return 0; }
const char *hipGetErrorName(int code) {
    return code == 2 ? "hipErrorOutOfMemory" : code == 100 ? "hipErrorNoDevice" : "hipErrorUnknown";
}
int hipGetDeviceCount(int *count) { *count = 2; return 0; }
int hipDeviceGetName(char *name, int length, int device) { (void)device; return text("AMD Example", name, length); }
int hipDeviceGetPCIBusId(char *out, int length, int device) { return address(out, length, device); }
int hipSetDevice(int device) { current = device; return 0; }
int hipDeviceSynchronize(void) { return finish(); }
int hipMemGetInfo(size_t *free_bytes, size_t *total) { return cuMemGetInfo_v2(free_bytes, total); }
int hipMalloc(void **out, size_t bytes) { return allocate(out, bytes, 1); }
int hipFree(void *where) { return release(where); }
int hipHostMalloc(void **out, size_t bytes, unsigned flags) { return flags ? 1 : allocate(out, bytes, 0); }
int hipHostFree(void *where) { return release(where); }
int hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    if (kind < 1 || kind > 3) return 1;
    return copy(to, kind != 2, from, kind != 1, bytes, stream);
}
