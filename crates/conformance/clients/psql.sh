#!/usr/bin/env bash
# psql: what it asks the catalog, its meta-commands, \copy, and what a person types. Prints what psql prints, less the
# times of \watch.
set -uo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
psql -X -q -c "SELECT" >/dev/null || exit 1
checked=0
# What differs from run to run.
less='s/^.* \(every ([0-9.]+)s\)$/(every \1s)/
s/^psql:script.sql:/psql:/
s/'"'"'[0-9]{5,9}'"'"'/OID/g
s/with PID [0-9]+/with PID N/
s/^lo_(import|unlink) [0-9]+/lo_\1 OID/'

# One psql for one script, which echoes what it reads.
check() {
    local title=$1
    shift
    checked=$((checked + 1))
    printf '\n== %s\n' "$title"
    { printf 'SET search_path = gh_psql, public;\nSET timezone = UTC;\n' && cat; } >script.sql
    psql -X -a "$@" -f script.sql 2>&1 </dev/null | sed -E "$less"
    printf 'exit %s\n' "${PIPESTATUS[0]}"
}

# psql as it is called from scripts.
call() {
    local title=$1
    shift
    checked=$((checked + 1))
    printf '\n== %s\n' "$title"
    psql -X "$@" 2>&1 </dev/null
    printf 'exit %s\n' "$?"
}

psql -X -q -c 'DROP PUBLICATION IF EXISTS gh_psql_publication' -c 'DROP SCHEMA IF EXISTS gh_psql CASCADE' -c 'CREATE SCHEMA gh_psql' >/dev/null 2>&1

check 'definitions' -v ON_ERROR_STOP=1 <<'SQL'
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE SEQUENCE counter START 10;
CREATE TABLE makers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL UNIQUE, founded date);
CREATE TABLE things (
    id serial PRIMARY KEY,
    maker int REFERENCES makers ON DELETE CASCADE,
    title varchar(40) NOT NULL DEFAULT 'nameless',
    size numeric(8, 2) CHECK (size >= 0),
    feeling mood DEFAULT 'ok',
    made timestamptz DEFAULT '2024-01-01 00:00:00+00',
    tags text[],
    data jsonb,
    double_size numeric GENERATED ALWAYS AS (size * 2) STORED
);
COMMENT ON TABLE things IS 'what is made';
COMMENT ON COLUMN things.size IS 'in metres';
CREATE INDEX things_title ON things (lower(title)) WHERE size > 1;
CREATE INDEX things_data ON things USING gin (data);
CREATE VIEW big_things AS SELECT id, title FROM things WHERE size > 10;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM things;
CREATE TABLE parts (id int, region text) PARTITION BY LIST (region);
CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
CREATE TABLE child (more int) INHERITS (makers);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION loud(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'loud %', n; RETURN n; END $$;
CREATE PROCEDURE add_maker(t text) LANGUAGE sql AS 'INSERT INTO makers (title) VALUES (t)';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.title := NEW.title || '!'; RETURN NEW; END $$;
CREATE TRIGGER stamped BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE quiet AS ON DELETE TO big_things DO INSTEAD NOTHING;
ALTER TABLE makers ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone ON makers USING (true);
CREATE STATISTICS things_stats ON maker, title FROM things;
GRANT SELECT ON things TO PUBLIC;
CREATE COLLATION plain (locale = 'C');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE CAST (pair AS text) WITH INOUT;
CREATE TEXT SEARCH CONFIGURATION words (copy = simple);
CREATE PUBLICATION gh_psql_publication FOR TABLE things;
SQL

check 'rows' <<'SQL'
INSERT INTO makers (title, founded) VALUES ('Anna', '1999-12-31'), ('Bo', NULL) RETURNING *;
INSERT INTO things (maker, title, size, tags, data) VALUES (1, 'chair', 1.5, '{a,"b c"}', '{"k": [1, null]}'), (2, 'tower', 120, NULL, NULL);
SELECT * FROM things ORDER BY id;
\x on
SELECT * FROM things ORDER BY id LIMIT 1;
\x off
UPDATE things SET size = size + 1 WHERE id = 1 RETURNING id, size, double_size;
DELETE FROM things WHERE id = 99;
MERGE INTO makers m USING (VALUES ('Bo'), ('Cy')) v(t) ON m.title = v.t WHEN MATCHED THEN UPDATE SET founded = '2001-01-01' WHEN NOT MATCHED THEN INSERT (title) VALUES (v.t);
TABLE makers ORDER BY 1;
CALL add_maker('Di');
SELECT twice(21), loud(3), total(id) FROM makers;
REFRESH MATERIALIZED VIEW counted;
SELECT * FROM counted;
WITH gone AS (DELETE FROM makers WHERE title = 'Di' RETURNING title) SELECT * FROM gone;
VALUES (1, 'a'), (2, NULL);
EXPLAIN (COSTS OFF) SELECT * FROM things WHERE id = 1;
SQL

check 'describing' <<'SQL'
\d
\d+
\d things
\d+ things
\d makers
\d+ makers
\d parts
\d+ parts_north
\d child
\d+ big_things
\d counted
\d counter
\d things_data
\d pair
\d nothing_of_that_name
\dt
\dt+ gh_psql.parts*
\di
\dv
\dm
\ds
\dE
\dP
\dPt+
\dn gh_psql
\dn+ gh_psql
\df
\df+ twice
\dfa
\dfn
\dfp
\dft
\da gh_psql.*
\dT
\dT+
\dD
\dD+
\do gh_psql.*
\dO gh_psql.*
\dC pair
\dF gh_psql.*
\dF+ gh_psql.words
\dFd simple
\dFp
\dFt simple
\dX
\dRp gh_psql*
\dRp+ gh_psql*
\dRs gh_psql*
\dp
\z things
\ddp
\dd
\dx plpgsql
\dx+ plpgsql
\dL
\dy gh_psql*
\db pg_default
\dA btree
\dAc btree int4
\dAf btree int4
\dAo btree integer_ops
\dAp btree integer_ops
\des
\deu
\dew
\det
\drds gh_psql_nobody
\dg pg_monitor
\du pg_monitor
\dconfig work_mem
\dconfig+ search_path
\l template1
\sf twice
\sf+ loud
\sv big_things
SQL

check 'hidden queries' -E <<'SQL'
\d things
\dt
\df twice
SQL

check 'formats' <<'SQL'
\pset null '<null>'
SELECT NULL, 1.50, 'text', true;
\a
SELECT 1 AS a, 2 AS b;
\a
\pset format csv
SELECT 1 AS a, 'x,"y' AS b;
\pset format html
SELECT '<a>' AS a;
\pset format aligned
\pset border 2
\pset linestyle unicode
SELECT 'æ漢😀' AS wide;
\pset border 1
\t
SELECT 'tuples only';
\t
\timing off
\encoding
\echo :SERVER_VERSION_NUM :ENCODING
SQL

check 'what psql does with results' <<'SQL'
SELECT 1 AS one, 'x' AS word \gset
\echo :one :word
SELECT 7 AS n \gset prefix_
\echo :prefix_n
SELECT * FROM things \gdesc
SELECT 1::numeric(5,2) AS n, now() AS t, NULL AS u, '{}'::text[] AS a, ROW(1) AS r \gdesc
SELECT nonsense \gdesc
CREATE TABLE nothing_described () \gdesc
SELECT format('SELECT %s AS n', n) FROM generate_series(1, 3) n \gexec
SELECT 'SELECT 1/0' UNION ALL SELECT 'SELECT 2' \gexec
SELECT v, h, count(*) FROM (VALUES ('a', 'x'), ('a', 'y'), ('b', 'x')) AS s(v, h) GROUP BY 1, 2 ORDER BY 1, 2 \crosstabview v h
SELECT 1 AS a, 2 AS b \gx
SELECT 3 AS piped \g | cat
SELECT 4 AS filed \g out.txt
\! cat out.txt
SELECT 5 AS option \g (format=csv)
SELECT 1/(4 - nextval('counter') + 9) \watch 0.05
\if true
SELECT 'chosen';
\else
SELECT 'not chosen';
\endif
\set v 'it''s'
SELECT :'v' AS literal, :"v" FROM (SELECT 1 AS "it's") s;
\echo :ROW_COUNT :SQLSTATE :ERROR
\errverbose
\conninfo_does_not_exist
SQL

# The extended protocol, as a person types it, came with psql 16, and statements that are kept with psql 18.
version=$(psql --version | grep -oE '[0-9]+' | head -n 1)
if [ "$version" -ge 16 ]; then
    check 'values that are bound' <<'SQL'
SELECT $1::int + $2::int AS sum \bind 1 2 \g
SELECT title FROM makers WHERE title = $1 \bind Anna \g
SELECT $1::text AS word, length($1) AS length \bind 'it''s "quoted"' \gx
SELECT 'of no values' AS plain \bind \g
SELECT $1::int AS stored \bind 7 \gset
\echo :stored
INSERT INTO makers (title) VALUES ($1) RETURNING title \bind Bound \g
UPDATE makers SET founded = $2::date WHERE title = $1 RETURNING founded \bind Bound 2002-02-02 \g
DELETE FROM makers WHERE title = $1 \bind Bound \g
SELECT 1/$1::int AS never \bind 0 \g
SELECT $1::int AS none_given \bind \g
SELECT $1::int AS no_number \bind x \g
SELECT 1 AS one\; SELECT 2 AS two \bind \g
SELECT 'goes on';
SQL
fi
if [ "$version" -ge 18 ]; then
    check 'statements that are kept' <<'SQL'
SELECT $1::int + 1 AS next \parse kept
\bind_named kept 5 \g
\bind_named kept 6 \gx
\close_prepared kept
\bind_named kept 7 \g
SELECT 'goes on';
SQL
fi

check 'many in one message' <<'SQL'
SELECT 1 AS a\; SELECT 2 AS b\; SELECT 3 AS c;
SELECT 1\; SELECT 1/0\; SELECT 3;
BEGIN\; SELECT 1 AS inside\; COMMIT;
INSERT INTO makers (title) VALUES ('kept?')\; SELECT 1/0;
SELECT count(*) FROM makers WHERE title = 'kept?';
INSERT INTO makers (title) VALUES ('kept')\; COMMIT\; SELECT 1/0;
SELECT count(*) FROM makers WHERE title = 'kept';
;
;;
/* only a comment */;
SELECT;
SELECT FROM generate_series(1, 2);
CREATE TABLE made (a int)\; INSERT INTO made VALUES (1), (2)\; SELECT * FROM made\; DROP TABLE made;
SQL
call 'empty query by -c' -c ''
call 'two commands by -c' -c 'SELECT 1; SELECT 2' -c 'SELECT 3'
call 'one transaction' -1 -c 'SELECT 1' -c 'SELECT 1/0' -c 'SELECT 2'
call 'a list' -l -d "$PGDATABASE" -t -A -o /dev/null
call 'variables by -v' -v ON_ERROR_STOP=1 -c 'SELECT 1/0' -c 'SELECT 2'
call 'csv' --csv -c "SELECT 1 AS a, 'b,c' AS d"

check 'transactions' <<'SQL'
BEGIN;
INSERT INTO makers (title) VALUES ('in vain');
SAVEPOINT one;
INSERT INTO makers (title) VALUES ('Anna');
SELECT 1;
ROLLBACK TO one;
SELECT count(*) FROM makers WHERE title = 'in vain';
RELEASE one;
SELECT broken;
COMMIT;
SELECT count(*) FROM makers WHERE title = 'in vain';
COMMIT;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SHOW transaction_isolation;
SHOW transaction_read_only;
INSERT INTO makers (title) VALUES ('never');
ROLLBACK AND CHAIN;
SHOW transaction_isolation;
COMMIT AND NO CHAIN;
START TRANSACTION;
SET LOCAL work_mem = '5MB';
SHOW work_mem;
COMMIT;
BEGIN;
LOCK TABLE makers IN EXCLUSIVE MODE;
SELECT title FROM makers WHERE title = 'Anna' FOR UPDATE;
SELECT title FROM makers WHERE title = 'Anna' FOR SHARE NOWAIT;
SET CONSTRAINTS ALL DEFERRED;
END;
PREPARE TRANSACTION 'gh_psql';
SELECT txid_current_if_assigned() IS NULL;
SQL

check 'transactions by psql' <<'SQL'
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO makers (title) VALUES ('rolled');
SELECT 1/0;
SELECT count(*) FROM makers WHERE title = 'rolled';
ROLLBACK;
\unset ON_ERROR_ROLLBACK
\set AUTOCOMMIT off
INSERT INTO makers (title) VALUES ('not committed');
ROLLBACK;
SELECT count(*) FROM makers WHERE title = 'not committed';
COMMIT;
\set AUTOCOMMIT on
\set FETCH_COUNT 3
SELECT n FROM generate_series(1, 10) n;
SELECT 1/(5 - n) FROM generate_series(1, 10) n;
\unset FETCH_COUNT
SQL

check 'errors in full' <<'SQL'
\set VERBOSITY verbose
SELECT 1/0;
SELECT * FROM missing_table;
SELECT missing_column FROM things;
SELECT missing_function(1);
SELECT 'a'::int;
SELEC 1;
INSERT INTO makers (title) VALUES ('Anna');
INSERT INTO makers (title) VALUES (NULL);
INSERT INTO makers (id, title) VALUES (1, 'x');
INSERT INTO things (maker) VALUES (999);
INSERT INTO things (size) VALUES (-1);
INSERT INTO things (feeling) VALUES ('angry');
SELECT (-1)::positive;
INSERT INTO parts_north VALUES (1, 'south');
UPDATE things SET double_size = 1;
DROP TABLE makers;
DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P0042', DETAIL = 'a detail', HINT = 'a hint', TABLE = 't', COLUMN = 'c', CONSTRAINT = 'n', DATATYPE = 'd', SCHEMA = 's'; END $$;
\set VERBOSITY terse
SELECT 1/0;
\set VERBOSITY sqlstate
SELECT 1/0;
\set VERBOSITY default
\set SHOW_CONTEXT always
DO $$ BEGIN RAISE NOTICE 'with context'; END $$;
\errverbose
SQL

check 'notices' <<'SQL'
DO $$ BEGIN RAISE DEBUG 'unseen'; RAISE LOG 'unseen'; RAISE INFO 'info'; RAISE NOTICE 'notice'; RAISE WARNING 'warning'; END $$;
SET client_min_messages = debug1;
DO $$ BEGIN RAISE DEBUG 'seen'; END $$;
SET client_min_messages = error;
DO $$ BEGIN RAISE WARNING 'unseen'; END $$;
RESET client_min_messages;
DROP TABLE IF EXISTS never_there;
CREATE TABLE IF NOT EXISTS things ();
CREATE SCHEMA IF NOT EXISTS gh_psql;
SELECT loud(n) FROM generate_series(1, 2) n;
COMMIT;
TRUNCATE parts;
SQL

check 'prepared by SQL' <<'SQL'
PREPARE add(int, int) AS SELECT $1 + $2 AS sum;
EXECUTE add(1, 2);
EXECUTE add(40, 2);
EXECUTE add(1);
EXPLAIN (COSTS OFF) EXECUTE add(1, 2);
SELECT name, parameter_types FROM pg_prepared_statements;
CREATE TEMP TABLE sums AS EXECUTE add(1, 2);
TABLE sums;
DEALLOCATE add;
EXECUTE add(1, 2);
PREPARE put AS INSERT INTO parts VALUES ($1, $2) RETURNING *;
EXECUTE put(1, 'north');
DEALLOCATE ALL;
SQL

check 'cursors by SQL' <<'SQL'
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT n FROM generate_series(1, 9) n;
FETCH 2 FROM c;
FETCH LAST FROM c;
FETCH BACKWARD 2 FROM c;
MOVE ABSOLUTE 4 IN c;
FETCH NEXT FROM c;
FETCH ALL FROM c;
CLOSE c;
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM things ORDER BY id;
COMMIT;
FETCH ALL FROM held;
SELECT name, is_holdable FROM pg_cursors;
CLOSE held;
FETCH held;
BEGIN;
DECLARE u CURSOR FOR SELECT * FROM things ORDER BY id FOR UPDATE;
FETCH 1 FROM u;
UPDATE things SET size = 3 WHERE CURRENT OF u RETURNING id;
COMMIT;
SQL

check 'settings' <<'SQL'
SHOW server_version_num;
SHOW server_encoding;
SHOW standard_conforming_strings;
SET work_mem = '7MB';
SHOW work_mem;
RESET work_mem;
SET TIME ZONE 'Europe/Paris';
SHOW timezone;
SELECT '2024-06-01 12:00:00+00'::timestamptz;
SET datestyle = 'German';
SELECT '2024-06-01'::date;
SET datestyle = 'ISO, MDY';
SET intervalstyle = 'iso_8601';
SELECT '1 day 2 hours'::interval;
SET bytea_output = 'escape';
SELECT '\x41ff'::bytea;
SET application_name = 'gh';
SHOW application_name;
SET statement_timeout = 100;
SELECT pg_sleep(20);
SET statement_timeout = 0;
SET lock_timeout = '1s';
SET nonsense = 1;
SET gh.custom = 'own';
SHOW gh.custom;
SELECT current_setting('gh.custom'), set_config('gh.custom', 'other', false);
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
CREATE TABLE not_made ();
RESET ALL;
SHOW search_path;
SET search_path = gh_psql;
SELECT current_schema, current_schemas(false), current_database() = :'DBNAME' AS same;
SET ROLE pg_monitor;
RESET ROLE;
SET client_encoding = 'UTF8';
SHOW client_encoding;
SET client_encoding = 'LATIN1';
SHOW client_encoding;
SELECT 'é' AS accented;
RESET client_encoding;
SET standard_conforming_strings = off;
SELECT 'a\\b' AS escaped;
RESET standard_conforming_strings;
CREATE FUNCTION fixed() RETURNS text LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT current_schema';
SELECT fixed();
DISCARD ALL;
SHOW search_path;
SQL

check 'COPY' <<'SQL'
CREATE TABLE lines (id int, word text, stamp timestamptz);
COPY lines FROM stdin;
1	plain	2024-01-01 00:00:00+00
2	tab\there\\and\nnewline	\N
\.
COPY lines FROM stdin WITH (FORMAT csv, HEADER, NULL 'none');
id,word,stamp
3,"quoted, ""word""",none
4,,none
\.
COPY lines (id, word) FROM stdin WITH (DELIMITER '|');
5|bar
\.
TABLE lines ORDER BY id;
COPY lines TO stdout;
COPY lines TO stdout WITH (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY (SELECT id * 2 AS double FROM lines ORDER BY id) TO stdout CSV HEADER;
COPY lines FROM stdin;
6	fine	\N
seven	bad	\N
\.
COPY lines FROM stdin;
too few
\.
COPY lines (id) FROM stdin WHERE id > 10;
9
11
\.
SELECT count(*) FROM lines;
COPY lines (word) TO stdout WITH (ENCODING 'LATIN1');
COPY missing_table FROM stdin;
COPY lines TO '/nonexistent/file';
COPY lines TO PROGRAM 'cat';
\copy lines to 'lines.txt'
\! cat lines.txt
\copy lines to 'lines.csv' with (format csv, header)
\! cat lines.csv
\copy lines to 'lines.bin' with (format binary)
\! wc -c < lines.bin
TRUNCATE lines;
\copy lines from 'lines.txt'
\copy lines from 'lines.csv' with (format csv, header match)
\copy lines from 'lines.bin' (format binary)
SELECT id, count(*) FROM lines GROUP BY id ORDER BY id;
\copy (select id from lines order by id limit 2) to stdout
\copy lines (id, word) from program 'printf "50\tprogram\n"'
\copy lines from 'lines.txt' (format binary)
\copy lines from 'no_such_file.txt'
BEGIN;
COPY lines (id) FROM stdin;
bad
\.
SELECT 1;
ROLLBACK;
COPY lines (id) FROM stdin\; SELECT 'after' AS word\; COPY (SELECT 1) TO stdout;
77
\.
SELECT count(*) FROM lines WHERE id = 77;
SQL

check 'types' <<'SQL'
SELECT 1::int2, 2::int4, 3::int8, 1.5::float4, 'NaN'::float8, '-Infinity'::float8, 1e100::numeric, 'NaN'::numeric;
SELECT true, 'c'::"char", 'pad'::char(5), 'n'::name, '\xdeadbeef'::bytea, 'æ😀'::text;
SELECT '2024-02-29'::date, '12:34:56.789'::time, '12:34+02'::timetz, 'infinity'::timestamp, '0044-03-15 BC'::date;
SELECT '1 mon 2 days 03:04:05.6'::interval, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{"a": 1}'::json, '{"b": [1, null]}'::jsonb;
SELECT '{1,NULL,3}'::int[], '{{a,b},{c,"d e"}}'::text[], '[2:3]={5,6}'::int[], '[1,5)'::int4range, '{[1,2),[5,6)}'::int4multirange, '(,)'::tstzrange;
SELECT 'happy'::mood, ROW(1, 'x y')::pair, ARRAY[ROW(1, 'a')::pair], 5::positive, '[1.5,2]'::span;
SELECT '10.0.0.1/8'::inet, '10.0.0.0/8'::cidr, '08:00:2b:01:02:03'::macaddr, '(1,2)'::point, '((0,0),(1,1))'::box, B'101'::bit(3), '0/16B3748'::pg_lsn;
SELECT 'a & b'::tsquery, to_tsvector('simple', 'b a'), '$.a[*]'::jsonpath, '<a>b</a>'::xml, 12.34::money, 'pg_class'::regclass;
SELECT things FROM things WHERE id = 1;
SELECT * FROM json_to_recordset('[{"a": 1}, {"a": 2}]') AS x(a int);
SELECT U&'d\0061ta', E'line\nbreak', $tag$dollar 'quoted'$tag$, 'adjacent'
'literals';
SQL

check 'notifications' <<'SQL'
LISTEN gh_psql_channel;
NOTIFY gh_psql_channel, 'a payload';
SELECT pg_notify('gh_psql_channel', 'by function');
BEGIN;
NOTIFY gh_psql_channel;
NOTIFY gh_psql_channel;
ROLLBACK;
SELECT pg_listening_channels();
UNLISTEN gh_psql_channel;
NOTIFY gh_psql_channel, 'unheard';
SQL

check 'large' -A -t <<'SQL'
SELECT length(repeat('x', 5000000));
SELECT repeat('large ', 900000) AS big \gset
SELECT md5(:'big') = md5(repeat('large ', 900000)) AS same, length(:'big');
\o large.txt
SELECT repeat('0123456789', 100) FROM generate_series(1, 30000);
\o
\! wc -c < large.txt
SELECT md5(string_agg(n::text, ',')) FROM generate_series(1, 100000) n;
SQL

check 'administration' <<'SQL'
ANALYZE things;
VACUUM things;
REINDEX TABLE things;
CLUSTER makers USING makers_pkey;
CHECKPOINT;
CREATE INDEX CONCURRENTLY things_size ON things (size);
DROP INDEX CONCURRENTLY things_size;
ALTER TABLE things ADD COLUMN extra int DEFAULT 5;
ALTER TABLE things RENAME COLUMN extra TO spare;
ALTER TABLE things ALTER COLUMN spare TYPE bigint, ALTER COLUMN spare SET NOT NULL;
SELECT spare FROM things LIMIT 1;
ALTER TYPE mood ADD VALUE 'thrilled';
ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
COMMENT ON FUNCTION twice IS 'doubles';
CREATE EXTENSION IF NOT EXISTS plpgsql;
SECURITY LABEL ON TABLE things IS 'x';
CREATE TABLE copied AS SELECT id, title FROM things WITH NO DATA;
SELECT * INTO another FROM copied;
CREATE SCHEMA gh_psql_inner CREATE TABLE inside (a int) CREATE VIEW seen AS SELECT a FROM inside;
TABLE gh_psql_inner.seen;
DROP SCHEMA gh_psql_inner CASCADE;
CREATE TEMP TABLE fleeting (a int) ON COMMIT DROP;
CREATE TEMP TABLE lasting (a int);
INSERT INTO lasting VALUES (1) RETURNING a;
CREATE FOREIGN TABLE far (a int) SERVER nowhere;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT count(*) FROM makers WHERE id < 0;
EXPLAIN (FORMAT json, COSTS OFF) SELECT 1;
SQL

# SIGINT cancels what runs, and psql, which reads no terminal, ends.
checked=$((checked + 1))
printf '\n== a cancelled statement\n'
psql -X -q >cancelled.txt 2>&1 < <(printf 'SELECT 1 AS before;\nSELECT pg_sleep(30);\nSELECT 2 AS after;\n') &
sleeper=$!
sleep 1
kill -INT "$sleeper"
wait "$sleeper"
printf 'exit %s\n' "$?"
cat cancelled.txt

# SIGINT while lines are awaited sends CopyFail.
checked=$((checked + 1))
printf '\n== a COPY that the client gives up\n'
mkfifo lines.fifo
psql -X -q -c 'COPY gh_psql.makers (title) FROM stdin' -c "SELECT count(*) FROM gh_psql.makers WHERE title = 'unfinished'" >cancelled.txt 2>&1 <lines.fifo &
copier=$!
exec 9>lines.fifo
printf 'unfinished\n' >&9
sleep 1
kill -INT "$copier"
sleep 0.3
exec 9>&-
wait "$copier"
printf 'exit %s\n' "$?"
cat cancelled.txt

check 'large objects' <<'SQL'
\! printf 'large object' > object.txt
\lo_import object.txt 'a comment'
\lo_export :LASTOID exported.txt
\! cat exported.txt
\lo_unlink :LASTOID
SELECT lo_unlink(lo_from_bytea(0, 'bytes'));
SQL

call 'the schema is dropped' -q -c 'SET client_min_messages = warning' -c 'DROP PUBLICATION IF EXISTS gh_psql_publication' -c 'DROP SCHEMA gh_psql CASCADE'
printf '\nchecked %s\n' "$checked"
