// What glibc declares only with `_GNU_SOURCE`.
#define _GNU_SOURCE
#include "ckernel.h"
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
