#!/usr/bin/env bash
# pgbench: filling its tables, and its protocol modes. Prints how many transactions went through, never how fast.
set -uo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
psql -X -q -c "SELECT" >/dev/null || exit 1
checked=0

# pgbench makes its tables where search_path points first, which is a schema of the account's own name.
sweep() {
    psql -X -q 2>&1 <<'SQL'
SET client_min_messages = warning;
SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', current_user) \gexec
SQL
}

check() {
    local title=$1
    shift
    checked=$((checked + 1))
    printf '\n== %s\n' "$title"
    pgbench "$@" >out.txt 2>&1 </dev/null
    local status=$?
    # Without random numbers, times and speeds.
    sed -E 's/in [0-9.]+ s.*$/in N s/; s/(latency|initial connection time|tps|average connection time).*/\1 N/; s/^pgbench \(.*/pgbench/' out.txt |
        grep -vE '^(latency|tps|initial connection|average connection|pgbench$|[0-9]+ of [0-9]+ tuples|number of transactions retried|total number of retries)'
    printf 'exit %s\n' "$status"
}

ask() {
    psql -X -A -t -c "$1" 2>&1
}

sweep
ask 'CREATE SCHEMA AUTHORIZATION CURRENT_USER'
check 'initialize' -i -s 1
check 'initialize at the server, with foreign keys and partitions' -i -I dtGvpf -s 1 --partitions 3
ask 'SELECT count(*), sum(aid), min(bid), max(abalance) FROM pgbench_accounts'
for mode in simple extended prepared; do
    check "$mode" -M "$mode" -c 4 -j 2 -t 50
    check "$mode, reading" -M "$mode" -S -n -c 4 -j 2 -t 50
done
check 'simple update, no vacuum' -N --no-vacuum -c 4 -j 2 -t 50
check 'a connection for each' -n -C -M extended -S -c 2 -j 2 -t 20
ask 'SELECT count(*) FROM pgbench_history'
ask 'SELECT sum(tbalance) = (SELECT sum(bbalance) FROM pgbench_branches) FROM pgbench_tellers'

cat >pipeline.sql <<'SQL'
\set aid random(1, 100000)
\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT 1;
UPDATE pgbench_tellers SET tbalance = tbalance + 0 WHERE tid = 1;
BEGIN;
UPDATE pgbench_branches SET bbalance = bbalance + 0 WHERE bid = 1;
COMMIT;
SELECT :aid::int + 1;
\endpipeline
SELECT 2;
SQL
for mode in extended prepared; do
    check "a pipeline, $mode" -n -M "$mode" -f pipeline.sql -c 4 -j 2 -t 50
done

cat >gset.sql <<'SQL'
SELECT 5 AS five, 6 AS six \gset
SELECT 1 AS a \; SELECT 2 AS b \aset
\if :five = 5
SELECT :five + :six + :b;
\endif
SQL
check 'results into variables' -n -M simple -f gset.sql -c 2 -j 1 -t 20

cat >failing.sql <<'SQL'
SELECT 1 / (:client_id - 1);
SQL
check 'a client that fails' -n -M extended -f failing.sql -c 2 -j 1 -t 5

cat >serial.sql <<'SQL'
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT sum(abalance) FROM pgbench_accounts WHERE aid < 10;
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 1;
COMMIT;
SQL
check 'conflicts, tried again' -n -M prepared -f serial.sql -c 2 -j 2 -t 20 --max-tries=1000
ask 'SELECT abalance > 0 FROM pgbench_accounts WHERE aid = 1'
check 'dropping' -i -I d

sweep
printf '\nchecked %s\n' "$checked"
