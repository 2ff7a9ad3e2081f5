// Answers checks from the index of a consentd node on the same machine: its file is mapped, no process is asked.
//
// A reader belongs to one thread at a time; open one for each. A check allocates nothing, locks nothing and makes no
// system call, unless the writer has put a newer file in the place of the one that is mapped.
//
// Whatever goes wrong, the answer is unknown and unavailable, never granted.
#ifndef CONSENT_READER_H
#define CONSENT_READER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CONSENT_READER_OK = 0,
    // The caller.
    CONSENT_READER_IDENTIFIER_INVALID = 1,
    CONSENT_READER_PURPOSE_UNKNOWN = 2,
    CONSENT_READER_ARGUMENT = 3,
    // The machine.
    CONSENT_READER_NO_MEMORY = 16,
    CONSENT_READER_SYSTEM = 17,
    // The node's folder.
    CONSENT_READER_KEY_MISSING = 32,
    CONSENT_READER_KEY_DAMAGED = 33,
    CONSENT_READER_INDEX_MISSING = 34,
    CONSENT_READER_NOT_AN_INDEX = 35,
    CONSENT_READER_FORMAT_VERSION = 36,
    CONSENT_READER_HEADER_DAMAGED = 37,
    CONSENT_READER_SIZE_WRONG = 38,
    CONSENT_READER_ANOTHER_KEY = 39,
    CONSENT_READER_ANOTHER_HISTORY = 40,
    CONSENT_READER_ANOTHER_BOOT = 41,
    CONSENT_READER_UNSETTLED = 42,
    CONSENT_READER_PURPOSES_MISSING = 43,
    CONSENT_READER_PURPOSES_DAMAGED = 44
} consent_reader_error;

enum { CONSENT_UNKNOWN = 0, CONSENT_DENIED = 1, CONSENT_GRANTED = 2 };

enum { CONSENT_LIVE = 0, CONSENT_STALE = 1, CONSENT_UNAVAILABLE = 2 };

// The reasons that an index can give; each stands for a class of states.
enum {
    CONSENT_REASON_UNKNOWN = 0,
    CONSENT_REASON_GIVEN = 4,
    CONSENT_REASON_WITHDRAWN = 6,
    CONSENT_REASON_EXPIRED = 8,
    CONSENT_REASON_INVALIDATED = 9,
    CONSENT_REASON_OBJECTED = 11,
    CONSENT_REASON_BASIS_HOLDS = 12
};

enum {
    CONSENT_CUSTOMER = 1,
    CONSENT_EMAIL = 2,
    CONSENT_PHONE = 3,
    CONSENT_DEVICE = 4,
    CONSENT_COOKIE = 5,
    CONSENT_ADVERTISING = 6,
    CONSENT_LOYALTY_CARD = 7,
    CONSENT_NATIONAL_ID = 8,
    CONSENT_OTHER = 15
};

typedef struct {
    uint8_t decision;   // only CONSENT_GRANTED permits anything
    uint8_t reason;     // for people
    uint8_t freshness;  // unavailable: the decision is unknown
    uint8_t zero;
    int32_t error;      // a consent_reader_error: why there is no answer
    uint64_t sequence;  // every event of the ledger up to it is in the answer
} consent_answer;

typedef struct {
    const char *value;  // UTF-8 as the caller has it, without an end mark; the reader makes the normal form
    size_t size;        // in bytes, 1 to 255
    uint8_t type;
} consent_identifier;

typedef struct consent_reader consent_reader;

// Maps the index of a node's folder. `*out` is null after a failure.
int consent_reader_open(const char *node_folder, consent_reader **out);

void consent_reader_close(consent_reader *reader);

// The bit of a purpose, by its id in the catalog. Ask once and keep it as long as the reader: should another purpose get
// this bit, or this purpose another one, nothing is answered any more, with CONSENT_READER_ANOTHER_HISTORY.
int consent_reader_purpose(consent_reader *reader, const char *id, uint32_t *bit);

// One subject, one purpose. Fills `answer` in every case and returns its error.
int consent_reader_check(
    consent_reader *reader, uint8_t type, const char *value, size_t size, uint32_t purpose_bit,
    consent_answer *answer);

// Many subjects, one purpose. Fills `count` answers in every case and returns the first error among them.
int consent_reader_check_many(
    consent_reader *reader, const consent_identifier *identifiers, size_t count, uint32_t purpose_bit,
    consent_answer *answers);

// One subject, many purposes: bit n of word w stands for purpose 64 w + n, in 1 to 15 words. Of the purposes asked for,
// what is in neither set is unknown. Fills both sets in every case. `summary` holds the sequence, the error, and the
// worst freshness among the purposes; its decision and reason say nothing.
int consent_reader_check_purposes(
    consent_reader *reader, uint8_t type, const char *value, size_t size, const uint64_t *purposes, size_t words,
    uint64_t *granted, uint64_t *denied, consent_answer *summary);

// What an error means, and what to do about it.
const char *consent_reader_error_text(int error);

#ifdef __cplusplus
}
#endif

#endif
