"""asyncpg: its own protocol machine, binary throughout, named statements, introspection of types, binary COPY."""

import asyncio
import datetime
import decimal
import io
import json
import time
import uuid

import asyncpg
from client_common import (
    DATABASE, EXPRESSIONS, FAILURES, HOST, LARGE, PASSWORD, PORT, USER, definitions, end, section, show,
)

PLACE = {"host": HOST, "port": PORT, "user": USER, "password": PASSWORD, "database": DATABASE, "ssl": False}
SEARCH = "SET search_path = gh_asyncpg, public; SET timezone = 'UTC'"


async def connect(**options):
    connection = await asyncpg.connect(**PLACE, server_settings={"application_name": "matrix"}, **options)
    await connection.execute(SEARCH)
    return connection


def describe(error):
    fields = ("severity", "message", "detail", "hint", "position", "context", "schema_name", "table_name", "column_name", "data_type_name", "constraint_name", "server_source_function")
    return (type(error).__name__, getattr(error, "sqlstate", None), *(getattr(error, field, None) for field in fields), str(error))


async def attempt(title, action):
    """What is meant to fail."""
    try:
        show(title, "no error", await action)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.TimeoutError, ConnectionError) as error:
        show(title, *describe(error))


async def types(connection):
    section("types")
    for expression in EXPRESSIONS:
        await attempt(expression, connection.fetchval(f"SELECT {expression}"))
    for kind, value in [
        ("int2", 1), ("int4", -5), ("int8", 2**40), ("float4", 1.5), ("float8", 0.1), ("numeric", decimal.Decimal("1.50")),
        ("bool", True), ("text", "it's æ😀"), ("text", None), ("bytea", b"\x00\xff"), ("date", datetime.date(2024, 2, 29)),
        ("time", datetime.time(1, 2, 3)), ("timestamp", datetime.datetime(2024, 1, 2, 3, 4, 5)),
        ("timestamptz", datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)),
        ("interval", datetime.timedelta(days=1, seconds=5)), ("uuid", uuid.UUID(int=5)), ("jsonb", '{"a": 1}'),
        ("int4[]", [1, None, 3]), ("int4[]", [[1, 2], [3, 4]]), ("text[]", ["a", "b c", None]), ("mood", "ok"),
        ("mood[]", ["ok", "sad"]), ("pair", (1, "x")), ("pair[]", [(1, "x"), None]), ("positive", 5),
        ("int4range", asyncpg.Range(1, 5)), ("span", asyncpg.Range(1.5, 2.5)), ("int4multirange", [asyncpg.Range(1, 2)]),
        ("point", asyncpg.Point(1, 2)), ("bit(3)", asyncpg.BitString("101")), ("inet", "10.0.0.1"), ("money", "12.34"),
    ]:
        await attempt(f"parameter {kind}", connection.fetchval(f"SELECT $1::{kind}", value))
    await attempt("a parameter that does not fit", connection.fetchval("SELECT $1::int4", 2**40))
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    show("codec", await connection.fetchval("SELECT $1::jsonb", {"k": [1, None]}))
    await connection.set_type_codec("mood", schema="gh_asyncpg", encoder=str, decoder=lambda text: ("mood", text))
    show("codec of an enum", await connection.fetchval("SELECT $1::mood", "happy"))
    await connection.reset_type_codec("mood", schema="gh_asyncpg")
    statement = await connection.prepare("SELECT id, feeling, tags, $1::pair AS p FROM things WHERE size > $2")
    show("parameters", [kind.name for kind in statement.get_parameters()])
    show("attributes", [(a.name, a.type.name, a.type.kind, a.type.schema) for a in statement.get_attributes()])


async def rows(connection):
    section("rows")
    show("execute", await connection.execute("INSERT INTO makers (title) VALUES ($1), ($2)", "Anna", "Bo"))
    show("fetch", await connection.fetch("SELECT id, title FROM makers ORDER BY id"))
    show("fetchrow", await connection.fetchrow("SELECT * FROM makers WHERE id = $1", 1), await connection.fetchrow("SELECT * FROM makers WHERE id = $1", 99))
    show("executemany", await connection.executemany("INSERT INTO things (maker, size) VALUES ($1, $2)", [(1, decimal.Decimal(n)) for n in range(1000)]))
    show("fetchmany", len(await connection.fetchmany("INSERT INTO things (maker) VALUES ($1) RETURNING id", [(1,)] * 20)))
    show("script", await connection.execute("SELECT 1; SELECT 2; UPDATE things SET size = 1 WHERE id = 1"))
    await attempt("several with parameters", connection.fetch("SELECT $1::int; SELECT 2", 1))
    for sql in ("", "  ", ";", "-- nothing"):
        show(f"empty {sql!r}", await connection.fetch(sql))
    show("procedure", await connection.fetch("CALL swap($1, $2)", 1, 2))
    show("records", (await connection.fetchrow("SELECT ROW(1, 'a', NULL::int)"))[0])
    await attempt("executemany that fails", connection.executemany("INSERT INTO makers (title) VALUES ($1)", [("new",), ("Anna",)]))
    show("nothing of it", await connection.fetchval("SELECT count(*) FROM makers WHERE title = 'new'"))


async def prepared(connection):
    section("prepared statements")
    statement = await connection.prepare("SELECT $1::int * 2")
    show("reuse", [await statement.fetchval(n) for n in range(5)], statement.get_statusmsg())
    named = await connection.prepare("SELECT 'named'", name="own_name")
    show("named", named.get_name(), await named.fetchval())
    show("explain", await statement.explain(1))
    many = [await connection.prepare(f"SELECT {n}") for n in range(150)]
    show("many", sum([await one.fetchval() for one in many]))
    small = await connect(statement_cache_size=2)
    show("small cache", [await small.fetchval(f"SELECT {n}") for n in range(6)])
    await small.close()
    none = await connect(statement_cache_size=0)
    show("no cache", [await none.fetchval("SELECT $1::int", n) for n in range(3)])
    await none.close()
    await connection.execute("CREATE TABLE changing (a int)")
    show("before", await connection.fetch("SELECT * FROM changing"))
    await connection.execute("ALTER TABLE changing ADD b text; INSERT INTO changing VALUES (1, 'x')")
    show("after", await connection.fetch("SELECT * FROM changing"))
    async with connection.transaction():
        await connection.execute("ALTER TABLE changing ALTER a TYPE text")
        await attempt("in a transaction", connection.fetch("SELECT * FROM changing"))
    await connection.execute("DROP TABLE changing; PREPARE own(int) AS SELECT $1 + 1")
    await attempt("EXECUTE, extended", connection.fetch("EXECUTE own(1)"))
    await attempt("EXECUTE, beside another", connection.execute("EXECUTE own(1); SELECT 2"))
    async with connection.transaction():
        await connection.execute("DECLARE scrolled CURSOR FOR SELECT generate_series(1, 5)")
        await attempt("FETCH, extended", connection.fetch("FETCH 2 FROM scrolled"))
        await attempt("FETCH again", connection.fetch("FETCH 2 FROM scrolled"))


async def failures(connection):
    section("failures")
    for sql in FAILURES:
        await attempt(f"simple {sql}", connection.execute(sql))
        await attempt(f"extended {sql}", connection.fetch(sql))
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO makers (title) VALUES ('in vain')")
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO makers (title) VALUES ('Anna')")
            except asyncpg.UniqueViolationError as error:
                show("inner", *describe(error))
            show("recovered", await connection.fetchval("SELECT count(*) FROM makers WHERE title = 'in vain'"), connection.is_in_transaction())
            await attempt("aborting", connection.fetch("SELECT broken"))
            await attempt("aborted", connection.fetch("SELECT 1"))
            raise KeyError("out")
    except KeyError:
        show("rolled back", await connection.fetchval("SELECT count(*) FROM makers WHERE title = 'in vain'"))
    async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
        show("isolation", await connection.fetchval("SHOW transaction_isolation"))
        await attempt("read only", connection.execute("INSERT INTO makers (title) VALUES ('x')"))


async def sessions(connection):
    section("sessions")
    settings = connection.get_settings()
    show("settings", [(name, getattr(settings, name, None)) for name in ("server_version", "server_encoding", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone", "is_superuser", "standard_conforming_strings", "application_name")])
    show("version", connection.get_server_version())
    await connection.execute("SET statement_timeout = 200")
    await attempt("statement_timeout", connection.execute("SELECT pg_sleep(20)"))
    await connection.execute("RESET statement_timeout")
    show("set_config", await connection.fetchval("SELECT set_config('gh.custom', $1, false)", "own"), await connection.fetchval("SHOW gh.custom"))
    await connection.reset()
    show("reset", await connection.fetchval("SHOW search_path"))
    await connection.execute(SEARCH)
    await connection.reload_schema_state()
    show("reloaded", await connection.fetchval("SELECT 'ok'::mood"))


async def cursors(connection):
    section("cursors")
    for size in (1, 7, 500):
        async with connection.transaction():
            show(f"prefetch {size}", [row[0] async for row in connection.cursor("SELECT generate_series(1, $1::int)", 30, prefetch=size)][-3:])
    async with connection.transaction():
        cursor = await connection.cursor("SELECT generate_series(1, 30)")
        show("fetch", await cursor.fetchrow(), await cursor.fetch(3), await cursor.forward(10), await cursor.fetchrow())
        interleaved = await connection.fetchval("SELECT 'interleaved'")
        show(interleaved, len(await cursor.fetch(100)), await cursor.fetchrow())
    await attempt("outside of a transaction", outside(connection))
    try:
        async with connection.transaction():
            async for _ in connection.cursor("SELECT 10 / (5 - n) FROM generate_series(1, 9) n", prefetch=2):
                pass
    except asyncpg.PostgresError as error:
        show("fails", *describe(error))


async def outside(connection):
    return [row async for row in connection.cursor("SELECT 1")]


async def copies(connection):
    section("COPY")
    await connection.execute("CREATE TABLE lines (id int, word text, at timestamptz, raw bytea)")
    moment = datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc)
    values = [(1, "one", moment, b"\x00\x01"), (2, None, None, None), (3, "tab\tnew\nline", moment, b"")]
    show("records", await connection.copy_records_to_table("lines", records=values))
    show("text", await connection.copy_to_table("lines", source=io.BytesIO(b"4\tfour\t\\N\t\\N\n"), schema_name="gh_asyncpg"))
    show("csv", await connection.copy_to_table("lines", source=io.BytesIO(b'id;word\n5;"five;"\n'), columns=["id", "word"], format="csv", header=True, delimiter=";"))
    for form in ("text", "csv", "binary"):
        out = io.BytesIO()
        show(f"{form} out", await connection.copy_from_table("lines", output=out, format=form), out.getvalue())
        out.seek(0)
        show(f"{form} in", await connection.copy_to_table("lines", source=out, format=form))
    out = io.BytesIO()
    show("query", await connection.copy_from_query("SELECT id, word FROM lines WHERE id = $1", 3, output=out), out.getvalue())
    await attempt("bad line", connection.copy_to_table("lines", source=io.BytesIO(b"bad\n"), columns=["id"]))
    await attempt("bad line before many", connection.copy_to_table("lines", source=io.BytesIO(b"bad\n" + b"1\n" * 1_000_000), columns=["id"]))
    await attempt("missing table", connection.copy_to_table("missing", source=io.BytesIO(b"1\n")))
    await attempt("missing table out", connection.copy_from_table("missing", output=io.BytesIO()))

    async def torn():
        yield b"1\n"
        raise KeyError("given up")

    try:
        await connection.copy_to_table("lines", source=torn(), columns=["id"])
    except KeyError as error:
        show("aborted by the client", error)

    async def refuse(data):
        raise KeyError("no more")

    try:
        await connection.copy_from_query("SELECT generate_series(1, 1000000)", output=refuse)
    except KeyError as error:
        show("out, left early", error)
    show("unharmed", await connection.fetchval("SELECT count(*) FROM lines"))
    show("large in", await connection.copy_records_to_table("lines", records=((n, "word", None, None) for n in range(100_000))))
    out = io.BytesIO()
    show("large out", await connection.copy_from_table("lines", output=out), len(out.getvalue()))


async def notifications(connection):
    section("notifications and notices")
    heard, logs = [], []
    arrived = asyncio.Event()

    def listen(_connection, _pid, channel, payload):
        heard.append((channel, payload))
        if len(heard) == 2:
            arrived.set()

    await connection.add_listener("gh_channel", listen)
    other = await connect()
    await other.execute("NOTIFY gh_channel, 'first'")
    await other.execute("SELECT pg_notify('gh_channel', $1)", "second")
    await other.close()
    await asyncio.wait_for(arrived.wait(), 10)
    show("heard", heard)
    await connection.remove_listener("gh_channel", listen)
    connection.add_log_listener(lambda _connection, message: logs.append((type(message).__name__, message.severity, message.sqlstate, message.message, message.detail, message.hint)))
    await connection.fetchval("SELECT loud($1)", 7)
    await connection.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    await asyncio.sleep(0)
    show("notices", logs)


async def cancelling(connection):
    section("cancelling")
    began = time.monotonic()
    await attempt("by timeout", connection.execute("SELECT pg_sleep(30)", timeout=0.5))
    await attempt("by timeout, extended", connection.fetch("SELECT pg_sleep($1)", 30, timeout=0.5))
    show("soon", time.monotonic() - began < 10, await connection.fetchval("SELECT 1"))
    task = asyncio.create_task(connection.fetch("SELECT pg_sleep(30)"))
    await asyncio.sleep(0.5)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        show("cancelled", await connection.fetchval("SELECT 2"))


async def large(connection):
    section("large values")
    text, raw = "æ" * (LARGE // 2), bytes(range(256)) * (LARGE // 256)
    show("text", await connection.fetchval("SELECT $1::text", text) == text)
    show("bytea", await connection.fetchval("SELECT $1::bytea", raw) == raw)
    answer = await connection.fetch("SELECT n, repeat('0123456789', 100) FROM generate_series(1, 30000) n")
    show("30 MB", len(answer), answer[-1][0])
    show("one value of 30 MB", len(await connection.fetchval("SELECT repeat('x', 30000000)")))
    await attempt("a statement of 5 MB", connection.fetchval(f"SELECT length('{'x' * LARGE}')"))
    show("many parameters", await connection.fetchval(f"SELECT {' + '.join(f'${n}::int' for n in range(1, 2001))}", *range(2000)))


async def pools():
    section("pool")
    async with asyncpg.create_pool(**PLACE, min_size=2, max_size=3, init=lambda connection: connection.execute(SEARCH)) as pool:
        show("answers", sorted(await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(20)))))
        async with pool.acquire() as connection:
            await connection.execute("SET application_name = 'changed'")
        async with pool.acquire() as connection, connection.transaction():
            show("reset when given back", await connection.fetchval("SHOW application_name") != "changed")


async def options():
    section("startup parameters")
    for settings in ({"search_path": "gh_asyncpg"}, {"statement_timeout": "5s"}, {"jit": "off"}, {"options": "-c geqo=off"}):
        try:
            connection = await asyncpg.connect(**PLACE, server_settings=settings)
            show(settings, await connection.fetchval("SELECT 1"))
            await connection.close()
        except asyncpg.PostgresError as error:
            show(settings, *describe(error))


async def main():
    connection = await asyncpg.connect(**PLACE)
    await connection.execute("SET client_min_messages = warning")
    for sql in definitions("gh_asyncpg"):
        await connection.execute(sql)
    await connection.execute("RESET client_min_messages")
    for part in (rows, types, prepared, failures, sessions, cursors, copies, notifications, cancelling, large):
        await part(connection)
    await pools()
    await options()
    await connection.execute("SET client_min_messages = warning; DROP SCHEMA gh_asyncpg CASCADE")
    await connection.close()
    end()


asyncio.run(main())
