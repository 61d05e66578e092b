-- What a token is for, `api` or `browser`; and whom the provider let in with it, where a provider did.
ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'api';
ALTER TABLE tokens ADD COLUMN subject TEXT;

-- What a provider said of people who signed in, and until when that counts.
CREATE TABLE visits (
    user_name TEXT PRIMARY KEY,
    subject   TEXT NOT NULL,
    provider  TEXT NOT NULL,
    groups    TEXT NOT NULL,
    until     TEXT NOT NULL
) STRICT;
