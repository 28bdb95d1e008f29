import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.hive.metastore.api.*;

/** Makes tables and partitions for {@link Fill} and {@link Ddl}. */
final class Build {
    static final String TEXT_IN = "org.apache.hadoop.mapred.TextInputFormat";
    static final String TEXT_OUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";
    static final String LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
    static final String PARQUET = "org.apache.hadoop.hive.ql.io.parquet.";
    static final String ORC = "org.apache.hadoop.hive.ql.io.orc.";

    private Build() {}

    static FieldSchema column(String name, String type, String comment) {
        return new FieldSchema(name, type, comment);
    }

    static List<FieldSchema> columns(String... namesAndTypes) {
        List<FieldSchema> columns = new ArrayList<>();
        for (int i = 0; i < namesAndTypes.length; i += 2) {
            columns.add(column(namesAndTypes[i], namesAndTypes[i + 1], null));
        }
        return columns;
    }

    /** A mutable map: generated structs change theirs in place. */
    static Map<String, String> map(String... keysAndValues) {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            map.put(keysAndValues[i], keysAndValues[i + 1]);
        }
        return map;
    }

    static StorageDescriptor storage(List<FieldSchema> columns, String location) {
        SerDeInfo serde = new SerDeInfo(null, LAZY, map("serialization.format", "1"));
        return new StorageDescriptor(columns, location, TEXT_IN, TEXT_OUT, false, -1, serde,
                new ArrayList<>(), new ArrayList<>(), map());
    }

    static Table table(String database, String name, String type, List<FieldSchema> columns, String location) {
        Table table = new Table();
        table.setDbName(database);
        table.setTableName(name);
        table.setOwner("skep");
        table.setTableType(type);
        table.setSd(storage(columns, location));
        table.setPartitionKeys(new ArrayList<>());
        table.setParameters(map());
        if (type.equals("EXTERNAL_TABLE")) {
            table.getParameters().put("EXTERNAL", "TRUE");
        }
        return table;
    }

    static Partition partition(Table table, String location, String... values) {
        Partition partition = new Partition();
        partition.setDbName(table.getDbName());
        partition.setTableName(table.getTableName());
        Api.set(partition, "catName", table.getCatName());
        partition.setValues(new ArrayList<>(List.of(values)));
        StorageDescriptor storage = table.getSd().deepCopy();
        storage.setLocation(location);
        partition.setSd(storage);
        partition.setParameters(map());
        return partition;
    }

    /** Makes a directory beforehand: without Hadoop's native library a metastore forks a shell for each. */
    static String directory(String parent, String name) {
        File directory = new File(parent, name);
        directory.mkdirs();
        return "file:" + directory.getPath();
    }
}
