// The layout of the file stands in Sources/ConsentIndex/IndexTable.swift. Its rules for readers, in short:
//
//   The version is loaded before and after everything else; where it is odd or has changed, what was read is dropped.
//   A row's end is loaded before and after its bitsets; where it has changed, they are loaded again.
//   The moment that the writer vouches for is loaded before the rows, and before the clock.
//
// Every load of the mapping acquires, so that they happen in this order; the writer's stores release.
#define _GNU_SOURCE

#include "consent_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the words of an index are little-endian, and are read as they are"
#endif
_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "loads are plain ones");
_Static_assert(sizeof(consent_answer) == 16, "bindings rely on the layout");

enum {
    IDENTIFIER_SIZE_MAX = 255,
    PURPOSE_WORDS_MAX = 15,
    PURPOSES_MAX = 64 * PURPOSE_WORDS_MAX,
    HISTORY_SIZE = 16,
    KEY_SIZE = 16,
    BOOT_ID_SIZE = 36,
    HEADER_SIZE = 8192,
    // An id has at most 255 bytes, its bit three digits; a tab, a line end, and the first line.
    PURPOSES_FILE_SIZE_MAX = PURPOSES_MAX * (255 + 3 + 2) + 64
};

enum {
    AT_MAGIC = 0, AT_FORMAT_VERSION = 8, AT_HISTORY = 16, AT_KEY_CHECK = 32, AT_WORDS = 40, AT_SLOTS = 48,
    AT_CHECKSUM = 64, AT_APPLIED_SEQUENCE = 136, AT_BOOT_ID = 184, AT_GRANTED_DEFAULTS = 256, AT_DENIED_DEFAULTS = 376,
    AT_VERSION = 512, AT_VOUCHED = 576, AT_LIVE_MILLIS = 584, AT_STALENESS = 4096
};

static const uint64_t MAGIC = 0x3158444944534E43;
static const uint64_t FORMAT_VERSION = 2;
static const uint64_t SUPERSEDED = UINT64_MAX;
static const uint64_t TAG_MASK = ~(uint64_t)0xFF;
static const uint64_t ERASED_TAG = 1 << 8;

// A change of the defaults takes less than one of these rounds, unless its writer was interrupted, or died.
enum { ROUNDS_MAX = 4096 };
// A generation that is superseded again and again, or by none that can be found, answers nothing.
enum { GENERATIONS_TRIED_MAX = 64 };
// As many rows as a processor has fetches in flight; the ring that holds their hashes is a power of two.
enum { AHEAD = 24, RING = 32 };
// Subjects that are answered as of one moment.
enum { BLOCK = 1024 };

typedef struct {
    uint64_t high;  // becomes the row's tag
    uint64_t low;   // chooses the row's place
} identifier_hash;

typedef struct {
    const unsigned char *base;
    size_t size;
    const uint64_t *rows;
    size_t words;     // of each bitset
    size_t row_words;
    uint64_t slots;
    uint64_t slots_per_line;
    uint64_t lines;
} index_table;

struct consent_reader {
    index_table table;
    uint64_t k0, k1;
    unsigned char history[HISTORY_SIZE];
    char boot_id[BOOT_ID_SIZE];
    bool is_of_this_boot;
    // What a writer of another boot vouched for. It counts for nothing, also if the next writer has not cleared it yet.
    uint64_t vouched_elsewhere;
    char *purposes;
    size_t purposes_size;
    char *path;        // room for the longest of the paths in the folder
    size_t path_size;
    size_t folder_size;
};

// What all answers of one moment have in common.
typedef struct {
    uint64_t sequence;
    uint64_t age;  // milliseconds since the writer vouched for the rows; UINT64_MAX: it does not
    bool is_live;
    uint32_t now;  // seconds since 1970
} moment;

// MARK: Loads

static inline uint64_t load(const void *word) {
    return atomic_load_explicit((const _Atomic uint64_t *)word, memory_order_acquire);
}

static inline uint64_t field(const index_table *table, size_t offset) { return load(table->base + offset); }

static inline uint32_t load_half(const void *word) {
    return atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_acquire);
}

// MARK: Identifiers

// RFC 3629, without control characters.
static bool is_text(const unsigned char *bytes, size_t size) {
    size_t position = 0;
    while (position < size) {
        unsigned char first = bytes[position++];
        if (first < 0x20 || first == 0x7F) return false;
        if (first < 0x80) continue;
        size_t length;
        unsigned char min = 0x80, max = 0xBF;
        if (first >= 0xC2 && first <= 0xDF) {
            length = 1;
        } else if (first >= 0xE0 && first <= 0xEF) {
            length = 2;
            if (first == 0xE0) min = 0xA0;
            if (first == 0xED) max = 0x9F;
        } else if (first >= 0xF0 && first <= 0xF4) {
            length = 3;
            if (first == 0xF0) min = 0x90;
            if (first == 0xF4) max = 0x8F;
        } else {
            return false;
        }
        if (length > size - position) return false;
        for (size_t step = 0; step < length; step++) {
            unsigned char byte = bytes[position++];
            if (byte < min || byte > max) return false;
            min = 0x80;
            max = 0xBF;
        }
    }
    return true;
}

static size_t normalize_email(const unsigned char *value, size_t size, unsigned char *normal) {
    while (size > 0 && value[0] == ' ') {
        value++;
        size--;
    }
    while (size > 0 && value[size - 1] == ' ') size--;
    for (size_t position = 0; position < size; position++) {
        unsigned char byte = value[position];
        normal[position] = byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
    }
    return size;
}

static size_t normalize_phone(const unsigned char *value, size_t size, unsigned char *normal) {
    size_t kept = 0;
    for (size_t position = 0; position < size; position++) {
        unsigned char byte = value[position];
        if (byte == ' ' || byte == '-' || byte == '.' || byte == '(' || byte == ')') continue;
        normal[kept++] = byte;
    }
    if (kept <= 2 || normal[0] != '0' || normal[1] != '0') return kept;
    normal[0] = '+';
    memmove(normal + 1, normal + 2, kept - 2);
    return kept - 1;
}

static bool is_type(uint8_t type) {
    return (type >= CONSENT_CUSTOMER && type <= CONSENT_NATIONAL_ID) || type == CONSENT_OTHER;
}

// SipHash-1-3 with 128 bits of output (Aumasson and Bernstein).
typedef struct {
    uint64_t v0, v1, v2, v3;
} sip_state;

static inline uint64_t rotated(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }

static inline void sip_round(sip_state *sip) {
    sip->v0 += sip->v1;
    sip->v2 += sip->v3;
    sip->v1 = rotated(sip->v1, 13) ^ sip->v0;
    sip->v3 = rotated(sip->v3, 16) ^ sip->v2;
    sip->v0 = rotated(sip->v0, 32);
    sip->v2 += sip->v1;
    sip->v0 += sip->v3;
    sip->v1 = rotated(sip->v1, 17) ^ sip->v2;
    sip->v3 = rotated(sip->v3, 21) ^ sip->v0;
    sip->v2 = rotated(sip->v2, 32);
}

static inline void sip_absorb(sip_state *sip, uint64_t word) {
    sip->v3 ^= word;
    sip_round(sip);
    sip->v0 ^= word;
}

static identifier_hash sip_hash(uint64_t k0, uint64_t k1, uint64_t prefix, const unsigned char *message, size_t size) {
    sip_state sip = {
        k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    sip_absorb(&sip, prefix);
    size_t whole = size & ~(size_t)7;
    uint64_t word;
    for (size_t position = 0; position < whole; position += 8) {
        memcpy(&word, message + position, 8);
        sip_absorb(&sip, word);
    }
    word = (uint64_t)(size + 8) << 56;
    for (size_t position = whole; position < size; position++) {
        word |= (uint64_t)message[position] << (8 * (position & 7));
    }
    sip_absorb(&sip, word);
    identifier_hash hash;
    sip.v2 ^= 0xee;
    for (int round = 0; round < 3; round++) sip_round(&sip);
    hash.low = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
    sip.v1 ^= 0xdd;
    for (int round = 0; round < 3; round++) sip_round(&sip);
    hash.high = sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
    return hash;
}

// False where no record could have this identifier either.
static bool hash_identifier(
    const consent_reader *reader, uint8_t type, const char *value, size_t size, identifier_hash *hash) {
    unsigned char room[IDENTIFIER_SIZE_MAX];
    const unsigned char *bytes = (const unsigned char *)value;
    if (!is_type(type) || !value || size == 0 || size > IDENTIFIER_SIZE_MAX || !is_text(bytes, size)) return false;
    if (type == CONSENT_EMAIL || type == CONSENT_PHONE) {
        size = type == CONSENT_EMAIL ? normalize_email(bytes, size, room) : normalize_phone(bytes, size, room);
        bytes = room;
        if (size == 0) return false;
    }
    *hash = sip_hash(reader->k0, reader->k1, type, bytes, size);
    return true;
}

// MARK: Rows

static inline uint64_t tag_of(identifier_hash hash) {
    uint64_t tag = hash.high & TAG_MASK;
    return tag > ERASED_TAG ? tag : tag + (2 << 8);
}

static inline uint64_t home_slot(const index_table *table, identifier_hash hash) {
    return ((hash.low >> 32) * table->lines >> 32) * table->slots_per_line;
}

// The two lines where nearly all rows are.
static inline void prefetch(const index_table *table, identifier_hash hash) {
    const uint64_t *home = table->rows + home_slot(table, hash) * table->row_words;
    __builtin_prefetch(home, 0, 3);
    __builtin_prefetch(home + 8, 0, 3);
}

// Null where the identifier has no row.
static inline const uint64_t *find(const index_table *table, identifier_hash hash) {
    uint64_t tag = tag_of(hash), slot = home_slot(table, hash);
    // A damaged file may have no free slot, and must not hold anybody up.
    for (uint64_t tried = 0; tried < table->slots; tried++) {
        const uint64_t *row = table->rows + slot * table->row_words;
        uint64_t found = load(row);
        if (((found ^ tag) & TAG_MASK) == 0) return row;
        if (found == 0) return NULL;
        if (++slot == table->slots) slot = 0;
    }
    return NULL;
}

typedef struct {
    uint64_t permitted, denied;
    uint32_t ends_at;
} row_state;

// One word of a row's bitsets and the row's end, as they belonged together at one moment. A row that never settles says
// that nothing is permitted.
static inline row_state state_of(const index_table *table, const uint64_t *row, size_t word) {
    uint64_t before = load(row + 1);
    for (int round = 0; round < ROUNDS_MAX; round++) {
        row_state state;
        state.permitted = load(row + 2 + word);
        state.denied = load(row + 2 + table->words + word);
        uint64_t after = load(row + 1);
        state.ends_at = (uint32_t)(after >> 32);
        if (after == before) return state;
        before = after;
    }
    return (row_state){0, 0, 0};
}

static inline void set_answer(consent_answer *answer, uint8_t decision, uint8_t reason) {
    answer->decision = decision;
    answer->reason = reason;
}

// What is asked of everybody about one purpose: for how long its answers count, and what holds where no row says
// otherwise.
typedef struct {
    size_t word;
    unsigned shift;
    bool is_known;
    uint8_t freshness;
    bool is_granted_by_default, is_denied_by_default;
} question;

static inline uint8_t freshness_of(const index_table *table, const moment *at, uint32_t purpose_bit) {
    if (at->age == UINT64_MAX) return CONSENT_UNAVAILABLE;
    if (at->is_live) return CONSENT_LIVE;
    uint64_t limit = (uint64_t)load_half(table->base + AT_STALENESS + 4 * (size_t)purpose_bit) * 1000;
    return at->age <= limit ? CONSENT_STALE : CONSENT_UNAVAILABLE;
}

static question question_of(const index_table *table, const moment *at, uint32_t purpose_bit) {
    question asked = {purpose_bit >> 6, purpose_bit & 63, false, CONSENT_UNAVAILABLE, false, false};
    if (purpose_bit >= PURPOSES_MAX) return asked;
    asked.freshness = freshness_of(table, at, purpose_bit);
    asked.is_known = asked.word < table->words;
    if (!asked.is_known) return asked;
    asked.is_granted_by_default = field(table, AT_GRANTED_DEFAULTS + 8 * asked.word) >> asked.shift & 1;
    asked.is_denied_by_default = field(table, AT_DENIED_DEFAULTS + 8 * asked.word) >> asked.shift & 1;
    return asked;
}

// By permitted · 1 + denied · 2 + ended · 4 + granted by default · 8: a consent counts until its row's end, a no stands
// against a default, and what is in no set is as the default says. Looked up and not branched to, as which answer comes
// next is as good as random.
static const uint8_t DECISIONS[16] = {
    CONSENT_UNKNOWN, CONSENT_GRANTED, CONSENT_DENIED, CONSENT_GRANTED,
    CONSENT_UNKNOWN, CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_UNKNOWN,
    CONSENT_GRANTED, CONSENT_GRANTED, CONSENT_DENIED, CONSENT_GRANTED,
    CONSENT_GRANTED, CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_UNKNOWN};
static const uint8_t REASONS[16] = {
    CONSENT_REASON_UNKNOWN, CONSENT_REASON_GIVEN, CONSENT_REASON_WITHDRAWN, CONSENT_REASON_GIVEN,
    CONSENT_REASON_UNKNOWN, CONSENT_REASON_EXPIRED, CONSENT_REASON_WITHDRAWN, CONSENT_REASON_EXPIRED,
    CONSENT_REASON_BASIS_HOLDS, CONSENT_REASON_GIVEN, CONSENT_REASON_OBJECTED, CONSENT_REASON_GIVEN,
    CONSENT_REASON_BASIS_HOLDS, CONSENT_REASON_EXPIRED, CONSENT_REASON_OBJECTED, CONSENT_REASON_EXPIRED};

static inline void answer_from_row(
    const index_table *table, const moment *at, const question *asked, identifier_hash hash, consent_answer *answer) {
    *answer = (consent_answer){
        CONSENT_UNKNOWN, CONSENT_REASON_UNKNOWN, asked->freshness, 0, CONSENT_READER_OK, at->sequence};
    if (asked->freshness == CONSENT_UNAVAILABLE || !asked->is_known) return;
    if (asked->is_denied_by_default) {
        set_answer(answer, CONSENT_DENIED, CONSENT_REASON_INVALIDATED);
        return;
    }
    row_state state = {0, 0, 0};
    const uint64_t *row = find(table, hash);
    if (row) state = state_of(table, row, asked->word);
    unsigned position = (unsigned)(state.permitted >> asked->shift & 1)
        | (unsigned)(state.denied >> asked->shift & 1) << 1
        | (state.ends_at <= at->now ? 4u : 0u) | (asked->is_granted_by_default ? 8u : 0u);
    set_answer(answer, DECISIONS[position], REASONS[position]);
}

static int answer_nothing(consent_answer *answer, int error) {
    *answer = (consent_answer){CONSENT_UNKNOWN, CONSENT_REASON_UNKNOWN, CONSENT_UNAVAILABLE, 0, error, 0};
    return error;
}

// MARK: Files

// Reads a small file whole; `*size` is its room and becomes its size. More than there is room for is too much.
static int read_file(const char *path, void *bytes, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    size_t count = 0;
    int problem = 0;
    while (true) {
        unsigned char one_more;
        bool is_full = count == *size;
        ssize_t got = read(file, is_full ? &one_more : (unsigned char *)bytes + count, is_full ? 1 : *size - count);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) problem = errno;
        if (got > 0 && is_full) problem = EFBIG;
        if (got <= 0 || is_full) break;
        count += (size_t)got;
    }
    close(file);
    *size = count;
    return problem;
}

static const char *path_in_folder(consent_reader *reader, const char *name) {
    snprintf(reader->path + reader->folder_size, reader->path_size - reader->folder_size, "/%s", name);
    return reader->path;
}

static int read_key(consent_reader *reader) {
    unsigned char key[KEY_SIZE];
    size_t size = sizeof key;
    int problem = read_file(path_in_folder(reader, "index.key"), key, &size);
    if (problem == EFBIG || (problem == 0 && size != sizeof key)) return CONSENT_READER_KEY_DAMAGED;
    if (problem == ENOENT || problem == ENOTDIR) return CONSENT_READER_KEY_MISSING;
    if (problem != 0) return CONSENT_READER_SYSTEM;
    memcpy(&reader->k0, key, 8);
    memcpy(&reader->k1, key + 8, 8);
    return CONSENT_READER_OK;
}

static uint64_t key_check(const consent_reader *reader) {
    identifier_hash hash = sip_hash(reader->k0, reader->k1, UINT64_MAX, NULL, 0);
    return hash.high ^ hash.low;
}

static uint64_t mixed(uint64_t sum, uint64_t word) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(sum ^ 0xA0761D6478BD642F) * (word ^ 0xE7037ED1A0B428DB);
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static uint64_t header_checksum(const index_table *table) {
    uint64_t sum = 0x9E3779B97F4A7C15;
    for (size_t offset = 0; offset < AT_CHECKSUM; offset += 8) sum = mixed(sum, field(table, offset));
    return sum;
}

static void unmap(index_table *table) {
    if (table->base) munmap((void *)(uintptr_t)table->base, table->size);
    table->base = NULL;
}

// Looks at everything that the header says, before anything is believed.
static int validate(const consent_reader *reader, index_table *table, const unsigned char *history) {
    if (field(table, AT_MAGIC) != MAGIC) return CONSENT_READER_NOT_AN_INDEX;
    if (field(table, AT_FORMAT_VERSION) != FORMAT_VERSION) return CONSENT_READER_FORMAT_VERSION;
    if (field(table, AT_CHECKSUM) != header_checksum(table)) return CONSENT_READER_HEADER_DAMAGED;
    uint64_t words = field(table, AT_WORDS), slots = field(table, AT_SLOTS);
    if (words != 1 && words != 3 && words != 7 && words != 15) return CONSENT_READER_HEADER_DAMAGED;
    if (slots < 2 || slots % 2 != 0 || slots > UINT32_MAX) return CONSENT_READER_HEADER_DAMAGED;
    table->words = (size_t)words;
    table->row_words = 2 * (table->words + 1);
    table->slots = slots;
    table->slots_per_line = words == 1 ? 2 : 1;
    table->lines = slots / table->slots_per_line;
    if (table->size != HEADER_SIZE + slots * table->row_words * 8) return CONSENT_READER_SIZE_WRONG;
    if (field(table, AT_KEY_CHECK) != key_check(reader)) return CONSENT_READER_ANOTHER_KEY;
    bool is_another = history && memcmp(table->base + AT_HISTORY, history, HISTORY_SIZE) != 0;
    return is_another ? CONSENT_READER_ANOTHER_HISTORY : CONSENT_READER_OK;
}

static int map_current(consent_reader *reader, index_table *table, const unsigned char *history) {
    int file = open(path_in_folder(reader, "index/current"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno == ENOENT || errno == ENOTDIR ? CONSENT_READER_INDEX_MISSING : CONSENT_READER_SYSTEM;
    struct stat status;
    int error = CONSENT_READER_OK;
    void *base = MAP_FAILED;
    if (fstat(file, &status) != 0) {
        error = CONSENT_READER_SYSTEM;
    } else if (!S_ISREG(status.st_mode) || status.st_size < HEADER_SIZE) {
        error = CONSENT_READER_NOT_AN_INDEX;
    } else {
        base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (base == MAP_FAILED) error = CONSENT_READER_SYSTEM;
    }
    close(file);
    if (error != CONSENT_READER_OK) return error;
    *table = (index_table){.base = base, .size = (size_t)status.st_size};
    table->rows = (const uint64_t *)base + HEADER_SIZE / 8;
    // Rows lie anywhere in it. Only advice: where it is not taken, checks are slower.
    (void)madvise(base, table->size, MADV_HUGEPAGE);
    error = validate(reader, table, history);
    if (error != CONSENT_READER_OK) unmap(table);
    return error;
}

// MARK: Purposes

static int read_purposes(consent_reader *reader) {
    static const char FIRST_LINE[] = "consentd-purposes 1\n";
    const size_t first_size = sizeof FIRST_LINE - 1;
    size_t size = PURPOSES_FILE_SIZE_MAX;
    reader->purposes_size = 0;
    int problem = read_file(path_in_folder(reader, "index/purposes"), reader->purposes, &size);
    if (problem == EFBIG) return CONSENT_READER_PURPOSES_DAMAGED;
    if (problem != 0) return problem == ENOENT ? CONSENT_READER_PURPOSES_MISSING : CONSENT_READER_SYSTEM;
    bool is_whole = size >= first_size && memcmp(reader->purposes, FIRST_LINE, first_size) == 0
        && reader->purposes[size - 1] == '\n';
    if (!is_whole) return CONSENT_READER_PURPOSES_DAMAGED;
    memmove(reader->purposes, reader->purposes + first_size, size - first_size);
    reader->purposes_size = size - first_size;
    return CONSENT_READER_OK;
}

static bool is_digit(char character) { return character >= '0' && character <= '9'; }

static int find_purpose(const consent_reader *reader, const char *id, uint32_t *bit) {
    const char *line = reader->purposes, *end = reader->purposes + reader->purposes_size;
    size_t id_size = strlen(id);
    while (line < end) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        const char *tab = memchr(line, '\t', (size_t)(line_end - line));
        if (!tab || tab == line || tab - line > 3) return CONSENT_READER_PURPOSES_DAMAGED;
        uint32_t number = 0;
        for (const char *digit = line; digit < tab; digit++) {
            if (!is_digit(*digit)) return CONSENT_READER_PURPOSES_DAMAGED;
            number = number * 10 + (uint32_t)(*digit - '0');
        }
        if (number >= PURPOSES_MAX) return CONSENT_READER_PURPOSES_DAMAGED;
        if ((size_t)(line_end - tab) == id_size + 1 && memcmp(tab + 1, id, id_size) == 0) {
            *bit = number;
            return CONSENT_READER_OK;
        }
        line = line_end + 1;
    }
    return CONSENT_READER_PURPOSE_UNKNOWN;
}

int consent_reader_purpose(consent_reader *reader, const char *id, uint32_t *bit) {
    if (!reader || !id || !bit) return CONSENT_READER_ARGUMENT;
    // What was read before may lack a purpose that has come since.
    if (find_purpose(reader, id, bit) == CONSENT_READER_OK) return CONSENT_READER_OK;
    int error = read_purposes(reader);
    return error != CONSENT_READER_OK ? error : find_purpose(reader, id, bit);
}

// MARK: Moments

static uint64_t boot_millis(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_BOOTTIME, &time) != 0) return 0;
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

// Where the clock cannot be read, every consent with an end has ended.
static uint32_t wall_seconds(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0 || time.tv_sec > UINT32_MAX) return UINT32_MAX;
    return time.tv_sec < 0 ? 0 : (uint32_t)time.tv_sec;
}

// Whether what the writer vouches for was vouched for since this machine was started.
static bool is_of_this_boot(consent_reader *reader, uint64_t vouched) {
    if (reader->is_of_this_boot) return true;
    if (memcmp(reader->table.base + AT_BOOT_ID, reader->boot_id, BOOT_ID_SIZE) != 0) {
        reader->vouched_elsewhere = vouched;
        return false;
    }
    reader->is_of_this_boot = vouched != 0 && vouched != reader->vouched_elsewhere;
    return reader->is_of_this_boot;
}

static moment moment_of(consent_reader *reader) {
    const index_table *table = &reader->table;
    uint64_t vouched = field(table, AT_VOUCHED);
    moment at = {field(table, AT_APPLIED_SEQUENCE), UINT64_MAX, false, wall_seconds()};
    uint64_t now = boot_millis();
    if (vouched == 0 || vouched > now || !is_of_this_boot(reader, vouched)) return at;
    at.age = now - vouched;
    at.is_live = at.age <= field(table, AT_LIVE_MILLIS);
    return at;
}

// MARK: Generations

static void take(consent_reader *reader, index_table table) {
    unmap(&reader->table);
    reader->table = table;
    reader->is_of_this_boot = false;
    reader->vouched_elsewhere = 0;
    // After a catalog that was put back to an older state its ids may have other bits.
    reader->purposes_size = 0;
}

typedef struct {
    int rounds, generations;
} attempts;

// What was read in a round that the writer interfered with is thrown away; says whether to try again.
static int may_try_again(consent_reader *reader, attempts *tried) {
    if (++tried->rounds >= ROUNDS_MAX) return CONSENT_READER_UNSETTLED;
    if (field(&reader->table, AT_VERSION) != SUPERSEDED) return CONSENT_READER_OK;
    if (++tried->generations >= GENERATIONS_TRIED_MAX) return CONSENT_READER_UNSETTLED;
    index_table newer;
    int error = map_current(reader, &newer, reader->history);
    if (error == CONSENT_READER_OK) take(reader, newer);
    // Between the link and the file that it named, that file was replaced as well.
    return error == CONSENT_READER_INDEX_MISSING && tried->generations + 1 < GENERATIONS_TRIED_MAX
        ? CONSENT_READER_OK : error;
}

static bool is_settled(const consent_reader *reader, uint64_t version) {
    return (version & 1) == 0 && field(&reader->table, AT_VERSION) == version;
}

// MARK: Checks

static int check_hash(consent_reader *reader, identifier_hash hash, uint32_t purpose_bit, consent_answer *answer) {
    attempts tried = {0, 0};
    while (true) {
        uint64_t version = field(&reader->table, AT_VERSION);
        moment at = moment_of(reader);
        question asked = question_of(&reader->table, &at, purpose_bit);
        answer_from_row(&reader->table, &at, &asked, hash, answer);
        if (is_settled(reader, version)) return CONSENT_READER_OK;
        int error = may_try_again(reader, &tried);
        if (error != CONSENT_READER_OK) return answer_nothing(answer, error);
    }
}

int consent_reader_check(
    consent_reader *reader, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer) {
    if (!answer) return CONSENT_READER_ARGUMENT;
    if (!reader) return answer_nothing(answer, CONSENT_READER_ARGUMENT);
    identifier_hash hash;
    if (!hash_identifier(reader, type, value, size, &hash)) {
        return answer_nothing(answer, CONSENT_READER_IDENTIFIER_INVALID);
    }
    prefetch(&reader->table, hash);
    return check_hash(reader, hash, purpose_bit, answer);
}

// Asks memory for each row some steps before it is read: memory serves many at once. True where the answers hold.
static bool check_block(
    consent_reader *reader, const consent_identifier *identifiers, size_t count, uint32_t purpose_bit,
    consent_answer *answers) {
    identifier_hash hashes[RING];
    bool is_valid[RING];
    const index_table *table = &reader->table;
    uint64_t version = field(table, AT_VERSION);
    moment at = moment_of(reader);
    question asked = question_of(table, &at, purpose_bit);
    for (size_t position = 0; position < count + AHEAD; position++) {
        if (position < count) {
            const consent_identifier *next = identifiers + position;
            size_t place = position % RING;
            is_valid[place] = hash_identifier(reader, next->type, next->value, next->size, &hashes[place]);
            if (is_valid[place]) prefetch(table, hashes[place]);
        }
        if (position < AHEAD) continue;
        size_t due = position - AHEAD;
        if (is_valid[due % RING]) {
            answer_from_row(table, &at, &asked, hashes[due % RING], answers + due);
        } else {
            answer_nothing(answers + due, CONSENT_READER_IDENTIFIER_INVALID);
        }
    }
    return is_settled(reader, version);
}

int consent_reader_check_many(
    consent_reader *reader, const consent_identifier *identifiers, size_t count, uint32_t purpose_bit,
    consent_answer *answers) {
    if (count == 0) return reader ? CONSENT_READER_OK : CONSENT_READER_ARGUMENT;
    if (!answers) return CONSENT_READER_ARGUMENT;
    int first = CONSENT_READER_OK;
    for (size_t start = 0; start < count; start += BLOCK) {
        size_t size = count - start < BLOCK ? count - start : BLOCK;
        bool is_done =
            reader && identifiers && check_block(reader, identifiers + start, size, purpose_bit, answers + start);
        for (size_t position = start; position < start + size; position++) {
            if (!reader || !identifiers) {
                answer_nothing(answers + position, CONSENT_READER_ARGUMENT);
            } else if (!is_done) {
                const consent_identifier *one = identifiers + position;
                consent_reader_check(reader, one->type, one->value, one->size, purpose_bit, answers + position);
            }
            if (first == CONSENT_READER_OK) first = answers[position].error;
        }
    }
    return first;
}

// Of the purposes of one word: those that may still be answered for. Makes `*worst` the worst freshness among them.
static uint64_t answerable(
    const index_table *table, const moment *at, uint64_t purposes, size_t word, uint8_t *worst) {
    uint64_t answerable = 0;
    if (at->age != UINT64_MAX && at->is_live) return purposes;
    for (uint64_t rest = purposes; rest != 0; rest &= rest - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(rest);
        uint8_t freshness = freshness_of(table, at, (uint32_t)(word * 64 + bit));
        if (freshness > *worst) *worst = freshness;
        if (freshness != CONSENT_UNAVAILABLE) answerable |= (uint64_t)1 << bit;
    }
    return answerable;
}

static void answer_word(
    const index_table *table, const moment *at, const uint64_t *row, size_t word, uint64_t purposes, uint64_t *granted,
    uint64_t *denied) {
    uint64_t permitted = 0, refused = 0, ended = 0;
    if (row) {
        row_state state = state_of(table, row, word);
        refused = state.denied & ~state.permitted;
        if (state.ends_at > at->now) permitted = state.permitted;
        else ended = state.permitted;
    }
    refused |= field(table, AT_DENIED_DEFAULTS + 8 * word);
    *granted = (permitted | field(table, AT_GRANTED_DEFAULTS + 8 * word)) & ~(refused | ended) & purposes;
    *denied = refused & purposes;
}

static void answer_words(
    consent_reader *reader, identifier_hash hash, const uint64_t *purposes, size_t words, uint64_t *granted,
    uint64_t *denied, consent_answer *summary) {
    const index_table *table = &reader->table;
    moment at = moment_of(reader);
    const uint64_t *row = find(table, hash);
    uint8_t worst = at.age == UINT64_MAX ? CONSENT_UNAVAILABLE : at.is_live ? CONSENT_LIVE : CONSENT_STALE;
    for (size_t word = 0; word < words; word++) {
        uint64_t asked = answerable(table, &at, purposes[word], word, &worst);
        granted[word] = denied[word] = 0;
        if (word < table->words) answer_word(table, &at, row, word, asked, granted + word, denied + word);
    }
    *summary = (consent_answer){CONSENT_UNKNOWN, CONSENT_REASON_UNKNOWN, worst, 0, CONSENT_READER_OK, at.sequence};
}

int consent_reader_check_purposes(
    consent_reader *reader, uint8_t type, const char *value, size_t size, const uint64_t *purposes, size_t words,
    uint64_t *granted, uint64_t *denied, consent_answer *summary) {
    if (!granted || !denied || !summary || words == 0 || words > PURPOSE_WORDS_MAX) {
        return summary ? answer_nothing(summary, CONSENT_READER_ARGUMENT) : CONSENT_READER_ARGUMENT;
    }
    identifier_hash hash;
    int error = CONSENT_READER_OK;
    if (!reader || !purposes) error = CONSENT_READER_ARGUMENT;
    else if (!hash_identifier(reader, type, value, size, &hash)) error = CONSENT_READER_IDENTIFIER_INVALID;
    attempts tried = {0, 0};
    while (error == CONSENT_READER_OK) {
        uint64_t version = field(&reader->table, AT_VERSION);
        answer_words(reader, hash, purposes, words, granted, denied, summary);
        if (is_settled(reader, version)) return CONSENT_READER_OK;
        error = may_try_again(reader, &tried);
    }
    memset(granted, 0, words * sizeof *granted);
    memset(denied, 0, words * sizeof *denied);
    return answer_nothing(summary, error);
}

// MARK: Opening and closing

static int open_folder(consent_reader *reader, const char *node_folder) {
    static const char LONGEST_NAME[] = "/index/purposes";
    reader->folder_size = strlen(node_folder);
    reader->path_size = reader->folder_size + sizeof LONGEST_NAME;
    reader->path = malloc(reader->path_size);
    reader->purposes = malloc(PURPOSES_FILE_SIZE_MAX);
    if (!reader->path || !reader->purposes) return CONSENT_READER_NO_MEMORY;
    memcpy(reader->path, node_folder, reader->folder_size);
    char boot_id[BOOT_ID_SIZE + 1];
    size_t boot_id_size = sizeof boot_id;
    if (read_file("/proc/sys/kernel/random/boot_id", boot_id, &boot_id_size) != 0 || boot_id_size != sizeof boot_id) {
        return CONSENT_READER_ANOTHER_BOOT;
    }
    memcpy(reader->boot_id, boot_id, BOOT_ID_SIZE);
    int error = read_key(reader);
    for (int tried = 0; error == CONSENT_READER_OK && tried < GENERATIONS_TRIED_MAX; tried++) {
        index_table table;
        error = map_current(reader, &table, NULL);
        if (error == CONSENT_READER_OK) {
            memcpy(reader->history, table.base + AT_HISTORY, HISTORY_SIZE);
            take(reader, table);
            return CONSENT_READER_OK;
        }
        // Between the link and the file that it named, that file was replaced.
        if (error == CONSENT_READER_INDEX_MISSING && tried + 1 < GENERATIONS_TRIED_MAX) error = CONSENT_READER_OK;
    }
    return error;
}

int consent_reader_open(const char *node_folder, consent_reader **out) {
    if (!out) return CONSENT_READER_ARGUMENT;
    *out = NULL;
    if (!node_folder) return CONSENT_READER_ARGUMENT;
    consent_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return CONSENT_READER_NO_MEMORY;
    int error = open_folder(reader, node_folder);
    if (error == CONSENT_READER_OK) *out = reader;
    else consent_reader_close(reader);
    return error;
}

void consent_reader_close(consent_reader *reader) {
    if (!reader) return;
    unmap(&reader->table);
    free(reader->purposes);
    free(reader->path);
    // Who finds the key finds out whom the rows are about.
    explicit_bzero(reader, sizeof *reader);
    free(reader);
}

const char *consent_reader_error_text(int error) {
    switch ((consent_reader_error)error) {
    case CONSENT_READER_OK: return "no error";
    case CONSENT_READER_IDENTIFIER_INVALID:
        return "the identifier is empty, too long, not UTF-8, has control characters, or is of an unknown type";
    case CONSENT_READER_PURPOSE_UNKNOWN: return "the catalog has no purpose with this id";
    case CONSENT_READER_ARGUMENT: return "a null pointer or a count out of range: mend the caller";
    case CONSENT_READER_NO_MEMORY: return "no memory";
    case CONSENT_READER_SYSTEM: return "a file of the node's folder could not be read, most often because of its mode";
    case CONSENT_READER_KEY_MISSING: return "the folder has no index.key: is it a node's folder?";
    case CONSENT_READER_KEY_DAMAGED: return "index.key is not 16 bytes long: put the node's key back";
    case CONSENT_READER_INDEX_MISSING: return "the folder has no index/current: start the node once";
    case CONSENT_READER_NOT_AN_INDEX: return "index/current is not an index: let the node rebuild it";
    case CONSENT_READER_FORMAT_VERSION: return "the index has another format: use the reader of the node's version";
    case CONSENT_READER_HEADER_DAMAGED: return "the index's header is damaged: let the node rebuild it";
    case CONSENT_READER_SIZE_WRONG: return "the index has another size than its header says: let the node rebuild it";
    case CONSENT_READER_ANOTHER_KEY: return "the index was built with another key than index.key";
    case CONSENT_READER_ANOTHER_HISTORY:
        return "the node's ledger was replaced by another: close the reader, open it again, ask for the purposes anew";
    case CONSENT_READER_ANOTHER_BOOT: return "this machine's boot id cannot be read: is /proc there?";
    case CONSENT_READER_UNSETTLED: return "the index was being changed and did not settle: does its node run?";
    case CONSENT_READER_PURPOSES_MISSING: return "the folder has no index/purposes: has a catalog been applied?";
    case CONSENT_READER_PURPOSES_DAMAGED: return "index/purposes has another layout: let the node write it anew";
    }
    return "an error that this version does not know";
}
