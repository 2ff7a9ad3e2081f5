import GRDB

/// The tables of the ledger, from the first version on. A migration that was released never changes.
enum Schema {
    /// Versions that this program knows, oldest first.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { try $0.execute(sql: version1) }
        return migrator
    }

    private static let version1 = """
        -- Who this ledger is. One row a name: history, deployment (16 bytes each), created_at (milliseconds, as text).
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

        -- permitted, denied, ends_at, sequence: what the index says of each of the subject's identifiers. Derived from
        -- the events; kept so that the index can be rebuilt at the speed of one scan.
        CREATE TABLE subject (
            id INTEGER PRIMARY KEY,
            salt BLOB CHECK (length(salt) = 16),
            permitted INTEGER NOT NULL DEFAULT 0,
            denied INTEGER NOT NULL DEFAULT 0,
            wide BLOB,
            ends_at INTEGER,
            sequence INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX subject_ends_at ON subject (ends_at) WHERE ends_at IS NOT NULL;

        -- value is null where only the keyed hash may be kept.
        CREATE TABLE identifier (
            subject INTEGER NOT NULL REFERENCES subject (id),
            ordinal INTEGER NOT NULL,
            hash BLOB NOT NULL CHECK (length(hash) = 16),
            type INTEGER NOT NULL,
            value TEXT,
            PRIMARY KEY (subject, ordinal)
        ) WITHOUT ROWID, STRICT;
        CREATE UNIQUE INDEX identifier_hash ON identifier (hash);

        -- The chain. kind 1: a consent event; kind 2: a catalog was applied; kind 3: a revision became current by time.
        CREATE TABLE event (
            sequence INTEGER PRIMARY KEY CHECK (sequence > 0 AND sequence < 1099511627776),
            kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
            recorded_at INTEGER NOT NULL,
            captured_at INTEGER NOT NULL,
            subject INTEGER REFERENCES subject (id),
            purpose INTEGER REFERENCES purpose (bit),
            state INTEGER,
            revision INTEGER REFERENCES revision (id),
            language TEXT,
            method INTEGER,
            party INTEGER,
            explicit INTEGER CHECK (explicit IN (0, 1)),
            age INTEGER,
            expires_at INTEGER,
            refers_to INTEGER,
            source INTEGER REFERENCES source (id),
            actor TEXT,
            key BLOB CHECK (length(key) = 16),
            personal BLOB,
            commitment BLOB CHECK (length(commitment) = 32),
            catalog INTEGER REFERENCES catalog (version),
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            CHECK ((kind = 1) = (subject IS NOT NULL AND purpose IS NOT NULL AND state IS NOT NULL)),
            CHECK ((kind = 2) = (catalog IS NOT NULL))
        ) STRICT;
        CREATE INDEX event_subject ON event (subject) WHERE subject IS NOT NULL;
        CREATE UNIQUE INDEX event_key ON event (key) WHERE key IS NOT NULL;
        CREATE TRIGGER event_is_append_only BEFORE DELETE ON event
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

        -- A history folded to what the decision needs of it. Derived from the events.
        CREATE TABLE standing (
            subject INTEGER NOT NULL REFERENCES subject (id),
            purpose INTEGER NOT NULL REFERENCES purpose (bit),
            flags INTEGER NOT NULL,
            sequence INTEGER,
            state INTEGER,
            captured_at INTEGER,
            revision INTEGER REFERENCES revision (id),
            expires_at INTEGER,
            method INTEGER,
            party INTEGER,
            age INTEGER,
            taken_away_at INTEGER,
            lifted_by_person_at INTEGER,
            lifted_by_others_at INTEGER,
            erased_at INTEGER,
            PRIMARY KEY (subject, purpose)
        ) WITHOUT ROWID, STRICT;
        """
}
