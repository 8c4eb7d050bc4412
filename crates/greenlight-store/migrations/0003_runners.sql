-- Runners on other machines. Of keys and tokens only the SHA-256 is kept.
CREATE TABLE runner (
    name       TEXT PRIMARY KEY,
    labels     TEXT NOT NULL, -- a JSON list
    digest     BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    protocol   INTEGER NOT NULL CHECK (protocol >= 0)
) STRICT, WITHOUT ROWID;

-- What makes one runner: once, for a short time.
CREATE TABLE runner_token (
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),
    labels     TEXT NOT NULL, -- a JSON list
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX runner_token_expiry ON runner_token (expires_at);

-- What was begun and never ended goes after a day.
CREATE INDEX object_begun ON object (created_at) WHERE state <> 'whole';
