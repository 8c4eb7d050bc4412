-- What jobs leave behind: artifacts and caches. The row says what it is called and who may see it; the bytes are blobs.
CREATE TABLE object (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL CHECK (kind IN ('artifact', 'cache')),
    repo        INTEGER NOT NULL,
    run         INTEGER NOT NULL CHECK (run >= 0),         -- 0 for a cache
    run_attempt INTEGER NOT NULL CHECK (run_attempt >= 0), -- 0 for a cache
    scope       TEXT NOT NULL,                             -- '' for an artifact, else the ref that may read it
    name        TEXT NOT NULL,                             -- an artifact's name, a cache's key
    version     TEXT NOT NULL,                             -- '' for an artifact
    owner       TEXT NOT NULL,                             -- the job that writes it
    media_type  TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('open', 'written', 'whole')),
    parts       TEXT NOT NULL,                             -- the blobs in order, as JSON: [["key", length], …]
    size        INTEGER NOT NULL CHECK (size >= 0),
    digest      TEXT NOT NULL,                             -- SHA-256 of the bytes, hexadecimal; '' while it is open
    created_at  INTEGER NOT NULL,
    used_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    CHECK ((state = 'open') = (digest = '')),
    CHECK ((kind = 'cache') = (scope <> ''))
) STRICT;
CREATE UNIQUE INDEX object_name ON object (kind, repo, run, scope, version, name, run_attempt);
CREATE INDEX object_use ON object (kind, repo, used_at);
CREATE INDEX object_expiry ON object (expires_at);
