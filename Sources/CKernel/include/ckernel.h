// What Swift cannot import: macros, variadic functions, builtins. Only wrappers, no logic. Without `_GNU_SOURCE`, which
// changes `fd_set`: Foundation's view of it and this one must be the same wherever both are imported.
#ifndef CONSENT_CKERNEL_H
#define CONSENT_CKERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/// open(2) is variadic.
static inline int ckernel_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

/// The event set and the union of epoll_event, whose layout Swift would import packed and awkward.
static inline int ckernel_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event = {.events = events, .data = {.u64 = token}};
    return epoll_ctl(epoll, operation, descriptor, &event);
}
static inline uint64_t ckernel_epoll_token(const struct epoll_event *event) { return event->data.u64; }
static inline uint32_t ckernel_epoll_events(const struct epoll_event *event) { return event->events; }
int ckernel_epoll_wait_nanos(int epoll, struct epoll_event *events, int count, int64_t nanos);
static inline uint32_t ckernel_epoll_exclusive(void) { return (uint32_t)EPOLLEXCLUSIVE; }
static inline uint32_t ckernel_epoll_edge(void) { return (uint32_t)EPOLLET; }

/// The address arguments of these are transparent unions, which Swift cannot call.
static inline int ckernel_bind(int socket, const struct sockaddr *address, socklen_t size) {
    return bind(socket, address, size);
}
static inline int ckernel_connect(int socket, const struct sockaddr *address, socklen_t size) {
    return connect(socket, address, size);
}
int ckernel_accept(int listener);
/// recv and send. Those of the C library are points at which a thread may be cancelled, and prepare for it each time, which
/// costs a check a fiftieth of its time; no thread here ever is.
static inline ssize_t ckernel_receive(int socket, void *bytes, size_t size) {
    return syscall(SYS_recvfrom, socket, bytes, size, 0, NULL, NULL);
}
static inline ssize_t ckernel_send(int socket, const void *bytes, size_t size) {
    return syscall(SYS_sendto, socket, bytes, size, MSG_NOSIGNAL, NULL, 0);
}
/// The port in host order, or -1 with errno.
static inline int ckernel_port(int socket) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    return getsockname(socket, (struct sockaddr *)&address, &size) < 0 ? -1 : ntohs(address.sin_port);
}

/// MADV_POPULATE_WRITE, of Linux 5.14, which older headers do not have.
static inline int ckernel_populate_write(void) { return 23; }

/// MAP_FAILED is a cast macro: null stands for it here.
static inline void *ckernel_map(int descriptor, size_t size, int writable) {
    void *base = mmap(0, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0);
    return base == MAP_FAILED ? 0 : base;
}

/// What a bus error in the mapping will name: the file's path, as long as there is room to remember it.
void ckernel_remember_mapping(void *base, size_t size, int descriptor);
void ckernel_forget_mapping(void *base);
/// A bus error says which mapped file it was in, and ends the process with a code.
int ckernel_tell_bus_errors(int exit_code);

/// Words of a mapping that another thread or process may read at the same time.
static inline uint64_t ckernel_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void ckernel_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline void ckernel_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

struct ckernel_text {
    const uint8_t *bytes;
    size_t size;
};
struct ckernel_hash {
    uint64_t high;
    uint64_t low;
};
/// How many texts an instruction may work on; what the processor cannot do is not used.
enum ckernel_lanes { ckernel_lanes_any, ckernel_lanes_4, ckernel_lanes_8 };
/// SipHash-1-3-128 of some texts, each after eight bytes of prefix. The count is a multiple of eight; for a place that is
/// to stay empty, name another one's text again.
void ckernel_siphash(
    enum ckernel_lanes lanes, const uint64_t key[2], uint64_t prefix, const struct ckernel_text *texts, size_t count,
    struct ckernel_hash *hashes);

/// Pins the calling thread to one processor; 0 or -1 with errno.
int ckernel_pin(int processor);
int ckernel_name_thread(const char *name);
/// Fills bytes from the system's random source; as getrandom(2).
static inline long ckernel_random(void *bytes, size_t count) { return getrandom(bytes, count, 0); }

/// What a path names, links not followed: 1 a file, 2 a folder, 0 anything else or nothing.
int ckernel_file_kind(const char *path);
/// Where some bytes stand in others, or -1.
long ckernel_find(const void *bytes, size_t size, const void *value, size_t value_size);

/// RLIMIT_NOFILE is an enumerator in one C library and a macro in another.
static inline int ckernel_raise_descriptors_max(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

#endif
