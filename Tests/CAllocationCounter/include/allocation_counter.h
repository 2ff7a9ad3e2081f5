// Counts what a thread takes from the heap. Linked into a test binary, it stands before the C library's allocator for the
// whole process.
#ifndef CONSENT_ALLOCATION_COUNTER_H
#define CONSENT_ALLOCATION_COUNTER_H

#include <stdint.h>

/// Calls of malloc, calloc, realloc and their kin on the calling thread since the last reset.
uint64_t allocation_counter_get(void);
void allocation_counter_reset(void);

#endif
