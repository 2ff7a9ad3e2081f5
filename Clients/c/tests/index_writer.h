// Writes indexes as a node does, for the tests and the measurement of the reader. Include it after consent_reader.c,
// whose layout and hash it uses.
#include <sys/types.h>

typedef struct {
    char folder[512];
    unsigned char *base;
    index_table table;
    uint64_t generation;
    consent_reader key;
} index_writer;

static void store(void *word, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)word, value, memory_order_release);
}

static void set_field(index_writer *writer, size_t offset, uint64_t value) { store(writer->base + offset, value); }

static void must(bool is_done, const char *what) {
    if (is_done) return;
    perror(what);
    exit(2);
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t size) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    must(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, path);
}

static const unsigned char TEST_KEY[KEY_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void make_folder(char *folder, size_t size) {
    const char *parent = getenv("TMPDIR");
    char path[600];
    snprintf(folder, size, "%s/consent-reader.XXXXXX", parent ? parent : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
    snprintf(path, sizeof path, "%s/index", folder);
    must(mkdir(path, 0750) == 0, path);
    write_file(folder, "index.key", TEST_KEY, KEY_SIZE);
}

static void generation_path(const index_writer *writer, char *path, size_t size) {
    snprintf(path, size, "%s/index/generation-%llu.cidx", writer->folder, (unsigned long long)writer->generation);
}

static void vouch(index_writer *writer, uint64_t millis_ago) {
    set_field(writer, AT_VOUCHED, boot_millis() - millis_ago);
}

static void seal_header(index_writer *writer) { set_field(writer, AT_CHECKSUM, header_checksum(&writer->table)); }

static void create_index(index_writer *writer, const char *folder, uint64_t generation, size_t words, uint64_t slots) {
    memset(writer, 0, sizeof *writer);
    snprintf(writer->folder, sizeof writer->folder, "%s", folder);
    writer->generation = generation;
    memcpy(&writer->key.k0, TEST_KEY, 8);
    memcpy(&writer->key.k1, TEST_KEY + 8, 8);
    index_table *table = &writer->table;
    *table = (index_table){.words = words, .row_words = 2 * (words + 1), .slots = slots};
    table->slots_per_line = words == 1 ? 2 : 1;
    table->lines = slots / table->slots_per_line;
    table->size = HEADER_SIZE + (size_t)slots * table->row_words * 8;
    char path[600];
    generation_path(writer, path, sizeof path);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    must(file >= 0 && ftruncate(file, (off_t)table->size) == 0, path);
    writer->base = mmap(NULL, table->size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    must((void *)writer->base != MAP_FAILED, path);
    close(file);
    table->base = writer->base;
    table->rows = (const uint64_t *)(const void *)(writer->base + HEADER_SIZE);
    set_field(writer, AT_MAGIC, MAGIC);
    set_field(writer, AT_FORMAT_VERSION, FORMAT_VERSION);
    set_field(writer, AT_HISTORY, 0x1111);
    set_field(writer, AT_KEY_CHECK, key_check(&writer->key));
    set_field(writer, AT_WORDS, words);
    set_field(writer, AT_SLOTS, slots);
    set_field(writer, 56, generation);
    seal_header(writer);
    size_t size = BOOT_ID_SIZE + 1;
    char boot_id[BOOT_ID_SIZE + 1];
    must(read_file("/proc/sys/kernel/random/boot_id", boot_id, &size) == 0, "boot_id");
    memcpy(writer->base + AT_BOOT_ID, boot_id, BOOT_ID_SIZE);
    set_field(writer, AT_LIVE_MILLIS, 5000);
    vouch(writer, 0);
}

static void publish(const index_writer *writer) {
    char target[64], fresh[600], current[600];
    snprintf(target, sizeof target, "generation-%llu.cidx", (unsigned long long)writer->generation);
    snprintf(fresh, sizeof fresh, "%s/index/current.new", writer->folder);
    snprintf(current, sizeof current, "%s/index/current", writer->folder);
    unlink(fresh);
    must(symlink(target, fresh) == 0 && rename(fresh, current) == 0, current);
}

static void close_index(index_writer *writer) { unmap(&writer->table); }

// Tells whoever has it mapped to look again, and removes it.
static inline void supersede(index_writer *writer) {
    char path[600];
    generation_path(writer, path, sizeof path);
    set_field(writer, AT_VERSION, SUPERSEDED);
    must(unlink(path) == 0, path);
    close_index(writer);
}

static uint64_t *slot_for(index_writer *writer, identifier_hash hash) {
    uint64_t slot = home_slot(&writer->table, hash);
    while (true) {
        uint64_t *row = (uint64_t *)(void *)(writer->base + HEADER_SIZE) + slot * writer->table.row_words;
        uint64_t first = load(row);
        if (first == 0 || ((first ^ tag_of(hash)) & TAG_MASK) == 0) return row;
        if (++slot == writer->table.slots) slot = 0;
    }
}

// One word of a row, in the order of stores that readers rely on.
static void put(
    index_writer *writer, uint8_t type, const char *value, size_t word, uint64_t permitted, uint64_t denied,
    uint32_t ends_at, uint64_t sequence) {
    identifier_hash hash;
    must(hash_identifier(&writer->key, type, value, strlen(value), &hash), value);
    uint64_t *row = slot_for(writer, hash), *yes = row + 2 + word, *no = yes + writer->table.words;
    store(no, load(no) | denied);
    store(yes, load(yes) & permitted);
    store(row + 1, (sequence & UINT32_MAX) | (uint64_t)ends_at << 32);
    store(yes, permitted);
    store(no, denied);
    store(row, tag_of(hash) | sequence >> 32);
}

static inline void set_defaults(index_writer *writer, size_t word, uint64_t granted, uint64_t denied) {
    uint64_t version = field(&writer->table, AT_VERSION);
    set_field(writer, AT_VERSION, version | 1);
    set_field(writer, AT_DENIED_DEFAULTS + 8 * word, denied);
    set_field(writer, AT_GRANTED_DEFAULTS + 8 * word, granted);
    set_field(writer, AT_VERSION, (version | 1) + 1);
}

static inline void set_staleness(index_writer *writer, uint32_t purpose_bit, uint32_t seconds) {
    atomic_store_explicit(
        (_Atomic uint32_t *)(void *)(writer->base + AT_STALENESS + 4 * (size_t)purpose_bit), seconds,
        memory_order_release);
}
