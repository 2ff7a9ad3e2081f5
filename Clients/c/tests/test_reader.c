// The mapped reader, from within: this file includes its source, so that hash and layout are tested as they are, and
// what happens when it reads the clock is the test's.
#define _GNU_SOURCE

#include <time.h>

static int read_clock(clockid_t clock, struct timespec *time);

#define clock_gettime read_clock
#include "../consent_reader.c"
#undef clock_gettime
#include "index_writer.h"

#include <signal.h>
#include <sys/wait.h>

static int failures;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #condition); \
            failures++; \
        } \
    } while (0)

typedef struct {
    char folder[512];
    index_writer writer;
    consent_reader *reader;
} node;

// Called whenever the reader asks how long this machine has run.
static void (*when_age_is_asked)(void);

static int read_clock(clockid_t clock, struct timespec *time) {
    if (clock == CLOCK_BOOTTIME && when_age_is_asked) when_age_is_asked();
    return clock_gettime(clock, time);
}

static void remove_folder(const char *folder) {
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    must(system(command) == 0, command);
}

static node start_node(size_t words) {
    node node;
    make_folder(node.folder, sizeof node.folder);
    create_index(&node.writer, node.folder, 1, words, 1024);
    publish(&node.writer);
    must(consent_reader_open(node.folder, &node.reader) == CONSENT_READER_OK, "open");
    return node;
}

static void end_node(node *node) {
    consent_reader_close(node->reader);
    close_index(&node->writer);
    remove_folder(node->folder);
}

static consent_answer ask(node *node, uint8_t type, const char *value, uint32_t bit) {
    consent_answer answer;
    memset(&answer, 0xEE, sizeof answer);
    int error = consent_reader_check(node->reader, type, value, strlen(value), bit, &answer);
    CHECK(error == answer.error);
    return answer;
}

static bool is(consent_answer answer, int decision, int reason) {
    return answer.decision == decision && answer.reason == reason && answer.freshness == CONSENT_LIVE;
}

static bool is_unavailable(consent_answer answer) {
    return answer.decision == CONSENT_UNKNOWN && answer.reason == CONSENT_REASON_UNKNOWN
        && answer.freshness == CONSENT_UNAVAILABLE;
}

// As the index's own tests hold it: from another implementation of SipHash-1-3-128.
static void the_hash_is_that_of_the_node(void) {
    char longest[IDENTIFIER_SIZE_MAX + 1];
    memset(longest, 'x', IDENTIFIER_SIZE_MAX);
    longest[IDENTIFIER_SIZE_MAX] = 0;
    const struct { uint8_t type; const char *value; uint64_t low, high; } vectors[] = {
        {CONSENT_EMAIL, "kari@example.no", 0x47aba37c62f23cc7, 0x84a1ee4b842f7aed},
        {CONSENT_EMAIL, "  Kari@Example.NO ", 0x47aba37c62f23cc7, 0x84a1ee4b842f7aed},
        {CONSENT_CUSTOMER, "12345678", 0xb0f1a0e64b1a9d90, 0x29276cbe139f5f9e},
        {CONSENT_PHONE, "+4790000000", 0xd6156b586883ee18, 0xa70ff4f8c4824a90},
        {CONSENT_PHONE, "(0047) 90-00.00 00", 0xd6156b586883ee18, 0xa70ff4f8c4824a90},
        {CONSENT_OTHER, longest, 0xbef13924063580ec, 0x380a4cda7a675940}};
    consent_reader key = {0};
    memcpy(&key.k0, TEST_KEY, 8);
    memcpy(&key.k1, TEST_KEY + 8, 8);
    for (size_t position = 0; position < sizeof vectors / sizeof *vectors; position++) {
        identifier_hash hash;
        const char *value = vectors[position].value;
        CHECK(hash_identifier(&key, vectors[position].type, value, strlen(value), &hash));
        CHECK(hash.low == vectors[position].low && hash.high == vectors[position].high);
    }
}

static void refuses_the_identifiers_that_a_node_refuses(void) {
    node node = start_node(1);
    char long_value[257];
    memset(long_value, 'x', 256);
    long_value[256] = 0;
    const struct { uint8_t type; const char *value; } bad[] = {
        {CONSENT_CUSTOMER, ""}, {CONSENT_CUSTOMER, long_value}, {0, "7"}, {9, "7"}, {14, "7"}, {16, "7"}, {255, "7"},
        {CONSENT_EMAIL, "   "}, {CONSENT_PHONE, "-(). "}, {CONSENT_CUSTOMER, "a\tb"}, {CONSENT_EMAIL, "a@b\n"},
        {CONSENT_CUSTOMER, "\x7f"}, {CONSENT_CUSTOMER, "\x80"}, {CONSENT_CUSTOMER, "\xc0\xaf"},
        {CONSENT_CUSTOMER, "\xc3"}, {CONSENT_CUSTOMER, "\xe0\x80\x80"}, {CONSENT_CUSTOMER, "\xed\xa0\x80"},
        {CONSENT_CUSTOMER, "\xf0\x80\x80\x80"}, {CONSENT_CUSTOMER, "\xf4\x90\x80\x80"},
        {CONSENT_CUSTOMER, "\xf5\x80\x80\x80"}, {CONSENT_CUSTOMER, "\xe2\x82"}};
    set_defaults(&node.writer, 0, 1, 0);
    for (size_t position = 0; position < sizeof bad / sizeof *bad; position++) {
        consent_answer answer = ask(&node, bad[position].type, bad[position].value, 0);
        CHECK(is_unavailable(answer) && answer.error == CONSENT_READER_IDENTIFIER_INVALID);
    }
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "bl\xc3\xa5" "b\xc3\xa6r \xf0\x9f\x98\x80", 0), 2, 12));
    CHECK(is(ask(&node, CONSENT_PHONE, "0047 2233 4455", 0), 2, 12));
    end_node(&node);
}

// Lines of tests/identifier_vectors.py: type, value and normal form in hexadecimal, `-` where there is none.
static int follow_the_vectors_of_identifiers(FILE *lines) {
    unsigned type, count = 0;
    char value[1024], form[1024];
    while (fscanf(lines, "%u %1023s %1023s", &type, value, form) == 3) {
        unsigned char bytes[512], normal[IDENTIFIER_SIZE_MAX];
        size_t size = value[0] == '-' ? 0 : strlen(value) / 2;
        for (size_t position = 0; position < size; position++) {
            unsigned byte;
            CHECK(sscanf(value + 2 * position, "%2x", &byte) == 1);
            bytes[position] = (unsigned char)byte;
        }
        bool is_whole = size > 0 && size <= IDENTIFIER_SIZE_MAX && is_text(bytes, size);
        size_t normal_size = is_whole ? normalize((uint8_t)type, bytes, size, normal) : 0;
        char found[2 * IDENTIFIER_SIZE_MAX + 1] = "-";
        for (size_t position = 0; position < normal_size; position++) sprintf(found + 2 * position, "%02x", normal[position]);
        // The short way to the hash is as good as the long one.
        consent_reader key = {0};
        identifier_hash hash = {0, 0};
        CHECK(hash_identifier(&key, (uint8_t)type, (const char *)bytes, size, &hash) == (normal_size > 0));
        identifier_hash of_form = sip_hash(0, 0, type, normal, normal_size);
        CHECK(normal_size == 0 || (hash.low == of_form.low && hash.high == of_form.high));
        if (strcmp(found, form) != 0) {
            printf("identifiers: type %u, %s: %s instead of %s\n", type, value, found, form);
            failures++;
        }
        count++;
    }
    CHECK(count > 600);
    return failures ? 1 : 0;
}

static void answers_as_the_index_of_the_node_does(size_t words) {
    node node = start_node(words);
    uint32_t now = wall_seconds();
    size_t word = words - 1;
    uint32_t first = (uint32_t)(64 * word);
    // Bits: 0 permitted, 1 denied, 2 neither; 3, 4, 5 the same with a default of granted; 6 retired; 7 both.
    set_defaults(&node.writer, word, 0x38, 0x40);
    put(&node.writer, CONSENT_CUSTOMER, "endless", word, 0xC9, 0x92, UINT32_MAX, 7);
    put(&node.writer, CONSENT_CUSTOMER, "ended", word, 0xC9, 0x92, now - 1, 8);
    put(&node.writer, CONSENT_CUSTOMER, "ending", word, 0xC9, 0x92, now + 1000, 9);
    set_field(&node.writer, AT_APPLIED_SEQUENCE, 9);
    static const uint8_t unending[8][2] = {{2, 4}, {1, 6}, {0, 0}, {2, 4}, {1, 11}, {2, 12}, {1, 9}, {2, 4}};
    static const uint8_t ended[8][2] = {{0, 8}, {1, 6}, {0, 0}, {0, 8}, {1, 11}, {2, 12}, {1, 9}, {0, 8}};
    static const uint8_t unseen[8][2] = {{0, 0}, {0, 0}, {0, 0}, {2, 12}, {2, 12}, {2, 12}, {1, 9}, {0, 0}};
    const struct { const char *value; const uint8_t (*expected)[2]; } subjects[] = {
        {"endless", unending}, {"ending", unending}, {"ended", ended}, {"unseen", unseen}};
    for (size_t position = 0; position < 4; position++) {
        const char *value = subjects[position].value;
        uint64_t asked[PURPOSE_WORDS_MAX] = {0}, granted[PURPOSE_WORDS_MAX], denied[PURPOSE_WORDS_MAX];
        asked[word] = 0xFF;
        consent_answer summary;
        CHECK(consent_reader_check_purposes(
            node.reader, CONSENT_CUSTOMER, value, strlen(value), asked, PURPOSE_WORDS_MAX, granted, denied,
            &summary) == CONSENT_READER_OK);
        CHECK(summary.freshness == CONSENT_LIVE && summary.sequence == 9);
        for (uint32_t bit = 0; bit < 8; bit++) {
            const uint8_t *expected = subjects[position].expected[bit];
            consent_answer answer = ask(&node, CONSENT_CUSTOMER, value, first + bit);
            CHECK(is(answer, expected[0], expected[1]) && answer.sequence == 9);
            consent_identifier many[40];
            consent_answer answers[40];
            for (size_t index = 0; index < 40; index++) {
                many[index] = (consent_identifier){value, index == 7 ? 0 : strlen(value), CONSENT_CUSTOMER};
            }
            CHECK(consent_reader_check_many(node.reader, many, 40, first + bit, answers)
                == CONSENT_READER_IDENTIFIER_INVALID);
            for (size_t index = 0; index < 40; index++) {
                CHECK(index == 7 ? is_unavailable(answers[7]) : memcmp(answers + index, &answer, sizeof answer) == 0);
            }
            CHECK((granted[word] >> bit & 1) == (expected[0] == CONSENT_GRANTED));
            CHECK((denied[word] >> bit & 1) == (expected[0] == CONSENT_DENIED));
        }
    }
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "endless", 64 * (uint32_t)words), 0, 0) || words == PURPOSE_WORDS_MAX);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "endless", PURPOSES_MAX)));
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "endless", UINT32_MAX)));
    CHECK(is(ask(&node, CONSENT_LOYALTY_CARD, "endless", first), 0, 0));
    end_node(&node);
}

static void an_answer_is_as_fresh_as_what_its_writer_vouches_for(void) {
    node node = start_node(1);
    set_defaults(&node.writer, 0, 2, 0);
    put(&node.writer, CONSENT_CUSTOMER, "7", 0, 5, 8, UINT32_MAX, 1);
    set_staleness(&node.writer, 0, 60);
    set_staleness(&node.writer, 1, 60);
    set_staleness(&node.writer, 3, 60);
    const struct { uint64_t ago; uint8_t freshness, closed; } moments[] = {
        {0, CONSENT_LIVE, CONSENT_LIVE}, {4000, CONSENT_LIVE, CONSENT_LIVE},
        {5001, CONSENT_STALE, CONSENT_UNAVAILABLE}, {59000, CONSENT_STALE, CONSENT_UNAVAILABLE},
        {60001, CONSENT_UNAVAILABLE, CONSENT_UNAVAILABLE}};
    for (size_t position = 0; position < sizeof moments / sizeof *moments; position++) {
        vouch(&node.writer, moments[position].ago);
        uint8_t freshness = moments[position].freshness, closed = moments[position].closed;
        consent_answer granted = ask(&node, CONSENT_CUSTOMER, "7", 0), basis = ask(&node, CONSENT_CUSTOMER, "8", 1);
        CHECK(granted.freshness == freshness && basis.freshness == freshness);
        CHECK((granted.decision == CONSENT_GRANTED) == (freshness != CONSENT_UNAVAILABLE));
        CHECK((basis.decision == CONSENT_GRANTED) == (freshness != CONSENT_UNAVAILABLE));
        consent_answer strict = ask(&node, CONSENT_CUSTOMER, "7", 2);
        CHECK(strict.freshness == closed && (strict.decision == CONSENT_GRANTED) == (closed == CONSENT_LIVE));
        uint64_t asked = 15, yes, no;
        consent_answer summary;
        consent_reader_check_purposes(node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &yes, &no, &summary);
        uint64_t counting = (freshness == CONSENT_UNAVAILABLE ? 0u : 11u) | (closed == CONSENT_UNAVAILABLE ? 0u : 4u);
        CHECK(yes == (7 & counting) && no == (8 & counting) && summary.freshness == closed);
    }
    set_field(&node.writer, AT_VOUCHED, 0);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
    set_field(&node.writer, AT_VOUCHED, boot_millis() + 100000);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
    set_field(&node.writer, AT_VOUCHED, UINT64_MAX);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
    end_node(&node);
}

static node *withdrawn_late;

static void withdraw(void) { put(&withdrawn_late->writer, CONSENT_CUSTOMER, "7", 0, 0, 1, UINT32_MAX, 2); }

// Or a thread that was stopped behind the clock would take rows that nobody vouches for any more for fresh ones.
static void the_clock_is_read_when_the_rows_have_been(void) {
    node node = start_node(1);
    withdrawn_late = &node;
    for (int shape = 0; shape < 3; shape++) {
        put(&node.writer, CONSENT_CUSTOMER, "7", 0, 1, 0, UINT32_MAX, 1);
        when_age_is_asked = withdraw;
        consent_answer answer;
        const consent_identifier one = {"7", 1, CONSENT_CUSTOMER};
        uint64_t asked = 1, granted = 0, denied = 0;
        if (shape == 0) consent_reader_check(node.reader, CONSENT_CUSTOMER, "7", 1, 0, &answer);
        if (shape == 1) consent_reader_check_many(node.reader, &one, 1, 0, &answer);
        if (shape == 2) {
            consent_reader_check_purposes(node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &granted, &denied, &answer);
            answer.decision = granted == 1 ? CONSENT_GRANTED : CONSENT_DENIED;
        }
        when_age_is_asked = NULL;
        CHECK(answer.decision == CONSENT_GRANTED && answer.freshness == CONSENT_LIVE);
        CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_DENIED, CONSENT_REASON_WITHDRAWN));
    }
    end_node(&node);
}

static void what_was_vouched_for_before_a_reboot_counts_for_nothing(void) {
    node node = start_node(1);
    set_defaults(&node.writer, 0, 1, 0);
    char boot_id[BOOT_ID_SIZE];
    memcpy(boot_id, node.writer.base + AT_BOOT_ID, BOOT_ID_SIZE);
    memset(node.writer.base + AT_BOOT_ID, 'f', BOOT_ID_SIZE);
    consent_reader_close(node.reader);
    CHECK(consent_reader_open(node.folder, &node.reader) == CONSENT_READER_OK);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
    // The next writer has said where it runs, and has not vouched for anything yet.
    memcpy(node.writer.base + AT_BOOT_ID, boot_id, BOOT_ID_SIZE);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
    usleep(2000);
    vouch(&node.writer, 0);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_GRANTED, CONSENT_REASON_BASIS_HOLDS));
    end_node(&node);
}

static index_writer *starting;

static void start_writer(void) {
    char boot_id[BOOT_ID_SIZE + 1];
    size_t size = sizeof boot_id;
    must(read_file("/proc/sys/kernel/random/boot_id", boot_id, &size) == 0, "boot_id");
    set_field(starting, AT_VOUCHED, 0);
    memcpy(starting->base + AT_BOOT_ID, boot_id, BOOT_ID_SIZE);
}

// The rows were read, and what was vouched for before them; then comes the writer, and makes the file one of this boot.
static void a_writer_that_starts_meanwhile_makes_nothing_of_what_was_vouched_for_before_a_reboot(void) {
    node node = start_node(1);
    set_defaults(&node.writer, 0, 1, 0);
    starting = &node.writer;
    for (int shape = 0; shape < 3; shape++) {
        vouch(&node.writer, 0);
        memset(node.writer.base + AT_BOOT_ID, 'f', BOOT_ID_SIZE);
        consent_reader_close(node.reader);
        must(consent_reader_open(node.folder, &node.reader) == CONSENT_READER_OK, "open");
        consent_answer answer;
        consent_identifier one = {"7", 1, CONSENT_CUSTOMER};
        uint64_t asked = 1, yes = 0, no = 0;
        when_age_is_asked = start_writer;
        if (shape == 0) consent_reader_check(node.reader, CONSENT_CUSTOMER, "7", 1, 0, &answer);
        if (shape == 1) consent_reader_check_many(node.reader, &one, 1, 0, &answer);
        if (shape == 2) {
            consent_reader_check_purposes(node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &yes, &no, &answer);
        }
        when_age_is_asked = NULL;
        CHECK(is_unavailable(answer) && yes == 0);
        CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "7", 0)));
        usleep(2000);
        vouch(&node.writer, 0);
        CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_GRANTED, CONSENT_REASON_BASIS_HOLDS));
    }
    end_node(&node);
}

static void follows_to_a_newer_generation_also_past_one_that_it_missed(void) {
    node node = start_node(1);
    put(&node.writer, CONSENT_CUSTOMER, "7", 0, 1, 0, UINT32_MAX, 1);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    for (uint64_t generation = 2; generation <= 3; generation++) {
        index_writer newer;
        create_index(&newer, node.folder, generation, 3, 2048);
        put(&newer, CONSENT_CUSTOMER, "7", 0, 0, 1, UINT32_MAX, generation);
        set_field(&newer, AT_APPLIED_SEQUENCE, generation);
        publish(&newer);
        supersede(&node.writer);
        node.writer = newer;
    }
    consent_answer answer = ask(&node, CONSENT_CUSTOMER, "7", 0);
    CHECK(is(answer, CONSENT_DENIED, CONSENT_REASON_WITHDRAWN) && answer.sequence == 3);
    end_node(&node);
}

static void finds_the_index_that_was_made_anew_where_it_was_deleted(void) {
    for (int shape = 0; shape < 3; shape++) {
        node node = start_node(1);
        put(&node.writer, CONSENT_CUSTOMER, "7", 0, 1, 0, UINT32_MAX, 1);
        CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
        char command[600];
        snprintf(command, sizeof command, "rm -f '%s'/index/*", node.folder);
        must(system(command) == 0, command);
        index_writer newer;
        create_index(&newer, node.folder, 1, 1, 1024);
        put(&newer, CONSENT_CUSTOMER, "7", 0, 0, 1, UINT32_MAX, 2);
        set_field(&newer, AT_APPLIED_SEQUENCE, 2);
        publish(&newer);
        vouch(&node.writer, 5001);
        consent_answer answer;
        if (shape == 0) {
            answer = ask(&node, CONSENT_CUSTOMER, "7", 0);
            CHECK(is(answer, CONSENT_DENIED, CONSENT_REASON_WITHDRAWN));
        } else if (shape == 1) {
            consent_identifier one = {"7", 1, CONSENT_CUSTOMER};
            CHECK(consent_reader_check_many(node.reader, &one, 1, 0, &answer) == CONSENT_READER_OK);
            CHECK(is(answer, CONSENT_DENIED, CONSENT_REASON_WITHDRAWN));
        } else {
            uint64_t asked = 1, yes = 1, no = 0;
            CHECK(consent_reader_check_purposes(
                      node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &yes, &no, &answer)
                == CONSENT_READER_OK);
            CHECK(yes == 0 && no == 1 && answer.freshness == CONSENT_LIVE);
        }
        CHECK(answer.sequence == 2);
        close_index(&node.writer);
        node.writer = newer;
        end_node(&node);
    }
}

static void answers_nothing_from_the_index_of_another_ledger(void) {
    node node = start_node(1);
    set_defaults(&node.writer, 0, 1, 0);
    index_writer newer;
    create_index(&newer, node.folder, 2, 1, 1024);
    set_defaults(&newer, 0, 1, 0);
    set_field(&newer, AT_HISTORY, 0x2222);
    seal_header(&newer);
    publish(&newer);
    supersede(&node.writer);
    node.writer = newer;
    for (int round = 0; round < 2; round++) {
        consent_answer answer = ask(&node, CONSENT_CUSTOMER, "7", 0);
        CHECK(is_unavailable(answer) && answer.error == CONSENT_READER_ANOTHER_HISTORY);
    }
    uint64_t asked = 1, yes = 1, no = 1;
    consent_answer summary, many;
    CHECK(consent_reader_check_purposes(node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &yes, &no, &summary)
        == CONSENT_READER_ANOTHER_HISTORY);
    CHECK(yes == 0 && no == 0 && is_unavailable(summary));
    consent_identifier one = {"7", 1, CONSENT_CUSTOMER};
    CHECK(consent_reader_check_many(node.reader, &one, 1, 0, &many) == CONSENT_READER_ANOTHER_HISTORY);
    CHECK(is_unavailable(many));
    end_node(&node);
}

static void answers_nothing_while_the_defaults_change_or_their_writer_died(void) {
    node node = start_node(1);
    set_defaults(&node.writer, 0, 1, 0);
    uint64_t version = field(&node.writer.table, AT_VERSION);
    set_field(&node.writer, AT_VERSION, version | 1);
    consent_answer answer = ask(&node, CONSENT_CUSTOMER, "7", 0);
    CHECK(is_unavailable(answer) && answer.error == CONSENT_READER_UNSETTLED);
    set_field(&node.writer, AT_VERSION, SUPERSEDED);
    answer = ask(&node, CONSENT_CUSTOMER, "7", 0);
    CHECK(is_unavailable(answer) && answer.error == CONSENT_READER_UNSETTLED);
    set_field(&node.writer, AT_VERSION, version + 2);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_GRANTED, CONSENT_REASON_BASIS_HOLDS));
    end_node(&node);
}

static int open_again(node *node) {
    consent_reader *reader;
    int error = consent_reader_open(node->folder, &reader);
    CHECK((error == CONSENT_READER_OK) == (reader != NULL));
    consent_reader_close(reader);
    return error;
}

static void opens_no_file_that_is_not_whole(void) {
    node node = start_node(1);
    // Every bit of the header that is sealed, and of its seal.
    for (size_t bit = 0; bit < 8 * (AT_CHECKSUM + 8); bit++) {
        node.writer.base[bit / 8] ^= (unsigned char)(1 << bit % 8);
        CHECK(open_again(&node) != CONSENT_READER_OK);
        node.writer.base[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    const struct { size_t offset; uint64_t value; int error; } damages[] = {
        {AT_MAGIC, 1, CONSENT_READER_NOT_AN_INDEX}, {AT_FORMAT_VERSION, 1, CONSENT_READER_FORMAT_VERSION},
        {AT_WORDS, 2, CONSENT_READER_HEADER_DAMAGED}, {AT_WORDS, 3, CONSENT_READER_SIZE_WRONG},
        {AT_SLOTS, 0, CONSENT_READER_HEADER_DAMAGED}, {AT_SLOTS, 1025, CONSENT_READER_HEADER_DAMAGED},
        {AT_SLOTS, UINT64_MAX - 1, CONSENT_READER_HEADER_DAMAGED}, {AT_SLOTS, 1 << 20, CONSENT_READER_SIZE_WRONG},
        {AT_KEY_CHECK, 1, CONSENT_READER_ANOTHER_KEY}};
    for (size_t position = 0; position < sizeof damages / sizeof *damages; position++) {
        uint64_t kept = field(&node.writer.table, damages[position].offset);
        set_field(&node.writer, damages[position].offset, damages[position].value);
        seal_header(&node.writer);
        CHECK(open_again(&node) == damages[position].error);
        set_field(&node.writer, damages[position].offset, kept);
        seal_header(&node.writer);
    }
    CHECK(open_again(&node) == CONSENT_READER_OK);
    write_file(node.folder, "index.key", "0123456789abcdef", 16);
    CHECK(open_again(&node) == CONSENT_READER_ANOTHER_KEY);
    write_file(node.folder, "index.key", TEST_KEY, 15);
    CHECK(open_again(&node) == CONSENT_READER_KEY_DAMAGED);
    write_file(node.folder, "index.key", "0123456789abcdefg", 17);
    CHECK(open_again(&node) == CONSENT_READER_KEY_DAMAGED);
    write_file(node.folder, "index.key", TEST_KEY, 16);
    char path[600];
    for (size_t size = 0; size < node.writer.table.size; size += size < HEADER_SIZE ? 4096 : 9999) {
        write_file(node.folder, "index/cut", node.writer.base, size);
        snprintf(path, sizeof path, "%s/index/current", node.folder);
        unlink(path);
        must(symlink("cut", path) == 0, path);
        CHECK(open_again(&node) == (size < HEADER_SIZE ? CONSENT_READER_NOT_AN_INDEX : CONSENT_READER_SIZE_WRONG));
    }
    unlink(path);
    CHECK(open_again(&node) == CONSENT_READER_INDEX_MISSING);
    snprintf(path, sizeof path, "%s/index.key", node.folder);
    unlink(path);
    CHECK(open_again(&node) == CONSENT_READER_KEY_MISSING);
    end_node(&node);
}

static void finds_purposes_by_their_names(void) {
    node node = start_node(1);
    uint32_t bit = 77;
    CHECK(consent_reader_purpose(node.reader, "newsletter", &bit) == CONSENT_READER_PURPOSES_MISSING);
    const char *first = "consentd-purposes 1\n0\tnewsletter\n959\tlast\n";
    write_file(node.folder, "index/purposes", first, strlen(first));
    CHECK(consent_reader_purpose(node.reader, "newsletter", &bit) == CONSENT_READER_OK && bit == 0);
    CHECK(consent_reader_purpose(node.reader, "last", &bit) == CONSENT_READER_OK && bit == 959);
    CHECK(consent_reader_purpose(node.reader, "news", &bit) == CONSENT_READER_PURPOSE_UNKNOWN && bit == 959);
    CHECK(consent_reader_purpose(node.reader, "", &bit) == CONSENT_READER_PURPOSE_UNKNOWN);
    const char *second = "consentd-purposes 1\n0\tnewsletter\n1\tnews\n959\tlast\n";
    write_file(node.folder, "index/purposes", second, strlen(second));
    CHECK(consent_reader_purpose(node.reader, "news", &bit) == CONSENT_READER_OK && bit == 1);
    const char *bad[] = {
        "", "consentd-purposes 2\n0\tx\n", "consentd-purposes 1\n0\tx", "consentd-purposes 1\n0 x\n",
        "consentd-purposes 1\n\tx\n", "consentd-purposes 1\n960\tx\n", "consentd-purposes 1\n1111\tx\n",
        "consentd-purposes 1\n-1\tx\n", "consentd-purposes 1\n\n"};
    for (size_t position = 0; position < sizeof bad / sizeof *bad; position++) {
        write_file(node.folder, "index/purposes", bad[position], strlen(bad[position]));
        CHECK(consent_reader_purpose(node.reader, "x", &bit) == CONSENT_READER_PURPOSES_DAMAGED);
    }
    end_node(&node);
}

static void name_purposes(const node *node, const char *lines) {
    char list[200];
    int size = snprintf(list, sizeof list, "consentd-purposes 1\n%s", lines);
    write_file(node->folder, "index/purposes", list, (size_t)size);
}

// As a node does: first the names, then the file; where bits have changed, the older file says nothing before that.
static void begin_generation(node *node, uint64_t generation, const char *purposes, uint64_t permitted) {
    index_writer newer;
    create_index(&newer, node->folder, generation, 1, 1024);
    put(&newer, CONSENT_CUSTOMER, "7", 0, permitted, 0, UINT32_MAX, generation);
    if (purposes) name_purposes(node, purposes);
    publish(&newer);
    supersede(&node->writer);
    node->writer = newer;
}

// A ledger that was put back to an older state keeps its history, and gives its next bits anew.
static void a_bit_that_was_told_means_the_same_or_nothing(void) {
    node node = start_node(1);
    uint32_t bit = 77;
    put(&node.writer, CONSENT_CUSTOMER, "7", 0, 2, 0, UINT32_MAX, 1);
    name_purposes(&node, "0\tnewsletter\n1\tanalysis\n");
    CHECK(consent_reader_purpose(node.reader, "analysis", &bit) == CONSENT_READER_OK && bit == 1);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", bit), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    begin_generation(&node, 2, NULL, 2);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", bit), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    begin_generation(&node, 3, "0\tnewsletter\n2\tprofiling\n1\tanalysis\n", 2);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", bit), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    begin_generation(&node, 4, "0\tnewsletter\n1\tprofiling\n2\ttracking\n", 2);
    for (int round = 0; round < 2; round++) {
        consent_answer answer = ask(&node, CONSENT_CUSTOMER, "7", bit), many, summary;
        CHECK(is_unavailable(answer) && answer.error == CONSENT_READER_ANOTHER_HISTORY);
        consent_identifier one = {"7", 1, CONSENT_CUSTOMER};
        CHECK(consent_reader_check_many(node.reader, &one, 1, bit, &many) == CONSENT_READER_ANOTHER_HISTORY);
        uint64_t asked = 2, yes = 2, no = 2;
        CHECK(consent_reader_check_purposes(node.reader, CONSENT_CUSTOMER, "7", 1, &asked, 1, &yes, &no, &summary)
            == CONSENT_READER_ANOTHER_HISTORY);
        CHECK(is_unavailable(many) && is_unavailable(summary) && yes == 0 && no == 0);
        uint32_t other = 77;
        CHECK(consent_reader_purpose(node.reader, "tracking", &other) == CONSENT_READER_ANOTHER_HISTORY && other == 77);
    }
    // Also where the newer file is there and its names cannot be read.
    consent_reader_close(node.reader);
    must(consent_reader_open(node.folder, &node.reader) == CONSENT_READER_OK, "open");
    CHECK(consent_reader_purpose(node.reader, "profiling", &bit) == CONSENT_READER_OK && bit == 1);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", bit), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    begin_generation(&node, 5, "nonsense\n", 2);
    CHECK(ask(&node, CONSENT_CUSTOMER, "7", bit).error == CONSENT_READER_PURPOSES_DAMAGED);
    name_purposes(&node, "2\ttracking\n1\tprofiling\n0\tnewsletter\n");
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", bit), CONSENT_GRANTED, CONSENT_REASON_GIVEN));
    end_node(&node);
}

static void a_file_without_a_free_slot_holds_nobody_up(void) {
    node node = start_node(1);
    memset(node.writer.base + HEADER_SIZE, 0xFF, node.writer.table.size - HEADER_SIZE);
    CHECK(is(ask(&node, CONSENT_CUSTOMER, "7", 0), CONSENT_UNKNOWN, CONSENT_REASON_UNKNOWN));
    end_node(&node);
}

static void refuses_null_pointers(void) {
    node node = start_node(1);
    consent_answer answer;
    consent_reader *reader;
    uint64_t word = 1;
    consent_identifier one = {NULL, 1, CONSENT_CUSTOMER};
    CHECK(consent_reader_open(NULL, &reader) == CONSENT_READER_ARGUMENT && !reader);
    CHECK(consent_reader_open(node.folder, NULL) == CONSENT_READER_ARGUMENT);
    CHECK(consent_reader_check(NULL, 1, "7", 1, 0, &answer) == CONSENT_READER_ARGUMENT && is_unavailable(answer));
    CHECK(consent_reader_check(node.reader, 1, NULL, 1, 0, &answer) == CONSENT_READER_IDENTIFIER_INVALID);
    CHECK(consent_reader_check_many(node.reader, NULL, 1, 0, &answer) == CONSENT_READER_ARGUMENT);
    CHECK(is_unavailable(answer));
    CHECK(consent_reader_check_many(node.reader, &one, 1, 0, &answer) == CONSENT_READER_IDENTIFIER_INVALID);
    for (size_t words = 0; words <= 16; words += 16) {
        CHECK(consent_reader_check_purposes(node.reader, 1, "7", 1, &word, words, &word, &word, &answer)
            == CONSENT_READER_ARGUMENT);
    }
    CHECK(consent_reader_purpose(node.reader, NULL, NULL) == CONSENT_READER_ARGUMENT);
    consent_reader_close(NULL);
    for (int error = -1; error < 64; error++) CHECK(strlen(consent_reader_error_text(error)) > 0);
    end_node(&node);
}

// Puts, changes defaults and grows until it is killed.
static _Noreturn void write_for_ever(index_writer *writer) {
    for (uint64_t turn = 1;; turn++) {
        char value[32];
        for (int number = 0; number < 20; number++) {
            // Now a consent that has ended, now an objection against another purpose without end.
            snprintf(value, sizeof value, "toggled-%d", number);
            bool is_even = (turn + (uint64_t)number) % 2 == 0;
            put(writer, CONSENT_CUSTOMER, value, 0, is_even ? 2 : 4, is_even ? 4 : 2, is_even ? 1 : UINT32_MAX, turn);
        }
        // Nobody has bit 8 and bit 9 by default at the same moment.
        set_defaults(writer, 0, turn % 2 ? 1 << 8 : 1 << 9, 0);
        set_field(writer, AT_APPLIED_SEQUENCE, turn);
        vouch(writer, 0);
        if (turn % 50 != 0) continue;
        index_writer newer;
        create_index(&newer, writer->folder, writer->generation + 1, turn % 100 ? 3 : 1, turn % 100 ? 2048 : 1024);
        set_field(&newer, AT_LIVE_MILLIS, 300);
        set_defaults(&newer, 0, 1 << 8, 0);
        put(&newer, CONSENT_CUSTOMER, "always", 0, 1, 0, UINT32_MAX, 1);
        put(&newer, CONSENT_CUSTOMER, "never", 0, 0, 1, UINT32_MAX, 1);
        set_field(&newer, AT_APPLIED_SEQUENCE, turn);
        publish(&newer);
        supersede(writer);
        *writer = newer;
    }
}

static void is_right_beside_a_writer_that_grows_and_is_killed(void) {
    node node = start_node(1);
    put(&node.writer, CONSENT_CUSTOMER, "always", 0, 1, 0, UINT32_MAX, 1);
    put(&node.writer, CONSENT_CUSTOMER, "never", 0, 0, 1, UINT32_MAX, 1);
    set_defaults(&node.writer, 0, 1 << 8, 0);
    set_field(&node.writer, AT_LIVE_MILLIS, 300);
    fflush(NULL);
    pid_t writer = fork();
    must(writer >= 0, "fork");
    if (writer == 0) write_for_ever(&node.writer);
    uint64_t end = boot_millis() + 1500, granted = 0, sequence = 0;
    while (boot_millis() < end) {
        for (int number = 0; number < 20; number++) {
            char value[32];
            snprintf(value, sizeof value, "toggled-%d", number);
            CHECK(ask(&node, CONSENT_CUSTOMER, value, 1).decision != CONSENT_GRANTED);
            uint64_t asked = UINT64_MAX, yes, no;
            consent_answer summary;
            consent_reader_check_purposes(
                node.reader, CONSENT_CUSTOMER, value, strlen(value), &asked, 1, &yes, &no, &summary);
            CHECK((yes & no) == 0 && (yes & 2) == 0 && (yes & 0x300) != 0x300);
        }
        consent_answer always = ask(&node, CONSENT_CUSTOMER, "always", 0);
        if (always.decision == CONSENT_GRANTED) granted++;
        CHECK(always.decision == CONSENT_GRANTED || is_unavailable(always));
        CHECK(always.decision != CONSENT_GRANTED || always.sequence >= sequence);
        if (always.decision == CONSENT_GRANTED) sequence = always.sequence;
        consent_identifier both[2] = {{"always", 6, CONSENT_CUSTOMER}, {"never", 5, CONSENT_CUSTOMER}};
        consent_answer answers[2];
        consent_reader_check_many(node.reader, both, 2, 0, answers);
        CHECK(answers[0].decision == CONSENT_GRANTED || is_unavailable(answers[0]));
        CHECK(answers[1].decision == CONSENT_DENIED || is_unavailable(answers[1]));
    }
    CHECK(granted > 100 && sequence > 100);
    must(kill(writer, SIGKILL) == 0 && waitpid(writer, NULL, 0) == writer, "kill");
    usleep(400000);
    CHECK(is_unavailable(ask(&node, CONSENT_CUSTOMER, "always", 0)));
    end_node(&node);
}

// A folder for programs that are tested from without: kari@example.no has agreed to the newsletter, nobody else has.
static int make_node(const char *parent) {
    char folder[512];
    must(setenv("TMPDIR", parent, 1) == 0, parent);
    make_folder(folder, sizeof folder);
    index_writer writer;
    create_index(&writer, folder, 1, 1, 1024);
    put(&writer, CONSENT_EMAIL, "kari@example.no", 0, 8, 0, UINT32_MAX, 1);
    set_staleness(&writer, 3, 3600);
    publish(&writer);
    close_index(&writer);
    const char *purposes = "consentd-purposes 1\n3\tnewsletter\n";
    write_file(folder, "index/purposes", purposes, strlen(purposes));
    puts(folder);
    return 0;
}

// `test_reader` runs every test; `test_reader PARENT` makes a node's folder in another and says its path.
int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "--identifiers") == 0) return follow_the_vectors_of_identifiers(stdin);
    if (count == 2) return make_node(arguments[1]);
    the_hash_is_that_of_the_node();
    refuses_the_identifiers_that_a_node_refuses();
    for (size_t words = 1; words <= 15; words = 2 * words + 1) answers_as_the_index_of_the_node_does(words);
    an_answer_is_as_fresh_as_what_its_writer_vouches_for();
    the_clock_is_read_when_the_rows_have_been();
    what_was_vouched_for_before_a_reboot_counts_for_nothing();
    a_writer_that_starts_meanwhile_makes_nothing_of_what_was_vouched_for_before_a_reboot();
    follows_to_a_newer_generation_also_past_one_that_it_missed();
    finds_the_index_that_was_made_anew_where_it_was_deleted();
    answers_nothing_from_the_index_of_another_ledger();
    answers_nothing_while_the_defaults_change_or_their_writer_died();
    opens_no_file_that_is_not_whole();
    finds_purposes_by_their_names();
    a_bit_that_was_told_means_the_same_or_nothing();
    a_file_without_a_free_slot_holds_nobody_up();
    refuses_null_pointers();
    is_right_beside_a_writer_that_grows_and_is_killed();
    if (failures) printf("consent_reader: %d failures\n", failures);
    return failures ? 1 : 0;
}
