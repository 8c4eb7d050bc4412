-- What jobs say beside their log, masked: errors, warnings and notices, perhaps about a place in a file. `place` is the order in which they came.
CREATE TABLE annotation (
    repo         INTEGER NOT NULL,
    run          INTEGER NOT NULL,
    attempt      INTEGER NOT NULL CHECK (attempt > 0),
    job          TEXT NOT NULL,
    tried        INTEGER NOT NULL CHECK (tried > 0),
    place        INTEGER NOT NULL CHECK (place >= 0),
    step         INTEGER NOT NULL,
    level        TEXT NOT NULL CHECK (level IN ('error', 'warning', 'notice')),
    message      TEXT NOT NULL,
    title        TEXT,
    file         TEXT,
    line         INTEGER,
    end_line     INTEGER,
    start_column INTEGER,
    end_column   INTEGER,
    PRIMARY KEY (repo, run, attempt, job, tried, place)
) STRICT, WITHOUT ROWID;

-- The summaries of their steps: Markdown, masked, compressed (zstd). Nested steps of one step have one each.
CREATE TABLE summary (
    repo    INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    job     TEXT NOT NULL,
    tried   INTEGER NOT NULL CHECK (tried > 0),
    place   INTEGER NOT NULL CHECK (place >= 0),
    step    INTEGER NOT NULL,
    size    INTEGER NOT NULL CHECK (size > 0),
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    body    BLOB NOT NULL,
    UNIQUE (repo, run, attempt, job, tried, place)
) STRICT;
