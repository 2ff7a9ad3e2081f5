// The wire client, from within: `test_client` reads the lines of client_vectors.py, `test_client SOCKET CATALOG` asks
// the server there, which has applied this catalog and knows that customer:7 has agreed to the newsletter and nothing else.
#include "../consent_client.c"

#include <pthread.h>
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

// Of the catalog that the server has applied.
static const char *catalog_path = "";

// What an answer of the ledger is taken into.
static union {
    consent_explanation explanation;
    consent_outcome outcomes[UINT16_MAX];
    consent_history_page page;
    consent_statistics statistics;
    consent_granted_count count;
    consent_people_page people;
    consent_catalog_changes changes;
} ledger;

// Of a `recorded` that is broken by its count alone; zero: as many as it says.
static size_t events_sent;

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
        || opcode == CONSENT_OPCODE_CHECK_PURPOSES || opcode == CONSENT_OPCODE_CHECK_SUBJECTS
        || opcode == CONSENT_OPCODE_EXPLAIN || opcode == CONSENT_OPCODE_RECORD || opcode == CONSENT_OPCODE_HISTORY
        || opcode == CONSENT_OPCODE_STATISTICS || opcode == CONSENT_OPCODE_COUNT_GRANTED
        || opcode == CONSENT_OPCODE_PEOPLE || opcode == CONSENT_OPCODE_APPLY_CATALOG;
    awaited *asked = &client->queue[0];
    *asked = (awaited){.request = u32(bytes + 8), .opcode = is_asked ? opcode : CONSENT_OPCODE_CHECK, .answer = answer};
    if (asked->opcode == CONSENT_OPCODE_CHECK_PURPOSES) asked->count = bytes[13];
    if (asked->opcode == CONSENT_OPCODE_CHECK_SUBJECTS) asked->count = u16(bytes + 14);
    asked->result = &ledger;
    if (asked->opcode == CONSENT_OPCODE_RECORD) asked->count = events_sent ? events_sent : u16(bytes + 6);
    // No number of words or subjects that can be asked for.
    bool is_large = asked->opcode == CONSENT_OPCODE_RECORD || opcode == CONSENT_OPCODE_CHECK_SUBJECTS;
    bool is_count = asked->opcode == CONSENT_OPCODE_RECORD
        || (asked->count > 0 && (is_large || asked->count <= WORDS_MAX));
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
    // The broken ones say another number than the two outcomes that are there.
    events_sent = size > 4 && bytes[4] == CONSENT_OPCODE_RECORDED && strstr(name, ":count_") ? 2 : 0;
    unsigned char header[HEADER_BYTES + 8] = {0};
    memcpy(header, bytes, size < sizeof header ? size : sizeof header);
    consent_answer answer;
    consent_client *client = client_awaiting(header, &answer);
    feed(client, bytes, size, size);
    CHECK(client->failure == CONSENT_CLIENT_PROTOCOL_FAILURE && client->waiting == 0, name);
    CHECK(answer.decision == CONSENT_UNKNOWN && answer.freshness == CONSENT_UNAVAILABLE, name);
    CHECK(answer.error == CONSENT_CLIENT_PROTOCOL_FAILURE, name);
    events_sent = 0;
    if (client->queue[0].granted) CHECK(granted[0] == 0 && denied[0] == 0, name);
    consent_client_close(client);
}

// Of a welcome. What fits into a frame is reckoned from them, so none may be less than the smallest request needs.
static void refuses_limits_that_nothing_fits_in(const unsigned char *bytes, size_t size) {
    const struct { size_t offset; uint32_t value; } limits[] = {
        {48, 0}, {48, 15}, {48, 286}, {48, FRAME_BYTES_MAX + 1}, {48, UINT32_MAX}, {52, 0}, {56, 0}, {56, 65536}, {60, 0},
        {60, 4097}};
    unsigned char *changed = malloc(size);
    if (!changed) exit(2);
    for (size_t position = 0; position < sizeof limits / sizeof *limits; position++) {
        memcpy(changed, bytes, size);
        memcpy(changed + HEADER_BYTES + limits[position].offset, &limits[position].value, 4);
        is_broken("limits", changed, size);
    }
    free(changed);
}

static size_t print_words(char *text, const uint64_t *words, size_t count) {
    size_t size = 0;
    for (size_t word = 0; word < count; word++) {
        size += (size_t)sprintf(text + size, "%s%016llx", word ? "," : "", (unsigned long long)words[word]);
    }
    return size;
}

static char *print_text(char *text, consent_text value) {
    for (size_t position = 0; position < value.size; position++) {
        text += sprintf(text, "%02x", (unsigned char)value.bytes[position]);
    }
    return text;
}

static char *print_identifiers(char *text, const consent_identifier *identifiers, size_t count) {
    for (size_t position = 0; position < count; position++) {
        text += sprintf(text, "%s%u=", position ? "+" : "", identifiers[position].type);
        text = print_text(text, (consent_text){identifiers[position].value, identifiers[position].size});
    }
    *text = 0;
    return text;
}

static char *print_guardian(char *text, const consent_guardian *guardian) {
    text += sprintf(text, "/%u", guardian->relation);
    return guardian->relation ? print_identifiers(text, &guardian->identifier, 1) : text;
}

static char *print_event(char *text, const consent_event *event) {
    for (int position = 0; position < 16; position++) text += sprintf(text, "%02x", event->key[position]);
    text += sprintf(text, "/%u/%u/%u/%u/%d/%u/%lld/%lld", event->purpose_bit, event->state, event->method, event->party,
        event->is_explicit, event->has_age ? event->age : UINT8_MAX, (long long)event->captured_at,
        (long long)event->expires_at);
    const consent_text *texts[] = {&event->declaration, &event->revision, &event->language, &event->system,
        &event->channel, &event->form, &event->actor, &event->evidence};
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        *text++ = '/';
        text = print_text(text, *texts[position]);
    }
    *text++ = '/';
    text = print_identifiers(text, event->identifiers, event->identifier_count);
    return print_guardian(text, &event->guardian);
}

static void print_ledger(const awaited *asked, char *text) {
    if (asked->opcode == CONSENT_OPCODE_EXPLAIN) {
        const consent_explanation *found = &ledger.explanation;
        text += sprintf(text, "%u/%u/%u/%u/%u/%llu/%lld/%lld/%llu/%lld/", found->answer.decision, found->answer.reason,
            found->answer.freshness, found->basis, found->deciding_state, (unsigned long long)found->answer.sequence,
            (long long)found->expires_at, (long long)found->granted_until, (unsigned long long)found->deciding_sequence,
            (long long)found->deciding_captured_at);
        text = print_text(text, found->declaration);
        *text++ = '/';
        text = print_text(text, found->consented_revision);
        *text++ = '/';
        text = print_text(text, found->current_revision);
        print_guardian(text, &found->guardian);
    } else if (asked->opcode == CONSENT_OPCODE_RECORD) {
        for (size_t position = 0; position < asked->count; position++) {
            const consent_outcome *outcome = ledger.outcomes + position;
            text += sprintf(text, "%s%d:%d:%llu:", position ? "," : "", outcome->error, outcome->is_duplicate,
                (unsigned long long)outcome->sequence);
            text = print_text(text, outcome->message);
        }
        *text = 0;
    } else if (asked->opcode == CONSENT_OPCODE_HISTORY) {
        text += sprintf(text, "%d/%llu|", ledger.page.has_more, (unsigned long long)ledger.page.head);
        for (size_t position = 0; position < ledger.page.count; position++) {
            const consent_recorded_event *event = ledger.page.events + position;
            text += sprintf(text, "%s%llu/%lld/%llu/", position ? "," : "", (unsigned long long)event->sequence,
                (long long)event->recorded_at, (unsigned long long)event->refers_to);
            for (int byte = 0; byte < 32; byte++) text += sprintf(text, "%02x", event->hash[byte]);
            *text++ = '/';
            text = print_event(text, &event->event);
        }
    } else if (asked->opcode == CONSENT_OPCODE_STATISTICS && ledger.statistics.count > 0) {
        for (size_t position = 0; position < ledger.statistics.count; position++) {
            const consent_statistic *one = ledger.statistics.values + position;
            if (position) *text++ = ',';
            text = print_text(text, one->name);
            text += sprintf(text, ":%llu", (unsigned long long)one->value);
        }
    } else if (asked->opcode == CONSENT_OPCODE_COUNT_GRANTED) {
        sprintf(text, "%llu/%llu/%llu", (unsigned long long)ledger.count.sequence,
            (unsigned long long)ledger.count.granted, (unsigned long long)ledger.count.known);
    } else if (asked->opcode == CONSENT_OPCODE_PEOPLE) {
        text += sprintf(text, "%d/%llu/%llu|", ledger.people.has_more, (unsigned long long)ledger.people.head,
            (unsigned long long)ledger.people.next);
        for (size_t position = 0; position < ledger.people.count; position++) {
            const consent_found_person *person = ledger.people.people + position;
            text += sprintf(text, "%s%llu/%u/%lld/%lld/", position ? "," : "", (unsigned long long)person->number,
                person->state, (long long)person->since, (long long)person->until);
            const consent_text *texts[] = {&person->purpose, &person->declaration, &person->revision};
            for (size_t number = 0; number < sizeof texts / sizeof *texts; number++) {
                text = print_text(text, *texts[number]);
                *text++ = '/';
            }
            text = print_identifiers(text, person->identifiers, person->identifier_count);
        }
    } else if (asked->opcode == CONSENT_OPCODE_APPLY_CATALOG) {
        text += sprintf(text, "%u/%llu|", ledger.changes.catalog_version, (unsigned long long)ledger.changes.sequence);
        for (size_t position = 0; position < ledger.changes.count; position++) {
            if (position) *text++ = ',';
            text = print_text(text, ledger.changes.changes[position]);
        }
        *text = 0;
    }
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
    } else if (opcode != CONSENT_OPCODE_CATALOG_PURPOSES) {
        print_ledger(asked, text);
    } else if (client->purpose_count > 0) {
        for (size_t position = 0; position < client->purpose_count; position++) {
            const purpose_name *purpose = client->purposes + position;
            text += sprintf(text, "%s%u:", position ? "," : "", purpose->bit);
            for (const char *byte = purpose->id; *byte; byte++) text += sprintf(text, "%02x", (unsigned char)*byte);
        }
    }
}

static void means(const char *name, const unsigned char *bytes, size_t size, const char *expected, char *text) {
    if (bytes[4] == CONSENT_OPCODE_WELCOME) refuses_limits_that_nothing_fits_in(bytes, size);
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

// An event without a key has been given one.
static void forget_new_keys(const unsigned char *expected, unsigned char *received, size_t size) {
    static const unsigned char none[16] = {0};
    for (size_t start = HEADER_BYTES; start + 20 <= size; start += 4 + u32(expected + start)) {
        if (memcmp(expected + start + 4, none, 16) != 0) continue;
        CHECK(memcmp(received + start + 4, none, 16) != 0, "key");
        memset(received + start + 4, 0, 16);
    }
}

typedef struct {
    int socket;
    unsigned char *bytes;
    size_t wanted, size;
} reading;

// Takes as many bytes as are expected, and closes; what is sent beyond that was not asked for.
static void *read_request(void *argument) {
    reading *own = argument;
    while (own->size < own->wanted) {
        ssize_t got = recv(own->socket, own->bytes + own->size, own->wanted - own->size, 0);
        if (got <= 0) break;
        own->size += (size_t)got;
    }
    ssize_t more = recv(own->socket, own->bytes + own->size, 1, MSG_DONTWAIT);
    if (more > 0) own->size++;
    close(own->socket);
    return NULL;
}

static void is_asked(
    const char *name, const char *opcode, const unsigned char *bytes, size_t size, char *arguments,
    unsigned char *received) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) exit(2);
    reading reading = {.socket = pair[1], .bytes = received, .wanted = size};
    pthread_t reader;
    if (pthread_create(&reader, NULL, read_request, &reading) != 0) exit(2);
    consent_client *client = make_client(60000);
    client->socket = pair[0];
    client->next_request = u32(bytes + 8);
    client->subjects_max = SUBJECTS_MAX;
    client->frame_size_max = FRAME_BYTES_MAX;
    consent_client *decoder = make_client(1);
    static consent_event events[CONSENT_LIMIT_EVENTS_PER_RECORD_MAX];
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
    } else if (strcmp(opcode, "statistics") == 0) {
        consent_client_statistics(client, &ledger.statistics);
    } else if (strcmp(opcode, "explain") == 0) {
        size_t value_size = from_hex(value, (unsigned char *)values);
        consent_client_explain(client, type, values, value_size, bit, &ledger.explanation);
    } else if (strcmp(opcode, "history") == 0) {
        size_t value_size = from_hex(value, (unsigned char *)values);
        consent_client_history(client, type, values, value_size, strtoull(asked, NULL, 10), bit, &ledger.page);
    } else if (strcmp(opcode, "countGranted") == 0) {
        values[from_hex(value, (unsigned char *)values)] = 0;
        char *but_not = values + strlen(values) + 1;
        but_not[from_hex(asked, (unsigned char *)but_not)] = 0;
        consent_client_count_granted(client, values, *but_not ? but_not : NULL, &ledger.count);
    } else if (strcmp(opcode, "people") == 0) {
        consent_people_question question = {.selection = type, .count_max = bit};
        long long from, until;
        unsigned long long after, as_of;
        unsigned reasons;
        if (sscanf(value, "%u,%llu,%lld,%lld,%llu", &reasons, &after, &from, &until, &as_of) != 5) exit(2);
        question.reasons = (uint8_t)reasons;
        question.after = after;
        question.from = from;
        question.until = until;
        question.as_of = as_of;
        consent_text *texts[] = {&question.purpose, &question.but_not, &question.declaration, &question.revision,
            &question.recipient, &question.document};
        char *end = values;
        for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
            const char *one = strsep(&asked, ",");
            *texts[position] = (consent_text){end, from_hex(one, (unsigned char *)end)};
            end += texts[position]->size;
        }
        consent_client_people(client, &question, &ledger.people);
    } else if (strcmp(opcode, "applyCatalog") == 0) {
        size_t document_size = from_hex(value, (unsigned char *)values);
        consent_client_apply_catalog(client, values, document_size, type, &ledger.changes);
    } else if (strcmp(opcode, "record") == 0) {
        // The events of the frame itself, as an answer's are read.
        frame whole = {.payload = bytes + HEADER_BYTES, .size = size - HEADER_BYTES};
        size_t count = u16(bytes + 6), identifiers = 0;
        decoder->identifiers = malloc(size * sizeof *decoder->identifiers);
        memset(events, 0, sizeof events);
        for (size_t position = 0; position < count; position++) {
            CHECK(take_event(decoder, &whole, identifiers, events + position), name);
            identifiers += events[position].identifier_count;
        }
        consent_client_record(client, events, count, ledger.outcomes);
        for (size_t position = 0; position < count; position++) {
            CHECK(ledger.outcomes[position].error == CONSENT_CLIENT_DISCONNECTED, name);
        }
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
    // What was not sent ends the reading.
    if (client->socket >= 0) shutdown(client->socket, SHUT_RDWR);
    pthread_join(reader, NULL);
    if (strcmp(opcode, "record") == 0) forget_new_keys(bytes, received, size);
    CHECK(reading.size == size && memcmp(received, bytes, size) == 0, name);
    CHECK(client->failure == CONSENT_CLIENT_DISCONNECTED, name);
    consent_client_close(decoder);
    consent_client_close(client);
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
    CHECK(count > 2000, "vectors");
    free(line);
    free(text);
    free(bytes);
    free(received);
}

static bool is_text(consent_text text, const char *expected) {
    return text.size == strlen(expected) && memcmp(text.bytes, expected, text.size) == 0;
}

// A grant and its withdrawal, sent and read back. Each run has a person of its own.
static void record_and_read(consent_client *client, uint32_t bit) {
    char value[32];
    int size = snprintf(value, sizeof value, "C client %d", (int)getpid());
    const consent_identifier person = {value, (size_t)size, CONSENT_CUSTOMER};
    consent_event events[3];
    consent_outcome outcomes[3];
    consent_granted_count before, after;
    CHECK(consent_client_count_granted(client, "newsletter", NULL, &before) == 0 && before.known > 0, "count");
    memset(events, 0, sizeof events);
    events[0] = (consent_event){.purpose_bit = bit, .state = CONSENT_EVENT_GIVEN, .method = CONSENT_METHOD_DOUBLE_OPT_IN,
        .declaration = consent_text_of("club-membership-marketing"), .revision = consent_text_of("1.2"),
        .language = consent_text_of("nb"), .actor = consent_text_of("Åse"), .identifiers = &person,
        .identifier_count = 1};
    // A grant that names no declaration breaks a rule, and does not hold up the other.
    events[1] = (consent_event){.purpose_bit = bit, .state = CONSENT_EVENT_GIVEN, .method = CONSENT_METHOD_BUTTON,
        .identifiers = &person, .identifier_count = 1};
    CHECK(consent_client_record(client, events, 2, outcomes) == 0, "record");
    CHECK(outcomes[0].error == 0 && outcomes[0].sequence > 0 && !outcomes[0].is_duplicate, "recorded");
    CHECK(outcomes[1].error == CONSENT_ERROR_DECLARATION_MISSING && outcomes[1].message.size > 0, "refused");
    uint64_t given = outcomes[0].sequence;
    CHECK(consent_client_record(client, events, 1, outcomes) == 0, "again");
    CHECK(outcomes[0].error == 0 && outcomes[0].is_duplicate && outcomes[0].sequence == given, "again");
    consent_answer answer;
    consent_client_check(client, CONSENT_CUSTOMER, value, (size_t)size, bit, &answer);
    CHECK(answer.decision == CONSENT_GRANTED && answer.sequence >= given, "granted");
    CHECK(consent_client_count_granted(client, "newsletter", NULL, &after) == 0, "count");
    CHECK(after.granted == before.granted + 1 && after.sequence >= given, "count");
    CHECK(consent_client_count_granted(client, "no-such", NULL, &after) == CONSENT_ERROR_QUESTION_INVALID, "count");
    usleep(2000);
    events[2] = (consent_event){.purpose_bit = bit, .state = CONSENT_EVENT_WITHDRAWN, .identifiers = &person,
        .identifier_count = 1};
    CHECK(consent_client_record(client, events + 2, 1, outcomes) == 0 && outcomes[0].error == 0, "withdrawn");
    consent_client_check(client, CONSENT_CUSTOMER, value, (size_t)size, bit, &answer);
    CHECK(answer.decision == CONSENT_DENIED, "withdrawn");
    consent_explanation explanation;
    CHECK(consent_client_explain(client, CONSENT_CUSTOMER, value, (size_t)size, bit, &explanation) == 0, "explain");
    CHECK(explanation.answer.decision == CONSENT_DENIED && explanation.answer.reason == CONSENT_STATE_WITHDRAWN, "explain");
    CHECK(explanation.basis == CONSENT_BASIS_CONSENT && explanation.deciding_state == CONSENT_EVENT_WITHDRAWN, "explain");
    CHECK(explanation.deciding_sequence == outcomes[0].sequence, "explain");
    consent_history_page page;
    CHECK(consent_client_history(client, CONSENT_CUSTOMER, value, (size_t)size, 0, 1, &page) == 0, "history");
    CHECK(page.count == 1 && page.has_more && page.events[0].sequence == given, "history");
    const consent_event *event = &page.events[0].event;
    CHECK(is_text(event->revision, "1.2") && is_text(event->actor, "Åse") && !event->has_age, "history");
    CHECK(memcmp(event->key, events[0].key, 16) == 0 && event->purpose_bit == bit, "history");
    CHECK(event->identifier_count == 1 && event->identifiers[0].size == (size_t)size, "history");
    CHECK(consent_client_history(client, CONSENT_CUSTOMER, value, (size_t)size, given, 0, &page) == 0, "history");
    CHECK(page.count == 1 && !page.has_more && page.events[0].event.state == CONSENT_EVENT_WITHDRAWN, "history");
    consent_statistics statistics;
    CHECK(consent_client_statistics(client, &statistics) == 0 && statistics.count > 5, "statistics");
    bool has_sequence = false;
    for (size_t position = 0; position < statistics.count; position++) {
        if (is_text(statistics.values[position].name, "sequence")) has_sequence = statistics.values[position].value > given;
    }
    CHECK(has_sequence, "statistics");
    CHECK(consent_client_explain(client, CONSENT_PHONE, "22334455", 8, bit, &explanation)
        == CONSENT_ERROR_IDENTIFIER_INVALID, "phone");
    CHECK(explanation.answer.decision == CONSENT_UNKNOWN, "phone");
    CHECK(consent_client_history(client, CONSENT_PHONE, "22334455", 8, 0, 0, &page)
        == CONSENT_ERROR_IDENTIFIER_INVALID && page.count == 0, "phone");
    CHECK(consent_client_poll(client) == 0 && !consent_client_is_going_away(client), "poll");
}

// Customer 7 is the only one with an e-mail address too; what is applied is what is applied already.
static void lists_and_applies(consent_client *client) {
    consent_people_question question = {.selection = CONSENT_PEOPLE_AUDIENCE, .count_max = 1,
        .purpose = consent_text_of("newsletter")};
    consent_people_page page;
    CHECK(consent_client_people(client, &question, &page) == 0 && page.count == 1 && page.head > 0, "people");
    if (page.count != 1) return;
    CHECK(page.people[0].identifier_count == 2 && page.people[0].state == CONSENT_STATE_GIVEN, "people");
    CHECK(is_text(page.people[0].purpose, "newsletter") && is_text(page.people[0].revision, "1.2"), "people");
    question.after = page.next;
    size_t rest = 0;
    while (page.has_more && consent_client_people(client, &question, &page) == 0) {
        rest += page.count;
        question.after = page.next;
    }
    CHECK(rest == 0, "everybody else has withdrawn");
    question.purpose = consent_text_of("no-such");
    CHECK(consent_client_people(client, &question, &page) == CONSENT_ERROR_QUESTION_INVALID && page.count == 0, "people");
    consent_catalog_changes changes;
    static const char BROKEN[] = "format: 99\n";
    CHECK(consent_client_apply_catalog(client, BROKEN, sizeof BROKEN - 1, true, &changes)
        == CONSENT_ERROR_CATALOG_REJECTED && changes.count == 0, "catalog");
    CHECK(consent_client_apply_catalog(client, BROKEN, sizeof BROKEN - 1, false, &changes)
        == CONSENT_ERROR_CATALOG_REJECTED && changes.sequence == 0, "catalog");
    FILE *file = fopen(catalog_path, "rb");
    CHECK(file != NULL, "catalog");
    if (!file) return;
    static char document[FRAME_BYTES_MAX];
    size_t size = fread(document, 1, sizeof document, file);
    fclose(file);
    CHECK(consent_client_apply_catalog(client, document, size, true, &changes) == 0, "dry run");
    CHECK(changes.catalog_version == 1 && changes.sequence == 0 && changes.count == 0, "dry run");
    CHECK(consent_client_apply_catalog(client, document, size, false, &changes) == 0, "applied");
    CHECK(changes.catalog_version == 1 && changes.sequence == 0, "it was applied already");
}

// What the caller got wrong is said without a word to the server.
static void refuses_what_cannot_be_sent(consent_client *client) {
    static char long_text[UINT16_MAX + 2];
    memset(long_text, 'x', sizeof long_text - 1);
    const consent_identifier person = {"7", 1, CONSENT_CUSTOMER}, nobody = {long_text, 256, CONSENT_CUSTOMER};
    consent_outcome outcome;
    consent_event good = {.state = CONSENT_EVENT_WITHDRAWN, .identifiers = &person, .identifier_count = 1};
    consent_event bad[] = {good, good, good, good, good, good, good};
    bad[0].language = (consent_text){long_text, 256};
    bad[1].evidence = (consent_text){long_text, UINT16_MAX + 1};
    bad[2].identifiers = &nobody;
    bad[3].identifiers = NULL;
    bad[4].purpose_bit = UINT16_MAX + 1;
    bad[5].guardian = (consent_guardian){CONSENT_GUARDIAN_PARENT, nobody};
    bad[6].guardian = (consent_guardian){CONSENT_GUARDIAN_PARENT, {NULL, 1, CONSENT_EMAIL}};
    for (size_t position = 0; position < sizeof bad / sizeof *bad; position++) {
        CHECK(consent_client_record(client, bad + position, 1, &outcome) == CONSENT_CLIENT_ARGUMENT, "argument");
        CHECK(outcome.error == CONSENT_CLIENT_ARGUMENT && outcome.sequence == 0, "argument");
    }
    CHECK(consent_client_record(client, &good, 0, &outcome) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_record(NULL, &good, 1, &outcome) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_explain(client, CONSENT_CUSTOMER, "7", 1, 0, NULL) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_history(client, CONSENT_CUSTOMER, "7", 1, 0, 0, NULL) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_statistics(client, NULL) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_count_granted(client, NULL, NULL, NULL) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_poll(NULL) == CONSENT_CLIENT_ARGUMENT, "argument");
    consent_people_page page;
    consent_people_question question = {.selection = CONSENT_PEOPLE_COMING_OF_AGE + 1};
    CHECK(consent_client_people(client, &question, &page) == CONSENT_CLIENT_ARGUMENT, "argument");
    question = (consent_people_question){.selection = CONSENT_PEOPLE_AUDIENCE, .purpose = {long_text, 256}};
    CHECK(consent_client_people(client, &question, &page) == CONSENT_CLIENT_ARGUMENT && page.count == 0, "argument");
    question = (consent_people_question){.selection = CONSENT_PEOPLE_AUDIENCE, .document = {long_text, FRAME_BYTES_MAX}};
    CHECK(consent_client_people(client, &question, &page) == CONSENT_ERROR_FRAME_TOO_LARGE, "argument");
    consent_catalog_changes changes;
    CHECK(consent_client_apply_catalog(client, NULL, 0, true, &changes) == CONSENT_CLIENT_ARGUMENT, "argument");
    CHECK(consent_client_apply_catalog(client, long_text, FRAME_BYTES_MAX, true, &changes)
        == CONSENT_ERROR_FRAME_TOO_LARGE, "argument");
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
    record_and_read(client, bit);
    lists_and_applies(client);
    refuses_what_cannot_be_sent(client);
    CHECK(consent_client_ping(client) == 0, "still there");
    consent_client_close(client);
    const uint8_t another[16] = {1};
    options.deployment = another;
    CHECK(consent_client_open(&options, &client) == CONSENT_ERROR_DEPLOYMENT_MISMATCH && !client, "deployment");
    options = (consent_client_options){.socket_path = "/nowhere"};
    CHECK(consent_client_open(&options, &client) == CONSENT_CLIENT_UNREACHABLE && !client, "unreachable");
}

// One that looks before it sleeps is answered alike, also after a pause in which it has stopped looking.
static void ask_server_spinning(const char *socket_path) {
    consent_client_options options = {.socket_path = socket_path, .spin_micros = 200};
    consent_client *client;
    uint32_t bit = 0;
    CHECK(consent_client_open(&options, &client) == 0, "open");
    if (!client) return;
    CHECK(consent_client_purpose(client, "newsletter", &bit) == 0, "purpose");
    for (int number = 0; number < 200; number++) {
        consent_answer answer;
        CHECK(consent_client_check(client, CONSENT_CUSTOMER, "8", 1, bit, &answer) == 0, "check");
        CHECK(answer.decision == CONSENT_UNKNOWN && answer.freshness == CONSENT_LIVE, "unknown");
        if (number % 50 == 0) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    consent_client_close(client);
}

int main(int count, char **arguments) {
    if (count > 2) catalog_path = arguments[2];
    if (count > 1) {
        ask_server(arguments[1]);
        ask_server_spinning(arguments[1]);
    } else {
        run_vectors();
    }
    if (failures) printf("consent_client: %d failures\n", failures);
    return failures ? 1 : 0;
}
