// How long a mapped check takes: `reader [IDENTIFIERS]` (10,000,000) makes an index of that many rows, asks for them in
// an order that no processor guesses, and prints nanoseconds a check. The checksum is of all answers: the same for the
// same number of identifiers, whatever the machine.
#include "../consent_reader.c"
#include "../tests/index_writer.h"

enum { BATCH = 4096, CHECKS_MAX = 4000000 };

typedef struct {
    char text[12];
} name;

// Fixed width, so that making a name costs the same for all.
static name name_of(uint64_t number) {
    name name;
    for (int position = 11; position >= 0; position--, number /= 10) name.text[position] = (char)('0' + number % 10);
    return name;
}

static uint64_t next(uint64_t *state) {
    // Splitmix (Steele, Lea and Flood 2014).
    uint64_t word = *state += 0x9E3779B97F4A7C15;
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9;
    word = (word ^ word >> 27) * 0x94D049BB133111EB;
    return word ^ word >> 31;
}

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void report(const char *what, double started, size_t checks, uint64_t checksum) {
    printf("%-34s %8.1f ns a check, checksum %016llx\n", what, (seconds() - started) * 1e9 / (double)checks,
        (unsigned long long)checksum);
}

static uint64_t summed(uint64_t sum, const consent_answer *answer) {
    return (sum ^ ((uint64_t)answer->decision << 8 | answer->reason)) * 0x100000001B3;
}

static void fill(index_writer *writer, uint64_t identifiers) {
    for (uint64_t number = 0; number < identifiers; number++) {
        name name = name_of(number);
        char value[13];
        memcpy(value, name.text, 12);
        value[12] = 0;
        put(writer, CONSENT_CUSTOMER, value, 0, number % 3 == 0, number % 3 == 1, UINT32_MAX, number + 1);
    }
    set_field(writer, AT_APPLIED_SEQUENCE, identifiers);
    set_field(writer, AT_LIVE_MILLIS, 1000000000);
}

static void one_after_the_other(consent_reader *reader, uint64_t identifiers, size_t checks) {
    uint64_t state = 1, sum = 0;
    double started = seconds();
    for (size_t check = 0; check < checks; check++) {
        // Which one is asked for next depends on the answer, as in a program that acts on it.
        consent_answer answer;
        name name = name_of((next(&state) ^ (sum & 1)) % identifiers);
        consent_reader_check(reader, CONSENT_CUSTOMER, name.text, 12, 0, &answer);
        sum = summed(sum, &answer);
    }
    report("one, each waiting for the last", started, checks, sum);
}

static void in_batches(consent_reader *reader, uint64_t identifiers, size_t checks) {
    static name names[BATCH];
    static consent_identifier asked[BATCH];
    static consent_answer answers[BATCH];
    uint64_t state = 1, sum = 0;
    double started = seconds();
    for (size_t check = 0; check < checks; check += BATCH) {
        for (size_t position = 0; position < BATCH; position++) {
            names[position] = name_of(next(&state) % identifiers);
            asked[position] = (consent_identifier){names[position].text, 12, CONSENT_CUSTOMER};
        }
        consent_reader_check_many(reader, asked, BATCH, 0, answers);
        for (size_t position = 0; position < BATCH; position++) sum = summed(sum, answers + position);
    }
    report("many, in batches of 4096", started, checks, sum);
}

static void many_purposes(consent_reader *reader, uint64_t identifiers, size_t checks) {
    uint64_t state = 1, sum = 0;
    double started = seconds();
    for (size_t check = 0; check < checks; check++) {
        uint64_t purposes = UINT64_MAX, granted, denied;
        consent_answer summary;
        name name = name_of((next(&state) ^ (sum & 1)) % identifiers);
        consent_reader_check_purposes(
            reader, CONSENT_CUSTOMER, name.text, 12, &purposes, 1, &granted, &denied, &summary);
        sum = (sum ^ (granted << 1 | denied)) * 0x100000001B3;
    }
    report("one, for 64 purposes at once", started, checks, sum);
}

int main(int count, char **arguments) {
    uint64_t identifiers = count > 1 ? strtoull(arguments[1], NULL, 10) : 10000000;
    if (identifiers == 0 || identifiers > 100000000) {
        fprintf(stderr, "usage: reader [IDENTIFIERS], 1 to 100000000\n");
        return 64;
    }
    char folder[512], command[600];
    make_folder(folder, sizeof folder);
    index_writer writer;
    create_index(&writer, folder, 1, 1, (identifiers * 4 / 3 + 1024) / 2 * 2);
    fill(&writer, identifiers);
    publish(&writer);
    consent_reader *reader;
    int error = consent_reader_open(folder, &reader);
    if (error == CONSENT_READER_OK) {
        size_t checks = identifiers < CHECKS_MAX ? (size_t)identifiers : CHECKS_MAX;
        checks = (checks + BATCH - 1) / BATCH * BATCH;
        printf("%llu identifiers, %zu checks each\n", (unsigned long long)identifiers, checks);
        one_after_the_other(reader, identifiers, checks);
        in_batches(reader, identifiers, checks);
        many_purposes(reader, identifiers, checks);
    } else {
        fprintf(stderr, "%s\n", consent_reader_error_text(error));
    }
    consent_reader_close(reader);
    close_index(&writer);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 && error == CONSENT_READER_OK ? 0 : 1;
}
