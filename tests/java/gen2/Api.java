import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.hive.conf.HiveConf;
import org.apache.hadoop.hive.metastore.HiveMetaStoreClient;
import org.apache.hadoop.hive.metastore.IMetaStoreClient;
import org.apache.hadoop.hive.metastore.api.*;
import org.apache.thrift.TBase;
import org.apache.thrift.TFieldIdEnum;
import org.apache.thrift.meta_data.FieldMetaData;

/** What differs between the client libraries: Hive 2.3, without catalogs. */
final class Api {
    static final boolean HAS_CATALOGS = false;

    private Api() {}

    static IMetaStoreClient connect(String port) throws Exception {
        HiveConf conf = new HiveConf();
        conf.set("hive.metastore.uris", "thrift://127.0.0.1:" + port);
        return new HiveMetaStoreClient(conf);
    }

    /** The name of a database as the generation wants it in a string argument. */
    static String qualified(String catalog, String database) {
        return database;
    }

    static List<TBase<?, ?>> catalogs(ThriftHiveMetastore.Client client) {
        return List.of();
    }

    static String catalogName(TBase<?, ?> catalog) {
        throw new IllegalStateException("no catalogs before Hive 3");
    }

    static void createCatalog(IMetaStoreClient client, String name, String location) {}

    static List<TBase<?, ?>> constraints(ThriftHiveMetastore.Client client, String catalog, String database, String table) throws Exception {
        List<TBase<?, ?>> all = new ArrayList<>();
        all.addAll(client.get_primary_keys(new PrimaryKeysRequest(database, table)).getPrimaryKeys());
        ForeignKeysRequest request = new ForeignKeysRequest();
        request.setForeign_db_name(database);
        request.setForeign_tbl_name(table);
        all.addAll(client.get_foreign_keys(request).getForeignKeys());
        return all;
    }

    static void addLaterConstraints(IMetaStoreClient client, String database, String table) {}

    /** Sets a field by name where the generation has it. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static void set(TBase struct, String name, Object value) {
        for (Object field : FieldMetaData.getStructMetaDataMap((Class) struct.getClass()).keySet()) {
            // 2.3.10 carries catName fields for its clients' sake; its server ignores them.
            if (((TFieldIdEnum) field).getFieldName().equals(name) && !name.equals("catName")) {
                struct.setFieldValue((TFieldIdEnum) field, value);
            }
        }
    }
}
