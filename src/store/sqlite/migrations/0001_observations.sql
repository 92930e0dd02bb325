-- Observations are the only truth; everything else in a report is derived from them.
CREATE TABLE thread (
    id        INTEGER PRIMARY KEY,
    thread_id TEXT NOT NULL UNIQUE
) STRICT;

-- Clustered by thread, since facts are computed by thread. Rows that share (thread, key) but not variant are a visible conflict.
CREATE TABLE observation (
    thread  INTEGER NOT NULL REFERENCES thread (id),
    key     BLOB    NOT NULL,
    variant INTEGER NOT NULL,
    source  INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    PRIMARY KEY (thread, key, variant)
) STRICT, WITHOUT ROWID;

-- How far each file has been read. Committed together with what was read from it.
CREATE TABLE file (
    path        BLOB    PRIMARY KEY,
    device      INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    byte_offset INTEGER NOT NULL,
    state       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- What could not be read or was dropped, by reason.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- CODEX_HOME folders learned from hooks and imports.
CREATE TABLE codex_home (
    path BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
