-- What a token is for: `api` or `browser`.
ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'api';

-- What a provider said of people who signed in, and until when that counts.
CREATE TABLE visits (
    user_name TEXT PRIMARY KEY,
    groups    TEXT NOT NULL,
    until     TEXT NOT NULL
) STRICT;
