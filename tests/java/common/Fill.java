import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.hive.metastore.IMetaStoreClient;
import org.apache.hadoop.hive.metastore.api.*;

/**
 * Fills a metastore with every kind of object, odd names and values included, through Hive's own
 * client: PORT FOLDER PARTITIONS, where PARTITIONS is how many the table {@code sales.big} gets.
 */
public final class Fill {
    private static final String ODD = "caf\u00e9 \ud83d\ude00 'quoted' \"double\" back\\slash tab\there";

    private final IMetaStoreClient client;
    private final String folder;

    private Fill(IMetaStoreClient client, String folder) {
        this.client = client;
        this.folder = folder;
    }

    public static void main(String[] args) throws Exception {
        Fill fill = new Fill(Api.connect(args[0]), args[1]);
        fill.databases();
        fill.tables();
        fill.partitions();
        fill.views();
        fill.functions();
        fill.constraints();
        fill.columnStatistics();
        fill.grants();
        fill.secondCatalog();
        fill.manyPartitions(Integer.parseInt(args[2]));
        System.out.println("filled");
        System.exit(0);
    }

    private void databases() throws Exception {
        Database sales = new Database("sales", "Orders and customers: " + ODD, Build.directory(folder, "sales.db"),
                Build.map("owner.team", "revenue", "empty", "", "odd", ODD));
        sales.setOwnerName("alice");
        sales.setOwnerType(PrincipalType.USER);
        client.createDatabase(sales);
        Database archive = new Database("archive", null, Build.directory(folder, "archive.db"), Build.map());
        archive.setOwnerName("keepers");
        archive.setOwnerType(PrincipalType.ROLE);
        client.createDatabase(archive);
        client.createDatabase(new Database("empty_one", "", Build.directory(folder, "empty.db"), null));
    }

    private void tables() throws Exception {
        Table customers = Build.table("sales", "customers", "MANAGED_TABLE", new ArrayList<>(List.of(
                Build.column("id", "bigint", "key"), Build.column("name", "varchar(200)", ODD),
                Build.column("phone_number", "string", ""), Build.column("scores", "array<struct<at:timestamp,value:decimal(10,2)>>", null),
                Build.column("extra", "map<string,uniontype<int,string>>", null))), Build.directory(folder, "sales.db/customers"));
        customers.getSd().setInputFormat(Build.ORC + "OrcInputFormat");
        customers.getSd().setOutputFormat(Build.ORC + "OrcOutputFormat");
        customers.getSd().getSerdeInfo().setSerializationLib(Build.ORC + "OrcSerde");
        customers.getSd().getSerdeInfo().setName("serde of customers");
        customers.setRetention(42);
        customers.setLastAccessTime(1_500_000_000);
        customers.setParameters(Build.map("comment", "Everybody who ever bought: " + ODD, "numRows", "12345", "totalSize", "987654321",
                "numFiles", "7", "transient_lastDdlTime", "1400000000", "line\nbreak", "value\nbreak", "empty", ""));
        client.createTable(customers);

        Table text = Build.table("sales", "text_export", "EXTERNAL_TABLE", Build.columns("a", "int", "b", "string", "c", "date"),
                "hdfs://old-nn:8020/export/text");
        // The name node does not exist: the metastore must not look at it.
        text.getSd().setLocation(Build.directory(folder, "text_export"));
        text.getSd().getSerdeInfo().setParameters(Build.map("field.delim", "\u0009", "escape.delim", "\\", "serialization.null.format", "NULL!"));
        text.getSd().setParameters(Build.map("storage.key", "storage value"));
        text.getSd().setCompressed(true);
        client.createTable(text);

        Table bucketed = Build.table("sales", "bucketed", "MANAGED_TABLE", Build.columns("a", "int", "b", "string", "c", "double"),
                Build.directory(folder, "sales.db/bucketed"));
        bucketed.getSd().setNumBuckets(16);
        bucketed.getSd().setBucketCols(new ArrayList<>(List.of("a", "b")));
        bucketed.getSd().setSortCols(new ArrayList<>(List.of(new Order("b", 1), new Order("c", 0))));
        client.createTable(bucketed);

        Table skewed = Build.table("archive", "skewed", "MANAGED_TABLE", Build.columns("a", "int", "b", "string"),
                Build.directory(folder, "archive.db/skewed"));
        Map<List<String>, String> locations = new HashMap<>();
        locations.put(List.of("1", "x"), Build.directory(folder, "archive.db/skewed/one"));
        locations.put(List.of("2", ODD), Build.directory(folder, "archive.db/skewed/two"));
        SkewedInfo skew = new SkewedInfo();
        skew.setSkewedColNames(new ArrayList<>(List.of("a", "b")));
        skew.setSkewedColValues(new ArrayList<>(List.of(List.of("1", "x"), List.of("2", ODD), List.of("3", ""))));
        skew.setSkewedColValueLocationMaps(locations);
        skewed.getSd().setSkewedInfo(skew);
        skewed.getSd().setStoredAsSubDirectories(true);
        client.createTable(skewed);

        List<FieldSchema> wide = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            wide.add(Build.column("column_" + i, i % 3 == 0 ? "string" : i % 3 == 1 ? "struct<x:int,y:array<string>>" : "decimal(38,18)", i % 2 == 0 ? "number " + i : null));
        }
        client.createTable(Build.table("archive", "wide", "EXTERNAL_TABLE", wide, Build.directory(folder, "wide")));
        // The same name as in sales, another schema.
        client.createTable(Build.table("archive", "customers", "EXTERNAL_TABLE", Build.columns("id", "int"), Build.directory(folder, "archive_customers")));
        Table iceberg = Build.table("archive", "ice", "EXTERNAL_TABLE", Build.columns("id", "bigint"), Build.directory(folder, "ice"));
        iceberg.getParameters().put("table_type", "ICEBERG");
        iceberg.getParameters().put("metadata_location", "file:" + folder + "/ice/metadata/00000.json");
        client.createTable(iceberg);
    }

    private void partitions() throws Exception {
        Table orders = Build.table("sales", "orders", "MANAGED_TABLE", Build.columns("id", "bigint", "amount", "decimal(18,2)"),
                Build.directory(folder, "sales.db/orders"));
        orders.setPartitionKeys(new ArrayList<>(List.of(Build.column("dt", "string", "the day"), Build.column("region", "string", null))));
        orders.getSd().setInputFormat(Build.PARQUET + "MapredParquetInputFormat");
        orders.getSd().setOutputFormat(Build.PARQUET + "MapredParquetOutputFormat");
        orders.getSd().getSerdeInfo().setSerializationLib(Build.PARQUET + "serde.ParquetHiveSerDe");
        client.createTable(orders);
        String[] regions = {"eu", "us", "a b", "x=y", "100%", "a/b", "__HIVE_DEFAULT_PARTITION__", "caf\u00e9", "\ud83d\ude00", "it's \"so\"", "back\\slash", "a:b"};
        List<Partition> batch = new ArrayList<>();
        for (int i = 0; i < regions.length; i++) {
            Partition partition = Build.partition(orders, Build.directory(folder, "orders_parts/" + i), "2024-01-" + (10 + i), regions[i]);
            partition.setLastAccessTime(1_600_000_000 + i);
            partition.setParameters(Build.map("numRows", "" + 100 * i, "totalSize", "" + 4096 * i, "numFiles", "" + i, "odd", ODD));
            if (i == 3) {
                partition.getSd().setCols(Build.columns("id", "bigint", "amount", "decimal(18,2)", "added_later", "string"));
                partition.getSd().setInputFormat(Build.ORC + "OrcInputFormat");
                partition.getSd().getSerdeInfo().setParameters(Build.map("serialization.format", "2", "path", ODD));
            }
            batch.add(partition);
        }
        client.add_partitions(batch);

        Table none = Build.table("sales", "no_partitions_yet", "EXTERNAL_TABLE", Build.columns("a", "int"), Build.directory(folder, "none"));
        none.setPartitionKeys(Build.columns("p", "int"));
        client.createTable(none);
    }

    private void views() throws Exception {
        Table view = Build.table("sales", "v_customers", "VIRTUAL_VIEW", Build.columns("id", "bigint", "name", "string"), null);
        view.setViewOriginalText("SELECT id, name FROM customers WHERE name <> '" + ODD + "'");
        view.setViewExpandedText("SELECT `customers`.`id`,\n `customers`.`name` FROM `sales`.`customers`");
        view.setRewriteEnabled(false);
        client.createTable(view);
    }

    private void functions() throws Exception {
        client.createFunction(new Function("mask", "sales", "com.example.Mask", "alice", PrincipalType.USER, 0, FunctionType.JAVA,
                new ArrayList<>(List.of(new ResourceUri(ResourceType.JAR, "hdfs://nn/udf/mask.jar"), new ResourceUri(ResourceType.FILE, "hdfs://nn/udf/words.txt")))));
        client.createFunction(new Function("plain", "sales", "com.example.Plain", "keepers", PrincipalType.ROLE, 0, FunctionType.JAVA, new ArrayList<>()));
    }

    private void constraints() throws Exception {
        client.createTable(Build.table("sales", "parent", "MANAGED_TABLE", Build.columns("id", "bigint", "part", "int", "name", "string"), Build.directory(folder, "sales.db/parent")));
        client.createTable(Build.table("sales", "child", "MANAGED_TABLE", Build.columns("id", "bigint", "parent_id", "bigint", "parent_part", "int", "name", "string"), Build.directory(folder, "sales.db/child")));
        client.addPrimaryKey(new ArrayList<>(List.of(primary("parent", "id", 1), primary("parent", "part", 2))));
        client.addForeignKey(new ArrayList<>(List.of(foreign("parent_id", "id", 1), foreign("parent_part", "part", 2))));
        Api.addLaterConstraints(client, "sales", "child");
    }

    private static SQLPrimaryKey primary(String table, String column, int place) {
        SQLPrimaryKey key = new SQLPrimaryKey("sales", table, column, place, "pk_" + table, false, false, true);
        Api.set(key, "catName", "hive");
        return key;
    }

    private static SQLForeignKey foreign(String column, String referenced, int place) {
        SQLForeignKey key = new SQLForeignKey("sales", "parent", referenced, "sales", "child", column, place, 0, 0, "fk_child", "pk_parent", false, false, true);
        Api.set(key, "catName", "hive");
        return key;
    }

    private void columnStatistics() throws Exception {
        ColumnStatisticsDesc about = new ColumnStatisticsDesc(true, "sales", "customers");
        Api.set(about, "catName", "hive");
        LongColumnStatsData id = new LongColumnStatsData(3, 12000);
        id.setLowValue(-5);
        id.setHighValue(99999);
        ColumnStatistics statistics = new ColumnStatistics(about, new ArrayList<>(List.of(
                new ColumnStatisticsObj("id", "bigint", ColumnStatisticsData.longStats(id)),
                new ColumnStatisticsObj("name", "varchar(200)", ColumnStatisticsData.stringStats(new StringColumnStatsData(180, 12.5, 4, 9000))))));
        Api.set(statistics, "engine", "hive");
        client.updateTableColumnStatistics(statistics);

        client.createTable(Build.table("archive", "kinds", "MANAGED_TABLE", Build.columns("flag", "boolean", "day", "date", "ratio", "double", "price", "decimal(10,2)", "blob", "binary"),
                Build.directory(folder, "archive.db/kinds")));
        ColumnStatisticsDesc kinds = new ColumnStatisticsDesc(true, "archive", "kinds");
        Api.set(kinds, "catName", "hive");
        DateColumnStatsData day = new DateColumnStatsData(0, 31);
        day.setLowValue(new Date(19000));
        day.setHighValue(new Date(19030));
        DoubleColumnStatsData ratio = new DoubleColumnStatsData(1, 7);
        ratio.setLowValue(-0.5);
        ratio.setHighValue(1e100);
        DecimalColumnStatsData price = new DecimalColumnStatsData(2, 70);
        price.setLowValue(decimal(-12345, 2));
        price.setHighValue(decimal(999999, 2));
        ColumnStatistics all = new ColumnStatistics(kinds, new ArrayList<>(List.of(
                new ColumnStatisticsObj("flag", "boolean", ColumnStatisticsData.booleanStats(new BooleanColumnStatsData(5, 6, 7))),
                new ColumnStatisticsObj("day", "date", ColumnStatisticsData.dateStats(day)),
                new ColumnStatisticsObj("ratio", "double", ColumnStatisticsData.doubleStats(ratio)),
                new ColumnStatisticsObj("price", "decimal(10,2)", ColumnStatisticsData.decimalStats(price)),
                new ColumnStatisticsObj("blob", "binary", ColumnStatisticsData.binaryStats(new BinaryColumnStatsData(1000, 55.25, 8))))));
        Api.set(all, "engine", "hive");
        client.updateTableColumnStatistics(all);
    }

    private static Decimal decimal(long unscaled, int scale) {
        Decimal decimal = new Decimal();
        decimal.setScale((short) scale);
        decimal.setUnscaled(java.math.BigInteger.valueOf(unscaled).toByteArray());
        return decimal;
    }

    private void grants() throws Exception {
        client.create_role(new Role("analysts", 0, "alice"));
        grant(HiveObjectType.GLOBAL, null, null, null, "root", PrincipalType.USER, "ALL", true);
        grant(HiveObjectType.DATABASE, "sales", null, null, "analysts", PrincipalType.ROLE, "SELECT", false);
        grant(HiveObjectType.TABLE, "sales", "customers", null, "bob", PrincipalType.USER, "INSERT", true);
        grant(HiveObjectType.TABLE, "sales", "orders", null, "etl", PrincipalType.GROUP, "ALTER", false);
        grant(HiveObjectType.COLUMN, "sales", "customers", "name", "carol", PrincipalType.USER, "SELECT", false);
    }

    private void grant(HiveObjectType type, String database, String table, String column, String principal, PrincipalType principalType, String privilege, boolean grantOption) throws Exception {
        HiveObjectRef object = new HiveObjectRef(type, database, table, null, column);
        Api.set(object, "catName", "hive");
        HiveObjectPrivilege grant = new HiveObjectPrivilege();
        grant.setHiveObject(object);
        grant.setPrincipalName(principal);
        grant.setPrincipalType(principalType);
        grant.setGrantInfo(new PrivilegeGrantInfo(privilege, 1_450_000_000, "alice", PrincipalType.USER, grantOption));
        Api.set(grant, "authorizer", "SQL");
        PrivilegeBag bag = new PrivilegeBag(new ArrayList<>(List.of(grant)));
        client.grant_privileges(bag);
    }

    private void secondCatalog() throws Exception {
        if (!Api.HAS_CATALOGS) {
            return;
        }
        Api.createCatalog(client, "spark", Build.directory(folder, "spark_catalog"));
        // The same database and table names as in the catalog hive.
        Database sales = new Database("sales", "of the catalog spark", Build.directory(folder, "spark_catalog/sales.db"), Build.map());
        Api.set(sales, "catalogName", "spark");
        client.createDatabase(sales);
        Table orders = Build.table("sales", "orders", "EXTERNAL_TABLE", Build.columns("only_here", "string"), Build.directory(folder, "spark_catalog/sales.db/orders"));
        Api.set(orders, "catName", "spark");
        orders.setPartitionKeys(Build.columns("year", "int"));
        client.createTable(orders);
        client.add_partitions(new ArrayList<>(List.of(
                Build.partition(orders, Build.directory(folder, "spark_catalog/p1"), "2023"),
                Build.partition(orders, Build.directory(folder, "spark_catalog/p2"), "2024"))));
    }

    private void manyPartitions(int count) throws Exception {
        Table big = Build.table("sales", "big", "EXTERNAL_TABLE", Build.columns("a", "int", "b", "string"), Build.directory(folder, "big"));
        big.setPartitionKeys(Build.columns("hour", "string"));
        client.createTable(big);
        List<Partition> batch = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            String hour = String.format("h%06d", i);
            Partition partition = Build.partition(big, Build.directory(folder, "big/hour=" + hour), hour);
            partition.getParameters().put("numRows", "" + i);
            batch.add(partition);
            if (batch.size() == 500 || i + 1 == count) {
                client.add_partitions(batch);
                batch = new ArrayList<>();
            }
        }
    }
}
