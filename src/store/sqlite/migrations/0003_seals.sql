-- Sealed months. What stands here never changes, and is in no cache.
CREATE TABLE seal (
    period TEXT PRIMARY KEY,
    json   BLOB NOT NULL,
    sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What a seal holds of each session: the month's part of its rollup, and its lines.
CREATE TABLE sealed_session (
    session_id TEXT NOT NULL,
    period     TEXT NOT NULL,
    part       BLOB NOT NULL,
    lines      BLOB NOT NULL,
    PRIMARY KEY (session_id, period)
) STRICT, WITHOUT ROWID;

CREATE INDEX sealed_session_period ON sealed_session (period, session_id);

CREATE TRIGGER seal_stays BEFORE UPDATE ON seal BEGIN SELECT RAISE(ABORT, 'a seal never changes'); END;
CREATE TRIGGER seal_is_kept BEFORE DELETE ON seal BEGIN SELECT RAISE(ABORT, 'a seal is for ever'); END;
CREATE TRIGGER sealed_stays BEFORE UPDATE ON sealed_session BEGIN SELECT RAISE(ABORT, 'what is sealed never changes'); END;
CREATE TRIGGER sealed_is_kept BEFORE DELETE ON sealed_session BEGIN SELECT RAISE(ABORT, 'what is sealed is for ever'); END;
CREATE TRIGGER sealed_is_whole BEFORE INSERT ON sealed_session
WHEN EXISTS (SELECT 1 FROM seal WHERE seal.period = NEW.period)
BEGIN SELECT RAISE(ABORT, 'the month is sealed'); END;
