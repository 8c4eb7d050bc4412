-- Times are milliseconds since 1970, ids of GitHub's are integers, booleans 0 or 1. Words stand as GitHub writes them.

-- Webhooks as they came. `place` is the order of arrival. The body is compressed (zstd).
CREATE TABLE delivery (
    place       INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3), -- 0 new, 1 applied, 2 ignored, 3 unreadable
    form        INTEGER NOT NULL CHECK (form IN (0, 1)),
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    repo        INTEGER,
    settled_at  INTEGER,
    id          TEXT NOT NULL UNIQUE,
    event       TEXT NOT NULL,
    hook        TEXT,
    reason      TEXT,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    body        BLOB NOT NULL,
    CHECK ((state = 0) = (settled_at IS NULL))
) STRICT;
CREATE INDEX delivery_waiting ON delivery (place) WHERE state = 0;

-- One id with two bodies (R9): the later body is kept here and not acted upon.
CREATE TABLE quarantine (
    place       INTEGER PRIMARY KEY,
    form        INTEGER NOT NULL CHECK (form IN (0, 1)),
    received_at INTEGER NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    id          TEXT NOT NULL,
    event       TEXT NOT NULL,
    hook        TEXT,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    body        BLOB NOT NULL,
    UNIQUE (id, digest)
) STRICT;

-- State: the truth, in pieces. Loaded whole at a repository's first use.
CREATE TABLE repository (
    repo           INTEGER PRIMARY KEY,
    version        INTEGER NOT NULL CHECK (version > 0),
    full_name      TEXT,
    default_branch TEXT,
    CHECK ((full_name IS NULL) = (default_branch IS NULL))
) STRICT;
CREATE TABLE entity (
    id     INTEGER PRIMARY KEY,
    repo   INTEGER NOT NULL REFERENCES repository (repo),
    kind   TEXT NOT NULL CHECK (kind IN ('meta', 'person', 'branch', 'pull', 'suite', 'run', 'report', 'verdict', 'proof',
                                         'environment', 'wish', 'deployment', 'item')),
    key    TEXT NOT NULL,
    format INTEGER NOT NULL CHECK (format > 0),
    body   BLOB NOT NULL,
    UNIQUE (repo, kind, key)
) STRICT;

-- Long texts (payloads, workflow files): once per content, compressed; entities refer to them by digest.
CREATE TABLE text (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    body   BLOB NOT NULL
) STRICT;
CREATE TABLE entity_text (
    entity INTEGER NOT NULL REFERENCES entity (id) ON DELETE CASCADE,
    text   INTEGER NOT NULL REFERENCES text (id),
    PRIMARY KEY (entity, text)
) STRICT, WITHOUT ROWID;
CREATE INDEX entity_text_text ON entity_text (text);

-- What pages read: written in the commit that changes the state, never read by a step.
CREATE TABLE run (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    repo         INTEGER NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    attempt      INTEGER NOT NULL CHECK (attempt > 0),
    event        TEXT NOT NULL,
    subject      TEXT NOT NULL,
    pull         INTEGER,
    git_ref      TEXT,
    head_sha     TEXT NOT NULL CHECK (length(head_sha) = 40),
    sha          TEXT NOT NULL CHECK (length(sha) = 40),
    workflow     TEXT NOT NULL,
    name         TEXT NOT NULL,
    run_number   INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('active', 'completed')),
    conclusion   TEXT CHECK (conclusion IN ('success', 'skipped', 'failure', 'cancelled', 'timed_out', 'lost')),
    reason       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    completed_at INTEGER,
    deployment   INTEGER,
    problem      TEXT,
    UNIQUE (repo, number, attempt),
    CHECK ((state = 'completed') = (conclusion IS NOT NULL)),
    CHECK ((state = 'completed') = (completed_at IS NOT NULL))
) STRICT;
CREATE INDEX run_repo ON run (repo, seq);
CREATE INDEX run_head_sha ON run (head_sha, seq);
CREATE INDEX run_pull ON run (repo, pull, seq) WHERE pull IS NOT NULL;
CREATE INDEX run_active ON run (seq) WHERE state = 'active';
CREATE INDEX run_completed ON run (completed_at) WHERE state = 'completed';

CREATE TABLE job (
    repo         INTEGER NOT NULL,
    run          INTEGER NOT NULL,
    attempt      INTEGER NOT NULL CHECK (attempt > 0),
    key          TEXT NOT NULL,
    tried        INTEGER NOT NULL CHECK (tried > 0),
    place        INTEGER NOT NULL,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'queued', 'leased', 'running', 'completed')),
    conclusion   TEXT CHECK (conclusion IN ('success', 'skipped', 'failure', 'cancelled', 'timed_out', 'lost')),
    reason       TEXT,
    runner       TEXT,
    queued_at    INTEGER,
    started_at   INTEGER,
    completed_at INTEGER,
    PRIMARY KEY (repo, run, attempt, key, tried),
    CHECK ((state = 'completed') = (conclusion IS NOT NULL)),
    CHECK ((state = 'completed') = (completed_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
    repo         INTEGER NOT NULL,
    run          INTEGER NOT NULL,
    attempt      INTEGER NOT NULL CHECK (attempt > 0),
    job          TEXT NOT NULL,
    tried        INTEGER NOT NULL CHECK (tried > 0),
    place        INTEGER NOT NULL,
    name         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'completed')),
    conclusion   TEXT CHECK (conclusion IN ('success', 'skipped', 'failure', 'cancelled', 'timed_out', 'lost')),
    started_at   INTEGER,
    completed_at INTEGER,
    PRIMARY KEY (repo, run, attempt, job, tried, place),
    CHECK ((state = 'completed') = (conclusion IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE environment (
    repo             INTEGER NOT NULL,
    name             TEXT NOT NULL,
    live_deployment  INTEGER,
    live_sha         TEXT CHECK (length(live_sha) = 40),
    lock_deployment  INTEGER,
    lock_since       INTEGER,
    lock_kept        TEXT,
    PRIMARY KEY (repo, name),
    CHECK ((live_deployment IS NULL) = (live_sha IS NULL)),
    CHECK ((lock_deployment IS NULL) = (lock_since IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE wish (
    repo        INTEGER NOT NULL,
    environment TEXT NOT NULL,
    sha         TEXT NOT NULL CHECK (length(sha) = 40),
    pull        INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'creating', 'created', 'refused')),
    reason      TEXT,
    deployment  INTEGER,
    PRIMARY KEY (repo, environment, sha),
    CHECK ((state = 'created') = (deployment IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE deployment (
    repo            INTEGER NOT NULL,
    id              INTEGER NOT NULL,
    environment     TEXT NOT NULL,
    sha             TEXT NOT NULL CHECK (length(sha) = 40),
    git_ref         TEXT NOT NULL,
    task            TEXT NOT NULL,
    creator         TEXT NOT NULL,
    ours            INTEGER NOT NULL CHECK (ours IN (0, 1)),
    carrying        TEXT NOT NULL CHECK (carrying IN ('watched', 'waiting', 'started', 'done')),
    state           TEXT CHECK (state IN ('pending', 'queued', 'in_progress', 'success', 'failure', 'error', 'inactive')),
    description     TEXT,
    environment_url TEXT,
    run             INTEGER,
    seen_at         INTEGER NOT NULL,
    PRIMARY KEY (repo, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployment_environment ON deployment (repo, environment, id);
CREATE INDEX deployment_run ON deployment (repo, run) WHERE run IS NOT NULL;

-- What happened and why, a sentence each.
CREATE TABLE audit (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    repo  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    about TEXT NOT NULL,
    text  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_about ON audit (repo, about, id);
CREATE INDEX audit_repo ON audit (repo, id);

-- One row that is written to see whether anything can be.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
