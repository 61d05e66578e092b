-- The index over the journal: everything here but `credentials` and `tokens` can be rebuilt from it.

CREATE TABLE progress (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    next_index INTEGER NOT NULL
) STRICT;
INSERT INTO progress VALUES (1, 0);

CREATE TABLE tasks (
    id           TEXT PRIMARY KEY,
    identity     TEXT NOT NULL,
    on_behalf_of TEXT,
    targets      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    started      TEXT NOT NULL,
    expires      TEXT NOT NULL,
    ended        TEXT,
    cause        TEXT,
    started_by   TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    task         TEXT NOT NULL,
    identity     TEXT NOT NULL,
    on_behalf_of TEXT,
    target       TEXT NOT NULL,
    peer         TEXT NOT NULL,
    opened       TEXT NOT NULL,
    closed       TEXT,
    cause        TEXT,
    operations   INTEGER NOT NULL DEFAULT 0,
    refused      INTEGER NOT NULL DEFAULT 0,
    rows_sent    INTEGER NOT NULL DEFAULT 0,
    masked       INTEGER NOT NULL DEFAULT 0,
    recording    TEXT
) STRICT;
CREATE INDEX sessions_by_task ON sessions (task);

CREATE TABLE requests (
    id             TEXT PRIMARY KEY,
    session        TEXT NOT NULL,
    task           TEXT NOT NULL,
    identity       TEXT NOT NULL,
    on_behalf_of   TEXT,
    target         TEXT NOT NULL,
    title          TEXT NOT NULL,
    statement      TEXT NOT NULL,
    binds          TEXT NOT NULL,
    accesses       TEXT NOT NULL,
    groups         TEXT NOT NULL,
    reasons        TEXT NOT NULL,
    policies       TEXT NOT NULL,
    digest         TEXT NOT NULL,
    mode           TEXT NOT NULL,
    opened         TEXT NOT NULL,
    expires        TEXT NOT NULL,
    state          TEXT NOT NULL,
    approved_until TEXT,
    approvals      TEXT NOT NULL DEFAULT '{}',
    answer_reason  TEXT
) STRICT;
CREATE INDEX requests_by_state ON requests (state);

-- What the journal must not hold: enough to check an issued credential, not enough to use it.
CREATE TABLE credentials (
    task       TEXT PRIMARY KEY,
    salt       BLOB NOT NULL,
    iterations INTEGER NOT NULL,
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL
) STRICT;

CREATE TABLE tokens (
    sha256    BLOB PRIMARY KEY,
    user_name TEXT NOT NULL,
    expires   TEXT NOT NULL
) STRICT;
