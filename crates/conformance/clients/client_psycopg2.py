"""psycopg2: simple queries of libpq, server-side cursors, COPY, notifications, two-phase commit, cancelling."""

import io
import select
import threading
import time

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras
from client_common import (
    DATABASE, EXPRESSIONS, FAILURES, HOST, LARGE, PASSWORD, PORT, USER, definitions, end, section, show,
)


def connect(**options):
    connection = psycopg2.connect(
        host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, application_name="matrix", **options
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET search_path = gh_psycopg2, public")
        cursor.execute("SET timezone = 'UTC'")
    return connection


def ask(connection, sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def attempt(title, connection, action):
    """What is meant to fail."""
    try:
        show(title, "no error", action())
    except psycopg2.Error as error:
        diag = error.diag
        show(
            title, type(error).__name__, error.pgcode, str(error), diag.message_primary, diag.message_detail,
            diag.message_hint, diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name,
            diag.datatype_name, diag.context, diag.statement_position, diag.source_function,
        )
    if connection.closed == 0 and connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_INERROR:
        connection.rollback()


def types(connection):
    section("types")
    for expression in EXPRESSIONS:
        show(expression, ask(connection, f"SELECT {expression}")[0][0])
    for value in [1, 2**40, 1.5, True, None, "it's", "back\\slash", b"\x00\xff", [1, None], ["a", "b c"], (1, 2)]:
        show("parameter", ask(connection, "SELECT %s" if not isinstance(value, tuple) else "SELECT 1 WHERE 1 IN %s", value))
    psycopg2.extras.register_uuid()
    pair = psycopg2.extras.register_composite("gh_psycopg2.pair", connection)
    show("composite", pair.name, ask(connection, "SELECT ROW(1, 'x')::pair, ARRAY[ROW(2, 'y')::pair]"))
    show("json", ask(connection, "SELECT %s::jsonb", psycopg2.extras.Json({"k": [1, None]})))
    show("range", ask(connection, "SELECT %s", psycopg2.extras.NumericRange(1, 5)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1::int4 AS a, 'b'::varchar(7) AS b, 1.5::numeric(5, 2) AS c")
        show("description", [(c.name, c.type_code, c.internal_size, c.precision, c.scale) for c in cursor.description])


def rows(connection):
    section("rows")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO makers (title) VALUES (%s), (%s) RETURNING id", ("Anna", "Bo"))
        show("returning", cursor.fetchall(), cursor.rowcount, cursor.statusmessage)
        cursor.executemany("INSERT INTO makers (title) VALUES (%s)", [(f"m{n}",) for n in range(5)])
        show("many", cursor.rowcount, cursor.statusmessage)
        made = psycopg2.extras.execute_values(
            cursor, "INSERT INTO things (maker, size) VALUES %s RETURNING id", [(1, n) for n in range(250)], fetch=True
        )
        show("execute_values", len(made), made[-1])
        psycopg2.extras.execute_batch(cursor, "UPDATE things SET size = %s WHERE id = %s", [(n, n) for n in range(1, 50)])
        show("execute_batch", cursor.statusmessage)
        cursor.execute("SELECT 1; SELECT 2, 3")
        show("the last of several", cursor.fetchall())
        cursor.callproc("many", (3,))
        show("function", cursor.fetchall())
        cursor.execute("CALL swap(1, 2)")
        show("procedure", cursor.fetchall())
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("SELECT id, title FROM makers WHERE id < 3 ORDER BY id")
        show("dictionaries", [dict(row) for row in cursor.fetchall()])
    connection.commit()
    attempt("empty", connection, lambda: ask(connection, ""))
    attempt("only a comment", connection, lambda: ask(connection, "-- nothing"))


def failures(connection):
    section("failures")
    for sql in FAILURES:
        attempt(sql, connection, lambda sql=sql: ask(connection, sql))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO makers (title) VALUES ('in vain')")
        cursor.execute("SAVEPOINT one")
        try:
            cursor.execute("INSERT INTO makers (title) VALUES ('Anna')")
        except psycopg2.errors.UniqueViolation as error:
            show("in a transaction", error.pgcode)
        try:
            cursor.execute("SELECT 1")
        except psycopg2.errors.InFailedSqlTransaction as error:
            show("after it", error.pgcode, str(error))
        cursor.execute("ROLLBACK TO one")
        cursor.execute("SELECT count(*) FROM makers WHERE title = 'in vain'")
        show("recovered", cursor.fetchall(), connection.info.transaction_status)
    connection.rollback()
    show("status", connection.info.transaction_status, ask(connection, "SELECT count(*) FROM makers WHERE title = 'in vain'"))
    connection.rollback()


def sessions(connection):
    section("sessions")
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    show("isolation", ask(connection, "SHOW transaction_isolation"), ask(connection, "SHOW transaction_read_only"))
    attempt("read only", connection, lambda: ask(connection, "INSERT INTO makers (title) VALUES ('x') RETURNING 1"))
    connection.rollback()
    connection.set_session(isolation_level="DEFAULT", readonly=False, deferrable=False)
    connection.autocommit = True
    show("autocommit", ask(connection, "SELECT txid_current_if_assigned() IS NULL"), connection.info.transaction_status)
    connection.set_client_encoding("UTF8")
    show("parameters", [(name, connection.get_parameter_status(name)) for name in (
        "server_version", "server_encoding", "client_encoding", "is_superuser", "DateStyle", "IntervalStyle",
        "TimeZone", "integer_datetimes", "standard_conforming_strings", "application_name",
        "default_transaction_read_only", "in_hot_standby")])
    show("versions", connection.server_version, connection.protocol_version)
    ask(connection, "SELECT set_config('statement_timeout', '200', false)")
    attempt("statement_timeout", connection, lambda: ask(connection, "SELECT pg_sleep(20)"))
    connection.cursor().execute("SET statement_timeout = 0")
    connection.autocommit = False
    connection.reset()
    connection.cursor().execute("SET search_path = gh_psycopg2, public; SET timezone = 'UTC'")
    connection.commit()
    show("reset", ask(connection, "SHOW search_path"))
    connection.rollback()
    attempt("two phases", connection, lambda: two_phases(connection))
    connection.rollback()


def two_phases(connection):
    transaction = connection.xid(42, "gh_psycopg2", "branch")
    connection.tpc_begin(transaction)
    connection.cursor().execute("INSERT INTO makers (title) VALUES ('two phases')")
    try:
        connection.tpc_prepare()
    except psycopg2.Error:
        connection.tpc_rollback()
        raise
    connection.tpc_rollback()


def cursors(connection):
    section("cursors")
    for size in (1, 7, 2000):
        with connection.cursor("named") as cursor:
            cursor.itersize = size
            cursor.execute("SELECT n, repeat('x', 10) FROM generate_series(1, %s) n", (100,))
            show(f"by {size}", cursor.fetchone(), len(cursor.fetchmany(5)), sum(1 for _ in cursor))
    with connection.cursor("scrolled", scrollable=True) as cursor:
        cursor.execute("SELECT generate_series(1, 20)")
        cursor.scroll(10)
        show("scrolled", cursor.fetchone())
        cursor.scroll(-3)
        show("back", cursor.fetchone())
        cursor.scroll(2, mode="absolute")
        show("absolute", cursor.fetchmany(2), cursor.fetchall()[-1])
    connection.commit()
    held = connection.cursor("held", withhold=True)
    held.execute("SELECT generate_series(1, 5)")
    connection.commit()
    show("held", held.fetchall())
    held.close()
    attempt("a cursor that fails", connection, lambda: failing_cursor(connection))
    connection.rollback()


def failing_cursor(connection):
    with connection.cursor("failing") as cursor:
        cursor.itersize = 3
        cursor.execute("SELECT 10 / (5 - n) FROM generate_series(1, 9) n")
        return list(cursor)


class Torn(io.StringIO):
    """Lines that cannot be read to their end."""

    def read(self, size=-1):
        if self.tell() > 0:
            raise ValueError("torn")
        return super().read(size)


def copies(connection):
    section("COPY")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lines (id int, word text)")
        cursor.copy_expert("COPY lines FROM STDIN", io.StringIO("1\tone\n2\t\\N\n3\ttab\\there\n"))
        show("text in", cursor.rowcount, cursor.statusmessage)
        cursor.copy_expert("COPY lines FROM STDIN WITH (FORMAT csv, HEADER)", io.StringIO('id,word\n4,"four, 4"\n5,\n'))
        show("csv in", cursor.rowcount)
        for form in ("text", "csv", "binary"):
            out = io.BytesIO()
            cursor.copy_expert(f"COPY lines TO STDOUT WITH (FORMAT {form})", out)
            show(f"{form} out", out.getvalue())
            out.seek(0)
            cursor.copy_expert(f"COPY lines FROM STDIN WITH (FORMAT {form})", out)
            show(f"{form} in", cursor.rowcount)
        cursor.execute("SELECT count(*), count(DISTINCT id) FROM lines")
        show("count", cursor.fetchall())
        connection.commit()
    attempt("bad line", connection, lambda: connection.cursor().copy_expert("COPY lines FROM STDIN", io.StringIO("1\tx\nbad\ty\n")))
    try:
        connection.cursor().copy_expert("COPY lines FROM STDIN", Torn("1\tx\n" * 3), size=4)
    except (psycopg2.Error, ValueError) as error:
        show("aborted by the client", type(error).__name__, getattr(error, "pgcode", None), str(error))
    connection.rollback()
    show("unharmed", ask(connection, "SELECT count(*) FROM lines"))
    connection.rollback()
    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("".join(f"{n}\tword {n}\n" for n in range(200_000))), "lines")
        show("large in", cursor.rowcount)
        out = io.StringIO()
        cursor.copy_to(out, "lines")
        show("large out", len(out.getvalue()))
    connection.rollback()


def notifications(connection):
    section("notifications and notices")
    connection.autocommit = True
    other = connect()
    connection.cursor().execute("LISTEN gh_channel")
    other.cursor().execute("NOTIFY gh_channel, 'first'; SELECT pg_notify('gh_channel', 'second')")
    other.commit()
    other.close()
    heard = []
    while len(heard) < 2:
        if not select.select([connection], [], [], 10)[0]:
            break
        connection.poll()
        heard += [(notify.channel, notify.payload) for notify in connection.notifies]
        del connection.notifies[:]
    show("heard", heard)
    connection.cursor().execute("UNLISTEN *")
    del connection.notices[:]
    ask(connection, "SELECT loud(7)")
    connection.cursor().execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    show("notices", connection.notices)
    connection.autocommit = False


def cancelling(connection):
    section("cancelling")
    timer = threading.Timer(0.5, connection.cancel)
    timer.start()
    began = time.monotonic()
    attempt("cancelled", connection, lambda: ask(connection, "SELECT pg_sleep(30)"))
    timer.join()
    show("soon", time.monotonic() - began < 10, ask(connection, "SELECT 1"))
    connection.rollback()


def large(connection):
    section("large values")
    text, raw = "æ" * (LARGE // 2), bytes(range(256)) * (LARGE // 2 // 256)
    for title, sql, value in [
        ("text up", "SELECT md5(%s)", "x" * (LARGE // 2)), ("bytea up", "SELECT md5(%s)", bytes(LARGE // 4)),
        ("text of 5 MB up", "SELECT length(%s)", "x" * LARGE), ("bytea of 5 MB up", "SELECT length(%s)", bytes(LARGE)),
        ("text both ways", "SELECT %s", text[: LARGE // 3]), ("bytea both ways", "SELECT %s", raw[: LARGE // 3]),
        ("text of 5 MB both ways", "SELECT %s", text), ("bytea of 5 MB both ways", "SELECT %s", raw),
        ("down", "SELECT repeat('x', %s)", LARGE),
    ]:
        attempt(title, connection, lambda sql=sql, value=value: ask(connection, sql, value)[0][0])
    answer = ask(connection, "SELECT n, repeat('0123456789', 100) FROM generate_series(1, 30000) n")
    show("30 MB", len(answer), answer[-1][0])
    connection.rollback()


def large_objects(connection):
    section("large objects")
    attempt("object", connection, lambda: use_object(connection))
    connection.rollback()


def use_object(connection):
    thing = connection.lobject(0, "wb")
    thing.write(b"0123456789" * 1000)
    thing.seek(5)
    thing.close()
    again = connection.lobject(thing.oid, "rb")
    again.seek(9995)
    answer = again.read()
    again.unlink()
    return answer


def asynchronous():
    section("asynchronous")
    connection = psycopg2.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, async_=True)
    psycopg2.extras.wait_select(connection)
    cursor = connection.cursor()
    cursor.execute("SELECT pg_sleep(0.1), 42")
    psycopg2.extras.wait_select(connection)
    show("answer", cursor.fetchone()[1])
    connection.close()


def options():
    section("startup parameters")
    for option in ("-c statement_timeout=5s", "-c search_path=gh_psycopg2"):
        try:
            connection = connect(options=option)
            show(option, ask(connection, "SHOW statement_timeout"))
            connection.close()
        except psycopg2.OperationalError as error:
            show(option, str(error).replace(f"port {PORT}", "port"))
    try:
        psycopg2.connect(host=HOST, port=PORT, user=USER, password="wrong", dbname=DATABASE)
    except psycopg2.OperationalError as error:
        show("a wrong password", str(error).splitlines()[0].replace(f"port {PORT}", "port").replace(USER, "USER"))


def main():
    connection = psycopg2.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE)
    with connection, connection.cursor() as cursor:
        for sql in definitions("gh_psycopg2"):
            cursor.execute(sql)
    rows(connection)
    for part in (types, failures, sessions, cursors, copies, notifications, cancelling, large):
        part(connection)
    asynchronous()
    options()
    large_objects(connection)
    connection.cursor().execute("DROP SCHEMA gh_psycopg2 CASCADE")
    connection.commit()
    connection.close()
    end()


main()
