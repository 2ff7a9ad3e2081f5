// What glibc declares only with `_GNU_SOURCE`.
#define _GNU_SOURCE
#include "ckernel.h"
#include <stdio.h>
#include <string.h>

int ckernel_accept(int listener) { return accept4(listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC); }

int ckernel_epoll_wait_nanos(int epoll, struct epoll_event *events, int count, int64_t nanos) {
    struct timespec time = {.tv_sec = nanos / 1000000000, .tv_nsec = nanos % 1000000000};
    return epoll_pwait2(epoll, events, count, &time, 0);
}

int ckernel_pin(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return sched_setaffinity(0, sizeof set, &set);
}

int ckernel_name_thread(const char *name) { return pthread_setname_np(pthread_self(), name); }

int ckernel_file_kind(const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0) return 0;
    return S_ISREG(status.st_mode) ? 1 : S_ISDIR(status.st_mode) ? 2 : 0;
}

long ckernel_find(const void *bytes, size_t size, const void *value, size_t value_size) {
    const char *found = memmem(bytes, size, value, value_size);
    return found ? found - (const char *)bytes : -1;
}

// A mapped file that gets shorter, or whose disk fails, is a bus error at whatever reads it next, on any thread. The
// handler may use nothing that takes a lock, so what it needs is kept ready.

enum { mappings_max = 64, path_size_max = 480 };
static struct {
    uintptr_t start;  // zero where the place is free; stored last
    size_t size;
    char path[path_size_max];
} mappings[mappings_max];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;
static int bus_error_code;

void ckernel_remember_mapping(void *base, size_t size, int descriptor) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    pthread_mutex_lock(&mappings_lock);
    for (int place = 0; place < mappings_max; place++) {
        if (mappings[place].start) continue;
        ssize_t length = readlink(link, mappings[place].path, path_size_max - 1);
        mappings[place].path[length < 0 ? 0 : length] = 0;
        mappings[place].size = size;
        __atomic_store_n(&mappings[place].start, (uintptr_t)base, __ATOMIC_RELEASE);
        break;
    }
    pthread_mutex_unlock(&mappings_lock);
}

void ckernel_forget_mapping(void *base) {
    pthread_mutex_lock(&mappings_lock);
    for (int place = 0; place < mappings_max; place++)
        if (mappings[place].start == (uintptr_t)base) __atomic_store_n(&mappings[place].start, 0, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&mappings_lock);
}

static size_t appended(char *text, size_t size, const char *more) {
    size_t length = strlen(more);
    memcpy(text + size, more, length);
    return size + length;
}

static void tell_bus_error(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    uintptr_t address = (uintptr_t)info->si_addr;
    const char *path = 0;
    for (int place = 0; place < mappings_max; place++) {
        uintptr_t start = __atomic_load_n(&mappings[place].start, __ATOMIC_ACQUIRE);
        if (start && address >= start && address - start < mappings[place].size) path = mappings[place].path;
    }
    char text[path_size_max + 400];
    size_t size = appended(text, 0, "consentd: ");
    size = appended(text, size, path && *path ? path : "a file that is mapped");
    size = appended(
        text, size,
        " was cut short while it was in use, or its disk failed (SIGBUS). This process ends; nothing that was acknowledged "
        "is lost. Start it again: it makes anew what it keeps beside the ledger. Then run 'consentd verify'\n");
    ssize_t written = write(2, text, size);
    (void)written;
    _exit(bus_error_code);
}

int ckernel_tell_bus_errors(int exit_code) {
    bus_error_code = exit_code;
    struct sigaction action = {.sa_sigaction = tell_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, 0);
}
