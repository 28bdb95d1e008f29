//! What clients and BI tools ask about the service and its tables.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{Schema, UInt32Type};
use arrow_flight::FlightInfo;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use skep_query::spec::{SCHEMAS, TABLES};

use crate::fixture::{Client, Served, fetch, schema, texts};

async fn answer(client: &mut Client, info: FlightInfo) -> RecordBatch {
    let declared = schema(&info.schema);
    let (fetched, batches) = fetch(client, &info).await.unwrap();
    assert_eq!(*fetched, declared);
    arrow::compute::concat_batches(&fetched, &batches).unwrap()
}

fn shown(batch: &RecordBatch) -> Vec<Vec<String>> {
    texts(std::slice::from_ref(batch))
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

#[tokio::test]
async fn the_one_catalog_and_its_schemas() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(shown(&answer(&mut client, info).await), [["skep"]]);
    let mut schemas = async |catalog: Option<&str>, pattern: Option<&str>| {
        let request = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        let info = client.get_db_schemas(request).await.unwrap();
        shown(&answer(&mut client, info).await)
    };
    let all: BTreeSet<String> = schemas(None, None).await.into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(all, SCHEMAS.iter().map(|s| s.name.to_owned()).collect());
    assert_eq!(schemas(Some("skep"), Some("s%")).await, [["skep", "sync"]]);
    assert_eq!(schemas(None, Some("information\\_schema")).await.len(), 1);
    assert_eq!(schemas(Some("other"), None).await.len(), 0);
}

#[tokio::test]
async fn tables_with_and_without_their_columns() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let all = CommandGetTables::default();
    let info = client.get_tables(all.clone()).await.unwrap();
    let plain = answer(&mut client, info).await;
    assert_eq!(plain.num_columns(), 4);
    assert_eq!(plain.num_rows(), TABLES.len());

    let info = client.get_tables(CommandGetTables { include_schema: true, ..all.clone() }).await.unwrap();
    let described = answer(&mut client, info).await;
    assert_eq!((described.num_columns(), described.num_rows()), (5, TABLES.len()));
    let names = described.column(2).as_any().downcast_ref::<StringArray>().unwrap();
    let schemas = described.column(4).as_any().downcast_ref::<BinaryArray>().unwrap();
    for row in 0..described.num_rows() {
        let Schema { fields, .. } = schema(&bytes::Bytes::copy_from_slice(schemas.value(row)));
        assert_ne!(fields.len(), 0, "{}", names.value(row));
        for field in &fields {
            for key in ["CATALOG_NAME", "SCHEMA_NAME", "TABLE_NAME", "TYPE_NAME", "REMARKS"] {
                assert!(field.metadata().contains_key(&format!("ARROW:FLIGHT:SQL:{key}")), "{field}");
            }
        }
    }

    let mut count = async |request: CommandGetTables| {
        let info = client.get_tables(request).await.unwrap();
        answer(&mut client, info).await.num_rows()
    };
    let views = TABLES.iter().filter(|table| table.view.is_some()).count();
    let types = |types: &[&str]| types.iter().map(|t| (*t).to_owned()).collect();
    assert_eq!(count(CommandGetTables { table_types: types(&["VIEW"]), ..all.clone() }).await, views);
    // What Grafana asks for.
    let base = CommandGetTables { table_types: types(&["BASE TABLE", "table"]), ..all.clone() };
    assert_eq!(count(base).await, TABLES.len() - views);
    let pattern = |pattern: &str| Some(pattern.to_owned());
    let one = CommandGetTables {
        db_schema_filter_pattern: pattern("catalog"),
        table_name_filter_pattern: pattern("table\\_properties"),
        ..all.clone()
    };
    assert_eq!(count(one).await, 1);
    assert_eq!(count(CommandGetTables { catalog: pattern("other"), ..all }).await, 0);
}

#[tokio::test]
async fn table_types_are_those_of_the_tables() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.get_table_types().await.unwrap();
    assert_eq!(shown(&answer(&mut client, info).await), [["BASE TABLE"], ["VIEW"]]);
}

#[tokio::test]
async fn keys_are_none_with_the_columns_of_the_protocol() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let (catalog, db_schema, table) = (None, None, "tables".to_owned());
    let request = CommandGetPrimaryKeys { catalog, db_schema, table };
    let info = client.get_primary_keys(request).await.unwrap();
    let keys = answer(&mut client, info).await;
    assert_eq!(keys.num_rows(), 0);
    let expected =
        ["catalog_name", "db_schema_name", "table_name", "column_name", "key_sequence", "key_name"];
    assert_eq!(names(&keys.schema()), expected);
    let table = || "tables".to_owned();
    let infos = [
        client
            .get_exported_keys(CommandGetExportedKeys { table: table(), ..Default::default() })
            .await
            .unwrap(),
        client
            .get_imported_keys(CommandGetImportedKeys { table: table(), ..Default::default() })
            .await
            .unwrap(),
        client
            .get_cross_reference(CommandGetCrossReference { pk_table: table(), ..Default::default() })
            .await
            .unwrap(),
    ];
    for info in infos {
        let keys = answer(&mut client, info).await;
        assert_eq!(keys.num_rows(), 0);
        let expected = [
            "pk_catalog_name",
            "pk_db_schema_name",
            "pk_table_name",
            "pk_column_name",
            "fk_catalog_name",
            "fk_db_schema_name",
            "fk_table_name",
            "fk_column_name",
            "key_sequence",
            "fk_key_name",
            "pk_key_name",
            "update_rule",
            "delete_rule",
        ];
        assert_eq!(names(&keys.schema()), expected);
    }
}

#[tokio::test]
async fn types_of_columns_are_among_the_types_that_are_told() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    let types = answer(&mut client, info).await;
    assert_eq!(types.num_columns(), 19);
    let told: BTreeSet<String> = shown(&types).into_iter().map(|row| row[0].clone()).collect();
    let request = CommandGetTables { include_schema: true, ..Default::default() };
    let info = client.get_tables(request).await.unwrap();
    let tables = answer(&mut client, info).await;
    let schemas = tables.column(4).as_any().downcast_ref::<BinaryArray>().unwrap();
    for bytes in schemas.iter().flatten() {
        for field in schema(&bytes::Bytes::copy_from_slice(bytes)).fields() {
            assert!(told.contains(&field.metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"]), "{field}");
        }
    }
    // 12 is VARCHAR.
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: Some(12) }).await.unwrap();
    assert!(shown(&answer(&mut client, info).await).iter().any(|row| row[0] == "VARCHAR"));
}

#[tokio::test]
async fn every_fact_of_the_protocol_is_told() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.get_sql_info(Vec::new()).await.unwrap();
    let all = answer(&mut client, info).await;
    let told: BTreeSet<u32> = all.column(0).as_primitive::<UInt32Type>().values().iter().copied().collect();
    let expected: BTreeSet<u32> = (0..=11).chain(100..=101).chain(500..=576).collect();
    assert_eq!(told, expected);
    assert!(expected.iter().all(|id| SqlInfo::try_from(i32::try_from(*id).unwrap()).is_ok()));

    let some = vec![SqlInfo::FlightSqlServerName, SqlInfo::SqlIdentifierQuoteChar];
    let info = client.get_sql_info(some).await.unwrap();
    let some = answer(&mut client, info).await;
    let ids = some.column(0).as_any().downcast_ref::<UInt32Array>().unwrap();
    assert_eq!(ids.values(), &[0, 504]);
    let values = some.column(1).as_union();
    let value = |row| values.value(row).as_string::<i32>().value(0).to_owned();
    assert_eq!([value(0), value(1)], ["skep", "\""]);
    assert_eq!(values.len(), 2);
}
