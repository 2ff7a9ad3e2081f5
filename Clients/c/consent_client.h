// Asks a consentd server for checks over its wire protocol (Protocol/protocol.md), on TCP or a Unix socket.
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
