-- Which threads the sealed sessions had, each session's own id among them: sessions that are joined or taken apart later find what
-- was sealed by it. Computed from what was sealed: dropping it loses nothing.
CREATE TABLE sealed_thread (
    thread_id  TEXT NOT NULL,
    session_id TEXT NOT NULL,
    PRIMARY KEY (thread_id, session_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sealed_thread_session ON sealed_thread (session_id);
