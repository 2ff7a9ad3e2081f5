// Asks a consentd server over its wire protocol (Protocol/protocol.md), on TCP or a Unix socket, and records what people
// say.
//
// A client is one connection and belongs to one thread at a time. Every call that waits ends after the client's
// timeout; after an error that ends the connection every further call fails with it: close the client, open another.
//
// Whatever goes wrong, the answer is unknown and unavailable, never granted.
#ifndef CONSENT_CLIENT_H
#define CONSENT_CLIENT_H

#include "consent_protocol.h"
#include "consent_reader.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Errors are those of the server (CONSENT_ERROR_…), and these.
enum {
    CONSENT_CLIENT_PROTOCOL_FAILURE = 1000,
    CONSENT_CLIENT_TIMED_OUT = 1001,
    CONSENT_CLIENT_DISCONNECTED = 1002,
    CONSENT_CLIENT_UNREACHABLE = 1003,
    CONSENT_CLIENT_NO_MEMORY = 1004,
    CONSENT_CLIENT_ARGUMENT = 1005,
    // The catalog has no purpose with this id.
    CONSENT_CLIENT_PURPOSE_UNKNOWN = 1006
};

typedef struct {
    const char *host;           // a name or an address; null where socket_path says where
    const char *port;           // "7401"
    const char *socket_path;    // of a Unix socket
    const uint8_t *deployment;  // 16 bytes: the deployment that is meant; null for whichever it is
    const char *name;           // for the server's log; may be null
    const char *token;          // null where the server wants none
    uint32_t timeout_millis;    // of every call that waits, connecting included; zero for 2000
    uint32_t spin_micros;       // how long a call looks for answers before it sleeps; zero: it sleeps at once. They come
                                // sooner, and the thread takes a whole processor meanwhile. It does less of it by itself
                                // where answers do not come within that time.
} consent_client_options;

typedef struct consent_client consent_client;

// Connects and shakes hands. `*out` is null after a failure.
int consent_client_open(const consent_client_options *options, consent_client **out);

// Closes the connection. Answers that have not come stay as they are: unknown.
void consent_client_close(consent_client *client);

// The bit of a purpose on this connection, by its id. Asks for the catalog where it is not there or has changed.
int consent_client_purpose(consent_client *client, const char *id, uint32_t *bit);

// One subject, one purpose. Fills `answer` in every case and returns its error.
int consent_client_check(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer);

// The same for many at once: queue them, then flush. `answer` is unknown until the flush has filled it, and must stay
// until then. Queueing sends and receives where there is no more room; it fails only where the flush would.
int consent_client_queue(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer);

// Sends what was queued and waits for the answers; each has its own error, this one is that of the connection.
int consent_client_flush(consent_client *client);

// One subject, many purposes: bit n of word w stands for purpose 64 w + n, in 1 to 15 words. Of the purposes asked for,
// what is in neither set is unknown. `summary` holds sequence, freshness and error.
int consent_client_check_purposes(
    consent_client *client, uint8_t type, const char *value, size_t size, const uint64_t *purposes, size_t words,
    uint64_t *granted, uint64_t *denied, consent_answer *summary);

// Many subjects of one type, one purpose, in one frame: bit n of word w of each set stands for subject 64 w + n. Both
// sets have (count + 63) / 64 words. One bad identifier fails all.
int consent_client_check_subjects(
    consent_client *client, uint8_t type, const consent_identifier *identifiers, size_t count, uint32_t purpose_bit,
    uint64_t *granted, uint64_t *denied, consent_answer *summary);

// MARK: The ledger

// Text of a frame: not ended by a null byte. What an answer holds is the client's, until its next call.
typedef struct {
    const char *bytes;
    size_t size;
} consent_text;

// For texts of the program's own.
static inline consent_text consent_text_of(const char *text) {
    consent_text made = {text, 0};
    while (text && text[made.size]) made.size++;
    return made;
}

// Who consents for a person, and by what right.
typedef struct {
    uint8_t relation;           // CONSENT_GUARDIAN_…; zero: nobody is named
    consent_identifier identifier;  // or as CONSENT_OTHER a reference, such as a case number
} consent_guardian;

// What a person did. Set all of it to zero first; a grant names declaration, revision, language and method, a "no" needs
// a purpose, a state and an identifier.
typedef struct {
    // Makes a repetition harmless. Where it is zero, `consent_client_record` fills it in before it sends: to repeat an act
    // whose outcome is not known, send this very event again.
    uint8_t key[16];
    uint32_t purpose_bit;
    uint8_t state;              // CONSENT_EVENT_…
    uint8_t method;             // CONSENT_METHOD_…
    uint8_t party;              // CONSENT_PARTY_…; zero is the person
    bool is_explicit;           // the act was an express statement
    bool has_age;
    uint8_t age;                // in years, when acting
    int64_t captured_at;        // milliseconds since 1970; zero: when the server records it
    int64_t expires_at;         // zero: the act names no end
    consent_text declaration, revision, language, system, channel, form, actor, evidence;
    const consent_identifier *identifiers;
    size_t identifier_count;    // 1 to 16
    consent_guardian guardian;  // a consent by a guardian is refused without
} consent_event;

typedef struct {
    int error;                  // zero: recorded, durable, and seen by checks; else the rule that the event broke
    bool is_duplicate;          // it was in the ledger; this is its first answer again
    uint64_t sequence;          // zero where it was refused
    consent_text message;
} consent_outcome;

// Records 1 to 4096 events; all that are accepted commit together. One outcome for each, also where the call fails: then
// the error is that of all, and after CONSENT_CLIENT_TIMED_OUT, CONSENT_CLIENT_DISCONNECTED or
// CONSENT_ERROR_INTERNAL_FAILURE it is not known what was recorded.
int consent_client_record(consent_client *client, consent_event *events, size_t count, consent_outcome *outcomes);

typedef struct {
    consent_answer answer;      // its reason is exact: CONSENT_STATE_…
    uint8_t basis;              // CONSENT_BASIS_…
    uint8_t deciding_state;     // CONSENT_EVENT_…; zero: no event decided
    uint64_t deciding_sequence;
    int64_t deciding_captured_at;
    int64_t expires_at, granted_until;  // zero for none
    consent_text declaration, consented_revision, current_revision;
    consent_guardian guardian;  // who acted for the person, or confirmed what the person did
} consent_explanation;

// One subject, one purpose, with what led to it; read from the ledger, thousands of times slower than a check. Fills
// `explanation` in every case and returns its error.
int consent_client_explain(
    consent_client *client, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_explanation *explanation);

typedef struct {
    uint64_t sequence;
    int64_t recorded_at;
    uint64_t refers_to;         // the grant that a confirmed or expired event names
    uint8_t hash[32];           // SHA-256 of the chain at this event
    consent_event event;
} consent_recorded_event;

typedef struct {
    uint64_t head;              // sequence of the ledger
    bool has_more;              // behind the last of these
    const consent_recorded_event *events;
    size_t count;
} consent_history_page;

// A subject's events after a sequence, oldest first: as many as are wanted at most, zero for as many as the server gives.
int consent_client_history(
    consent_client *client, uint8_t type, const char *value, size_t size, uint64_t after, size_t count_max,
    consent_history_page *page);

typedef struct {
    consent_text name;
    uint64_t value;
} consent_statistic;

typedef struct {
    const consent_statistic *values;
    size_t count;
} consent_statistics;

// Counters and sizes of the node.
int consent_client_statistics(consent_client *client, consent_statistics *statistics);

typedef struct {
    uint64_t granted, known;    // identifiers
    uint64_t sequence;
} consent_granted_count;

// How many identifiers are granted a purpose, and not another; `but_not` may be null.
int consent_client_count_granted(
    consent_client *client, const char *purpose, const char *but_not, consent_granted_count *count);

// Which people, and what narrows them; set all of it to zero first. Protocol/protocol.md, `people`, says what each selection
// looks at.
typedef struct {
    uint8_t selection;          // CONSENT_PEOPLE_…
    uint8_t reasons;            // of CONSENT_PEOPLE_ASK_AGAIN: bit 0 unknown, 1 requested, 2 expired, 3 outdated, 4 dormant
    size_t count_max;           // people wanted at most; zero leaves it to the server
    uint64_t after;             // only people with a higher number: the page's `next`, to read on
    int64_t from, until;        // milliseconds since 1970
    uint64_t as_of;             // of CONSENT_PEOPLE_ACTIVE: what was recorded later is left out; zero: nothing is
    consent_text purpose, but_not, declaration, revision, recipient;
    consent_text document;      // of CONSENT_PEOPLE_OUTDATED_BY: a catalog to judge by; empty for the applied one
} consent_people_question;

typedef struct {
    uint64_t number;            // of the person
    uint8_t state;              // CONSENT_STATE_…
    int64_t since, until;       // zero for none
    consent_text purpose, declaration, revision;
    const consent_identifier *identifiers;  // everything that the person is known by
    size_t identifier_count;
} consent_found_person;

typedef struct {
    uint64_t head;              // sequence of the ledger
    uint64_t next;              // ask again after it, while there are more; a page may be empty and more follow
    bool has_more;
    const consent_found_person *people;     // of whom several purposes were found, an entry for each
    size_t count;
} consent_people_page;

// A page of a list of people. No permission: check each person again before each use.
int consent_client_people(
    consent_client *client, const consent_people_question *question, consent_people_page *page);

typedef struct {
    uint64_t sequence;          // of the event that records the change; zero where nothing was changed
    uint32_t catalog_version;   // after it
    const consent_text *changes;            // for people, one each
    size_t count;
} consent_catalog_changes;

// Judges a catalog, and applies it unless this is a dry run: all of it, or where it breaks rules
// (CONSENT_ERROR_CATALOG_REJECTED) nothing. After CONSENT_CLIENT_TIMED_OUT or CONSENT_CLIENT_DISCONNECTED it is not known
// whether it was applied: apply it again, which changes nothing where it was.
int consent_client_apply_catalog(
    consent_client *client, const char *document, size_t size, bool is_dry_run, consent_catalog_changes *changes);

// MARK: The connection

// Takes what has come by itself, without waiting: that the server stops, or that the catalog has changed. For programs
// that ask seldom; every other call takes it as well.
int consent_client_poll(consent_client *client);

// Whether somebody is there. A connection that is quiet for long should be asked now and then.
int consent_client_ping(consent_client *client);

// The server stops soon: connect elsewhere, or again a little later.
bool consent_client_is_going_away(const consent_client *client);

// CONSENT_DO_NOT_RETRY, CONSENT_RETRY_LATER or CONSENT_RECONNECT, also for the errors of this client.
int consent_client_advice(int error);

const char *consent_client_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif
