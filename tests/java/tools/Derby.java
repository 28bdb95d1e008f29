import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;

/** Runs the SQL statements of standard input on the Derby database in the folder named. */
public final class Derby {
    public static void main(String[] args) throws Exception {
        String url = "jdbc:derby:;databaseName=" + args[0];
        try (Connection connection = DriverManager.getConnection(url + ";create=true", "APP", "mine");
                BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            StringBuilder text = new StringBuilder();
            int count = 0;
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.trim().startsWith("--")) {
                    continue;
                }
                text.append(line).append('\n');
                if (line.trim().endsWith(";")) {
                    String sql = text.toString().trim();
                    text.setLength(0);
                    try (Statement statement = connection.createStatement()) {
                        statement.execute(sql.substring(0, sql.length() - 1));
                        count++;
                    } catch (SQLException e) {
                        throw new SQLException(e.getMessage() + " in: " + sql, e);
                    }
                }
            }
            System.out.println(count + " statements");
        }
        try {
            DriverManager.getConnection(url + ";shutdown=true", "APP", "mine");
        } catch (SQLException e) {
            // Derby says so when it has shut a database down.
            if (!"08006".equals(e.getSQLState())) {
                throw e;
            }
        }
    }
}
