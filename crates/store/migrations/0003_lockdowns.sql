-- What a person has shut.
CREATE TABLE lockdowns (
    scope    TEXT PRIMARY KEY,
    begun_by TEXT NOT NULL,
    reason   TEXT NOT NULL,
    since    TEXT NOT NULL
) STRICT;
