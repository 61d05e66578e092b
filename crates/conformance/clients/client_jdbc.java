// PostgreSQL's JDBC driver: statements by threshold, batches, fetch sizes, metadata, COPY, query modes, autosave.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.*;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PGobject;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

class Main {
    static final int LARGE = 5_000_000;
    static int checked = 0;

    interface Action {
        Object run() throws Exception;
    }

    static void show(String title, Object... values) {
        checked++;
        StringBuilder line = new StringBuilder(title).append(':');
        for (Object value : values) {
            line.append(' ').append(shorten(value));
        }
        System.out.println(line);
    }

    static String shorten(Object value) {
        try {
            String text = plain(value);
            if (text.length() <= 2000) {
                return text;
            }
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
            return text.length() + " characters, " + HexFormat.of().formatHex(digest);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    static String plain(Object value) throws Exception {
        if (value instanceof byte[] bytes) {
            return HexFormat.of().formatHex(bytes);
        }
        if (value instanceof java.sql.Array array) {
            return "array " + array.getBaseTypeName() + " " + Arrays.deepToString((Object[]) array.getArray());
        }
        if (value instanceof int[] numbers) {
            return Arrays.toString(numbers);
        }
        if (value instanceof SQLXML xml) {
            return "xml " + xml.getString();
        }
        if (value instanceof PGobject object) {
            return object.getType() + " " + object.getValue();
        }
        return value == null ? "null" : value.getClass().getSimpleName() + " " + value;
    }

    static void section(String title) {
        System.out.println("\n== " + title);
    }

    // What is meant to fail.
    static void attempt(String title, Action action) {
        try {
            show(title, "no error", action.run());
        } catch (BatchUpdateException error) {
            show(title, "BatchUpdateException", error.getSQLState(), error.getMessage(), error.getUpdateCounts());
        } catch (PSQLException error) {
            ServerErrorMessage server = error.getServerErrorMessage();
            if (server == null) {
                show(title, error.getSQLState(), error.getMessage());
            } else {
                show(title, server.getSQLState(), server.getSeverity(), server.getMessage(), server.getDetail(), server.getHint(),
                    server.getPosition(), server.getWhere(), server.getSchema(), server.getTable(), server.getColumn(),
                    server.getDatatype(), server.getConstraint(), server.getRoutine());
            }
        } catch (Exception error) {
            show(title, error.getClass().getSimpleName(), error.getMessage());
        }
    }

    static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("ApplicationName", "matrix");
        for (int n = 0; n < options.length; n += 2) {
            properties.setProperty(options[n], options[n + 1]);
        }
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        Connection connection = DriverManager.getConnection(url, properties);
        run(connection, "SET search_path = gh_jdbc, public");
        return connection;
    }

    static int run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.execute(sql) ? -1 : statement.getUpdateCount();
        }
    }

    static List<List<String>> ask(Connection connection, String sql, Object... parameters) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int n = 0; n < parameters.length; n++) {
                statement.setObject(n + 1, parameters[n]);
            }
            try (ResultSet rows = statement.executeQuery()) {
                return all(rows);
            }
        }
    }

    static List<List<String>> all(ResultSet rows) throws Exception {
        List<List<String>> answer = new ArrayList<>();
        int width = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            List<String> row = new ArrayList<>();
            for (int n = 1; n <= width; n++) {
                row.add(plain(rows.getObject(n)));
            }
            answer.add(row);
        }
        return answer;
    }

    static final String[] DEFINITIONS = {
        "SET client_min_messages = warning", "DROP SCHEMA IF EXISTS gh_jdbc CASCADE", "CREATE SCHEMA gh_jdbc",
        "RESET client_min_messages",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')", "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TABLE makers (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, title text NOT NULL UNIQUE)",
        "CREATE TABLE things (id serial PRIMARY KEY, maker int REFERENCES makers ON DELETE CASCADE, size numeric(8, 2) DEFAULT 1 CHECK (size >= 0),"
            + " feeling mood, data jsonb, raw bytea, tags text[], at timestamptz)",
        "COMMENT ON TABLE things IS 'what is made'", "COMMENT ON COLUMN things.size IS 'in metres'",
        "CREATE INDEX by_size ON things (size DESC) WHERE size > 0", "CREATE VIEW big AS SELECT id, size FROM things",
        "CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2'",
        "CREATE FUNCTION pair_of(IN n int, OUT once int, OUT doubled int) LANGUAGE sql AS 'SELECT n, n * 2'",
        "CREATE FUNCTION opened() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'own_cursor'; BEGIN OPEN c FOR SELECT generate_series(1, 5); RETURN c; END $$",
        "CREATE FUNCTION loud(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'loud %', n USING DETAIL = 'a detail'; RETURN n; END $$",
        "CREATE PROCEDURE swap(INOUT a int, INOUT b int) LANGUAGE plpgsql AS $$ DECLARE c int := a; BEGIN a := b; b := c; END $$",
    };

    static void types(Connection connection) throws Exception {
        section("types");
        String[] expressions = {
            "1::int2", "2::int4", "9223372036854775807::int8", "1.5::float4", "'NaN'::float8", "1.50::numeric", "'NaN'::numeric", "true",
            "NULL::int", "'æ😀'::text", "'pad'::char(5)", "'v'::varchar(9)", "'\\xdeadbeef'::bytea", "'2024-02-29'::date", "'12:34:56'::time",
            "'2024-01-02 03:04:05.678901'::timestamp", "'2024-01-02 03:04:05+00'::timestamptz", "'1 day 02:03:04'::interval",
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "'{\"a\": [1, null]}'::jsonb", "'{1,NULL,3}'::int[]", "'{{1,2},{3,4}}'::int[]",
            "'{a,\"b c\",NULL}'::text[]", "'{1.5}'::numeric[]", "'[1,5)'::int4range", "'happy'::mood", "'{sad,ok}'::mood[]", "ROW(1, 'x y')::pair",
            "5::positive", "'(1,2)'::point", "'10.0.0.1'::inet", "B'101'::bit(3)", "'<a>b</a>'::xml", "12.34::money", "1::oid",
        };
        // The driver asks for binary results from the fifth time on.
        for (int time : new int[] {1, 6}) {
            for (String expression : expressions) {
                try (PreparedStatement statement = connection.prepareStatement("SELECT " + expression + " AS v")) {
                    List<List<String>> answer = null;
                    for (int n = 0; n < time; n++) {
                        try (ResultSet rows = statement.executeQuery()) {
                            answer = all(rows);
                        }
                    }
                    ResultSetMetaData meta = statement.getMetaData();
                    show(expression + " " + time, answer, meta.getColumnTypeName(1), meta.getColumnClassName(1), meta.getPrecision(1), meta.getScale(1));
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement(
                "SELECT ?::int2, ?::int8, ?::float8, ?::numeric, ?::bool, ?::text, ?::bytea, ?::date, ?::timestamp, ?::timestamptz, ?::uuid, ?::jsonb, ?::int[], ?::text[], ?::mood, ?::pair")) {
            ParameterMetaData meta = statement.getParameterMetaData();
            for (int n = 1; n <= meta.getParameterCount(); n++) {
                show("parameter", n, meta.getParameterTypeName(n));
            }
            for (int time = 0; time < 7; time++) {
                statement.setShort(1, (short) 1);
                statement.setLong(2, 1L << 40);
                statement.setDouble(3, 1.5);
                statement.setBigDecimal(4, new BigDecimal("1.50"));
                statement.setBoolean(5, true);
                statement.setString(6, time == 3 ? null : "it's");
                statement.setBytes(7, new byte[] {0, -1});
                statement.setObject(8, LocalDate.of(2024, 2, 29));
                statement.setObject(9, LocalDateTime.of(2024, 1, 2, 3, 4, 5));
                statement.setObject(10, OffsetDateTime.of(2024, 1, 2, 3, 4, 5, 0, ZoneOffset.UTC));
                statement.setObject(11, new UUID(0, 5));
                PGobject json = new PGobject();
                json.setType("jsonb");
                json.setValue("{\"k\": 1}");
                statement.setObject(12, json);
                statement.setArray(13, connection.createArrayOf("int4", new Integer[] {1, null, 3}));
                statement.setArray(14, connection.createArrayOf("text", new String[] {"a", "b c", null}));
                statement.setString(15, "ok");
                statement.setString(16, "(1,x)");
                try (ResultSet rows = statement.executeQuery()) {
                    show("all of them", all(rows));
                }
            }
        }
    }

    static void rows(Connection connection) throws Exception {
        section("rows");
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO makers (title) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
            for (String title : List.of("Anna", "Bo")) {
                statement.setString(1, title);
                statement.executeUpdate();
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    show("generated keys", all(keys));
                }
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO things (maker, size) VALUES (?, ?)", new String[] {"id", "size"})) {
            for (int n = 0; n < 5; n++) {
                statement.setInt(1, 1);
                statement.setInt(2, n);
                statement.addBatch();
            }
            show("batch", statement.executeBatch(), all(statement.getGeneratedKeys()));
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("UPDATE things SET size = 9 WHERE id = 1");
            statement.addBatch("DELETE FROM things WHERE id = 2");
            statement.addBatch("INSERT INTO things (maker) VALUES (2)");
            show("batch of statements", statement.executeBatch());
            statement.addBatch("UPDATE things SET size = 8 WHERE id = 1");
            statement.addBatch("SELECT 1/0");
            statement.addBatch("UPDATE things SET size = 7 WHERE id = 1");
            attempt("a batch that fails", statement::executeBatch);
            show("what is left", ask(connection, "SELECT size FROM things WHERE id = 1"));
            boolean isResult = statement.execute("SELECT 1; UPDATE things SET size = 6 WHERE id = 1; SELECT 'x', 2");
            while (isResult || statement.getUpdateCount() != -1) {
                show("several", isResult ? all(statement.getResultSet()) : statement.getUpdateCount());
                isResult = statement.getMoreResults();
            }
            for (String empty : List.of("", ";", "-- nothing", ";;")) {
                attempt("empty " + empty, () -> statement.execute(empty));
            }
            statement.setMaxRows(3);
            show("max rows", all(statement.executeQuery("SELECT generate_series(1, 10)")));
            statement.setMaxRows(0);
            statement.setQueryTimeout(1);
            attempt("query timeout", () -> statement.execute("SELECT pg_sleep(20)"));
            statement.setQueryTimeout(0);
            show("escapes", all(statement.executeQuery("SELECT {fn upper('x')}, {d '2024-01-02'}, {fn length('abc')}")));
        }
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                ResultSet updatable = statement.executeQuery("SELECT id, title FROM makers ORDER BY id")) {
            updatable.last();
            updatable.updateString("title", "Bob");
            updatable.updateRow();
            updatable.moveToInsertRow();
            updatable.updateString("title", "Cy");
            updatable.insertRow();
            updatable.first();
            show("updatable", updatable.getString(2), ask(connection, "SELECT title FROM makers ORDER BY id"));
        }
    }

    static void cursors(Connection connection) throws Exception {
        section("fetch sizes");
        connection.setAutoCommit(false);
        for (int size : new int[] {0, 1, 7, 1000}) {
            for (int time = 0; time < 2; time++) {
                try (PreparedStatement statement = connection.prepareStatement("SELECT n, repeat('x', 10) FROM generate_series(1, ?) n")) {
                    statement.setFetchSize(size);
                    statement.setInt(1, 50);
                    show("by " + size, all(statement.executeQuery()).size());
                }
            }
        }
        try (Statement one = connection.createStatement(); Statement two = connection.createStatement()) {
            one.setFetchSize(3);
            two.setFetchSize(3);
            ResultSet first = one.executeQuery("SELECT generate_series(1, 10)");
            ResultSet second = two.executeQuery("SELECT generate_series(11, 20)");
            StringBuilder woven = new StringBuilder();
            while (first.next() && second.next()) {
                woven.append(first.getInt(1)).append(' ').append(second.getInt(1)).append(' ');
            }
            show("interleaved", woven);
            ResultSet left = one.executeQuery("SELECT generate_series(1, 1000000)");
            left.next();
            left.close();
            attempt("fails later", () -> all(one.executeQuery("SELECT 10 / (5 - n) FROM generate_series(1, 9) n")).size());
        }
        connection.rollback();
        try (CallableStatement call = connection.prepareCall("{? = call opened()}")) {
            call.registerOutParameter(1, Types.REF_CURSOR);
            call.execute();
            show("cursor of a function", all((ResultSet) call.getObject(1)));
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void calls(Connection connection) throws Exception {
        section("callable statements");
        try (CallableStatement call = connection.prepareCall("{? = call twice(?)}")) {
            call.registerOutParameter(1, Types.INTEGER);
            call.setInt(2, 21);
            call.execute();
            show("function", call.getInt(1));
        }
        try (CallableStatement call = connection.prepareCall("{call pair_of(?, ?, ?)}")) {
            call.setInt(1, 4);
            call.registerOutParameter(2, Types.INTEGER);
            call.registerOutParameter(3, Types.INTEGER);
            call.execute();
            show("out parameters", call.getInt(2), call.getInt(3));
        }
        attempt("a procedure", () -> {
            try (CallableStatement call = connection.prepareCall("call swap(?, ?)")) {
                call.setInt(1, 1);
                call.setInt(2, 2);
                call.registerOutParameter(1, Types.INTEGER);
                call.registerOutParameter(2, Types.INTEGER);
                call.execute();
                return call.getInt(1) + " " + call.getInt(2);
            }
        });
    }

    static void failures(Connection connection) throws Exception {
        section("failures");
        for (String sql : new String[] {
            "SELECT 1/0", "SELECT * FROM missing_table", "SELEC 1", "INSERT INTO makers (id, title) VALUES (1, 'again')",
            "INSERT INTO makers (title) VALUES (NULL)", "INSERT INTO things (maker) VALUES (999)", "INSERT INTO things (size) VALUES (-1)",
            "SELECT (-1)::positive", "SELECT 'angry'::mood", "DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P0042', DETAIL = 'd', HINT = 'h'; END $$",
        }) {
            attempt(sql, () -> run(connection, sql));
        }
        attempt("too few parameters", () -> ask(connection, "SELECT ?::int, ?::int", 1));
        attempt("a bad parameter", () -> ask(connection, "SELECT ?::int", "x"));
        connection.setAutoCommit(false);
        run(connection, "INSERT INTO makers (title) VALUES ('in vain')");
        Savepoint savepoint = connection.setSavepoint("one");
        attempt("inside", () -> run(connection, "INSERT INTO makers (title) VALUES ('Anna')"));
        attempt("aborted", () -> ask(connection, "SELECT 1"));
        connection.rollback(savepoint);
        show("recovered", ask(connection, "SELECT count(*) FROM makers WHERE title = 'in vain'"));
        connection.releaseSavepoint(savepoint);
        attempt("broken", () -> ask(connection, "SELECT broken"));
        attempt("a commit that cannot be", () -> {
            connection.commit();
            return "committed";
        });
        connection.rollback();
        connection.setAutoCommit(true);
        connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        connection.setReadOnly(true);
        connection.setAutoCommit(false);
        show("isolation", ask(connection, "SHOW transaction_isolation"), ask(connection, "SHOW transaction_read_only"));
        attempt("read only", () -> run(connection, "INSERT INTO makers (title) VALUES ('x')"));
        connection.rollback();
        connection.setReadOnly(false);
        connection.setAutoCommit(true);
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
    }

    static void metadata(Connection connection) throws Exception {
        section("metadata");
        DatabaseMetaData meta = connection.getMetaData();
        show("product", meta.getDatabaseProductName(), meta.getDatabaseMajorVersion(), meta.getMaxColumnNameLength());
        show("schemas", all(meta.getSchemas(null, "gh_jdbc")).size());
        show("tables", without(meta.getTables(null, "gh_jdbc", "%", null)));
        show("columns", without(meta.getColumns(null, "gh_jdbc", "%", "%")));
        show("primary keys", without(meta.getPrimaryKeys(null, "gh_jdbc", "things")));
        show("imported keys", without(meta.getImportedKeys(null, "gh_jdbc", "things")));
        show("exported keys", without(meta.getExportedKeys(null, "gh_jdbc", "makers")));
        show("cross reference", without(meta.getCrossReference(null, "gh_jdbc", "makers", null, "gh_jdbc", "things")));
        show("indexes", without(meta.getIndexInfo(null, "gh_jdbc", "things", false, true)));
        show("functions", without(meta.getFunctions(null, "gh_jdbc", "%")));
        show("function columns", without(meta.getFunctionColumns(null, "gh_jdbc", "%", "%")));
        show("procedures", without(meta.getProcedures(null, "gh_jdbc", "%")));
        show("procedure columns", without(meta.getProcedureColumns(null, "gh_jdbc", "%", "%")));
        show("types", all(meta.getTypeInfo()).size() > 50, without(meta.getUDTs(null, "gh_jdbc", "%", null)));
        show("best row", without(meta.getBestRowIdentifier(null, "gh_jdbc", "things", DatabaseMetaData.bestRowSession, true)));
        show("version columns", all(meta.getVersionColumns(null, "gh_jdbc", "things")).size());
        show("privileges", all(meta.getTablePrivileges(null, "gh_jdbc", "things")).size(), all(meta.getColumnPrivileges(null, "gh_jdbc", "things", "size")).size());
        show("catalogs", all(meta.getCatalogs()).size() > 0, all(meta.getTableTypes()), all(meta.getClientInfoProperties()).size());
        show("keywords", meta.getSQLKeywords().length() > 100, meta.getNumericFunctions().length() > 10);
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT id AS key, size, data FROM things")) {
            ResultSetMetaData columns = rows.getMetaData();
            for (int n = 1; n <= columns.getColumnCount(); n++) {
                show("column", columns.getColumnLabel(n), columns.getColumnName(n), columns.getTableName(n), columns.getColumnTypeName(n), columns.isNullable(n), columns.isAutoIncrement(n));
            }
        }
    }

    // Specific names of functions end in an OID.
    static String without(ResultSet rows) throws Exception {
        return all(rows).toString().replaceAll("_\\d{5,}", "_OID").replace(System.getenv("PGUSER"), "USER");
    }

    static void copies(Connection connection) throws Exception {
        section("COPY");
        CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
        run(connection, "CREATE TABLE lines (id int, word text)");
        show("in", copy.copyIn("COPY lines FROM STDIN", new StringReader("1\tone\n2\t\\N\n")));
        show("csv in", copy.copyIn("COPY lines FROM STDIN WITH (FORMAT csv)", new StringReader("3,\"three, 3\"\n")));
        for (String form : List.of("text", "csv", "binary")) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            show(form + " out", copy.copyOut("COPY lines TO STDOUT WITH (FORMAT " + form + ")", out), out.toByteArray());
            show(form + " in", copy.copyIn("COPY lines FROM STDIN WITH (FORMAT " + form + ")", new ByteArrayInputStream(out.toByteArray())));
        }
        attempt("bad line", () -> copy.copyIn("COPY lines FROM STDIN", new StringReader("1\tx\nbad\ty\n")));
        attempt("bad line before many", () -> copy.copyIn("COPY lines FROM STDIN", new StringReader("bad\ty\n" + "1\tx\n".repeat(500_000))));
        attempt("missing table", () -> copy.copyIn("COPY missing FROM STDIN", new StringReader("1\n")));
        attempt("cancelled by the client", () -> {
            CopyIn in = copy.copyIn("COPY lines FROM STDIN");
            in.writeToCopy("1\tx\n".getBytes(), 0, 4);
            in.cancelCopy();
            return in.isActive();
        });
        attempt("torn", () -> copy.copyIn("COPY lines FROM STDIN", new InputStream() {
            public int read() throws java.io.IOException {
                throw new java.io.IOException("given up");
            }
        }));
        show("unharmed", ask(connection, "SELECT count(*) FROM lines"));
        show("large in", copy.copyIn("COPY lines FROM STDIN", new StringReader("7\tseven\n".repeat(200_000))));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        show("large out", copy.copyOut("COPY lines TO STDOUT", out), out.size());
    }

    static void notifications(Connection connection) throws Exception {
        section("notifications and notices");
        run(connection, "LISTEN gh_channel");
        try (Connection other = connect()) {
            run(other, "NOTIFY gh_channel, 'first'");
            ask(other, "SELECT pg_notify('gh_channel', ?)::text", "second");
        }
        List<String> heard = new ArrayList<>();
        while (heard.size() < 2) {
            PGNotification[] some = connection.unwrap(PGConnection.class).getNotifications(10_000);
            if (some == null || some.length == 0) {
                break;
            }
            for (PGNotification one : some) {
                heard.add(one.getName() + " " + one.getParameter());
            }
        }
        show("heard", heard);
        try (Statement statement = connection.createStatement()) {
            statement.execute("SELECT loud(7)");
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
                show("notice", warning.getSQLState(), warning.getMessage());
            }
        }
        run(connection, "SET statement_timeout = 200");
        attempt("statement_timeout", () -> ask(connection, "SELECT pg_sleep(20)::text"));
        run(connection, "RESET statement_timeout");
        connection.setSchema("gh_jdbc");
        connection.setClientInfo("ApplicationName", "renamed");
        show("schema", connection.getSchema(), ask(connection, "SHOW application_name"), connection.isValid(5));
        show("parameters", new TreeMap<>(connection.unwrap(PGConnection.class).getParameterStatuses()).keySet());
    }

    static void cancelling(Connection connection) throws Exception {
        section("cancelling");
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            canceller.start();
            attempt("cancelled", () -> statement.execute("SELECT pg_sleep(30)"));
            canceller.join();
        }
        show("goes on", ask(connection, "SELECT 1"));
    }

    static void large(Connection connection) throws Exception {
        section("large values");
        String text = "æ".repeat(LARGE / 2);
        byte[] bytes = new byte[LARGE];
        Arrays.fill(bytes, (byte) 7);
        for (int time = 0; time < 2; time++) {
            try (PreparedStatement statement = connection.prepareStatement("SELECT ?::text, ?::bytea")) {
                statement.setString(1, text);
                statement.setBytes(2, bytes);
                ResultSet rows = statement.executeQuery();
                rows.next();
                show("both ways", rows.getString(1).equals(text), Arrays.equals(rows.getBytes(2), bytes));
            }
        }
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(1000);
            ResultSet rows = statement.executeQuery("SELECT repeat('0123456789', 100) FROM generate_series(1, 30000)");
            long length = 0;
            while (rows.next()) {
                length += rows.getString(1).length();
            }
            show("30 MB", length);
        }
        connection.commit();
        connection.setAutoCommit(true);
        attempt("a statement of 5 MB", () -> ask(connection, "SELECT length('" + "x".repeat(LARGE) + "')"));
    }

    static void batches(String... options) throws Exception {
        section("batches " + String.join(" ", options));
        try (Connection connection = connect(options)) {
            run(connection, "CREATE TABLE IF NOT EXISTS batched (id int PRIMARY KEY, word text)");
            run(connection, "TRUNCATE batched");
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO batched (id, word) VALUES (?, ?)")) {
                for (int n = 0; n < 5000; n++) {
                    statement.setInt(1, n);
                    statement.setString(2, "word " + n);
                    statement.addBatch();
                }
                int[] counts = statement.executeBatch();
                show("inserted", counts.length, counts[0], ask(connection, "SELECT count(*), max(word) FROM batched"));
                connection.commit();
                for (int n = 5000; n < 5010; n++) {
                    statement.setInt(1, n == 5007 ? 1 : n);
                    statement.setString(2, "again");
                    statement.addBatch();
                }
                attempt("a duplicate", statement::executeBatch);
                connection.rollback();
                show("after it", ask(connection, "SELECT count(*) FROM batched"));
            }
            connection.rollback();
        }
    }

    static void modes() throws Exception {
        for (String mode : List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything")) {
            section("query mode " + mode);
            try (Connection connection = connect("preferQueryMode", mode)) {
                for (int n = 0; n < 7; n++) {
                    show("asked", ask(connection, "SELECT ?::int + 1, ?::text", n, "x' y"));
                }
                show("one statement", run(connection, "UPDATE things SET size = size"));
                attempt("an error", () -> ask(connection, "SELECT 1/?::int", 0));
                connection.setAutoCommit(false);
                try (Statement statement = connection.createStatement()) {
                    statement.setFetchSize(5);
                    show("fetched", all(statement.executeQuery("SELECT generate_series(1, 20)")).size());
                }
                connection.commit();
            }
        }
        for (String autosave : List.of("always", "conservative", "never")) {
            section("autosave " + autosave);
            try (Connection connection = connect("autosave", autosave, "cleanupSavepoints", "true")) {
                connection.setAutoCommit(false);
                run(connection, "INSERT INTO makers (title) VALUES ('saved')");
                attempt("fails", () -> ask(connection, "SELECT broken"));
                attempt("goes on", () -> ask(connection, "SELECT count(*) FROM makers WHERE title = 'saved'"));
                connection.rollback();
                // What a statement gives changes under its name.
                run(connection, "CREATE TABLE shape (a int)");
                for (int n = 0; n < 7; n++) {
                    ask(connection, "SELECT * FROM shape");
                }
                run(connection, "ALTER TABLE shape ADD b text");
                attempt("another shape", () -> ask(connection, "SELECT * FROM shape"));
                connection.rollback();
            }
        }
        section("prepare threshold");
        for (String threshold : List.of("0", "1", "-1")) {
            try (Connection connection = connect("prepareThreshold", threshold)) {
                for (int n = 0; n < 3; n++) {
                    show("threshold " + threshold, ask(connection, "SELECT id, title FROM makers WHERE id = ?", n));
                }
                show("prepared", ask(connection, "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%makers%'"));
            }
        }
    }

    static void startup() throws Exception {
        section("startup parameters");
        for (String[] options : new String[][] {
            {"currentSchema", "gh_jdbc"}, {"options", "-c statement_timeout=5s"}, {"readOnly", "true"}, {"assumeMinServerVersion", "12"},
            {"binaryTransfer", "false"}, {"stringtype", "unspecified"}, {"defaultRowFetchSize", "10"}, {"loadBalanceHosts", "true", "targetServerType", "primary"},
            {"sslmode", "disable"}, {"tcpKeepAlive", "true"}, {"gssEncMode", "disable"}, {"allowEncodingChanges", "true"}, {"quoteReturningIdentifiers", "false"},
            {"maxResultBuffer", "10M"}, {"adaptiveFetch", "true", "defaultRowFetchSize", "10"}, {"hideUnprivilegedObjects", "true"}, {"databaseMetadataCacheFields", "0"},
        }) {
            attempt(String.join(" ", options), () -> {
                try (Connection connection = connect(options)) {
                    return ask(connection, "SELECT 1");
                }
            });
        }
    }

    static void twoPhases(Connection connection) throws Exception {
        section("two phases");
        connection.setAutoCommit(false);
        attempt("prepare", () -> run(connection, "PREPARE TRANSACTION 'gh_jdbc'"));
        connection.rollback();
        connection.setAutoCommit(true);
    }

    public static void main(String[] arguments) throws Exception {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        Locale.setDefault(Locale.ROOT);
        try (Connection connection = connect()) {
            for (String sql : DEFINITIONS) {
                run(connection, sql);
            }
            rows(connection);
            types(connection);
            cursors(connection);
            calls(connection);
            failures(connection);
            metadata(connection);
            copies(connection);
            notifications(connection);
            cancelling(connection);
            large(connection);
            twoPhases(connection);
            batches();
            batches("reWriteBatchedInserts", "true");
            modes();
            startup();
            run(connection, "SET client_min_messages = warning");
            run(connection, "DROP SCHEMA gh_jdbc CASCADE");
        }
        System.out.println("\nchecked " + checked);
    }
}
