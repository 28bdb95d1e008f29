import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

/**
 * Users of skep with JDBC over TLS: {@code Login HOST:PORT CA_FILE PASSWORD TOKEN}. Prints one line
 * for each thing that was done and found right.
 */
public final class Login {
    private Login() {}

    public static void main(String[] arguments) throws Exception {
        String address = arguments[0];
        String authority = arguments[1];
        String password = arguments[2];
        String token = arguments[3];
        must(who(address, authority, "user", "ann", "password", password).equals("ann"), "ann");
        say("password");
        must(who(address, authority, "token", token).equals("bob"), "bob");
        say("token");
        for (String[] login : new String[][] {
            {"user", "ann", "password", password + "x"},
            {"user", "nobody", "password", password},
            {"token", token + "x"},
            {},
        }) {
            String told = refusal(address, authority, login);
            must(told.contains("UNAUTHENTICATED"), told);
            must(!told.contains(password) && !told.contains(token), told);
        }
        say("strangers");
        String told = refusal(address, null, "user", "ann", "password", password);
        must(!told.contains("UNAUTHENTICATED"), told);
        say("unknown authority");
    }

    private static String who(String address, String authority, String... login) throws SQLException {
        Properties options = new Properties();
        options.put("useEncryption", "true");
        if (authority != null) {
            options.put("tlsRootCerts", authority);
        }
        for (int index = 0; index < login.length; index += 2) {
            options.put(login[index], login[index + 1]);
        }
        try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + address, options);
                ResultSet rows =
                        connection.createStatement().executeQuery("SELECT principal FROM runtime.queries")) {
            must(rows.next(), "a row");
            return rows.getString(1);
        }
    }

    private static String refusal(String address, String authority, String... login) {
        try {
            String who = who(address, authority, login);
            throw new AssertionError("let in as " + who);
        } catch (SQLException expected) {
            StringBuilder told = new StringBuilder();
            for (Throwable cause = expected; cause != null; cause = cause.getCause()) {
                told.append(cause).append('\n');
            }
            return told.toString();
        }
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
