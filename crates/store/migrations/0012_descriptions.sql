-- What targets say of what they offer: as it was accepted, and as it was told last, where that is something else.
CREATE TABLE descriptions (
    kind_of       TEXT NOT NULL,
    id            TEXT NOT NULL,
    digest        TEXT NOT NULL,
    text          TEXT NOT NULL,
    latest_digest TEXT,
    latest_text   TEXT,
    PRIMARY KEY (kind_of, id)
) STRICT;
