-- What tasks came from.
ALTER TABLE tasks ADD COLUMN actors TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tasks ADD COLUMN parent TEXT;
ALTER TABLE tasks ADD COLUMN api_key TEXT;
ALTER TABLE sessions ADD COLUMN api_key TEXT;

-- Static keys of agents, as the journal tells of them.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    agent TEXT NOT NULL,
    targets TEXT NOT NULL,
    reason TEXT NOT NULL,
    created TEXT NOT NULL,
    expires TEXT NOT NULL,
    created_by TEXT NOT NULL,
    ended TEXT,
    cause TEXT
);

-- What checks them, which the journal does not have.
CREATE TABLE api_key_digests (
    id TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL
);
