"""pg8000: a driver without libpq, unnamed and named statements in text form, COPY by streams."""

import datetime
import decimal
import io
import uuid

import pg8000.dbapi
import pg8000.native
from client_common import (
    DATABASE, EXPRESSIONS, FAILURES, HOST, LARGE, PASSWORD, PORT, USER, definitions, end, section, show,
)

PLACE = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE}


def connect(**options):
    connection = pg8000.native.Connection(**PLACE, application_name="matrix", **options)
    connection.run("SET search_path = gh_pg8000, public")
    connection.run("SET timezone = 'UTC'")
    return connection


def attempt(title, action):
    """What is meant to fail; a server's error is a dictionary of its fields."""
    try:
        show(title, "no error", action())
    except (pg8000.native.DatabaseError, pg8000.native.InterfaceError) as error:
        fields = error.args[0] if error.args else None
        if isinstance(fields, dict):
            # Line numbers differ between servers.
            fields = {key: value for key, value in sorted(fields.items()) if key not in "FL"}
        show(title, type(error).__name__, fields)


def types(connection):
    section("types")
    for expression in EXPRESSIONS:
        attempt(expression, lambda expression=expression: connection.run(f"SELECT {expression}")[0][0])
    for value in [
        1, 2**40, 2**70, 1.5, True, None, "it's", b"\x00\xff", decimal.Decimal("1.50"), datetime.date(2024, 2, 29),
        datetime.datetime(2024, 1, 2, 3, 4, 5), datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
        datetime.timedelta(days=1), uuid.UUID(int=5), [1, None, 3], ["a", "b c", None], [[1, 2], [3, 4]],
    ]:
        attempt(f"parameter {value!r}", lambda value=value: connection.run("SELECT v, pg_typeof(v)::text FROM (SELECT :value) AS s(v)", value=value))
    attempt("with a type", lambda: connection.run("SELECT :a::jsonb, :b", a='{"k": 1}', b=5, types={"a": pg8000.native.STRING, "b": pg8000.native.INTEGER}))
    connection.run("SELECT 1::int4 AS a, 'b'::varchar(7) AS b")
    show("columns", [(c["name"], c["type_oid"], c["type_size"], c["type_modifier"], c["format"], c["column_attrnum"]) for c in connection.columns])


def rows(connection):
    section("rows")
    show("returning", connection.run("INSERT INTO makers (title) VALUES (:a), (:b) RETURNING id", a="Anna", b="Bo"), connection.row_count)
    statement = connection.prepare("SELECT id, title FROM makers WHERE id = :id")
    show("prepared", [statement.run(id=n) for n in range(4)])
    statement.close()
    show("several", connection.run("SELECT 1; SELECT 2"), connection.row_count)
    for sql in ("", ";", "-- nothing"):
        attempt(f"empty {sql!r}", lambda sql=sql: connection.run(sql))
    attempt("several with parameters", lambda: connection.run("SELECT :a::int; SELECT 2", a=1))
    show("procedure", connection.run("CALL swap(:a, :b)", a=1, b=2))


def failures(connection):
    section("failures")
    for sql in FAILURES:
        attempt(sql, lambda sql=sql: connection.run(sql))
    connection.run("BEGIN")
    connection.run("INSERT INTO makers (title) VALUES ('in vain')")
    connection.run("SAVEPOINT one")
    attempt("inside", lambda: connection.run("INSERT INTO makers (title) VALUES (:title)", title="Anna"))
    attempt("aborted", lambda: connection.run("SELECT 1"))
    connection.run("ROLLBACK TO one")
    show("recovered", connection.run("SELECT count(*) FROM makers WHERE title = 'in vain'"))
    connection.run("ROLLBACK")
    attempt("a failed transaction", lambda: [connection.run("BEGIN"), attempt("1/0", lambda: connection.run("SELECT 1/0")), connection.run("COMMIT")])
    show("again", connection.run("SELECT 1"))


def copies(connection):
    section("COPY")
    connection.run("CREATE TABLE lines (id int, word text)")
    show("in", connection.run("COPY lines FROM STDIN", stream=io.BytesIO(b"1\tone\n2\t\\N\n")), connection.row_count)
    show("csv in", connection.run("COPY lines FROM STDIN WITH (FORMAT csv)", stream=io.StringIO('3,"three, 3"\n')), connection.row_count)
    for form in ("text", "csv", "binary"):
        out = io.BytesIO()
        connection.run(f"COPY lines TO STDOUT WITH (FORMAT {form})", stream=out)
        show(f"{form} out", out.getvalue())
        out.seek(0)
        connection.run(f"COPY lines FROM STDIN WITH (FORMAT {form})", stream=out)
        show(f"{form} in", connection.row_count)
    attempt("bad line", lambda: connection.run("COPY lines FROM STDIN", stream=io.BytesIO(b"1\tx\nbad\ty\n")))
    attempt("missing table", lambda: connection.run("COPY missing FROM STDIN", stream=io.BytesIO(b"1\n")))
    show("unharmed", connection.run("SELECT count(*) FROM lines"))


def notifications(connection):
    section("notifications and notices")
    connection.run("LISTEN gh_channel")
    connection.run("NOTIFY gh_channel, 'own'")
    other = connect()
    other.run("SELECT pg_notify('gh_channel', :payload)", payload="other")
    other.close()
    connection.run("SELECT 1")
    connection.run("SELECT 1")
    show("heard", [(channel, payload) for _, channel, payload in connection.notifications])
    connection.run("SELECT loud(7)")
    show("notices", [{key: value for key, value in sorted(notice.items()) if key not in (b"F", b"L")} for notice in connection.notices if notice[b"M"].startswith(b"loud")])
    show("parameters", [(name, connection.parameter_statuses.get(name)) for name in ("server_version", "client_encoding", "TimeZone", "DateStyle", "is_superuser", "application_name")])
    connection.run("SET statement_timeout = 200")
    attempt("statement_timeout", lambda: connection.run("SELECT pg_sleep(20)"))
    connection.run("RESET statement_timeout")


def large(connection):
    section("large values")
    text, raw = "æ" * (LARGE // 2), bytes(range(256)) * (LARGE // 256)
    show("text", connection.run("SELECT :v::text", v=text)[0][0] == text)
    show("bytea", connection.run("SELECT :v::bytea", v=raw)[0][0] == raw)
    answer = connection.run("SELECT n, repeat('0123456789', 100) FROM generate_series(1, 30000) n")
    show("30 MB", len(answer), answer[-1][0])


def dbapi():
    section("DB-API")
    connection = pg8000.dbapi.connect(**PLACE)
    cursor = connection.cursor()
    cursor.execute("SET search_path = gh_pg8000, public")
    cursor.execute("SELECT title FROM makers WHERE id = %s", (1,))
    show("one", cursor.fetchone(), cursor.rowcount, [column[0] for column in cursor.description])
    cursor.executemany("INSERT INTO makers (title) VALUES (%s)", [(f"m{n}",) for n in range(10)])
    show("many", cursor.rowcount)
    connection.rollback()
    attempt("two phases", lambda: two_phases(connection))
    connection.close()
    try:
        pg8000.dbapi.connect(**{**PLACE, "password": "wrong"})
    except pg8000.dbapi.DatabaseError as error:
        show("a wrong password", error.args[0]["C"], error.args[0]["M"].replace(USER, "USER"))


def two_phases(connection):
    connection.tpc_begin(connection.xid(42, "gh_pg8000", "branch"))
    connection.cursor().execute("SELECT 1")
    connection.tpc_prepare()
    connection.tpc_rollback()


def main():
    connection = pg8000.native.Connection(**PLACE)
    connection.run("SET client_min_messages = warning")
    for sql in definitions("gh_pg8000"):
        connection.run(sql)
    connection.run("RESET client_min_messages")
    for part in (rows, types, failures, copies, notifications, large):
        part(connection)
    dbapi()
    connection.run("SET client_min_messages = warning")
    connection.run("DROP SCHEMA gh_pg8000 CASCADE")
    connection.close()
    end()


main()
