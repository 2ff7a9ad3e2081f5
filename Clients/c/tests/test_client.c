// The wire client, from within: `test_client` reads the lines of client_vectors.py, `test_client SOCKET` asks the
// server there, which knows that customer:7 has agreed to the newsletter and nothing else.
#include "../consent_client.c"

#include <stdio.h>

static int failures;

#define CHECK(condition, name) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, name, #condition); \
            failures++; \
        } \
    } while (0)

enum { SUBJECTS_MAX = 65535, SET_WORDS_MAX = (SUBJECTS_MAX + 63) / 64 };

static uint64_t granted[SET_WORDS_MAX], denied[SET_WORDS_MAX];

static size_t from_hex(const char *digits, unsigned char *bytes) {
    size_t size = 0;
    for (unsigned byte; sscanf(digits + 2 * size, "%2x", &byte) == 1; size++) bytes[size] = (unsigned char)byte;
    return size;
}

// Waits for whatever this frame may be the answer to, and for every bit of it.
static consent_client *client_awaiting(const unsigned char *bytes, consent_answer *answer) {
    consent_client *client = make_client(1);
    uint8_t opcode = bytes[4] & 0x7F;
    bool is_asked = opcode == CONSENT_OPCODE_HELLO || opcode == CONSENT_OPCODE_PING || opcode == CONSENT_OPCODE_CATALOG
        || opcode == CONSENT_OPCODE_CHECK_PURPOSES || opcode == CONSENT_OPCODE_CHECK_SUBJECTS;
    awaited *asked = &client->queue[0];
    *asked = (awaited){.request = u32(bytes + 8), .opcode = is_asked ? opcode : CONSENT_OPCODE_CHECK, .answer = answer};
    if (asked->opcode == CONSENT_OPCODE_CHECK_PURPOSES) asked->count = bytes[13];
    if (asked->opcode == CONSENT_OPCODE_CHECK_SUBJECTS) asked->count = u16(bytes + 14);
    // No number of words or subjects that can be asked for.
    bool is_count = asked->count > 0 && (asked->count <= WORDS_MAX || opcode == CONSENT_OPCODE_CHECK_SUBJECTS);
    if (!is_count) asked->count = 1;
    if (asked->opcode == CONSENT_OPCODE_PING) asked->echo = u64(bytes + HEADER_BYTES);
    memset(asked->asked, 0xFF, sizeof asked->asked);
    if (opcode == CONSENT_OPCODE_CHECK_PURPOSES || opcode == CONSENT_OPCODE_CHECK_SUBJECTS) {
        asked->granted = granted;
        asked->denied = denied;
    }
    memset(granted, 0xFF, sizeof granted);
    memset(denied, 0xFF, sizeof denied);
    answer_nothing(answer, 0);
    client->waiting = 1;
    return client;
}

static void feed(consent_client *client, const unsigned char *bytes, size_t size, size_t step) {
    for (size_t start = 0; start < size && client->failure == 0; start += step) {
        size_t part = size - start < step ? size - start : step;
        memcpy(client->input + client->input_size, bytes + start, part);
        client->input_size += part;
        take_frames(client);
    }
}

static void is_broken(const char *name, const unsigned char *bytes, size_t size) {
    unsigned char header[HEADER_BYTES + 8] = {0};
    memcpy(header, bytes, size < sizeof header ? size : sizeof header);
    consent_answer answer;
    consent_client *client = client_awaiting(header, &answer);
    feed(client, bytes, size, size);
    CHECK(client->failure == CONSENT_CLIENT_PROTOCOL_FAILURE && client->waiting == 0, name);
    CHECK(answer.decision == CONSENT_UNKNOWN && answer.freshness == CONSENT_UNAVAILABLE, name);
    CHECK(answer.error == CONSENT_CLIENT_PROTOCOL_FAILURE, name);
    if (client->queue[0].granted) CHECK(granted[0] == 0 && denied[0] == 0, name);
    consent_client_close(client);
}

static size_t print_words(char *text, const uint64_t *words, size_t count) {
    size_t size = 0;
    for (size_t word = 0; word < count; word++) {
        size += (size_t)sprintf(text + size, "%s%016llx", word ? "," : "", (unsigned long long)words[word]);
    }
    return size;
}

static void print_meaning(const consent_client *client, const consent_answer *answer, uint8_t opcode, char *text) {
    const awaited *asked = &client->queue[0];
    strcpy(text, "-");
    if (opcode == CONSENT_OPCODE_WELCOME) {
        sprintf(text, "%zu/%zu", client->frame_size_max, client->subjects_max);
    } else if (opcode == CONSENT_OPCODE_CHECKED) {
        sprintf(text, "%d/%d/%d/%llu", answer->decision, answer->reason, answer->freshness,
            (unsigned long long)answer->sequence);
    } else if (opcode == CONSENT_OPCODE_CHECKED_PURPOSES || opcode == CONSENT_OPCODE_CHECKED_SUBJECTS) {
        text += sprintf(text, "%d/%llu/", answer->freshness, (unsigned long long)answer->sequence);
        text += print_words(text, granted, set_words(asked));
        *text++ = '/';
        print_words(text, denied, set_words(asked));
    } else if (opcode == CONSENT_OPCODE_ERROR) {
        sprintf(text, "%d", answer->error);
    } else if (opcode == CONSENT_OPCODE_CATALOG_PURPOSES && client->purpose_count > 0) {
        for (size_t position = 0; position < client->purpose_count; position++) {
            const purpose_name *purpose = client->purposes + position;
            text += sprintf(text, "%s%u:", position ? "," : "", purpose->bit);
            for (const char *byte = purpose->id; *byte; byte++) text += sprintf(text, "%02x", (unsigned char)*byte);
        }
    }
}

static void means(const char *name, const unsigned char *bytes, size_t size, const char *expected, char *text) {
    for (int round = 0; round < (size < 2000 ? 2 : 1); round++) {
        consent_answer answer;
        consent_client *client = client_awaiting(bytes, &answer);
        bool is_push = bytes[4] == CONSENT_OPCODE_GOING_AWAY || bytes[4] == CONSENT_OPCODE_CATALOG_CHANGED;
        client->has_catalog = true;
        feed(client, bytes, size, round == 0 ? size : 1);
        CHECK(client->failure == 0 && client->waiting == (is_push ? 1 : 0) && client->input_size == 0, name);
        if (is_push) CHECK(client->is_going_away == client->has_catalog, name);
        print_meaning(client, &answer, bytes[4], text);
        CHECK(strcmp(text, expected) == 0, name);
        // Any other answer to the same request is no answer, and neither is one to a request that was not made.
        if (!is_push) {
            feed(client, bytes, size, size);
            CHECK(client->failure == CONSENT_CLIENT_PROTOCOL_FAILURE, name);
        }
        consent_client_close(client);
    }
}

static void is_asked(
    const char *name, const char *opcode, const unsigned char *bytes, size_t size, char *arguments,
    unsigned char *received) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) exit(2);
    consent_client *client = make_client(1);
    client->socket = pair[0];
    client->next_request = u32(bytes + 8);
    client->subjects_max = SUBJECTS_MAX;
    client->frame_size_max = FRAME_BYTES_MAX;
    static char values[256 * 1024];
    uint8_t type = (uint8_t)atoi(strtok(arguments, " "));
    uint32_t bit = (uint32_t)atoi(strtok(NULL, " "));
    char *value = strtok(NULL, " "), *asked = strtok(NULL, " ");
    consent_answer answer;
    if (strcmp(opcode, "check") == 0) {
        size_t value_size = from_hex(value, (unsigned char *)values);
        consent_client_check(client, type, values, value_size, bit, &answer);
    } else if (strcmp(opcode, "catalog") == 0) {
        consent_client_purpose(client, "newsletter", &bit);
    } else if (strcmp(opcode, "checkPurposes") == 0) {
        size_t value_size = from_hex(value, (unsigned char *)values), words = 0;
        uint64_t purposes[WORDS_MAX];
        for (char *word = strtok(asked, ","); word; word = strtok(NULL, ",")) {
            purposes[words++] = strtoull(word, NULL, 16);
        }
        consent_client_check_purposes(client, type, values, value_size, purposes, words, granted, denied, &answer);
    } else {
        static consent_identifier identifiers[SUBJECTS_MAX];
        size_t count = 0, end = 0;
        for (char *one = strtok(value, ","); one; one = strtok(NULL, ",")) {
            size_t one_size = from_hex(one, (unsigned char *)values + end);
            identifiers[count++] = (consent_identifier){values + end, one_size, type};
            end += one_size;
        }
        consent_client_check_subjects(client, type, identifiers, count, bit, granted, denied, &answer);
    }
    ssize_t got = recv(pair[1], received, FRAME_BYTES_MAX, MSG_DONTWAIT);
    CHECK(got == (ssize_t)size && memcmp(received, bytes, size) == 0, name);
    CHECK(client->failure == CONSENT_CLIENT_TIMED_OUT, name);
    consent_client_close(client);
    close(pair[1]);
}

static void run_vectors(void) {
    char *line = NULL, *text = malloc(4 * FRAME_BYTES_MAX);
    unsigned char *bytes = malloc(2 * FRAME_BYTES_MAX), *received = malloc(FRAME_BYTES_MAX);
    size_t room = 0, count = 0;
    if (!text || !bytes || !received) exit(2);
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *kind = strsep(&rest, " "), *name = strsep(&rest, " "), *hex = strsep(&rest, " ");
        size_t size = from_hex(hex, bytes);
        count++;
        if (strcmp(kind, "broken") == 0) is_broken(name, bytes, size);
        else if (strcmp(kind, "answer") == 0) means(name, bytes, size, rest, text);
        else if (strcmp(kind, "incomplete") != 0) is_asked(name, kind, bytes, size, rest, received);
    }
    CHECK(count > 800, "vectors");
    free(line);
    free(text);
    free(bytes);
    free(received);
}

static void ask_server(const char *socket_path) {
    enum { MANY = 5000 };
    static consent_answer answers[MANY];
    consent_client_options options = {.socket_path = socket_path};
    consent_client *client;
    uint32_t bit = 0, unknown = 0;
    consent_answer answer;
    CHECK(consent_client_open(&options, &client) == 0, "open");
    if (!client) return;
    CHECK(consent_client_ping(client) == 0, "ping");
    CHECK(consent_client_purpose(client, "newsletter", &bit) == 0, "purpose");
    CHECK(consent_client_purpose(client, "no-such", &unknown) == CONSENT_CLIENT_PURPOSE_UNKNOWN, "purpose");
    CHECK(consent_client_check(client, CONSENT_CUSTOMER, "7", 1, bit, &answer) == 0, "check");
    CHECK(answer.decision == CONSENT_GRANTED && answer.freshness == CONSENT_LIVE && answer.sequence > 0, "granted");
    CHECK(consent_client_check(client, CONSENT_CUSTOMER, "8", 1, bit, &answer) == 0, "check");
    CHECK(answer.decision == CONSENT_UNKNOWN, "unknown");
    int error = consent_client_check(client, CONSENT_CUSTOMER, "\t", 1, bit, &answer);
    CHECK(error == CONSENT_ERROR_IDENTIFIER_INVALID && answer.decision == CONSENT_UNKNOWN, "tab");
    CHECK(consent_client_check(client, CONSENT_CUSTOMER, "7", 1, 959, &answer) == CONSENT_ERROR_PURPOSE_UNKNOWN, "bit");
    for (size_t position = 0; position < MANY; position++) {
        consent_client_queue(client, CONSENT_CUSTOMER, position % 3 ? "8" : "7", 1, bit, answers + position);
    }
    CHECK(consent_client_flush(client) == 0, "flush");
    for (size_t position = 0; position < MANY; position++) {
        CHECK((answers[position].decision == CONSENT_GRANTED) == (position % 3 == 0), "many");
        CHECK(answers[position].error == 0 && answers[position].freshness == CONSENT_LIVE, "many");
    }
    uint64_t purposes[WORDS_MAX] = {0};
    purposes[bit / 64] = (uint64_t)1 << bit % 64;
    CHECK(consent_client_check_purposes(
        client, CONSENT_CUSTOMER, "7", 1, purposes, bit / 64 + 1, granted, denied, &answer) == 0, "purposes");
    CHECK(granted[bit / 64] == purposes[bit / 64] && denied[bit / 64] == 0, "purposes");
    consent_identifier both[2] = {{"8", 1, CONSENT_CUSTOMER}, {"7", 1, CONSENT_CUSTOMER}};
    CHECK(consent_client_check_subjects(
        client, CONSENT_CUSTOMER, both, 2, bit, granted, denied, &answer) == 0, "subjects");
    CHECK(granted[0] == 2 && denied[0] == 0, "subjects");
    consent_client_close(client);
    const uint8_t another[16] = {1};
    options.deployment = another;
    CHECK(consent_client_open(&options, &client) == CONSENT_ERROR_DEPLOYMENT_MISMATCH && !client, "deployment");
    options = (consent_client_options){.socket_path = "/nowhere"};
    CHECK(consent_client_open(&options, &client) == CONSENT_CLIENT_UNREACHABLE && !client, "unreachable");
}

int main(int count, char **arguments) {
    if (count > 1) ask_server(arguments[1]);
    else run_vectors();
    if (failures) printf("consent_client: %d failures\n", failures);
    return failures ? 1 : 0;
}
