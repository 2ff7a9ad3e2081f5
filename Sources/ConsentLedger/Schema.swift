import GRDB

/// The tables of the ledger, from the first version on. A migration that was released never changes.
enum Schema {
    /// Versions that this program knows, oldest first.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { try $0.execute(sql: version1) }
        migrator.registerMigration("2") { try $0.execute(sql: version2) }
        migrator.registerMigration("3-registers") { try $0.execute(sql: outdatings) }
        migrator.registerMigration("3-rights") { try $0.execute(sql: version3Rights) }
        migrator.registerMigration("4-salts") { try $0.execute(sql: salts) }
        migrator.registerMigration("5-tokens") { try $0.execute(sql: version5Tokens) }
        migrator.registerMigration("5-links") { try $0.execute(sql: version5Links) }
        migrator.registerMigration("6-parts") { try $0.execute(sql: version6Parts) }
        return migrator
    }

    private static let version1 = """
        -- Who this ledger is. One row a name: history, deployment (16 bytes each), key_check (8 bytes, little-endian: of
        -- the key of the identifier hashes), created_at (milliseconds, as text).
        CREATE TABLE node (
            name TEXT PRIMARY KEY NOT NULL,
            value BLOB NOT NULL
        ) WITHOUT ROWID, STRICT;

        -- Every catalog that was ever applied, as it was written.
        CREATE TABLE catalog (
            version INTEGER PRIMARY KEY CHECK (version > 0),
            document TEXT NOT NULL,
            digest BLOB NOT NULL CHECK (length(digest) = 32)
        ) STRICT;

        -- A bit is assigned once, for ever.
        CREATE TABLE purpose (
            bit INTEGER PRIMARY KEY CHECK (bit BETWEEN 0 AND 959),
            id TEXT NOT NULL UNIQUE CHECK (id <> '')
        ) STRICT;

        -- A revision is what people agreed to: its digest never changes.
        CREATE TABLE revision (
            id INTEGER PRIMARY KEY,
            declaration TEXT NOT NULL,
            revision TEXT NOT NULL,
            digest BLOB NOT NULL CHECK (length(digest) = 32),
            UNIQUE (declaration, revision)
        ) STRICT;

        CREATE TABLE source (
            id INTEGER PRIMARY KEY,
            system TEXT NOT NULL,
            channel TEXT NOT NULL,
            form TEXT NOT NULL,
            UNIQUE (system, channel, form)
        ) STRICT;

        -- What follows from a subject's events, kept so that one read tells all about it, and one scan rebuilds the
        -- index. permitted, denied, wide, ends_at, sequence: what the index says of each of its identifiers. last_event:
        -- where its history ends; each event names the one before. identifiers: a type and a keyed hash, 1 and 16 bytes
        -- each; the index is the way from a hash to its subject. standings: the history folded to what the decision needs of it.
        CREATE TABLE subject (
            id INTEGER PRIMARY KEY CHECK (id > 0 AND id < 4294967296),
            salt BLOB CHECK (length(salt) = 16),
            permitted INTEGER NOT NULL,
            denied INTEGER NOT NULL,
            wide BLOB,
            ends_at INTEGER,
            sequence INTEGER NOT NULL,
            last_event INTEGER NOT NULL,
            identifiers BLOB NOT NULL CHECK (length(identifiers) % 17 = 0),
            standings BLOB NOT NULL
        ) STRICT;
        -- By day, so that people who come after one another stand on few pages. Days begin at midnight UTC.
        CREATE INDEX subject_ends ON subject (ends_at / 86400000) WHERE ends_at IS NOT NULL;

        -- What the files beside the ledger hold at the end of the chain: rows, and sums over them. A file that holds
        -- anything else is made anew, whatever it says of itself.
        CREATE TABLE derived_file (
            name TEXT PRIMARY KEY NOT NULL CHECK (name IN ('index', 'keys')),
            rows INTEGER NOT NULL,
            digest INTEGER NOT NULL,
            owners_digest INTEGER NOT NULL
        ) WITHOUT ROWID, STRICT;

        -- The chain. kind 1: a consent event; kind 2: a catalog was applied; kind 3: a revision became current by time.
        -- previous: the event of the same subject before this one; null for its first. key: random, so that an index of
        -- keys here would cost every event a page of its own; a map beside the ledger leads from it to its event.
        CREATE TABLE event (
            sequence INTEGER PRIMARY KEY CHECK (sequence > 0 AND sequence < 1099511627776),
            kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3),
            recorded_at INTEGER NOT NULL,
            captured_at INTEGER NOT NULL,
            subject INTEGER REFERENCES subject (id),
            purpose INTEGER REFERENCES purpose (bit),
            state INTEGER,
            revision INTEGER REFERENCES revision (id),
            language TEXT,
            method INTEGER,
            party INTEGER,
            explicit INTEGER CHECK (explicit BETWEEN 0 AND 1),
            age INTEGER,
            expires_at INTEGER,
            refers_to INTEGER,
            source INTEGER REFERENCES source (id),
            actor TEXT,
            key BLOB CHECK (length(key) = 16),
            personal BLOB,
            commitment BLOB CHECK (length(commitment) = 32),
            catalog INTEGER REFERENCES catalog (version),
            previous INTEGER,
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            CHECK ((kind = 1) = (subject IS NOT NULL AND purpose IS NOT NULL AND state IS NOT NULL)),
            CHECK ((kind = 2) = (catalog IS NOT NULL))
        ) STRICT;
        -- Which events have a key, in their order.
        CREATE INDEX event_keyed ON event (kind) WHERE key IS NOT NULL;
        -- The few that are about no subject.
        CREATE INDEX event_of_catalog ON event (sequence) WHERE kind > 1;
        CREATE TRIGGER event_is_append_only BEFORE DELETE ON event
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
        """

    // SQLite changes the checks of a table only with the table.
    private static let version2 = """
        -- kind 4: personal data was read; kind 5: identifiers of a subject were linked or unlinked; kind 6: a subject was
        -- erased. detail: what these say beyond the common columns, as Chain.swift lays it out.
        CREATE TABLE event_2 (
            sequence INTEGER PRIMARY KEY CHECK (sequence > 0 AND sequence < 1099511627776),
            kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 6),
            recorded_at INTEGER NOT NULL,
            captured_at INTEGER NOT NULL,
            subject INTEGER REFERENCES subject (id),
            purpose INTEGER REFERENCES purpose (bit),
            state INTEGER,
            revision INTEGER REFERENCES revision (id),
            language TEXT,
            method INTEGER,
            party INTEGER,
            explicit INTEGER CHECK (explicit BETWEEN 0 AND 1),
            age INTEGER,
            expires_at INTEGER,
            refers_to INTEGER,
            source INTEGER REFERENCES source (id),
            actor TEXT,
            key BLOB CHECK (length(key) = 16),
            personal BLOB,
            commitment BLOB CHECK (length(commitment) = 32),
            catalog INTEGER REFERENCES catalog (version),
            previous INTEGER,
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            detail BLOB,
            CHECK ((kind = 1) = (subject IS NOT NULL AND purpose IS NOT NULL AND state IS NOT NULL)),
            CHECK ((kind = 2) = (catalog IS NOT NULL)),
            CHECK ((kind > 3) = (detail IS NOT NULL))
        ) STRICT;
        INSERT INTO event_2 SELECT *, NULL FROM event;
        DROP TABLE event;
        ALTER TABLE event_2 RENAME TO event;
        CREATE INDEX event_keyed ON event (kind) WHERE key IS NOT NULL;
        -- The few that are about no consent, in the order of their kind.
        CREATE INDEX event_of_catalog ON event (sequence) WHERE kind BETWEEN 2 AND 3;
        CREATE INDEX event_of_kind ON event (kind, sequence) WHERE kind > 3;
        CREATE TRIGGER event_is_append_only BEFORE DELETE ON event
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
        """

    private static let outdatings = """
        -- What became of everybody's consents at once: for which purposes (a bit each, little-endian words of 8 bytes)
        -- those that were given until then have ended, or will at a moment. What subjects say with an earlier sequence has
        -- to be read with it; rewriting all of them would take long, and everybody would wait. Only ever added to.
        CREATE TABLE outdating (
            id INTEGER PRIMARY KEY,
            sequence INTEGER NOT NULL,
            purposes BLOB NOT NULL CHECK (length(purposes) > 0 AND length(purposes) % 8 = 0),
            ends_at INTEGER
        ) STRICT;
        """

    private static let version3Rights = """
        -- Of a person who was erased: when, and by which event. Without a salt the person is still erased; with one, the
        -- person has come back since.
        ALTER TABLE subject ADD COLUMN erased_at INTEGER;
        ALTER TABLE subject ADD COLUMN erasure INTEGER;

        -- Events that have lost their personal part, with what they committed to. It stands here and not in the event, so
        -- that the zeros which take the place of the personal part have its size: a row that keeps its size moves no other
        -- row of its page, and leaves no copy of one behind.
        CREATE TABLE erased_event (
            sequence INTEGER PRIMARY KEY,
            commitment BLOB NOT NULL CHECK (length(commitment) = 32)
        ) STRICT;

        -- Erasures whose traces may still be in the log of the database.
        CREATE TABLE erasure_pending (sequence INTEGER PRIMARY KEY) STRICT;
        """

    // The table of subjects is made anew rather than changed: the pages of a table that is dropped are cleared, while rows
    // that become shorter would leave what they were.
    private static let salts = """
        -- A salt for each subject, of which nothing may be left once the person is erased: then it is sixteen zeros. It
        -- stands apart from the subject, whose row grows: where rows grow, SQLite moves others to make room, and leaves
        -- copies of them in the unused part of pages, which secure_delete does not reach. Here each row has the same size
        -- and comes after the one before, so none is ever moved.
        CREATE TABLE salt (
            subject INTEGER PRIMARY KEY REFERENCES subject (id),
            value BLOB NOT NULL CHECK (length(value) = 16)
        ) STRICT;
        INSERT INTO salt SELECT id, ifnull(salt, zeroblob(16)) FROM subject ORDER BY id;

        CREATE TABLE subject_4 (
            id INTEGER PRIMARY KEY CHECK (id > 0 AND id < 4294967296),
            permitted INTEGER NOT NULL,
            denied INTEGER NOT NULL,
            wide BLOB,
            ends_at INTEGER,
            sequence INTEGER NOT NULL,
            last_event INTEGER NOT NULL,
            identifiers BLOB NOT NULL CHECK (length(identifiers) % 17 = 0),
            standings BLOB NOT NULL,
            erased_at INTEGER,
            erasure INTEGER
        ) STRICT;
        INSERT INTO subject_4
            SELECT id, permitted, denied, wide, ends_at, sequence, last_event, identifiers, standings, erased_at, erasure
            FROM subject ORDER BY id;
        DROP TABLE subject;
        ALTER TABLE subject_4 RENAME TO subject;
        -- By day, so that people who come after one another stand on few pages. Days begin at midnight UTC.
        CREATE INDEX subject_ends ON subject (ends_at / 86400000) WHERE ends_at IS NOT NULL;
        """

    private static let version5Tokens = """
        -- Tokens that confirm requests: of each its SHA-256, for whom and until when, and which grants it confirms (their
        -- sequences, 8 bytes each, little-endian). state 0: it waits; 1: used; 2: lapsed; ended_at: since when.
        CREATE TABLE confirmation_token (
            hash BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
            subject INTEGER NOT NULL REFERENCES subject (id),
            ends_at INTEGER NOT NULL,
            state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
            ended_at INTEGER,
            events BLOB NOT NULL CHECK (length(events) > 0 AND length(events) % 8 = 0),
            CHECK ((state = 0) = (ended_at IS NULL))
        ) WITHOUT ROWID, STRICT;
        CREATE INDEX confirmation_token_ends ON confirmation_token (state, ends_at);
        CREATE INDEX confirmation_token_subject ON confirmation_token (subject);
        """

    private static let version5Links = """
        -- Of a subject that was linked with another: who it is part of now, always somebody who is part of nobody. Its events
        -- stay where they are. Of one that began with an identifier which was taken off somebody: when.
        ALTER TABLE subject ADD COLUMN joined_to INTEGER;
        ALTER TABLE subject ADD COLUMN separated_at INTEGER;
        CREATE INDEX subject_joined ON subject (joined_to) WHERE joined_to IS NOT NULL;
        """

    private static let version6Parts = """
        -- What has been erased by itself of an event whose person was not: an identifier that had been taken off the person.
        -- parts: for each, which it was, the sequence of the erasure, and its hash, as Personal.swift lays them out.
        CREATE TABLE erased_part (
            sequence INTEGER PRIMARY KEY,
            parts BLOB NOT NULL CHECK (length(parts) > 0 AND length(parts) % 41 = 0)
        ) STRICT;
        """
}
