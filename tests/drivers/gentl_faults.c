/* A GenTL producer that hands everything on to another one and, as the control file says, stamps its
 * pictures, damages one, gives the same one again and again, or has its cable pulled.
 *
 * The functions that it does not touch are jumps (FORWARD in names.h, made from the other's exports).
 * Numbers are those of EMVA's GenTL.h.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TIMESTAMP_NS = 28, IS_INCOMPLETE = 7, FRAMEID = 16, UINT64 = 8, BOOL8 = 11 };
enum { ERR_IO = -1010, ERR_TIMEOUT = -1011 };

/* The file GENTL_FAULTS: numbers of pictures, 0 for never. */
static volatile struct { uint64_t unplugged, damaged, frozen; } *control;

#define FORWARD(name) \
    void *real_##name __attribute__((visibility("hidden"))); \
    __attribute__((naked)) void name(void) { __asm__("jmp *real_" #name "(%rip)"); }
#define HIDDEN(name) void *real_##name __attribute__((visibility("hidden")));
#include "names.h"

typedef int32_t (*buffer_info)(void *, void *, int32_t, int32_t *, void *, size_t *);
typedef int32_t (*read_port)(void *, uint64_t, void *, size_t *);
typedef int32_t (*event_data)(void *, void *, size_t *, uint64_t);

__attribute__((constructor)) static void begin(void)
{
    void *other = dlopen(getenv("GENTL_OTHER"), RTLD_NOW | RTLD_LOCAL);
    int file = open(getenv("GENTL_FAULTS"), O_RDONLY);
    if (!other || file < 0)
        abort();
    control = mmap(0, sizeof *control, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    resolve(other);
}

static int32_t give(int32_t *type, int32_t is, void *out, size_t *size, const void *value, size_t n)
{
    if (type)
        *type = is;
    if (out)
        memcpy(out, value, n);
    *size = n;
    return 0;
}

int32_t DSGetBufferInfo(void *stream, void *buffer, int32_t what, int32_t *type, void *out, size_t *size)
{
    buffer_info real = (buffer_info)real_DSGetBufferInfo;
    uint64_t id = 0;
    size_t n = sizeof id;
    if (what == TIMESTAMP_NS || what == IS_INCOMPLETE || what == FRAMEID) {
        int32_t is, error = real(stream, buffer, FRAMEID, &is, &id, &n);
        if (error)
            return error;
    }
    if (what == TIMESTAMP_NS) { /* 20 ms from picture to picture, begun at 5 s */
        uint64_t at = 5000000000u + id * 20000000u;
        return give(type, UINT64, out, size, &at, sizeof at);
    }
    if (what == IS_INCOMPLETE && control->damaged && id == control->damaged) {
        uint8_t yes = 1;
        return give(type, BOOL8, out, size, &yes, sizeof yes);
    }
    if (what == FRAMEID && control->frozen && id > control->frozen) {
        uint64_t same = control->frozen;
        return give(type, UINT64, out, size, &same, sizeof same);
    }
    return real(stream, buffer, what, type, out, size);
}

int32_t GCReadPort(void *port, uint64_t address, void *out, size_t *size)
{
    return control->unplugged ? ERR_IO : ((read_port)real_GCReadPort)(port, address, out, size);
}

int32_t EventGetData(void *event, void *out, size_t *size, uint64_t milliseconds)
{
    if (!control->unplugged)
        return ((event_data)real_EventGetData)(event, out, size, milliseconds);
    usleep(1000 * milliseconds);
    return ERR_TIMEOUT;
}
