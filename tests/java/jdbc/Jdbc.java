import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;

/**
 * A user of skep with JDBC: {@code Jdbc URL TABLES}. Asks for everything that a tool such as DBeaver
 * asks for, and prints one line for each thing that was done and found right.
 */
public final class Jdbc {
    private static final String ENDLESS =
            "SELECT a.comment || b.comment AS c FROM docs.columns a, docs.columns b, docs.columns c";

    private Jdbc() {}

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        int tables = Integer.parseInt(arguments[1]);
        try (Connection connection = DriverManager.getConnection(url)) {
            queries(connection, tables);
            say("queries");
            parameters(connection, tables);
            say("parameters");
            facts(connection.getMetaData());
            say("facts");
            objects(connection.getMetaData());
            say("objects");
            mistakes(connection);
            say("mistakes");
            cancel(connection);
            say("cancel");
        }
        try (Connection connection = DriverManager.getConnection(url + "&user=ann&password=any")) {
            equal(all(connection.createStatement().executeQuery("SELECT 1")).toString(), "[[1]]");
        }
        say("names and passwords");
    }

    private static void queries(Connection connection, int tables) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            try (ResultSet rows = statement.executeQuery("SELECT count(*) AS n FROM catalog.tables")) {
                equal(rows.getMetaData().getColumnLabel(1), "n");
                equal(all(rows).toString(), "[[" + tables + "]]");
            }
            ResultSet rows = statement.executeQuery("SELECT * FROM catalog.tables");
            ResultSetMetaData columns = rows.getMetaData();
            equal(columns.getColumnLabel(1), "metastore_name");
            equal(all(rows).size(), tables);
            rows = statement.executeQuery(
                    "SELECT 1, 1.5, 'a', true, NULL, DATE '2024-01-02', TIMESTAMP '2024-01-02 03:04:05', [1, 2], CAST(7 AS DECIMAL(10, 2))");
            equal(all(rows).size(), 1);
            equal(all(statement.executeQuery("SELECT 1 WHERE 1 = 0")).size(), 0);
            rows = statement.executeQuery(ENDLESS + " LIMIT 50000");
            int count = 0;
            while (rows.next()) {
                count++;
            }
            equal(count, 50000);
        }
    }

    private static void parameters(Connection connection, int tables) throws SQLException {
        String sql = "SELECT count(*) FROM catalog.tables WHERE metastore_name = ? AND 0 <= partition_count + ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            equal(statement.getParameterMetaData().getParameterCount(), 2);
            for (String name : List.of("dc1", "nowhere", "dc1")) {
                statement.setString(1, name);
                statement.setLong(2, 1);
                int expected = name.equals("dc1") ? tables : 0;
                equal(all(statement.executeQuery()).toString(), "[[" + expected + "]]");
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS a")) {
            statement.setString(1, "größer");
            equal(all(statement.executeQuery()).toString(), "[[größer]]");
        }
    }

    /** Every question about the service that takes no argument. */
    private static void facts(DatabaseMetaData facts) {
        List<String> unanswered = new ArrayList<>();
        for (Method method : DatabaseMetaData.class.getMethods()) {
            if (method.getParameterCount() != 0) {
                continue;
            }
            try {
                Object answer = method.invoke(facts);
                if (answer instanceof ResultSet rows) {
                    all(rows);
                }
            } catch (InvocationTargetException failed) {
                unanswered.add(method.getName() + ": " + failed.getCause());
            } catch (Exception failed) {
                unanswered.add(method.getName() + ": " + failed);
            }
        }
        equal(unanswered, List.of());
    }

    private static void objects(DatabaseMetaData facts) throws SQLException {
        equal(facts.getDatabaseProductName(), "skep");
        must(facts.isReadOnly(), "read only");
        equal(facts.getIdentifierQuoteString(), "\"");
        equal(column(facts.getCatalogs(), "TABLE_CAT").toString(), "[skep]");
        must(column(facts.getSchemas(), "TABLE_SCHEM").containsAll(List.of("catalog", "docs", "sync")), "schemas");
        equal(column(facts.getSchemas("skep", "s%"), "TABLE_SCHEM").toString(), "[sync]");
        equal(column(facts.getTableTypes(), "TABLE_TYPE").toString(), "[BASE TABLE, VIEW]");
        TreeSet<String> tables = column(facts.getTables("skep", "catalog", "%", new String[] {"BASE TABLE"}), "TABLE_NAME");
        must(tables.containsAll(List.of("tables", "columns", "partitions")), "tables: " + tables);
        equal(column(facts.getTables(null, null, "stat%", null), "TABLE_NAME").toString(), "[status]");
        try (ResultSet columns = facts.getColumns("skep", "catalog", "tables", "%")) {
            int count = 0;
            while (columns.next()) {
                count++;
                must(!columns.getString("REMARKS").isEmpty(), "a comment of " + columns.getString("COLUMN_NAME"));
                must(!columns.getString("TYPE_NAME").isEmpty(), "a type of " + columns.getString("COLUMN_NAME"));
            }
            must(10 < count, "columns: " + count);
        }
        equal(all(facts.getPrimaryKeys("skep", "catalog", "tables")).size(), 0);
        equal(all(facts.getImportedKeys("skep", "catalog", "tables")).size(), 0);
        equal(all(facts.getExportedKeys("skep", "catalog", "tables")).size(), 0);
        equal(all(facts.getCrossReference("skep", "catalog", "tables", "skep", "catalog", "columns")).size(), 0);
        equal(all(facts.getProcedures(null, null, "%")).size(), 0);
        equal(all(facts.getFunctions(null, null, "%")).size(), 0);
        equal(all(facts.getIndexInfo("skep", "catalog", "tables", false, true)).size(), 0);
        equal(all(facts.getBestRowIdentifier("skep", "catalog", "tables", DatabaseMetaData.bestRowSession, true)).size(), 0);
    }

    private static void mistakes(Connection connection) throws SQLException {
        for (String[] pair : new String[][] {
            {"SELECT * FROM catalog.tabels", "catalog.tables?"},
            {"SELEC 1", "SQL_SYNTAX"},
            {"DELETE FROM catalog.tables", "SQL_READ_ONLY"},
        }) {
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery(pair[0]);
                throw new AssertionError("no error: " + pair[0]);
            } catch (SQLException expected) {
                must(expected.toString().contains(pair[1]), expected.toString());
            }
        }
    }

    private static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery(ENDLESS);
            must(rows.next(), "a row");
            statement.cancel();
            try {
                while (rows.next()) {
                    // Rows that came before.
                }
                throw new AssertionError("cancelled rows look complete");
            } catch (SQLException expected) {
                must(expected.toString().toLowerCase().contains("cancel"), expected.toString());
            }
        }
        for (int look = 0; look < 600; look++) {
            try (Statement statement = connection.createStatement()) {
                ResultSet rows = statement.executeQuery(
                        "SELECT count(*) FROM runtime.query_history WHERE state = 'cancelled' AND row_count > 0");
                rows.next();
                if (0 < rows.getLong(1)) {
                    return;
                }
            }
            Thread.sleep(50);
        }
        throw new AssertionError("the statement goes on");
    }

    private static TreeSet<String> column(ResultSet rows, String name) throws SQLException {
        TreeSet<String> values = new TreeSet<>();
        while (rows.next()) {
            values.add(rows.getString(name));
        }
        rows.close();
        return values;
    }

    /** Every value of every row, read as its own type and as text. */
    private static List<List<Object>> all(ResultSet rows) throws SQLException {
        List<List<Object>> all = new ArrayList<>();
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            Object[] row = new Object[columns];
            for (int column = 0; column < columns; column++) {
                String text = rows.getString(column + 1);
                // The driver has no object for times with a zone.
                boolean hasZone = rows.getMetaData().getColumnType(column + 1) == Types.TIMESTAMP_WITH_TIMEZONE;
                row[column] = hasZone ? rows.getTimestamp(column + 1) : rows.getObject(column + 1);
                must(row[column] == null || text != null, "text of " + row[column]);
            }
            all.add(Arrays.asList(row));
        }
        rows.close();
        return all;
    }

    private static void equal(Object found, Object expected) {
        must(found.equals(expected), found + " is not " + expected);
    }

    private static void must(boolean is, String what) {
        if (!is) {
            throw new AssertionError(what);
        }
    }

    private static void say(String what) {
        System.out.println(what);
    }
}
