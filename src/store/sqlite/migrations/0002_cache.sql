-- Everything here is computed from observations: dropping it loses nothing.

-- Threads with observations that the cached sessions do not know of. A mark is never given twice, so that whoever computed a
-- session can tell whether something came meanwhile.
CREATE TABLE dirty (
    thread INTEGER PRIMARY KEY REFERENCES thread (id),
    mark   INTEGER NOT NULL
) STRICT;

INSERT INTO dirty SELECT id, 0 FROM thread;

-- What the cached sessions were computed with: a hash of prices, rules and settings.
CREATE TABLE computed_with (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    inputs BLOB NOT NULL
) STRICT;

-- Sessions added up for reports. The two moments are those of the first and the last quarter of an hour with anything in it.
CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    session_id TEXT    NOT NULL UNIQUE,
    auxiliary  INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    first_ns   INTEGER NOT NULL,
    last_ns    INTEGER NOT NULL,
    rollup     BLOB    NOT NULL
) STRICT;

CREATE INDEX session_started ON session (auxiliary, started_ns, session_id);
CREATE INDEX session_last ON session (last_ns);

-- Which threads a session was computed from.
CREATE TABLE member (
    thread  INTEGER PRIMARY KEY REFERENCES thread (id),
    session INTEGER NOT NULL REFERENCES session (id)
) STRICT;

CREATE INDEX member_session ON member (session);
