import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.hive.metastore.IMetaStoreClient;
import org.apache.hadoop.hive.metastore.api.*;

/**
 * Changes a metastore on demand: PORT FOLDER, then one command per line on standard input, each
 * answered by one line, {@code ok} or {@code error MESSAGE}. Words are separated by blanks.
 */
public final class Ddl {
    public static void main(String[] args) throws Exception {
        IMetaStoreClient client = Api.connect(args[0]);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println("ready");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                run(client, args[1], line.split(" "));
                System.out.println("ok");
            } catch (Exception e) {
                System.out.println("error " + String.valueOf(e).replace('\n', ' '));
            }
            System.out.flush();
        }
        System.exit(0);
    }

    private static void run(IMetaStoreClient client, String folder, String[] word) throws Exception {
        switch (word[0]) {
            case "create_database" -> // DATABASE
                client.createDatabase(new Database(word[1], "made by Ddl", Build.directory(folder, word[1] + ".db"), Build.map()));
            case "alter_database" -> { // DATABASE KEY VALUE
                Database database = client.getDatabase(word[1]);
                database.putToParameters(word[2], word[3]);
                client.alterDatabase(word[1], database);
            }
            case "drop_database" -> // DATABASE
                client.dropDatabase(word[1], false, false, true);
            case "create_table" -> { // DATABASE TABLE [PARTITION_KEY]
                Table table = Build.table(word[1], word[2], "EXTERNAL_TABLE", Build.columns("a", "int", "b", "string"), Build.directory(folder, word[1] + "_" + word[2]));
                if (word.length > 3) {
                    table.setPartitionKeys(Build.columns(word[3], "string"));
                }
                client.createTable(table);
            }
            case "set_parameter" -> { // DATABASE TABLE KEY VALUE
                Table table = client.getTable(word[1], word[2]);
                table.putToParameters(word[3], word[4]);
                client.alter_table(word[1], word[2], table);
            }
            case "add_column" -> { // DATABASE TABLE COLUMN TYPE
                Table table = client.getTable(word[1], word[2]);
                table.getSd().addToCols(Build.column(word[3], word[4], "added"));
                client.alter_table(word[1], word[2], table);
            }
            case "rename_table" -> { // DATABASE TABLE DATABASE TABLE
                Table table = client.getTable(word[1], word[2]);
                table.setDbName(word[3]);
                table.setTableName(word[4]);
                client.alter_table(word[1], word[2], table);
            }
            case "drop_table" -> // DATABASE TABLE
                client.dropTable(word[1], word[2], false, false);
            case "add_partitions" -> { // DATABASE TABLE FIRST COUNT
                Table table = client.getTable(word[1], word[2]);
                List<Partition> batch = new ArrayList<>();
                int first = Integer.parseInt(word[3]);
                for (int i = first; i < first + Integer.parseInt(word[4]); i++) {
                    String value = String.format("v%06d", i);
                    batch.add(Build.partition(table, Build.directory(folder, word[1] + "_" + word[2] + "_" + value), value));
                }
                client.add_partitions(batch);
            }
            case "alter_partition" -> { // DATABASE TABLE VALUE KEY VALUE
                Partition partition = client.getPartition(word[1], word[2], List.of(word[3]));
                partition.putToParameters(word[4], word[5]);
                client.alter_partition(word[1], word[2], partition);
            }
            case "rename_partition" -> { // DATABASE TABLE VALUE NEW_VALUE
                Partition partition = client.getPartition(word[1], word[2], List.of(word[3]));
                partition.setValues(new ArrayList<>(List.of(word[4])));
                client.renamePartition(word[1], word[2], List.of(word[3]), partition);
            }
            case "drop_partition" -> // DATABASE TABLE VALUE
                client.dropPartition(word[1], word[2], List.of(word[3]), false);
            case "create_function" -> // DATABASE FUNCTION
                client.createFunction(new Function(word[2], word[1], "com.example.Made", "skep", PrincipalType.USER, 0, FunctionType.JAVA, new ArrayList<>()));
            case "drop_function" -> // DATABASE FUNCTION
                client.dropFunction(word[1], word[2]);
            default -> throw new IllegalArgumentException("no such command: " + word[0]);
        }
    }
}
