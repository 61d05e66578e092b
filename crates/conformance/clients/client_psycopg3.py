"""psycopg 3: the extended protocol, binary both ways, pipelines, server-side cursors, COPY by rows."""

import asyncio
import datetime
import decimal
import ipaddress
import threading
import time
import uuid

import psycopg
from client_common import (
    DATABASE, EXPRESSIONS, FAILURES, HOST, LARGE, PASSWORD, PORT, USER, definitions, end, section, show,
)
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range, RangeInfo, register_range

PLACE = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "dbname": DATABASE, "application_name": "matrix"}


def connect(**options):
    connection = psycopg.connect(**PLACE, **options)
    connection.execute("SET search_path = gh_psycopg3, public")
    connection.execute("SET timezone = 'UTC'")
    connection.commit()
    return connection


def describe(error):
    diag = error.diag
    return (
        type(error).__name__, error.sqlstate, diag.severity, diag.message_primary, diag.message_detail, diag.message_hint,
        diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name, diag.datatype_name, diag.context,
        diag.statement_position, diag.source_function, str(error) if diag.message_primary is None else None,
    )


def attempt(title, connection, action):
    """What is meant to fail."""
    try:
        show(title, "no error", action())
    except psycopg.Error as error:
        show(title, *describe(error))
    if not connection.closed and connection.info.transaction_status != TransactionStatus.ACTIVE:
        connection.rollback()


def types(connection):
    section("types")
    for name, register, kind in (("mood", register_enum, EnumInfo), ("pair", register_composite, CompositeInfo), ("span", register_range, RangeInfo)):
        info = kind.fetch(connection, name)
        register(info, connection)
        show("registered", info.name, getattr(info, "labels", None), getattr(info, "field_names", None))
    for expression in EXPRESSIONS:
        for binary in (False, True):
            # Nothing decodes every type in binary form; then it is bytes.
            answer = connection.execute(f"SELECT {expression}", binary=binary).fetchone()[0]
            show(f"{expression} {'binary' if binary else 'text'}", answer)
    values = [
        1, 2**40, 2**70, 1.5, float("inf"), True, None, "it's æ😀", b"\x00\xff", decimal.Decimal("1.50"),
        datetime.date(2024, 2, 29), datetime.time(1, 2, 3), datetime.datetime(2024, 1, 2, 3, 4, 5),
        datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), datetime.timedelta(days=1, seconds=5),
        uuid.UUID(int=5), Jsonb({"k": [1, None]}), [1, None, 3], [[1, 2], [3, 4]], ["a", "b c", None], [1.5, 2.5],
        Range(1, 5), Range(decimal.Decimal("1.5"), None), Multirange([Range(1, 2), Range(5, 6)]),
        ipaddress.ip_address("10.0.0.1"), [datetime.date(2024, 1, 1)],
    ]
    for value in values:
        for form in ("%s", "%t", "%b"):
            try:
                show(f"parameter {form}", value, connection.execute(f"SELECT v, pg_typeof(v)::text FROM (SELECT {form}) AS s(v)", (value,), binary=form == "%b").fetchone())
            except psycopg.Error as error:
                show(f"parameter {form}", value, *describe(error))
                connection.rollback()
    connection.rollback()
    cursor = connection.execute("SELECT 1::int4 AS a, 'b'::varchar(7) AS b, 1.5::numeric(5, 2) AS c")
    show("description", [(c.name, c.type_code, c.internal_size, c.precision, c.scale, c.type_display) for c in cursor.description])
    connection.rollback()


def rows(connection):
    section("rows")
    cursor = connection.execute("INSERT INTO makers (title) VALUES (%s), (%s) RETURNING id", ("Anna", "Bo"))
    show("returning", cursor.fetchall(), cursor.rowcount, cursor.statusmessage)
    cursor.executemany("INSERT INTO makers (title) VALUES (%s) RETURNING id", [(f"m{n}",) for n in range(5)], returning=True)
    answers = []
    while True:
        answers += cursor.fetchall()
        if not cursor.nextset():
            break
    show("many, returning", answers)
    cursor.executemany("INSERT INTO things (maker, size) VALUES (%s, %s)", [(1, n) for n in range(500)])
    show("many", cursor.rowcount)
    cursor.execute("SELECT 1; SELECT 2, 3; SELECT 'x'")
    show("several", [result.fetchall() for result in cursor.results()])
    with connection.cursor(row_factory=dict_row) as named:
        show("dictionaries", named.execute("SELECT id, title FROM makers WHERE id < %(n)s ORDER BY id", {"n": 3}).fetchall())
    show("stream", sum(row[0] for row in connection.cursor().stream("SELECT generate_series(1, %s)", (1000,))))
    show("stream by chunks", sum(row[0] for row in connection.cursor().stream("SELECT generate_series(1, %s)", (1000,), size=1)))
    show("procedure", connection.execute("CALL swap(%s, %s)", (1, 2)).fetchone())
    connection.commit()
    for sql in ("", "  ", "-- nothing", ";"):
        cursor = connection.execute(sql)
        show(f"empty {sql!r}", cursor.statusmessage, cursor.description, cursor.rowcount)
    attempt("empty, fetched", connection, lambda: connection.execute("").fetchall())
    attempt("several with parameters", connection, lambda: connection.execute("SELECT %s; SELECT 2", (1,)))
    client = psycopg.ClientCursor(connection)
    show("client cursor", client.execute("SELECT %s, %s::jsonb", ("it's", Jsonb({"a": 1}))).fetchone(), client.mogrify("SELECT %s", ("x",)))
    raw = psycopg.RawCursor(connection)
    show("raw cursor", raw.execute("SELECT $2::int - $1::int", (1, 10)).fetchone())
    connection.rollback()


def prepared(connection):
    section("prepared statements")
    cursor = connection.cursor()
    for n in range(8):
        cursor.execute("SELECT %s::int * 2", (n,))
    show("by threshold", connection.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%* 2%%'", prepare=False).fetchall())
    for n in range(3):
        show("at once", connection.execute("SELECT id FROM makers WHERE id = %s", (n,), prepare=True, binary=True).fetchall())
    connection.prepared_max = 3
    for n in range(10):
        cursor.execute(f"SELECT {n} + %s", (n,), prepare=True)
    show("evicted", connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone())
    connection.execute("CREATE TABLE changing (a int)")
    show("before", connection.execute("SELECT * FROM changing", prepare=True).description[0].type_code)
    connection.execute("ALTER TABLE changing ALTER a TYPE text")
    attempt("a plan that changed", connection, lambda: connection.execute("SELECT * FROM changing", prepare=True).fetchall())
    connection.execute("DEALLOCATE ALL")
    show("after", connection.execute("SELECT %s::int * 2", (4,)).fetchall())
    connection.execute("DISCARD ALL") if connection.autocommit else None
    connection.rollback()


def failures(connection):
    section("failures")
    for sql in FAILURES:
        attempt(sql, connection, lambda sql=sql: connection.execute(sql))
        attempt(f"extended {sql}", connection, lambda sql=sql: connection.execute(sql.replace("%", "%%"), (), binary=True, prepare=True))
    attempt("bad parameter", connection, lambda: connection.execute("SELECT %s::int", ("x",)))
    attempt("untyped parameter", connection, lambda: connection.execute("SELECT %s + %s", ("1", "2")))
    with connection.transaction():
        connection.execute("INSERT INTO makers (title) VALUES ('kept outer')")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO makers (title) VALUES ('lost inner')")
                connection.execute("INSERT INTO makers (title) VALUES ('Anna')")
        except psycopg.errors.UniqueViolation as error:
            show("inner", *describe(error))
        show("status", connection.info.transaction_status.name)
        with connection.transaction("a_savepoint", force_rollback=True):
            connection.execute("INSERT INTO makers (title) VALUES ('rolled back')")
    show("kept", connection.execute("SELECT title FROM makers WHERE title ~ ' ' ORDER BY 1").fetchall())
    try:
        connection.execute("SELECT broken")
    except psycopg.errors.UndefinedColumn as error:
        show("broken", *describe(error))
    try:
        connection.execute("SELECT 1")
    except psycopg.errors.InFailedSqlTransaction as error:
        show("then", *describe(error), connection.info.transaction_status.name)
    connection.rollback()
    show("again", connection.execute("SELECT 1").fetchone())
    connection.rollback()


def pipelines(connection):
    section("pipelines")
    with connection.pipeline() as pipeline:
        one = connection.execute("SELECT 1")
        two = connection.execute("INSERT INTO makers (title) VALUES ('piped') RETURNING title")
        three = connection.execute("SELECT count(*) FROM makers WHERE title = %s", ("piped",))
        pipeline.sync()
        show("answers", one.fetchone(), two.fetchone(), three.fetchone())
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(300)]
        show("many", sum(cursor.fetchone()[0] for cursor in cursors))
    connection.rollback()
    try:
        with connection.pipeline() as pipeline:
            connection.execute("INSERT INTO makers (title) VALUES ('never')")
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 2")
            pipeline.sync()
    except psycopg.Error as error:
        show("error", *describe(error))
    connection.rollback()
    show("nothing kept", connection.execute("SELECT count(*) FROM makers WHERE title = 'never'").fetchone())
    connection.rollback()
    with connection.pipeline():
        with connection.transaction():
            connection.execute("INSERT INTO makers (title) VALUES ('in a pipeline')")
        try:
            with connection.transaction():
                connection.execute("INSERT INTO makers (title) VALUES ('Anna')")
        except psycopg.Error as error:
            show("a transaction in a pipeline", *describe(error))
        with connection.transaction():
            show("goes on", connection.execute("SELECT count(*) FROM makers WHERE title = 'in a pipeline'").fetchone())
    connection.execute("DELETE FROM makers WHERE title = 'in a pipeline'")
    connection.commit()


def sessions(connection):
    section("sessions")
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = True
    connection.deferrable = True
    show("isolation", connection.execute("SHOW transaction_isolation").fetchone())
    attempt("read only", connection, lambda: connection.execute("INSERT INTO makers (title) VALUES ('x')"))
    connection.isolation_level = connection.read_only = connection.deferrable = None
    connection.autocommit = True
    show("parameters", [(name, connection.info.parameter_status(name)) for name in (
        "server_version", "server_encoding", "client_encoding", "is_superuser", "DateStyle", "IntervalStyle",
        "TimeZone", "integer_datetimes", "standard_conforming_strings", "application_name",
        "default_transaction_read_only", "in_hot_standby")])
    connection.execute("SET statement_timeout = 200")
    try:
        connection.execute("SELECT pg_sleep(20)")
    except psycopg.Error as error:
        show("statement_timeout", *describe(error))
    connection.execute("RESET statement_timeout")
    connection.execute("SELECT set_config('gh.custom', %s, false)", ("own",))
    show("SHOW", connection.execute("SHOW gh.custom").fetchone())
    connection.autocommit = False
    other = connect()
    other.tpc_begin(other.xid(42, "gh_psycopg3", "branch"))
    other.execute("INSERT INTO makers (title) VALUES ('two phases')")
    try:
        other.tpc_prepare()
        other.tpc_rollback()
        show("two phases", "no error")
    except psycopg.Error as error:
        show("two phases", *describe(error))
    other.close()


def cursors(connection):
    section("server-side cursors")
    for binary in (False, True):
        for size in (1, 7, 2000):
            with connection.cursor("named", binary=binary) as cursor:
                cursor.itersize = size
                cursor.execute("SELECT n, repeat('x', 10) FROM generate_series(1, %s) n", (50,))
                show(f"by {size}", cursor.fetchone(), len(cursor.fetchmany(5)), sum(1 for _ in cursor), cursor.description[0].type_code)
    with connection.cursor("scrolled", scrollable=True) as cursor:
        cursor.execute("SELECT generate_series(1, 20)")
        cursor.scroll(10)
        show("scrolled", cursor.fetchone())
        cursor.scroll(-3)
        show("back", cursor.fetchone())
        cursor.scroll(2, mode="absolute")
        show("absolute", cursor.fetchmany(2), cursor.fetchall()[-1])
    connection.commit()
    with connection.cursor("held", withhold=True) as cursor:
        cursor.execute("SELECT generate_series(1, 5)")
        connection.commit()
        show("held", cursor.fetchall())
    attempt("a cursor that fails", connection, lambda: failing_cursor(connection))


def failing_cursor(connection):
    with connection.cursor("failing") as cursor:
        cursor.itersize = 3
        cursor.execute("SELECT 10 / (5 - n) FROM generate_series(1, 9) n")
        return list(cursor)


def copies(connection):
    section("COPY")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE lines (id int, word text, at timestamptz, raw bytea)")
    moment = datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)
    values = [(1, "one", moment, b"\x00\x01"), (2, None, None, None), (3, "tab\tnew\nline", moment, b"")]
    with cursor.copy("COPY lines FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)
    show("text in", cursor.rowcount, cursor.statusmessage)
    with cursor.copy("COPY lines FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "timestamptz", "bytea"])
        for row in values:
            copy.write_row(row)
    show("binary in", cursor.rowcount)
    with cursor.copy("COPY lines FROM STDIN (FORMAT CSV, HEADER)") as copy:
        copy.write("id,word,at,raw\n4,\"four, 4\"")
        copy.write(",,\n")
    show("csv in", cursor.rowcount)
    for form in ("text", "csv", "binary"):
        with cursor.copy(f"COPY (SELECT * FROM lines ORDER BY id) TO STDOUT (FORMAT {form})") as copy:
            whole = b"".join(bytes(block) for block in copy)
        show(f"{form} out", whole)
    with cursor.copy("COPY (SELECT * FROM lines ORDER BY id) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text", "timestamptz", "bytea"])
        show("binary rows out", list(copy.rows()))
    with cursor.copy("COPY (SELECT id, word FROM lines WHERE id = %s) TO STDOUT", (1,)) as copy:
        copy.set_types(["int4", "text"])
        show("rows out", list(copy.rows()))
    connection.commit()
    attempt("bad line", connection, lambda: copy_in(connection, "COPY lines (id) FROM STDIN", "1\n", "bad\n"))
    attempt("bad binary", connection, lambda: copy_in(connection, "COPY lines (id) FROM STDIN (FORMAT BINARY)", b"PGCOPY\n\xff\r\n\0nonsense"))
    other = connect()
    attempt("a bad line before many", other, lambda: copy_in(other, "COPY lines (id) FROM STDIN", "bad\n", *["1\n" * 1000] * 2000))
    other.close()
    attempt("missing table", connection, lambda: copy_in(connection, "COPY missing FROM STDIN", "1\n"))
    attempt("not a copy", connection, lambda: copy_in(connection, "SELECT 1", "1\n"))
    try:
        with connection.cursor().copy("COPY lines (id) FROM STDIN") as copy:
            copy.write("1\n")
            raise KeyError("given up")
    except KeyError as error:
        show("aborted by the client", error, connection.info.transaction_status.name)
    connection.rollback()
    other = connect()
    attempt("out, left early", other, lambda: leave_early(other))
    other.close()
    show("unharmed", connection.execute("SELECT count(*) FROM lines").fetchone())
    with cursor.copy("COPY lines (id, word) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int4", "text"])
        for n in range(100_000):
            copy.write_row((n, "word"))
    show("large in", cursor.rowcount)
    with cursor.copy("COPY lines TO STDOUT") as copy:
        show("large out", sum(len(block) for block in copy))
    connection.rollback()


def copy_in(connection, sql, *blocks):
    with connection.cursor().copy(sql) as copy:
        for block in blocks:
            copy.write(block)


def leave_early(connection):
    with connection.cursor().copy("COPY (SELECT generate_series(1, 1000000)) TO STDOUT") as copy:
        return bytes(copy.read())


def notifications(connection):
    section("notifications and notices")
    connection.autocommit = True
    connection.execute("LISTEN gh_channel")
    with connect() as other:
        other.execute("NOTIFY gh_channel, 'first'")
        other.execute("SELECT pg_notify('gh_channel', %s)", ("second",))
    show("heard", [(notify.channel, notify.payload) for notify in connection.notifies(timeout=10, stop_after=2)])
    connection.execute("UNLISTEN *")
    heard = []
    connection.add_notice_handler(lambda diag: heard.append((diag.severity, diag.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint)))
    connection.execute("SELECT loud(%s)", (7,))
    connection.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    show("notices", heard)
    connection.autocommit = False


def cancelling(connection):
    section("cancelling")
    for name, how in (("cancel", connection.cancel), ("cancel_safe", connection.cancel_safe)):
        timer = threading.Timer(0.5, how)
        timer.start()
        began = time.monotonic()
        attempt(name, connection, lambda: connection.execute("SELECT pg_sleep(30)"))
        timer.join()
        show("soon", time.monotonic() - began < 10, connection.execute("SELECT 1").fetchone())
        connection.rollback()


def large(connection):
    section("large values")
    text, raw = "æ" * (LARGE // 2), bytes(range(256)) * (LARGE // 256)
    for binary in (False, True):
        form = "%b" if binary else "%t"
        for kind, value in (("text", text), ("bytea", raw)):
            attempt(f"{kind} {form}", connection, lambda sql=f"SELECT {form}::{kind}", value=value, binary=binary: (
                connection.execute(sql, (value,), binary=binary).fetchone()[0] == value))
    answer = connection.execute("SELECT n, repeat('0123456789', 100) FROM generate_series(1, 30000) n", binary=True).fetchall()
    show("30 MB", len(answer), answer[-1][0])
    show("one value of 30 MB", len(connection.execute("SELECT repeat('x', 30000000)").fetchone()[0]))
    connection.rollback()


async def asynchronous():
    section("asynchronous")
    async with await psycopg.AsyncConnection.connect(**PLACE, autocommit=True) as connection:
        cursor = await connection.execute("SELECT %s::int", (42,))
        show("answer", await cursor.fetchone())
        try:
            await asyncio.wait_for(connection.execute("SELECT pg_sleep(30)"), 0.5)
        except TimeoutError:
            show("cancelled", connection.info.transaction_status.name)
        cursor = await connection.execute("SELECT 1")
        show("goes on", await cursor.fetchone())
        async with connection.pipeline():
            cursors = [await connection.execute("SELECT %s::int", (n,)) for n in range(10)]
            show("pipeline", [await cursor.fetchone() for cursor in cursors])


def options():
    section("startup parameters")
    for option in ("-c statement_timeout=5s", "-c search_path=gh_psycopg3"):
        try:
            with connect(options=option) as connection:
                show(option, connection.execute("SHOW statement_timeout").fetchone())
        except psycopg.OperationalError as error:
            show(option, str(error).replace(f"port {PORT}", "port"))


def main():
    connection = psycopg.connect(**PLACE)
    for sql in definitions("gh_psycopg3"):
        connection.execute(sql)
    connection.commit()
    for part in (rows, types, prepared, failures, pipelines, sessions, cursors, copies, notifications, cancelling, large):
        part(connection)
    asyncio.run(asynchronous())
    options()
    connection.execute("DROP SCHEMA gh_psycopg3 CASCADE")
    connection.commit()
    connection.close()
    end()


main()
