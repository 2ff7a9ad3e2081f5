// bytes → frame → the request that it answers → what the caller gave to fill. Checks and pings are answered in their
// order, and everything else is only asked for while nothing else is: so what waits is a queue, an answer is for its first.
#define _GNU_SOURCE

#include "consent_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the numbers of a frame are little-endian, and are copied as they are"
#endif

enum {
    HEADER_BYTES = CONSENT_LIMIT_HEADER_SIZE,
    FRAME_BYTES_MAX = CONSENT_LIMIT_FRAME_SIZE_MAX,
    WORDS_MAX = CONSENT_LIMIT_PURPOSE_WORDS_MAX,
    BITS_MAX = 64 * WORDS_MAX,
    TIMEOUT_MILLIS = 2000,
    SPIN_NANOS_MIN = 1000,  // shorter looks are none
    // Queued and unanswered. What is sent goes out when half of it is full.
    IN_FLIGHT_MAX = 1024,
    // Of one check at most; the largest frame is a checkSubjects.
    CHECK_BYTES_MAX = HEADER_BYTES + 8 * WORDS_MAX + CONSENT_LIMIT_IDENTIFIER_SIZE_MAX
};

typedef struct {
    uint32_t request;
    uint8_t opcode;
    size_t count;              // words of the bitset, or subjects
    uint64_t asked[WORDS_MAX];
    uint64_t *granted, *denied;
    consent_answer *answer;
    uint64_t echo;
    void *result;              // of what is asked of the ledger
} awaited;

typedef struct {
    uint32_t bit;
    char id[256];
} purpose_name;

struct consent_client {
    int socket;
    int failure;               // what ended the connection
    bool is_going_away;
    uint32_t timeout_millis;
    uint64_t spin_nanos_max, spin_nanos;  // how long to look before sleeping, at the most and now
    uint32_t next_request;
    size_t frame_size_max;     // as the server wants it
    size_t subjects_max;
    awaited queue[IN_FLIGHT_MAX];
    size_t first, waiting;
    unsigned char *output;     // room for the largest frame behind what is not sent yet
    size_t output_start, output_end, output_room;
    unsigned char *input;      // room for the largest frame
    size_t input_size;
    purpose_name *purposes;
    size_t purpose_count;
    bool has_catalog;
    unsigned char *kept;       // the newest answer of the ledger, into which its texts point
    size_t kept_room;
    void *items;               // its events or statistics
    consent_identifier *identifiers;
};

typedef struct {
    uint8_t opcode, flags, low, high;  // low and high: the argument's bytes
    uint16_t argument;
    uint32_t request, word;
    const unsigned char *payload;
    size_t size;
} frame;

static uint16_t u16(const unsigned char *bytes) { uint16_t value; memcpy(&value, bytes, 2); return value; }
static uint32_t u32(const unsigned char *bytes) { uint32_t value; memcpy(&value, bytes, 4); return value; }
static uint64_t u64(const unsigned char *bytes) { uint64_t value; memcpy(&value, bytes, 8); return value; }

static int answer_nothing(consent_answer *answer, int error) {
    if (answer) *answer = (consent_answer){CONSENT_UNKNOWN, CONSENT_REASON_UNKNOWN, CONSENT_UNAVAILABLE, 0, error, 0};
    return error;
}

static size_t set_words(const awaited *asked) {
    return asked->opcode == CONSENT_OPCODE_CHECK_SUBJECTS ? (asked->count + 63) / 64 : asked->count;
}

static void give_up(const awaited *asked, int error) {
    answer_nothing(asked->answer, error);
    if (!asked->granted) return;
    memset(asked->granted, 0, 8 * set_words(asked));
    memset(asked->denied, 0, 8 * set_words(asked));
}

// Ends the connection: what is in flight is unknown.
static int fail(consent_client *client, int error) {
    if (client->failure == 0) client->failure = error;
    for (; client->waiting > 0; client->waiting--) {
        give_up(&client->queue[client->first], client->failure);
        client->first = (client->first + 1) % IN_FLIGHT_MAX;
    }
    if (client->socket >= 0) close(client->socket);
    client->socket = -1;
    return client->failure;
}

// MARK: Answers

// RFC 3629.
static bool is_utf8(const unsigned char *bytes, size_t size) {
    size_t position = 0;
    while (position < size) {
        unsigned char first = bytes[position++], min = 0x80, max = 0xBF;
        if (first < 0x80) continue;
        if (first < 0xC2 || first > 0xF4) return false;
        size_t length = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        if (first == 0xE0) min = 0xA0;
        if (first == 0xED) max = 0x9F;
        if (first == 0xF0) min = 0x90;
        if (first == 0xF4) max = 0x8F;
        if (length > size - position) return false;
        for (; length > 0; length--, position++) {
            if (bytes[position] < min || bytes[position] > max) return false;
            min = 0x80;
            max = 0xBF;
        }
    }
    return true;
}

// Takes a text with a size of one or two bytes off the front of a payload. False where it is not there, or is no text.
static bool take_text(frame *frame, size_t size_bytes, const unsigned char **text, size_t *size) {
    if (frame->size < size_bytes) return false;
    *size = size_bytes == 1 ? frame->payload[0] : u16(frame->payload);
    *text = frame->payload + size_bytes;
    if (*size > frame->size - size_bytes || !is_utf8(*text, *size)) return false;
    frame->payload += size_bytes + *size;
    frame->size -= size_bytes + *size;
    return true;
}

static bool take_bytes(frame *frame, void *bytes, size_t size) {
    if (frame->size < size) return false;
    memcpy(bytes, frame->payload, size);
    frame->payload += size;
    frame->size -= size;
    return true;
}

static bool take_text_of(frame *frame, size_t size_bytes, consent_text *text) {
    const unsigned char *bytes;
    if (!take_text(frame, size_bytes, &bytes, &text->size)) return false;
    text->bytes = (const char *)bytes;
    return true;
}

// Moves the payload to where it stays until the next call. Where there is no room for it, the answer is none.
static bool keep(consent_client *client, frame *frame) {
    if (frame->size > client->kept_room) {
        unsigned char *room = realloc(client->kept, frame->size);
        if (!room) return false;
        client->kept = room;
        client->kept_room = frame->size;
    }
    if (frame->size > 0) memcpy(client->kept, frame->payload, frame->size);
    frame->payload = client->kept;
    return true;
}

// Room for the parts of an answer, in place of those of the one before.
static void *make_items(consent_client *client, size_t count, size_t size) {
    free(client->items);
    client->items = calloc(count + 1, size);
    return client->items;
}

// Whether the smallest requests fit, and no limit is past what the protocol's fields can say.
static bool has_usable_limits(const unsigned char *limits) {
    uint32_t frame_size = u32(limits), in_flight = u32(limits + 4), subjects = u32(limits + 8), events = u32(limits + 12);
    return frame_size >= 2 * HEADER_BYTES + CONSENT_LIMIT_IDENTIFIER_SIZE_MAX && frame_size <= FRAME_BYTES_MAX
        && in_flight >= 1 && subjects >= 1 && subjects <= CONSENT_LIMIT_SUBJECTS_PER_CHECK_MAX && events >= 1
        && events <= CONSENT_LIMIT_EVENTS_PER_RECORD_MAX;
}

static bool take_welcome(consent_client *client, frame *frame) {
    const unsigned char *text;
    size_t size;
    if (frame->flags || frame->word || frame->size < 64) return false;
    if (frame->argument < CONSENT_VERSION_MIN || frame->argument > CONSENT_VERSION_MAX) return false;
    if (!has_usable_limits(frame->payload + 48)) return false;
    client->frame_size_max = u32(frame->payload + 48);
    client->subjects_max = u32(frame->payload + 56);
    frame->payload += 64;
    frame->size -= 64;
    return take_text(frame, 1, &text, &size) && take_text(frame, 1, &text, &size) && frame->size == 0;
}

// Of each state, see the table of decisions and reasons; in the index's answers only some of them occur.
static const uint8_t DECISION_OF[] = {
    CONSENT_UNKNOWN, CONSENT_UNKNOWN, CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_GRANTED, CONSENT_GRANTED, CONSENT_DENIED,
    CONSENT_DENIED, CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_UNKNOWN, CONSENT_DENIED, CONSENT_GRANTED, CONSENT_UNKNOWN};

static bool take_checked(const awaited *asked, const frame *frame) {
    uint8_t decision = frame->low, reason = frame->high;
    if (frame->flags || frame->size != 8 || frame->word > CONSENT_UNAVAILABLE) return false;
    if (reason >= sizeof DECISION_OF || DECISION_OF[reason] != decision) return false;
    if (frame->word == CONSENT_UNAVAILABLE && decision != CONSENT_UNKNOWN) return false;
    *asked->answer = (consent_answer){decision, reason, (uint8_t)frame->word, 0, 0, u64(frame->payload)};
    return true;
}

// What may be set in one word of the sets.
static uint64_t word_asked(const awaited *asked, size_t word) {
    if (asked->opcode == CONSENT_OPCODE_CHECK_PURPOSES) return asked->asked[word];
    size_t rest = asked->count - 64 * word;
    return rest >= 64 ? UINT64_MAX : ((uint64_t)1 << rest) - 1;
}

static bool take_sets(const awaited *asked, const frame *frame) {
    size_t words = set_words(asked);
    uint8_t freshness = (uint8_t)frame->word;
    uint32_t count = asked->opcode == CONSENT_OPCODE_CHECK_PURPOSES ? frame->word >> 8 : frame->word >> 16;
    bool has_zero = asked->opcode == CONSENT_OPCODE_CHECK_PURPOSES || (frame->word >> 8 & 0xFF) == 0;
    if (frame->flags || frame->argument || !has_zero || count != asked->count) return false;
    if (freshness > CONSENT_UNAVAILABLE || frame->size != 8 + 16 * words) return false;
    const unsigned char *granted = frame->payload + 8, *denied = granted + 8 * words;
    for (size_t word = 0; word < words; word++) {
        uint64_t yes = u64(granted + 8 * word), no = u64(denied + 8 * word);
        if ((yes & no) != 0 || ((yes | no) & ~word_asked(asked, word)) != 0) return false;
    }
    memcpy(asked->granted, granted, 8 * words);
    memcpy(asked->denied, denied, 8 * words);
    // Past its limit an answer is unknown, whatever else it says.
    if (freshness == CONSENT_UNAVAILABLE) give_up(asked, 0);
    *asked->answer = (consent_answer){0, 0, freshness, 0, 0, u64(frame->payload)};
    return true;
}

static bool take_catalog(consent_client *client, frame *frame) {
    size_t count = frame->argument;
    if (frame->flags || frame->size < 32 || count > BITS_MAX) return false;
    frame->payload += 32;
    frame->size -= 32;
    client->has_catalog = false;
    for (client->purpose_count = 0; client->purpose_count < count; client->purpose_count++) {
        purpose_name *purpose = client->purposes + client->purpose_count;
        const unsigned char *id, *controller;
        size_t id_size, size;
        if (frame->size < 4 || frame->payload[2] > 5 || frame->payload[3] > 0x3F) return false;
        purpose->bit = u16(frame->payload);
        if (purpose->bit >= BITS_MAX) return false;
        frame->payload += 4;
        frame->size -= 4;
        if (!take_text(frame, 1, &id, &id_size) || !take_text(frame, 1, &controller, &size)) return false;
        memcpy(purpose->id, id, id_size);
        purpose->id[id_size] = 0;
    }
    client->has_catalog = frame->size == 0;
    return client->has_catalog;
}

// An identifier as the ledger keeps it, whose value is in the answer.
static bool take_identifier(frame *frame, consent_identifier *identifier) {
    consent_text value;
    if (!take_bytes(frame, &identifier->type, 1) || !take_text_of(frame, 1, &value)) return false;
    identifier->value = value.bytes;
    identifier->size = value.size;
    return (identifier->type >= CONSENT_CUSTOMER && identifier->type <= CONSENT_NATIONAL_ID)
        || identifier->type == CONSENT_OTHER;
}

static bool take_guardian(frame *frame, consent_guardian *guardian) {
    return take_bytes(frame, &guardian->relation, 1) && consent_is_guardian(guardian->relation)
        && take_identifier(frame, &guardian->identifier);
}

static bool take_explained(consent_client *client, const awaited *asked, frame *frame) {
    consent_explanation *explanation = asked->result;
    uint8_t decision = frame->low, reason = frame->high, freshness = (uint8_t)frame->word;
    if (frame->flags > 1 || frame->word >> 24 || freshness > CONSENT_UNAVAILABLE || !keep(client, frame)) return false;
    if (reason >= sizeof DECISION_OF || DECISION_OF[reason] != decision) return false;
    if (freshness == CONSENT_UNAVAILABLE && decision != CONSENT_UNKNOWN) return false;
    consent_explanation read = {.answer = {decision, reason, freshness, 0, 0, 0}};
    read.basis = (uint8_t)(frame->word >> 8);
    read.deciding_state = (uint8_t)(frame->word >> 16);
    if (!consent_is_basis(read.basis) || (read.deciding_state && !consent_is_event(read.deciding_state))) return false;
    bool is_whole = take_bytes(frame, &read.answer.sequence, 8) && take_bytes(frame, &read.expires_at, 8)
        && take_bytes(frame, &read.granted_until, 8) && take_bytes(frame, &read.deciding_sequence, 8)
        && take_bytes(frame, &read.deciding_captured_at, 8) && take_text_of(frame, 1, &read.declaration)
        && take_text_of(frame, 1, &read.consented_revision) && take_text_of(frame, 1, &read.current_revision);
    if (is_whole && frame->flags) is_whole = take_guardian(frame, &read.guardian);
    if (!is_whole || frame->size != 0) return false;
    *explanation = read;
    return true;
}

static bool take_recorded(consent_client *client, const awaited *asked, frame *frame) {
    consent_outcome *outcomes = asked->result;
    if (frame->flags || frame->word || frame->argument != asked->count || !keep(client, frame)) return false;
    uint64_t head;
    if (!take_bytes(frame, &head, 8)) return false;
    for (size_t position = 0; position < asked->count; position++) {
        consent_outcome outcome = {0};
        uint16_t code;
        uint8_t flags, reserved;
        bool is_whole = take_bytes(frame, &code, 2) && take_bytes(frame, &flags, 1) && take_bytes(frame, &reserved, 1)
            && take_bytes(frame, &outcome.sequence, 8) && take_text_of(frame, 2, &outcome.message);
        if (!is_whole || flags > 1 || reserved) return false;
        outcome.error = code;
        outcome.is_duplicate = flags;
        outcomes[position] = outcome;
    }
    return frame->size == 0 && answer_nothing(asked->answer, 0) == 0;
}

static bool take_event(consent_client *client, frame *all, size_t identifiers, consent_event *event) {
    uint32_t size;
    uint16_t purpose;
    uint8_t flags, age, count;
    if (!take_bytes(all, &size, 4) || size > all->size) return false;
    frame own = {.payload = all->payload, .size = size};
    all->payload += size;
    all->size -= size;
    bool has_head = take_bytes(&own, event->key, 16) && take_bytes(&own, &purpose, 2)
        && take_bytes(&own, &event->state, 1) && take_bytes(&own, &event->method, 1)
        && take_bytes(&own, &event->party, 1) && take_bytes(&own, &flags, 1) && take_bytes(&own, &age, 1)
        && take_bytes(&own, &count, 1) && take_bytes(&own, &event->captured_at, 8)
        && take_bytes(&own, &event->expires_at, 8);
    if (!has_head || flags > 3 || !consent_is_event(event->state)) return false;
    if (!consent_is_method(event->method) || !consent_is_party(event->party)) return false;
    event->purpose_bit = purpose;
    event->is_explicit = flags & 1;
    event->has_age = age != UINT8_MAX;
    event->age = event->has_age ? age : 0;
    consent_text *texts[] = {&event->declaration, &event->revision, &event->language, &event->system, &event->channel,
        &event->form, &event->actor};
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        if (!take_text_of(&own, 1, texts[position])) return false;
    }
    if (!take_text_of(&own, 2, &event->evidence)) return false;
    event->identifiers = client->identifiers + identifiers;
    event->identifier_count = count;
    for (size_t position = 0; position < count; position++) {
        if (!take_identifier(&own, client->identifiers + identifiers + position)) return false;
    }
    if (flags & 2 && !take_guardian(&own, &event->guardian)) return false;
    return own.size == 0;
}

// Room for the identifiers of an answer: with two bytes each at least, no frame holds more.
static bool has_identifier_room(consent_client *client) {
    if (!client->identifiers) client->identifiers = malloc(FRAME_BYTES_MAX / 2 * sizeof *client->identifiers);
    return client->identifiers;
}

static bool take_history(consent_client *client, const awaited *asked, frame *frame) {
    enum { EVENT_BYTES_MIN = 60 };
    consent_history_page *page = asked->result;
    size_t count = frame->argument, identifiers = 0;
    if (frame->flags > 1 || frame->word || count > frame->size / EVENT_BYTES_MIN || !keep(client, frame)) return false;
    consent_recorded_event *events = make_items(client, count, sizeof *events);
    if (!events || !has_identifier_room(client) || !take_bytes(frame, &page->head, 8)) return false;
    for (size_t position = 0; position < count; position++) {
        consent_recorded_event *event = events + position;
        bool is_whole = take_bytes(frame, &event->sequence, 8) && take_bytes(frame, &event->recorded_at, 8)
            && take_bytes(frame, &event->refers_to, 8) && take_bytes(frame, event->hash, 32)
            && take_event(client, frame, identifiers, &event->event);
        if (!is_whole) return false;
        identifiers += event->event.identifier_count;
    }
    page->has_more = frame->flags;
    page->events = events;
    page->count = count;
    return frame->size == 0 && answer_nothing(asked->answer, 0) == 0;
}

static bool take_statistics(consent_client *client, const awaited *asked, frame *frame) {
    consent_statistics *statistics = asked->result;
    size_t count = frame->argument;
    if (frame->flags || frame->word || !keep(client, frame)) return false;
    consent_statistic *values = make_items(client, count, sizeof *values);
    if (!values) return false;
    for (size_t position = 0; position < count; position++) {
        if (!take_text_of(frame, 1, &values[position].name)) return false;
        if (!take_bytes(frame, &values[position].value, 8)) return false;
    }
    statistics->values = values;
    statistics->count = count;
    return frame->size == 0 && answer_nothing(asked->answer, 0) == 0;
}

static bool take_granted_count(const awaited *asked, frame *frame) {
    consent_granted_count *count = asked->result;
    if (frame->flags || frame->argument || frame->word || frame->size != 24) return false;
    count->sequence = u64(frame->payload);
    count->granted = u64(frame->payload + 8);
    count->known = u64(frame->payload + 16);
    return answer_nothing(asked->answer, 0) == 0;
}

static bool take_people(consent_client *client, const awaited *asked, frame *frame) {
    enum { PERSON_BYTES_MIN = 29 };
    consent_people_page *page = asked->result;
    size_t count = frame->argument, identifiers = 0;
    if (frame->flags > 1 || frame->word || count > frame->size / PERSON_BYTES_MIN || !keep(client, frame)) return false;
    consent_found_person *people = make_items(client, count, sizeof *people);
    if (!people || !has_identifier_room(client)) return false;
    if (!take_bytes(frame, &page->head, 8) || !take_bytes(frame, &page->next, 8)) return false;
    for (size_t position = 0; position < count; position++) {
        consent_found_person *person = people + position;
        uint8_t named;
        bool is_whole = take_bytes(frame, &person->number, 8) && take_bytes(frame, &person->state, 1)
            && take_bytes(frame, &named, 1) && take_bytes(frame, &person->since, 8) && take_bytes(frame, &person->until, 8)
            && take_text_of(frame, 1, &person->purpose) && take_text_of(frame, 1, &person->declaration)
            && take_text_of(frame, 1, &person->revision);
        if (!is_whole || !consent_is_state(person->state)) return false;
        person->identifiers = client->identifiers + identifiers;
        person->identifier_count = named;
        for (size_t end = identifiers + named; identifiers < end; identifiers++) {
            consent_identifier *identifier = client->identifiers + identifiers;
            if (!take_identifier(frame, identifier) || identifier->size == 0) return false;
        }
        // They stand in the person's first entry.
        if (named == 0 && position > 0 && person[-1].number == person->number) {
            person->identifiers = person[-1].identifiers;
            person->identifier_count = person[-1].identifier_count;
        }
    }
    page->has_more = frame->flags;
    page->people = people;
    page->count = count;
    return frame->size == 0 && answer_nothing(asked->answer, 0) == 0;
}

static bool take_applied_catalog(consent_client *client, const awaited *asked, frame *frame) {
    consent_catalog_changes *changes = asked->result;
    size_t count = frame->argument;
    if (frame->flags > 1 || count > frame->size / 2 || !keep(client, frame)) return false;
    consent_text *texts = make_items(client, count, sizeof *texts);
    if (!texts || !take_bytes(frame, &changes->sequence, 8)) return false;
    for (size_t position = 0; position < count; position++) {
        if (!take_text_of(frame, 2, texts + position)) return false;
    }
    changes->catalog_version = frame->word;
    changes->changes = texts;
    changes->count = count;
    return frame->size == 0 && answer_nothing(asked->answer, 0) == 0;
}

static bool take_answer(consent_client *client, const awaited *asked, frame *frame) {
    if (frame->opcode != (asked->opcode | 0x80)) return false;
    switch (asked->opcode) {
    case CONSENT_OPCODE_HELLO: return take_welcome(client, frame);
    case CONSENT_OPCODE_CHECK: return take_checked(asked, frame);
    case CONSENT_OPCODE_CHECK_PURPOSES:
    case CONSENT_OPCODE_CHECK_SUBJECTS: return take_sets(asked, frame);
    case CONSENT_OPCODE_CATALOG: return take_catalog(client, frame);
    case CONSENT_OPCODE_EXPLAIN: return take_explained(client, asked, frame);
    case CONSENT_OPCODE_RECORD: return take_recorded(client, asked, frame);
    case CONSENT_OPCODE_HISTORY: return take_history(client, asked, frame);
    case CONSENT_OPCODE_STATISTICS: return take_statistics(client, asked, frame);
    case CONSENT_OPCODE_COUNT_GRANTED: return take_granted_count(asked, frame);
    case CONSENT_OPCODE_PEOPLE: return take_people(client, asked, frame);
    case CONSENT_OPCODE_APPLY_CATALOG: return take_applied_catalog(client, asked, frame);
    case CONSENT_OPCODE_PING:
        if (frame->flags || frame->argument || frame->word || frame->size != 8) return false;
        if (u64(frame->payload) != asked->echo) return false;
        return answer_nothing(asked->answer, 0) == 0;
    default: return false;
    }
}

static bool take_push(consent_client *client, const frame *frame) {
    bool is_early = client->waiting > 0 && client->queue[client->first].opcode == CONSENT_OPCODE_HELLO;
    if (is_early || frame->flags || frame->argument || frame->request || frame->size) return false;
    if (frame->opcode == CONSENT_OPCODE_GOING_AWAY) client->is_going_away = true;
    else client->has_catalog = false;
    return true;
}

// False where the frame breaks the protocol.
static bool take_frame(consent_client *client, frame *frame) {
    if (frame->opcode == CONSENT_OPCODE_GOING_AWAY || frame->opcode == CONSENT_OPCODE_CATALOG_CHANGED) {
        return take_push(client, frame);
    }
    const awaited *asked = &client->queue[client->first];
    int error = 0;
    if (frame->opcode == CONSENT_OPCODE_ERROR) {
        const unsigned char *text;
        size_t size;
        error = frame->argument;
        if (frame->flags || error == 0 || !take_text(frame, 2, &text, &size) || frame->size != 0) return false;
        // It speaks of the connection, and is its last frame.
        if (frame->request == 0) return fail(client, error) != 0;
    }
    if (client->waiting == 0 || frame->request != asked->request) return false;
    if (error != 0) give_up(asked, error);
    else if (!take_answer(client, asked, frame)) return false;
    client->first = (client->first + 1) % IN_FLIGHT_MAX;
    client->waiting--;
    return true;
}

// Takes every whole frame that was received.
static int take_frames(consent_client *client) {
    size_t start = 0;
    while (client->failure == 0 && client->input_size - start >= 4) {
        const unsigned char *bytes = client->input + start;
        uint32_t length = u32(bytes);
        if (length < HEADER_BYTES - 4 || length > FRAME_BYTES_MAX - 4) {
            return fail(client, CONSENT_CLIENT_PROTOCOL_FAILURE);
        }
        if (client->input_size - start < (size_t)length + 4) break;
        frame frame = {bytes[4], bytes[5], bytes[6], bytes[7], u16(bytes + 6), u32(bytes + 8), u32(bytes + 12),
            bytes + HEADER_BYTES, (size_t)length + 4 - HEADER_BYTES};
        if (!take_frame(client, &frame)) return fail(client, CONSENT_CLIENT_PROTOCOL_FAILURE);
        start += (size_t)length + 4;
    }
    memmove(client->input, client->input + start, client->input_size - start);
    client->input_size -= start;
    return client->failure;
}

// MARK: The connection

static uint64_t now_nanos(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t now_millis(void) { return now_nanos() / 1000000; }

// Waits until something can be sent or received. Looks for it a while before it sleeps, as long as that pays: each time
// that nothing came the next look is half as long, down to none, and an answer that comes soon after brings it back.
static int wait_for(consent_client *client, struct pollfd *event, uint64_t millis) {
    if (client->spin_nanos_max == 0) return poll(event, 1, (int)millis);
    uint64_t begin = now_nanos();
    int found;
    do {
        if ((found = poll(event, 1, 0)) != 0) {
            client->spin_nanos = client->spin_nanos_max;
            return found;
        }
    } while (now_nanos() - begin < client->spin_nanos);
    client->spin_nanos = client->spin_nanos / 2 >= SPIN_NANOS_MIN ? client->spin_nanos / 2 : 0;
    found = poll(event, 1, (int)millis);
    if (found > 0 && now_nanos() - begin <= client->spin_nanos_max) client->spin_nanos = client->spin_nanos_max;
    return found;
}

static void send_some(consent_client *client) {
    ssize_t sent = send(
        client->socket, client->output + client->output_start, client->output_end - client->output_start, MSG_NOSIGNAL);
    if (sent > 0) client->output_start += (size_t)sent;
    else if (sent < 0 && errno != EAGAIN && errno != EINTR) fail(client, CONSENT_CLIENT_DISCONNECTED);
    if (client->output_start == client->output_end) client->output_start = client->output_end = 0;
}

static void receive_some(consent_client *client) {
    ssize_t got = recv(client->socket, client->input + client->input_size, FRAME_BYTES_MAX - client->input_size, 0);
    if (got > 0) {
        client->input_size += (size_t)got;
        take_frames(client);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        fail(client, CONSENT_CLIENT_DISCONNECTED);
    }
}

// Sends and receives until all is sent and at most so many answers are owed.
static int drive(consent_client *client, size_t waiting_max) {
    uint64_t deadline = now_millis() + client->timeout_millis;
    while (client->failure == 0 && (client->waiting > waiting_max || client->output_start < client->output_end)) {
        uint64_t now = now_millis();
        if (now >= deadline) return fail(client, CONSENT_CLIENT_TIMED_OUT);
        struct pollfd event = {client->socket, POLLIN, 0};
        if (client->output_start < client->output_end) event.events |= POLLOUT;
        if (wait_for(client, &event, deadline - now) <= 0) continue;
        // First what the server still had to say, should it have closed.
        if (event.revents & ~POLLOUT) receive_some(client);
        if (client->failure == 0 && (event.revents & POLLOUT)) send_some(client);
    }
    return client->failure;
}

// MARK: Requests

static void put_bytes(consent_client *client, const void *bytes, size_t size) {
    memcpy(client->output + client->output_end, bytes, size);
    client->output_end += size;
}

static void put_text(consent_client *client, const char *text, size_t size, size_t size_bytes) {
    put_bytes(client, &size, size_bytes);
    if (size > 0) put_bytes(client, text, size);
}

// Makes room for a frame and begins it; the payload is put behind it, then `end_frame`.
static int begin_frame(consent_client *client, uint8_t opcode, uint16_t argument, uint32_t word, awaited **asked) {
    if (client->failure != 0) return client->failure;
    bool is_full = client->waiting == IN_FLIGHT_MAX || client->output_end > client->output_room - FRAME_BYTES_MAX;
    if (is_full && drive(client, IN_FLIGHT_MAX / 2) != 0) return client->failure;
    *asked = &client->queue[(client->first + client->waiting) % IN_FLIGHT_MAX];
    // A counter that leaves out zero, which speaks of the connection.
    uint32_t request = client->next_request++;
    if (client->next_request == 0) client->next_request = 1;
    **asked = (awaited){.request = request, .opcode = opcode};
    unsigned char header[HEADER_BYTES] = {0};
    header[4] = opcode;
    memcpy(header + 6, &argument, 2);
    memcpy(header + 8, &request, 4);
    memcpy(header + 12, &word, 4);
    put_bytes(client, header, HEADER_BYTES);
    return 0;
}

static void end_frame(consent_client *client, size_t size) {
    uint32_t length = (uint32_t)(size - 4);
    memcpy(client->output + client->output_end - size, &length, 4);
    client->waiting++;
}

static bool is_sendable(const char *value, size_t size) {
    return value && size > 0 && size <= CONSENT_LIMIT_IDENTIFIER_SIZE_MAX;
}

int consent_client_queue(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer) {
    if (!client || !answer || purpose_bit >= BITS_MAX) return answer_nothing(answer, CONSENT_CLIENT_ARGUMENT);
    if (!is_sendable(value, size)) return answer_nothing(answer, CONSENT_ERROR_IDENTIFIER_INVALID);
    awaited *asked;
    int error = begin_frame(client, CONSENT_OPCODE_CHECK, (uint16_t)purpose_bit, type, &asked);
    answer_nothing(answer, error);
    if (error != 0) return error;
    asked->answer = answer;
    put_bytes(client, value, size);
    end_frame(client, HEADER_BYTES + size);
    return 0;
}

int consent_client_flush(consent_client *client) { return client ? drive(client, 0) : CONSENT_CLIENT_ARGUMENT; }

int consent_client_check(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer) {
    int error = consent_client_queue(client, type, value, size, purpose_bit, answer);
    if (error != 0) return error;
    consent_client_flush(client);
    return answer->error;
}

int consent_client_check_purposes(
    consent_client *client, uint8_t type, const char *value, size_t size, const uint64_t *purposes, size_t words,
    uint64_t *granted, uint64_t *denied, consent_answer *summary) {
    if (!granted || !denied || !summary || words == 0 || words > WORDS_MAX) {
        return answer_nothing(summary, CONSENT_CLIENT_ARGUMENT);
    }
    awaited *asked;
    int error = client && purposes ? 0 : CONSENT_CLIENT_ARGUMENT;
    if (error == 0 && !is_sendable(value, size)) error = CONSENT_ERROR_IDENTIFIER_INVALID;
    uint32_t word = type | (uint32_t)words << 8;
    if (error == 0) error = begin_frame(client, CONSENT_OPCODE_CHECK_PURPOSES, 0, word, &asked);
    if (error == 0) {
        asked->count = words;
        memcpy(asked->asked, purposes, 8 * words);
        asked->granted = granted;
        asked->denied = denied;
        asked->answer = summary;
        put_bytes(client, purposes, 8 * words);
        put_bytes(client, value, size);
        end_frame(client, HEADER_BYTES + 8 * words + size);
    }
    memset(granted, 0, 8 * words);
    memset(denied, 0, 8 * words);
    answer_nothing(summary, error);
    if (error == 0) consent_client_flush(client);
    return summary->error;
}

int consent_client_check_subjects(
    consent_client *client, uint8_t type, const consent_identifier *identifiers, size_t count, uint32_t purpose_bit,
    uint64_t *granted, uint64_t *denied, consent_answer *summary) {
    bool is_whole = client && identifiers && granted && denied && summary && count > 0 && purpose_bit < BITS_MAX;
    if (!is_whole || count > client->subjects_max || count > UINT16_MAX) {
        return answer_nothing(summary, CONSENT_CLIENT_ARGUMENT);
    }
    size_t words = (count + 63) / 64, frame_size = HEADER_BYTES;
    memset(granted, 0, 8 * words);
    memset(denied, 0, 8 * words);
    for (size_t position = 0; position < count; position++) {
        if (!is_sendable(identifiers[position].value, identifiers[position].size)) {
            return answer_nothing(summary, CONSENT_ERROR_IDENTIFIER_INVALID);
        }
        frame_size += 1 + identifiers[position].size;
    }
    if (frame_size > client->frame_size_max) return answer_nothing(summary, CONSENT_ERROR_FRAME_TOO_LARGE);
    awaited *asked;
    uint32_t word = type | (uint32_t)count << 16;
    int error = begin_frame(client, CONSENT_OPCODE_CHECK_SUBJECTS, (uint16_t)purpose_bit, word, &asked);
    answer_nothing(summary, error);
    if (error != 0) return error;
    asked->count = count;
    asked->granted = granted;
    asked->denied = denied;
    asked->answer = summary;
    for (size_t position = 0; position < count; position++) {
        put_text(client, identifiers[position].value, identifiers[position].size, 1);
    }
    end_frame(client, frame_size);
    consent_client_flush(client);
    return summary->error;
}

int consent_client_ping(consent_client *client) {
    if (!client) return CONSENT_CLIENT_ARGUMENT;
    awaited *asked;
    consent_answer answer;
    int error = begin_frame(client, CONSENT_OPCODE_PING, 0, 0, &asked);
    if (error != 0) return error;
    asked->answer = &answer;
    asked->echo = now_millis();
    put_bytes(client, &asked->echo, 8);
    end_frame(client, HEADER_BYTES + 8);
    error = consent_client_flush(client);
    return error != 0 ? error : answer.error;
}

// Begins what has no place in the order of the other answers, so when there are none to come.
static int begin_alone(consent_client *client, uint8_t opcode, uint16_t argument, uint32_t word, awaited **asked) {
    int error = consent_client_flush(client);
    return error != 0 ? error : begin_frame(client, opcode, argument, word, asked);
}

// Sends it and waits for its answer, whose error it returns.
static int await_alone(consent_client *client, awaited *asked, size_t size, consent_answer *answer, void *result) {
    answer_nothing(answer, 0);
    asked->answer = answer;
    asked->result = result;
    end_frame(client, size);
    int error = consent_client_flush(client);
    return error != 0 ? error : answer->error;
}

static int ask_catalog(consent_client *client) {
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_CATALOG, 0, 0, &asked);
    return error != 0 ? error : await_alone(client, asked, HEADER_BYTES, &answer, NULL);
}

// MARK: The ledger

int consent_client_explain(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_explanation *explanation) {
    if (!explanation) return CONSENT_CLIENT_ARGUMENT;
    *explanation = (consent_explanation){0};
    awaited *asked;
    consent_answer answer;
    int error = client && purpose_bit < BITS_MAX ? 0 : CONSENT_CLIENT_ARGUMENT;
    if (error == 0 && !is_sendable(value, size)) error = CONSENT_ERROR_IDENTIFIER_INVALID;
    if (error == 0) error = begin_alone(client, CONSENT_OPCODE_EXPLAIN, (uint16_t)purpose_bit, type, &asked);
    if (error == 0) {
        put_bytes(client, value, size);
        error = await_alone(client, asked, HEADER_BYTES + size, &answer, explanation);
    }
    if (error != 0) *explanation = (consent_explanation){.answer = {0, 0, CONSENT_UNAVAILABLE, 0, error, 0}};
    return error;
}

// Bytes of an event behind its size; zero where a text or a count is too large for its field.
static size_t event_size(const consent_event *event) {
    const consent_text *texts[] = {&event->declaration, &event->revision, &event->language, &event->system,
        &event->channel, &event->form, &event->actor};
    size_t size = 16 + 2 + 6 + 16 + 2 + event->evidence.size;
    if (event->evidence.size > UINT16_MAX || event->identifier_count > UINT8_MAX) return 0;
    if (event->identifier_count > 0 && !event->identifiers) return 0;
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        if (texts[position]->size > UINT8_MAX) return 0;
        size += 1 + texts[position]->size;
    }
    for (size_t position = 0; position < event->identifier_count; position++) {
        if (event->identifiers[position].size > UINT8_MAX) return 0;
        size += 2 + event->identifiers[position].size;
    }
    if (event->guardian.relation == 0) return size;
    const consent_identifier *guardian = &event->guardian.identifier;
    return guardian->size > UINT8_MAX || (guardian->size > 0 && !guardian->value) ? 0 : size + 3 + guardian->size;
}

static void put_event(consent_client *client, const consent_event *event) {
    const consent_text *texts[] = {&event->declaration, &event->revision, &event->language, &event->system,
        &event->channel, &event->form, &event->actor};
    uint32_t size = (uint32_t)event_size(event);
    uint16_t purpose = (uint16_t)event->purpose_bit;
    const uint8_t flags = (uint8_t)(event->is_explicit | (event->guardian.relation ? 2 : 0));
    const uint8_t codes[] = {event->state, event->method, event->party, flags,
        event->has_age ? event->age : UINT8_MAX, (uint8_t)event->identifier_count};
    put_bytes(client, &size, 4);
    put_bytes(client, event->key, 16);
    put_bytes(client, &purpose, 2);
    put_bytes(client, codes, sizeof codes);
    put_bytes(client, &event->captured_at, 8);
    put_bytes(client, &event->expires_at, 8);
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        put_text(client, texts[position]->bytes, texts[position]->size, 1);
    }
    put_text(client, event->evidence.bytes, event->evidence.size, 2);
    for (size_t position = 0; position < event->identifier_count; position++) {
        const consent_identifier *identifier = event->identifiers + position;
        put_bytes(client, &identifier->type, 1);
        put_text(client, identifier->value, identifier->size, 1);
    }
    if (event->guardian.relation) {
        put_bytes(client, &event->guardian.relation, 1);
        put_bytes(client, &event->guardian.identifier.type, 1);
        put_text(client, event->guardian.identifier.value, event->guardian.identifier.size, 1);
    }
}

static bool fill_key(uint8_t *key) {
    static const uint8_t none[16] = {0};
    while (memcmp(key, none, 16) == 0) {
        if (getrandom(key, 16, 0) != 16) return false;
    }
    return true;
}

static int send_events(consent_client *client, consent_event *events, size_t count, consent_outcome *outcomes) {
    size_t size = HEADER_BYTES;
    for (size_t position = 0; position < count; position++) {
        size_t one = event_size(events + position);
        if (one == 0 || events[position].purpose_bit > UINT16_MAX || !fill_key(events[position].key)) {
            return CONSENT_CLIENT_ARGUMENT;
        }
        size += 4 + one;
        if (size > client->frame_size_max) return CONSENT_ERROR_FRAME_TOO_LARGE;
    }
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_RECORD, (uint16_t)count, 0, &asked);
    if (error != 0) return error;
    asked->count = count;
    for (size_t position = 0; position < count; position++) put_event(client, events + position);
    return await_alone(client, asked, size, &answer, outcomes);
}

int consent_client_record(consent_client *client, consent_event *events, size_t count, consent_outcome *outcomes) {
    if (!client || !events || !outcomes || count == 0 || count > CONSENT_LIMIT_EVENTS_PER_RECORD_MAX) {
        return CONSENT_CLIENT_ARGUMENT;
    }
    int error = send_events(client, events, count, outcomes);
    for (size_t position = 0; error != 0 && position < count; position++) {
        outcomes[position] = (consent_outcome){.error = error};
    }
    return error;
}

int consent_client_history(
    consent_client *client, uint8_t type, const char *value, size_t size, uint64_t after, size_t count_max,
    consent_history_page *page) {
    if (!page) return CONSENT_CLIENT_ARGUMENT;
    *page = (consent_history_page){0};
    if (!client || count_max > UINT16_MAX) return CONSENT_CLIENT_ARGUMENT;
    if (!is_sendable(value, size)) return CONSENT_ERROR_IDENTIFIER_INVALID;
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_HISTORY, (uint16_t)count_max, type, &asked);
    if (error != 0) return error;
    put_bytes(client, &after, 8);
    put_bytes(client, value, size);
    error = await_alone(client, asked, HEADER_BYTES + 8 + size, &answer, page);
    if (error != 0) *page = (consent_history_page){0};
    return error;
}

int consent_client_statistics(consent_client *client, consent_statistics *statistics) {
    if (!client || !statistics) return CONSENT_CLIENT_ARGUMENT;
    *statistics = (consent_statistics){0};
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_STATISTICS, 0, 0, &asked);
    return error != 0 ? error : await_alone(client, asked, HEADER_BYTES, &answer, statistics);
}

int consent_client_count_granted(
    consent_client *client, const char *purpose, const char *but_not, consent_granted_count *count) {
    if (!client || !purpose || !count) return CONSENT_CLIENT_ARGUMENT;
    *count = (consent_granted_count){0};
    size_t size = strlen(purpose), other_size = but_not ? strlen(but_not) : 0;
    if (size > UINT8_MAX || other_size > UINT8_MAX) return CONSENT_CLIENT_ARGUMENT;
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_COUNT_GRANTED, 0, 0, &asked);
    if (error != 0) return error;
    put_text(client, purpose, size, 1);
    put_text(client, but_not, other_size, 1);
    return await_alone(client, asked, HEADER_BYTES + 2 + size + other_size, &answer, count);
}

int consent_client_people(
    consent_client *client, const consent_people_question *question, consent_people_page *page) {
    if (!client || !question || !page) return CONSENT_CLIENT_ARGUMENT;
    *page = (consent_people_page){0};
    if (!consent_is_people(question->selection) || question->count_max > UINT16_MAX) return CONSENT_CLIENT_ARGUMENT;
    const consent_text *texts[] = {&question->purpose, &question->but_not, &question->declaration, &question->revision,
        &question->recipient};
    size_t size = HEADER_BYTES + 32;
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        if (texts[position]->size > UINT8_MAX) return CONSENT_CLIENT_ARGUMENT;
        size += 1 + texts[position]->size;
    }
    if (size > client->frame_size_max || question->document.size > client->frame_size_max - size) {
        return CONSENT_ERROR_FRAME_TOO_LARGE;
    }
    awaited *asked;
    consent_answer answer;
    uint32_t word = question->selection | (uint32_t)question->reasons << 8;
    int error = begin_alone(client, CONSENT_OPCODE_PEOPLE, (uint16_t)question->count_max, word, &asked);
    if (error != 0) return error;
    put_bytes(client, &question->after, 8);
    put_bytes(client, &question->from, 8);
    put_bytes(client, &question->until, 8);
    put_bytes(client, &question->as_of, 8);
    for (size_t position = 0; position < sizeof texts / sizeof *texts; position++) {
        put_text(client, texts[position]->bytes, texts[position]->size, 1);
    }
    put_text(client, question->document.bytes, question->document.size, 0);
    error = await_alone(client, asked, size + question->document.size, &answer, page);
    if (error != 0) *page = (consent_people_page){0};
    return error;
}

// MARK: The catalog

int consent_client_apply_catalog(
    consent_client *client, const char *document, size_t size, bool is_dry_run, consent_catalog_changes *changes) {
    if (!client || !document || !changes) return CONSENT_CLIENT_ARGUMENT;
    *changes = (consent_catalog_changes){0};
    if (size > client->frame_size_max - HEADER_BYTES) return CONSENT_ERROR_FRAME_TOO_LARGE;
    awaited *asked;
    consent_answer answer;
    int error = begin_alone(client, CONSENT_OPCODE_APPLY_CATALOG, 0, 0, &asked);
    if (error != 0) return error;
    client->output[client->output_end - HEADER_BYTES + 5] = is_dry_run;
    put_text(client, document, size, 0);
    error = await_alone(client, asked, HEADER_BYTES + size, &answer, changes);
    if (error != 0) *changes = (consent_catalog_changes){0};
    return error;
}

int consent_client_purpose(consent_client *client, const char *id, uint32_t *bit) {
    if (!client || !id || !bit) return CONSENT_CLIENT_ARGUMENT;
    int error = client->has_catalog ? client->failure : ask_catalog(client);
    if (error != 0) return error;
    for (size_t position = 0; position < client->purpose_count; position++) {
        if (strcmp(client->purposes[position].id, id) != 0) continue;
        *bit = client->purposes[position].bit;
        return 0;
    }
    return CONSENT_CLIENT_PURPOSE_UNKNOWN;
}

int consent_client_poll(consent_client *client) {
    if (!client) return CONSENT_CLIENT_ARGUMENT;
    struct pollfd event = {client->socket, POLLIN, 0};
    while (client->failure == 0 && poll(&event, 1, 0) > 0) receive_some(client);
    return client->failure;
}

bool consent_client_is_going_away(const consent_client *client) { return client && client->is_going_away; }

// MARK: Opening and closing

// Connects within the time that is left. The descriptor, or -1.
static int connect_to(int family, const struct sockaddr *address, socklen_t size, uint64_t deadline) {
    int made = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
    if (made < 0) return -1;
    if (family != AF_UNIX) (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    bool is_made = connect(made, address, size) == 0;
    if (!is_made && errno == EINPROGRESS) {
        int problem = 0;
        socklen_t problem_size = sizeof problem;
        uint64_t now;
        struct pollfd event = {made, POLLOUT, 0};
        while ((now = now_millis()) < deadline && poll(&event, 1, (int)(deadline - now)) < 0 && errno == EINTR) {}
        is_made = event.revents != 0 && getsockopt(made, SOL_SOCKET, SO_ERROR, &problem, &problem_size) == 0
            && problem == 0;
    }
    if (is_made) return made;
    close(made);
    return -1;
}

static int connect_unix(const char *path, uint64_t deadline) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -1;
    memcpy(address.sun_path, path, strlen(path));
    return connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof address, deadline);
}

static int connect_tcp(const char *host, const char *port, uint64_t deadline) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
    int made = -1;
    for (const struct addrinfo *next = found; next && made < 0; next = next->ai_next) {
        made = connect_to(next->ai_family, next->ai_addr, next->ai_addrlen, deadline);
    }
    freeaddrinfo(found);
    return made;
}

static int shake_hands(consent_client *client, const consent_client_options *options) {
    static const char VERSION[] = "1";
    const char *name = options->name ? options->name : "consent_client.c";
    const char *token = options->token ? options->token : "";
    if (strlen(name) > UINT8_MAX || strlen(token) > UINT16_MAX) return CONSENT_CLIENT_ARGUMENT;
    awaited *asked;
    consent_answer answer = {0};
    int error = begin_frame(client, CONSENT_OPCODE_HELLO, 0, CONSENT_MAGIC, &asked);
    if (error != 0) return error;
    asked->answer = &answer;
    const uint16_t window[4] = {CONSENT_VERSION_MIN, CONSENT_VERSION_MAX, 0, 0};
    const uint8_t any[16] = {0};
    size_t start = client->output_end - HEADER_BYTES;
    put_bytes(client, window, 8);
    put_bytes(client, options->deployment ? options->deployment : any, 16);
    put_text(client, name, strlen(name), 1);
    put_text(client, VERSION, sizeof VERSION - 1, 1);
    put_text(client, token, strlen(token), 2);
    end_frame(client, client->output_end - start);
    error = consent_client_flush(client);
    return answer.error != 0 ? answer.error : error;
}

static consent_client *make_client(uint32_t timeout_millis) {
    consent_client *client = calloc(1, sizeof *client);
    if (!client) return NULL;
    client->socket = -1;
    client->timeout_millis = timeout_millis ? timeout_millis : TIMEOUT_MILLIS;
    client->next_request = 1;
    client->output_room = FRAME_BYTES_MAX + IN_FLIGHT_MAX / 2 * CHECK_BYTES_MAX;
    client->output = malloc(client->output_room);
    client->input = malloc(FRAME_BYTES_MAX);
    client->purposes = malloc(BITS_MAX * sizeof *client->purposes);
    if (client->output && client->input && client->purposes) return client;
    consent_client_close(client);
    return NULL;
}

int consent_client_open(const consent_client_options *options, consent_client **out) {
    if (!out) return CONSENT_CLIENT_ARGUMENT;
    *out = NULL;
    if (!options || (!options->socket_path && (!options->host || !options->port))) return CONSENT_CLIENT_ARGUMENT;
    consent_client *client = make_client(options->timeout_millis);
    if (!client) return CONSENT_CLIENT_NO_MEMORY;
    uint64_t deadline = now_millis() + client->timeout_millis;
    client->socket = options->socket_path ? connect_unix(options->socket_path, deadline)
                                          : connect_tcp(options->host, options->port, deadline);
    client->spin_nanos = client->spin_nanos_max = (uint64_t)options->spin_micros * 1000;
    int error = client->socket < 0 ? CONSENT_CLIENT_UNREACHABLE : shake_hands(client, options);
    if (error == 0) *out = client;
    else consent_client_close(client);
    return error;
}

void consent_client_close(consent_client *client) {
    if (!client) return;
    if (client->socket >= 0) close(client->socket);
    free(client->output);
    free(client->input);
    free(client->purposes);
    free(client->kept);
    free(client->items);
    free(client->identifiers);
    free(client);
}

int consent_client_advice(int error) {
    switch (error) {
    case CONSENT_CLIENT_TIMED_OUT:
    case CONSENT_CLIENT_DISCONNECTED:
    case CONSENT_CLIENT_UNREACHABLE: return CONSENT_RECONNECT;
    default: return consent_error_advice(error);
    }
}

const char *consent_client_error_text(int error) {
    switch (error) {
    case 0: return "no error";
    case CONSENT_CLIENT_PROTOCOL_FAILURE: return "the server broke the protocol: is it a consentd of this version?";
    case CONSENT_CLIENT_TIMED_OUT: return "no answer within the timeout; the connection was closed";
    case CONSENT_CLIENT_DISCONNECTED: return "the connection ended before the answer came";
    case CONSENT_CLIENT_UNREACHABLE: return "no connection could be made: does the server run there?";
    case CONSENT_CLIENT_NO_MEMORY: return "no memory";
    case CONSENT_CLIENT_ARGUMENT: return "a null pointer, or a number or text out of range: mend the caller";
    case CONSENT_CLIENT_PURPOSE_UNKNOWN: return "the catalog has no purpose with this id";
    default: return consent_error_meaning(error);
    }
}
