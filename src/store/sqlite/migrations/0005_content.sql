-- What was said and done, where the user wants it kept; without what looks like a secret. Nothing is computed from it. What was
-- purged has no text any more; its key stays, so that it does not come back when a transcript is read again.
CREATE TABLE content (
    thread  INTEGER NOT NULL REFERENCES thread (id),
    time_ns INTEGER NOT NULL,
    key     BLOB    NOT NULL,
    kind    INTEGER NOT NULL,
    turn    TEXT,
    call    TEXT,
    text    TEXT,
    PRIMARY KEY (thread, time_ns, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX content_time ON content (time_ns) WHERE text IS NOT NULL;
