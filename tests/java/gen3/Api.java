import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hive.metastore.HiveMetaStoreClient;
import org.apache.hadoop.hive.metastore.IMetaStoreClient;
import org.apache.hadoop.hive.metastore.api.*;
import org.apache.hadoop.hive.metastore.conf.MetastoreConf;
import org.apache.thrift.TBase;
import org.apache.thrift.TFieldIdEnum;
import org.apache.thrift.meta_data.FieldMetaData;

/** What differs between the client libraries: Hive 3.1 and later, with catalogs. */
final class Api {
    static final boolean HAS_CATALOGS = true;

    private Api() {}

    static IMetaStoreClient connect(String port) throws Exception {
        Configuration conf = MetastoreConf.newMetastoreConf();
        conf.set("hive.metastore.uris", "thrift://127.0.0.1:" + port);
        conf.set("metastore.thrift.uris", "thrift://127.0.0.1:" + port);
        return new HiveMetaStoreClient(conf);
    }

    /** The name of a database as the generation wants it in a string argument. */
    static String qualified(String catalog, String database) {
        return "@" + catalog + "#" + database;
    }

    static List<TBase<?, ?>> catalogs(ThriftHiveMetastore.Client client) throws Exception {
        List<String> names = new ArrayList<>(client.get_catalogs().getNames());
        Collections.sort(names);
        List<TBase<?, ?>> all = new ArrayList<>();
        for (String name : names) {
            all.add(client.get_catalog(new GetCatalogRequest(name)).getCatalog());
        }
        return all;
    }

    static String catalogName(TBase<?, ?> catalog) {
        return ((Catalog) catalog).getName();
    }

    static void createCatalog(IMetaStoreClient client, String name, String location) throws Exception {
        Catalog catalog = new Catalog(name, location);
        catalog.setDescription("a second catalog");
        client.createCatalog(catalog);
    }

    static List<TBase<?, ?>> constraints(ThriftHiveMetastore.Client client, String catalog, String database, String table) throws Exception {
        List<TBase<?, ?>> all = new ArrayList<>();
        PrimaryKeysRequest primary = new PrimaryKeysRequest(database, table);
        primary.setCatName(catalog);
        all.addAll(client.get_primary_keys(primary).getPrimaryKeys());
        ForeignKeysRequest foreign = new ForeignKeysRequest();
        foreign.setForeign_db_name(database);
        foreign.setForeign_tbl_name(table);
        foreign.setCatName(catalog);
        all.addAll(client.get_foreign_keys(foreign).getForeignKeys());
        all.addAll(client.get_unique_constraints(new UniqueConstraintsRequest(catalog, database, table)).getUniqueConstraints());
        all.addAll(client.get_not_null_constraints(new NotNullConstraintsRequest(catalog, database, table)).getNotNullConstraints());
        all.addAll(client.get_default_constraints(new DefaultConstraintsRequest(catalog, database, table)).getDefaultConstraints());
        all.addAll(client.get_check_constraints(new CheckConstraintsRequest(catalog, database, table)).getCheckConstraints());
        return all;
    }

    /** The kinds that Hive 3.1 added. */
    static void addLaterConstraints(IMetaStoreClient client, String database, String table) throws Exception {
        client.addUniqueConstraint(List.of(
                new SQLUniqueConstraint("hive", database, table, "name", 1, "uq_" + table, true, false, true)));
        client.addNotNullConstraint(List.of(
                new SQLNotNullConstraint("hive", database, table, "name", "nn_" + table, true, true, true)));
        client.addDefaultConstraint(List.of(
                new SQLDefaultConstraint("hive", database, table, "name", "'no \"name\"'", "df_" + table, true, false, false)));
        client.addCheckConstraint(List.of(
                new SQLCheckConstraint("hive", database, table, "id", "id > 0 AND id < 100", "ck_" + table, true, false, false)));
    }

    /** Sets a field by name where the generation has it. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static void set(TBase struct, String name, Object value) {
        for (Object field : FieldMetaData.getStructMetaDataMap((Class) struct.getClass()).keySet()) {
            if (((TFieldIdEnum) field).getFieldName().equals(name)) {
                struct.setFieldValue((TFieldIdEnum) field, value);
            }
        }
    }
}
