// SipHash-1-3 with 128 bits of output (Aumasson and Bernstein) of eight texts at once, a lane each. What one lane takes is
// bound by how its steps follow from one another; eight of them take little longer.
#include "ckernel.h"
#include <string.h>

enum { LANES = 8 };
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));
typedef int64_t lane_signs __attribute__((vector_size(8 * LANES)));

#define ROTATE(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))
#define ROUND                                                                                                          \
    v0 += v1, v2 += v3, v1 = ROTATE(v1, 13) ^ v0, v3 = ROTATE(v3, 16) ^ v2, v0 = ROTATE(v0, 32);                       \
    v2 += v1, v0 += v3, v1 = ROTATE(v1, 17) ^ v2, v3 = ROTATE(v3, 21) ^ v0, v2 = ROTATE(v2, 32);

static inline uint64_t load(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word;
}

/// Fewer than eight bytes as a word, by loads that overlap.
static inline uint64_t load_few(const uint8_t *bytes, size_t size) {
    if (size >= 4) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + size - 4, 4);
        return low | (uint64_t)high << 8 * (size - 4);
    }
    if (size == 0) return 0;
    return bytes[0] | (uint64_t)bytes[size / 2] << 8 * (size / 2) | (uint64_t)bytes[size - 1] << 8 * (size - 1);
}

/// One word of the text and its end; zero past that.
static inline uint64_t word_of(const struct ckernel_text *text, size_t word) {
    size_t whole = text->size >> 3;
    if (word < whole) return load(text->bytes + 8 * word);
    // The size counts the prefix, too.
    if (word == whole) return load_few(text->bytes + 8 * whole, text->size & 7) | (uint64_t)(text->size + 8) << 56;
    return 0;
}

#define EACH(one) {one(0), one(1), one(2), one(3), one(4), one(5), one(6), one(7)}
#define WHOLE_WORD(lane) load(texts[lane].bytes + 8 * word)
#define ANY_WORD(lane) word_of(texts + lane, word)
#define LAST_WORD(lane) texts[lane].size >> 3

static inline __attribute__((always_inline)) void hash_lanes(
    const uint64_t key[2], uint64_t prefix, const struct ckernel_text *texts, struct ckernel_hash *hashes) {
    const lanes last = EACH(LAST_WORD), zero = {0};
    size_t least = last[0], most = last[0];
    for (int lane = 1; lane < LANES; lane++) {
        if (last[lane] < least) least = last[lane];
        if (last[lane] > most) most = last[lane];
    }
    lanes v0 = zero + (key[0] ^ 0x736f6d6570736575), v1 = zero + (key[1] ^ 0x646f72616e646f6d ^ 0xee);
    lanes v2 = zero + (key[0] ^ 0x6c7967656e657261), v3 = zero + (key[1] ^ 0x7465646279746573);
    v3 ^= prefix;
    ROUND;
    v0 ^= prefix;
    for (size_t word = 0; word < least; word++) {
        const lanes message = EACH(WHOLE_WORD);
        v3 ^= message;
        ROUND;
        v0 ^= message;
    }
    for (size_t word = least; word <= most; word++) {
        // A text that has ended stays as it is.
        const lanes going = (lanes)(last >= zero + word), message = EACH(ANY_WORD);
        const lanes before0 = v0, before1 = v1, before2 = v2, before3 = v3;
        v3 ^= message;
        ROUND;
        v0 ^= message;
        v0 = (v0 & going) | (before0 & ~going);
        v1 = (v1 & going) | (before1 & ~going);
        v2 = (v2 & going) | (before2 & ~going);
        v3 = (v3 & going) | (before3 & ~going);
    }
    v2 ^= 0xee;
    ROUND ROUND ROUND;
    const lanes low = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd;
    ROUND ROUND ROUND;
    const lanes high = v0 ^ v1 ^ v2 ^ v3;
    for (int lane = 0; lane < LANES; lane++) hashes[lane] = (struct ckernel_hash){high[lane], low[lane]};
}

// The same code for what processors can do.
#define FOR_PROCESSOR(name, attributes)                                                                                \
    attributes static void name(                                                                                       \
        const uint64_t key[2], uint64_t prefix, const struct ckernel_text *texts, size_t count,                        \
        struct ckernel_hash *hashes) {                                                                                 \
        for (size_t at = 0; at < count; at += LANES) hash_lanes(key, prefix, texts + at, hashes + at);                 \
    }

#if defined(__x86_64__)
FOR_PROCESSOR(hash_avx512, __attribute__((target("avx512f,avx512vl,avx512dq"))))
FOR_PROCESSOR(hash_avx2, __attribute__((target("avx2"))))
#endif
FOR_PROCESSOR(hash_any, )

void ckernel_siphash(
    enum ckernel_lanes lanes, const uint64_t key[2], uint64_t prefix, const struct ckernel_text *texts, size_t count,
    struct ckernel_hash *hashes) {
#if defined(__x86_64__)
    if (lanes >= ckernel_lanes_8 && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        hash_avx512(key, prefix, texts, count, hashes);
        return;
    }
    if (lanes >= ckernel_lanes_4 && __builtin_cpu_supports("avx2")) {
        hash_avx2(key, prefix, texts, count, hashes);
        return;
    }
#endif
    (void)lanes;
    hash_any(key, prefix, texts, count, hashes);
}
