-- What providers billed. A file is imported once, by its hash; its rows stay as they were read.
CREATE TABLE billing_file (
    seq    INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT;

-- Its rows, with the time that each is for: from first_ns to before end_ns.
CREATE TABLE charge (
    file     INTEGER NOT NULL REFERENCES billing_file (seq) ON DELETE CASCADE,
    row      INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    end_ns   INTEGER NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (file, row)
) STRICT, WITHOUT ROWID;

CREATE INDEX charge_time ON charge (end_ns, first_ns);
