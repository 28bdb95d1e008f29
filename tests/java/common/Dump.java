import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.hive.metastore.api.*;
import org.apache.thrift.TBase;
import org.apache.thrift.TSerializer;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.transport.TSocket;

/**
 * Reads everything that a metastore holds with Hive's own generated client and prints one JSON
 * line per object: kind, place, all fields by name, and the struct written again as Thrift binary.
 *
 * <p>It asks with other methods than skep does where there is a choice: all partitions of a table
 * in one call, grants object by object.
 */
public final class Dump {
    private static final PrintStream OUT =
            new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        TSocket socket = new TSocket("127.0.0.1", Integer.parseInt(args[0]));
        socket.open();
        ThriftHiveMetastore.Client client = new ThriftHiveMetastore.Client(new TBinaryProtocol(socket));
        for (TBase<?, ?> catalog : Api.catalogs(client)) {
            String name = Api.catalogName(catalog);
            line("catalog", name, null, null, name, catalog);
            databases(client, name);
        }
        if (!Api.HAS_CATALOGS) {
            databases(client, "hive");
        }
        for (HiveObjectPrivilege grant : grants(client, new HiveObjectRef(HiveObjectType.GLOBAL, null, null, null, null))) {
            line("privilege", null, null, null, grant.getPrincipalName(), grant);
        }
        OUT.println("{\"kind\":\"end\"}");
        OUT.flush();
        // hive-exec leaves threads of its own behind.
        System.exit(0);
    }

    private static void databases(ThriftHiveMetastore.Client client, String catalog) throws Exception {
        for (String database : client.get_databases(Api.qualified(catalog, "*"))) {
            line("database", catalog, database, null, database, client.get_database(Api.qualified(catalog, database)));
            for (String function : client.get_functions(Api.qualified(catalog, database), "*")) {
                line("function", catalog, database, null, function, client.get_function(Api.qualified(catalog, database), function));
            }
            HiveObjectRef reference = new HiveObjectRef(HiveObjectType.DATABASE, database, null, null, null);
            Api.set(reference, "catName", catalog);
            for (HiveObjectPrivilege grant : grants(client, reference)) {
                line("privilege", catalog, database, null, grant.getPrincipalName(), grant);
            }
            List<String> tables = new ArrayList<>(client.get_all_tables(Api.qualified(catalog, database)));
            Collections.sort(tables);
            for (String table : tables) {
                table(client, catalog, database, table);
            }
        }
    }

    private static void table(ThriftHiveMetastore.Client client, String catalog, String database, String name) throws Exception {
        GetTableRequest request = new GetTableRequest(database, name);
        Api.set(request, "catName", catalog);
        Table table = client.get_table_req(request).getTable();
        line("table", catalog, database, name, name, table);
        if (table.getPartitionKeysSize() > 0) {
            for (Partition partition : client.get_partitions(Api.qualified(catalog, database), name, (short) -1)) {
                line("partition", catalog, database, name, String.join("\u0000", partition.getValues()), partition);
            }
        }
        for (TBase<?, ?> constraint : Api.constraints(client, catalog, database, name)) {
            line(constraint.getClass().getSimpleName(), catalog, database, name, "", constraint);
        }
        List<String> columns = new ArrayList<>();
        for (FieldSchema column : table.getSd().getCols()) {
            columns.add(column.getName());
        }
        if (!columns.isEmpty() && !table.getTableType().endsWith("_VIEW")) {
            TableStatsRequest statistics = new TableStatsRequest(database, name, columns);
            Api.set(statistics, "catName", catalog);
            Api.set(statistics, "engine", "hive");
            for (ColumnStatisticsObj column : client.get_table_statistics_req(statistics).getTableStats()) {
                line("column_statistic", catalog, database, name, column.getColName(), column);
            }
        }
        HiveObjectRef reference = new HiveObjectRef(HiveObjectType.TABLE, database, name, null, null);
        Api.set(reference, "catName", catalog);
        for (HiveObjectPrivilege grant : grants(client, reference)) {
            line("privilege", catalog, database, name, grant.getPrincipalName(), grant);
        }
        for (String column : columns) {
            HiveObjectRef columnReference = new HiveObjectRef(HiveObjectType.COLUMN, database, name, null, column);
            Api.set(columnReference, "catName", catalog);
            if (columns.size() <= 20) {
                for (HiveObjectPrivilege grant : grants(client, columnReference)) {
                    line("privilege", catalog, database, name, grant.getPrincipalName(), grant);
                }
            }
        }
    }

    private static List<HiveObjectPrivilege> grants(ThriftHiveMetastore.Client client, HiveObjectRef reference) throws Exception {
        return client.list_privileges(null, null, reference);
    }

    private static void line(String kind, String catalog, String database, String table, String name, TBase<?, ?> object) throws Exception {
        byte[] bytes = new TSerializer(new TBinaryProtocol.Factory()).serialize(object);
        OUT.println("{\"kind\":" + Json.of(kind) + ",\"catalog\":" + Json.of(catalog) + ",\"database\":" + Json.of(database)
                + ",\"table\":" + Json.of(table) + ",\"name\":" + Json.of(name) + ",\"fields\":" + Json.of(object)
                + ",\"bytes\":" + Json.of(Base64.getEncoder().encodeToString(bytes)) + "}");
    }
}
