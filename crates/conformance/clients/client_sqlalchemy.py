"""SQLAlchemy over each of its drivers: reflection of every kind, the ORM, RETURNING, server-side cursors."""

import asyncio
import logging
import warnings

import sqlalchemy as sa
from client_common import DATABASE, HOST, PASSWORD, PORT, USER, end, section, show
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

SCHEMA = "gh_sqlalchemy"

DEFINITIONS = f"""
DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;
CREATE SCHEMA {SCHEMA};
CREATE TYPE {SCHEMA}.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN {SCHEMA}.positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE SEQUENCE {SCHEMA}.counter;
CREATE TABLE {SCHEMA}.makers (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, CONSTRAINT titles UNIQUE (title));
CREATE TABLE {SCHEMA}.things (
    id serial PRIMARY KEY, maker int NOT NULL, size numeric(8, 2) DEFAULT 1, feeling {SCHEMA}.mood, count {SCHEMA}.positive,
    data jsonb, tags text[], at timestamptz(3), code varchar(10) COLLATE "C", span int4range, raw bytea, key uuid,
    twice numeric GENERATED ALWAYS AS (size * 2) STORED, wait interval day to second, flags bit(4), address inet,
    CONSTRAINT sized CHECK (size >= 0),
    CONSTRAINT made FOREIGN KEY (maker) REFERENCES {SCHEMA}.makers ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    EXCLUDE USING gist (span WITH &&)
);
COMMENT ON TABLE {SCHEMA}.things IS 'what is made';
COMMENT ON COLUMN {SCHEMA}.things.size IS 'in metres';
COMMENT ON CONSTRAINT sized ON {SCHEMA}.things IS 'never less';
CREATE UNIQUE INDEX by_code ON {SCHEMA}.things (lower(code), size DESC NULLS LAST) INCLUDE (maker) WHERE size > 0;
CREATE INDEX by_data ON {SCHEMA}.things USING gin (data jsonb_path_ops) WITH (fastupdate = off);
CREATE VIEW {SCHEMA}.big AS SELECT id, size FROM {SCHEMA}.things;
CREATE MATERIALIZED VIEW {SCHEMA}.counted AS SELECT count(*) AS n FROM {SCHEMA}.things;
CREATE TABLE {SCHEMA}.parts (id int, region text) PARTITION BY LIST (region);
CREATE TABLE {SCHEMA}.parts_north PARTITION OF {SCHEMA}.parts FOR VALUES IN ('north');
"""


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(schema=SCHEMA)


class Author(Base):
    __tablename__ = "authors"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    title = orm.mapped_column(sa.String(50), unique=True, nullable=False)
    detail = orm.mapped_column(postgresql.JSONB)
    tags = orm.mapped_column(postgresql.ARRAY(sa.String))
    version = orm.mapped_column(sa.Integer, nullable=False)
    books = orm.relationship("Book", back_populates="author", order_by="Book.id", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}


class Book(Base):
    __tablename__ = "books"
    id = orm.mapped_column(sa.Integer, primary_key=True)
    title = orm.mapped_column(sa.Text)
    price = orm.mapped_column(sa.Numeric(8, 2), server_default="5")
    genre = orm.mapped_column(sa.Enum("prose", "verse", name="genre", schema=SCHEMA))
    author_id = orm.mapped_column(sa.ForeignKey(Author.id))
    author = orm.relationship(Author, back_populates="books")


def url(driver):
    return sa.URL.create(f"postgresql+{driver}", USER, PASSWORD, HOST, PORT, DATABASE)


def ordered(value):
    """Reflection gives sets and mappings without an order."""
    if isinstance(value, dict):
        return sorted(((repr(key), ordered(item)) for key, item in value.items()), key=repr)
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [ordered(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items
    if isinstance(value, sa.types.TypeEngine):
        return repr(value)
    return value


def attempt(title, action):
    """What is meant to fail."""
    try:
        show(title, "no error", ordered(action()))
    except DBAPIError as error:
        show(title, type(error).__name__, getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None), str(error.orig).splitlines()[0][:300])


def reflect(engine):
    inspector = sa.inspect(engine)
    show("dialect", engine.dialect.server_version_info, engine.dialect.default_schema_name)
    show("schemas", SCHEMA in inspector.get_schema_names(), inspector.has_schema(SCHEMA))
    for name in ("get_table_names", "get_view_names", "get_materialized_view_names", "get_sequence_names", "get_temp_table_names", "get_enums", "get_domains"):
        answer = getattr(inspector, name)(**({} if "temp" in name else {"schema": SCHEMA}))
        show(name, ordered(sorted(answer, key=repr)))
    show("has_table", inspector.has_table("things", SCHEMA), inspector.has_table("nothing", SCHEMA))
    show("has_sequence", inspector.has_sequence("counter", SCHEMA))
    show("has_index", inspector.has_index("things", "by_code", SCHEMA))
    show("has_type", inspector.has_type("mood", SCHEMA))
    for name in ("get_columns", "get_pk_constraint", "get_foreign_keys", "get_indexes", "get_unique_constraints", "get_check_constraints", "get_table_comment", "get_table_options"):
        for table in ("things", "makers", "parts"):
            show(f"{name} {table}", ordered(getattr(inspector, name)(table, SCHEMA)))
    show("get_view_definition", inspector.get_view_definition("big", SCHEMA))
    for name in ("get_multi_columns", "get_multi_indexes", "get_multi_foreign_keys", "get_multi_check_constraints", "get_multi_pk_constraint", "get_multi_unique_constraints", "get_multi_table_comment"):
        show(name, ordered(getattr(inspector, name)(schema=SCHEMA, kind=sa.engine.reflection.ObjectKind.ANY)))
    metadata = sa.MetaData()
    metadata.reflect(engine, schema=SCHEMA, views=True)
    show("metadata", [(table.name, [(column.name, repr(column.type)) for column in table.columns]) for table in metadata.sorted_tables])


def work(engine):
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([Author(title=f"a{n}", detail={"n": n}, tags=["x", "y z"], books=[Book(title=f"b{n}{m}", genre="prose") for m in range(3)]) for n in range(30)])
        session.commit()
        show("flushed", session.scalar(sa.select(sa.func.count(Book.id))), [book.price for book in session.scalars(sa.select(Book).order_by(Book.id).limit(2))])
        author = session.scalars(sa.select(Author).where(Author.title == "a3").options(orm.selectinload(Author.books))).one()
        show("loaded", author.detail, author.tags, [book.title for book in author.books])
        author.title = "renamed"
        del author.books[0]
        session.commit()
        show("updated", author.version, [book.title for book in author.books])
        try:
            with session.begin_nested():
                session.add(Author(title="a1"))
        except DBAPIError as error:
            show("nested", type(error).__name__, getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None))
        show("after it", session.scalar(sa.select(sa.func.count(Author.id))))
        insert = postgresql.insert(Author).values(title="a1", version=9)
        show("upsert", session.execute(insert.on_conflict_do_update(index_elements=["title"], set_={"version": 9}).returning(Author.title, Author.version)).all())
        show("bulk", len(session.execute(sa.insert(Book).returning(Book.id), [{"title": f"bulk {n}", "genre": "verse"} for n in range(1500)]).all()))
        show("json path", session.scalars(sa.select(Author.title).where(Author.detail["n"].as_integer() > 27).order_by(Author.id)).all())
        show("any", session.scalar(sa.select(sa.func.count()).where(Author.tags.any("x"))))
        show("with a lock", len(session.scalars(sa.select(Author).with_for_update(skip_locked=True)).all()))
        session.rollback()
        show("by parts", [len(part) for part in session.execute(sa.select(Book.id).order_by(Book.id).execution_options(yield_per=40)).partitions()])
        session.execute(sa.delete(Author).where(Author.title == "renamed").where(~Author.books.any()))
        session.commit()
    with engine.connect() as connection:
        show("autocommit", connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("SHOW transaction_isolation").scalar())
    with engine.connect().execution_options(isolation_level="SERIALIZABLE", postgresql_readonly=True) as connection:
        show("serializable", connection.exec_driver_sql("SHOW transaction_isolation").scalar(), connection.exec_driver_sql("SHOW transaction_read_only").scalar())
        attempt("read only", lambda: connection.exec_driver_sql(f"DELETE FROM {SCHEMA}.books"))
    with engine.connect() as connection:
        stream = connection.execution_options(stream_results=True, max_row_buffer=50).exec_driver_sql("SELECT generate_series(1, 500)")
        show("streamed", sum(row[0] for row in stream))
        attempt("an error", lambda: connection.exec_driver_sql("SELECT broken"))
        connection.rollback()
        attempt("after it", lambda: [tuple(row) for row in connection.exec_driver_sql("SELECT 1")])
        attempt("two phases", lambda: two_phases(engine))
    Base.metadata.drop_all(engine)


def two_phases(engine):
    with engine.connect() as connection:
        transaction = connection.begin_twophase(xid="gh_sqlalchemy")
        connection.exec_driver_sql("SELECT 1")
        transaction.prepare()
        transaction.rollback()


def synchronous(driver):
    section(driver)
    engine = sa.create_engine(url(driver), poolclass=sa.pool.QueuePool, pool_size=2, pool_pre_ping=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET client_min_messages = warning")
        for statement in DEFINITIONS.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    reflect(engine)
    work(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    engine.dispose()


async def asynchronous():
    section("asyncpg")
    engine = create_async_engine(url("asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(lambda connection: connection.exec_driver_sql("SET client_min_messages = warning"))
        for statement in DEFINITIONS.split(";\n"):
            if statement.strip():
                await connection.exec_driver_sql(statement)
    async with engine.connect() as connection:
        await connection.run_sync(reflect)
        stream = await connection.stream(sa.text("SELECT generate_series(1, 500)"))
        show("streamed", sum([row[0] async for row in stream]))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        answer = await connection.execute(sa.insert(Author).returning(Author.id), [{"title": f"a{n}", "version": 1, "detail": {"n": n}} for n in range(100)])
        show("bulk", len(answer.all()))
        await connection.run_sync(Base.metadata.drop_all)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    await engine.dispose()


def main():
    warnings.simplefilter("ignore")
    # A connection whose two phases failed is thrown away, which the pool would tell at length.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
    for driver in ("psycopg", "psycopg2", "pg8000"):
        synchronous(driver)
    asyncio.run(asynchronous())
    end()


main()
