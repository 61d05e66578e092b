#!/usr/bin/env bash
# pg_dump and pg_restore: every format, and that what is restored is what was dumped.
set -uo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
psql -X -q -c "SELECT" >/dev/null || exit 1
checked=0

sql() {
    psql -X -q -A -t -v ON_ERROR_STOP=1 "$@" 2>&1 </dev/null
}

# Newer versions put a random word against injected meta-commands; versions name themselves.
plainly() {
    sed -E '/^\\(un)?restrict /d; /^-- Dumped (from|by) /d'
}

check() {
    local title=$1
    shift
    checked=$((checked + 1))
    printf '\n== %s\n' "$title"
    "$@" 2>&1 </dev/null | plainly
    printf 'exit %s\n' "${PIPESTATUS[0]}"
}

# A dump names its schema, so that the original steps aside while the copy is made.
step_aside() {
    sql -c 'ALTER SCHEMA gh_dump RENAME TO gh_dump_original'
}

compare() {
    checked=$((checked + 1))
    pg_dump -n gh_dump 2>&1 | plainly >restored.sql
    if diff original.sql restored.sql >difference.txt; then
        printf 'restored as it was: %s lines\n' "$(wc -l <restored.sql)"
    fi
    head -n 40 difference.txt
    sql -c 'SET client_min_messages = warning' -c 'DROP SCHEMA IF EXISTS gh_dump CASCADE' -c 'ALTER SCHEMA gh_dump_original RENAME TO gh_dump'
}

sweep() {
    sql -c 'SET client_min_messages = warning' -c 'DROP SCHEMA IF EXISTS gh_dump, gh_dump_original CASCADE'
}

sweep
checked=$((checked + 1))
cat >setup.sql <<'SQL'
CREATE SCHEMA gh_dump;
SET search_path = gh_dump;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE counter START 10 INCREMENT 5;
CREATE TABLE makers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL UNIQUE);
CREATE TABLE things (
    id serial PRIMARY KEY,
    maker int REFERENCES makers ON DELETE CASCADE,
    size numeric(8, 2) CHECK (size >= 0),
    feeling mood DEFAULT 'ok',
    made timestamptz,
    tags text[],
    data jsonb,
    raw bytea,
    two pair,
    count positive,
    double_size numeric GENERATED ALWAYS AS (size * 2) STORED
);
CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE INDEX things_data ON things USING gin (data);
CREATE VIEW big AS SELECT id, size FROM things WHERE size > 10;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM things;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE PROCEDURE nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION stamp();
COMMENT ON TABLE things IS 'what is made';
COMMENT ON COLUMN things.size IS 'in metres';
ALTER TABLE makers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON makers USING (true);
GRANT SELECT ON things TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA gh_dump GRANT SELECT ON TABLES TO PUBLIC;
INSERT INTO makers (title) VALUES ('Anna'), (E'tab\there\\'), ('æ😀');
INSERT INTO things (maker, size, feeling, made, tags, data, raw, two, count)
VALUES (1, 1.5, 'happy', '2024-01-01 00:00:00+00', '{a,"b c",NULL}', '{"k": [1, null]}', '\xdeadbeef00', ROW(1, 'x y'), 5),
    (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO things (size, raw) SELECT n, decode(repeat('ab', n), 'hex') FROM generate_series(1, 2000) n;
INSERT INTO parts SELECT n, CASE WHEN n % 2 = 0 THEN 'north' ELSE 'south' END FROM generate_series(1, 100) n;
SELECT setval('counter', 55);
REFRESH MATERIALIZED VIEW counted;
SQL
printf '== the original\n'
sql -f setup.sql
pg_dump -n gh_dump 2>&1 | plainly >original.sql
printf 'lines: %s\n' "$(wc -l <original.sql)"
checked=$((checked + 1))

check 'the schema' pg_dump -n gh_dump --schema-only
check 'as INSERT' pg_dump -t gh_dump.makers --data-only --column-inserts
check 'options' pg_dump -t gh_dump.parts --data-only --load-via-partition-root --rows-per-insert 50 --on-conflict-do-nothing --no-comments
check 'clean' pg_dump -n gh_dump --clean --if-exists --schema-only --no-owner --no-privileges
check 'no such table' pg_dump -t gh_dump.missing
check 'enabling row security' pg_dump -t gh_dump.makers --enable-row-security --data-only
check 'serializable' pg_dump -t gh_dump.makers --data-only --serializable-deferrable
check 'quoted' pg_dump -t gh_dump.makers --schema-only --quote-all-identifiers --section=pre-data

printf '\n== plain, restored by psql\n'
step_aside
pg_dump -n gh_dump_original 2>&1 | sed 's/gh_dump_original/gh_dump/g' >plain.sql
psql -X -q -v ON_ERROR_STOP=1 -1 -f plain.sql 2>&1 </dev/null | grep -vE '^ *[0-9]+$|setval|set_config|^-+$|row\)|^ *$'
compare

printf '\n== INSERT statements, restored by psql\n'
pg_dump -n gh_dump --inserts --rows-per-insert 100 >plain.sql 2>&1
step_aside
psql -X -q -v ON_ERROR_STOP=1 -f plain.sql 2>&1 </dev/null | grep -vE '^ *[0-9]+$|setval|set_config|^-+$|row\)|^ *$'
compare

for format in custom directory tar; do
    printf '\n== %s\n' "$format"
    pg_dump -n gh_dump -F "$format" -f "dump.$format" 2>&1
    printf 'exit %s\n' "$?"
    pg_restore -l "dump.$format" | grep -vE '^;' | sed -E 's/^[0-9]+; [0-9]+ [0-9]+ //'
    step_aside
    pg_restore --exit-on-error -d "$PGDATABASE" "dump.$format" 2>&1
    printf 'exit %s\n' "$?"
    compare
done

printf '\n== several at a time\n'
pg_dump -n gh_dump -F directory -j 2 -f dump.parallel 2>&1
printf 'exit %s\n' "$?"
step_aside
pg_restore -j 2 -d "$PGDATABASE" dump.parallel 2>&1
printf 'exit %s\n' "$?"
compare

printf '\n== in one transaction, cleaning first\n'
pg_restore -1 --clean --if-exists -d "$PGDATABASE" dump.custom 2>&1
printf 'exit %s\n' "$?"
sql -c 'CREATE SCHEMA gh_dump_original'
checked=$((checked + 1))
pg_dump -n gh_dump 2>&1 | plainly | diff original.sql - | head -n 40 && printf 'restored as it was\n'

printf '\n== what is there already\n'
checked=$((checked + 1))
pg_restore -d "$PGDATABASE" dump.custom 2>&1 | sed -E 's/TOC entry [0-9]+; [0-9]+ [0-9]+/TOC entry N/' | tail -n 40

sweep
printf '\nchecked %s\n' "$checked"
