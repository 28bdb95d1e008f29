//! Reads a metastore and prints what it found: `dump URI [fill]`. With `fill` a few objects of
//! every kind are made first (a metastore for trials, please).

use std::collections::BTreeMap;

use bytes::Bytes;
use skep_catalog::fault::Fault;
use skep_catalog::model::*;
use skep_catalog::ports::Source;
use skep_hms::objects::{
    encode_constraint, encode_database, encode_function, encode_partition, encode_table,
};
use skep_hms::thrift::{Kind, Writer};
use skep_hms::{Client, ClientOptions, HmsSource};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().ok_or("usage: dump URI [fill]")?;
    let options =
        ClientOptions { uris: vec![uri], user: Some("skep".to_owned()), ..ClientOptions::default() };
    let source = HmsSource::new("trial", options)?;
    let before = source.head_event_id().await.ok();
    if arguments.next().as_deref() == Some("fill") {
        fill(source.client(), source.probe().await?.has_catalogs).await;
    }
    print_all(&*source).await?;
    if let Some(before) = before {
        print_events(&*source, before).await?;
    }
    println!("{:#?}", source.client().endpoints());
    Ok(())
}

async fn print_all(source: &dyn Source) -> Result<(), Fault> {
    println!("{:#?}", source.probe().await?);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for catalog in source.catalogs().await? {
        println!("catalog {:?}", catalog.value);
        for name in source.database_names(&catalog.value.name).await? {
            let name = DatabaseName::new(&catalog.value.name, name);
            let database = source.database(&name).await?;
            println!("database {name}: {:?}", database.map(|item| item.value));
            *counts.entry("databases").or_default() += 1;
            let batch = source.functions(&name).await?;
            println!("  functions failed: {:?}", batch.failed);
            for (_, function) in batch.items {
                println!("  function {:?}", function.value);
                *counts.entry("functions").or_default() += 1;
            }
            let tables = source.table_names(&name).await?;
            let batch = source.tables(&name, &tables).await?;
            println!("  tables failed: {:?}", batch.failed);
            for (table_name, item) in batch.items {
                let table = name.table(table_name);
                println!("  table {table}: {:?}, {} bytes", item.value, item.raw.len());
                *counts.entry("tables").or_default() += 1;
                let keys: Vec<_> = item.value.partition_keys.iter().map(|key| key.name.clone()).collect();
                let partitions = source.partition_names(&table).await?;
                let batch = source.partitions(&table, &keys, &partitions).await?;
                println!("    partitions {partitions:?}, failed {:?}", batch.failed);
                for (name, item) in batch.items.iter().take(2) {
                    println!("    {name}: {:?}", item.value);
                }
                *counts.entry("partitions").or_default() += batch.items.len();
                let columns: Vec<_> = item.value.storage.columns.iter().map(|c| c.name.clone()).collect();
                let details = source.table_details(&table, &columns).await?;
                for constraint in details.constraints {
                    println!("    {:?}", constraint.value);
                    *counts.entry("constraints").or_default() += 1;
                }
                for statistic in details.column_statistics {
                    println!("    {:?}", statistic.value);
                    *counts.entry("statistics").or_default() += 1;
                }
            }
        }
    }
    match source.privileges().await {
        Ok(privileges) => {
            for privilege in privileges {
                println!("{:?}", privilege.value);
                *counts.entry("privileges").or_default() += 1;
            }
        }
        Err(fault) => println!("privileges: {fault}"),
    }
    println!("{counts:?}");
    Ok(())
}

async fn print_events(source: &dyn Source, after: i64) -> Result<(), Fault> {
    let page = source.events(after, 1_000).await?;
    println!("events after {after}, gap {}", page.is_gap);
    for event in page.events {
        println!("  {} {} {:?}", event.event_id, event.event_type, event.subject);
    }
    let ahead = source.head_event_id().await? + 5;
    println!("asked from {ahead}: gap {}", source.events(ahead, 10).await?.is_gap);
    Ok(())
}

/// Calls and prints what went wrong; objects that exist from an earlier run are no matter.
async fn make(client: &Client, method: &str, arguments: Bytes) {
    match client.call(method, &arguments).await {
        // Only methods with a result have field 0; anything else is an exception.
        Ok(body) if body.first() == Some(&(Kind::Struct as u8)) && body.get(1..3) != Some(&[0, 0]) => {
            println!("{method}: {}", String::from_utf8_lossy(&body).replace(char::is_control, " "));
        }
        Ok(_) => println!("{method}: ok"),
        Err(error) => println!("{method}: {}", client.fault(method, error)),
    }
}

fn one(body: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    writer.field_struct(1, body);
    writer.finish_struct()
}

fn raw(bytes: &Bytes) -> Bytes {
    let mut writer = Writer::new();
    writer.field_raw_struct(1, bytes);
    writer.finish_struct()
}

fn column(name: &str, data_type: &str) -> Column {
    Column { name: name.to_owned(), data_type: data_type.to_owned(), comment: Some("a comment".to_owned()) }
}

fn storage(location: String) -> StorageDescriptor {
    StorageDescriptor {
        columns: vec![column("id", "bigint"), column("phone", "string")].into(),
        location: Some(location),
        input_format: Some("org.apache.hadoop.mapred.TextInputFormat".to_owned()),
        output_format: Some("org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat".to_owned()),
        bucket_count: -1,
        serde: SerdeInfo {
            name: None,
            library: Some("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe".to_owned()),
            parameters: vec![("serialization.format".to_owned(), "1".to_owned())],
        },
        ..StorageDescriptor::default()
    }
}

async fn fill(client: &Client, has_catalogs: bool) {
    let folder = format!("file:{}/skep-dump", std::env::temp_dir().display());
    let catalog = has_catalogs.then_some("hive");
    if has_catalogs {
        let spark = CatalogObject {
            name: "spark".to_owned(),
            location: Some(format!("{folder}/spark")),
            ..CatalogObject::default()
        };
        let catalog = skep_hms::objects::encode_catalog(&spark);
        make(client, "create_catalog", one(|writer| writer.field_raw_struct(1, &catalog))).await;
    }
    for (name, catalog) in [("sales", catalog), ("raw", Some("spark").filter(|_| has_catalogs))] {
        let database = Database {
            name: name.to_owned(),
            catalog_name: catalog.map(str::to_owned),
            description: Some("for trials".to_owned()),
            location: Some(format!("{folder}/{name}.db")),
            owner_name: Some("ann".to_owned()),
            owner_type: Some(PrincipalType::User),
            parameters: vec![("k".to_owned(), "v".to_owned())],
            ..Database::default()
        };
        make(client, "create_database", raw(&encode_database(&database))).await;
        for table_name in ["orders", "customers"] {
            let table = Table {
                name: table_name.to_owned(),
                owner_name: Some("ann".to_owned()),
                storage: storage(format!("{folder}/{name}.db/{table_name}")),
                partition_keys: match table_name {
                    "orders" => vec![column("ds", "string"), column("Area", "string")],
                    _ => vec![],
                },
                parameters: vec![("EXTERNAL".to_owned(), "TRUE".to_owned())],
                table_type: "EXTERNAL_TABLE".to_owned(),
                ..Table::default()
            };
            make(client, "create_table", raw(&encode_table(catalog, name, &table))).await;
        }
        let partition = |ds: &str, area: &str| {
            let partition = Partition {
                values: vec![ds.to_owned(), area.to_owned()],
                storage: storage(format!("{folder}/{name}.db/orders/{ds}")),
                ..Partition::default()
            };
            encode_partition(catalog, name, "orders", &partition)
        };
        let new =
            [partition("2024-01-01", "a/b"), partition("2024-01-02", "x=1"), partition("2024-01-03", "")];
        let mut writer = Writer::new();
        writer.field_raw_structs(1, &new[..2]);
        make(client, "add_partitions", writer.finish_struct()).await;

        let marked = match catalog {
            Some(catalog) => format!("@{catalog}#{name}"),
            None => name.to_owned(),
        };
        let of_table = |writer: &mut Writer| {
            writer.field_string(1, &marked);
            writer.field_string(2, "orders");
        };
        let mut writer = Writer::new();
        of_table(&mut writer);
        writer.field_raw_struct(3, &partition("2024-01-01", "a/b"));
        make(client, "alter_partition", writer.finish_struct()).await;
        let mut writer = Writer::new();
        of_table(&mut writer);
        writer.field_strings(3, &["2024-01-02", "x=1"]);
        writer.field_raw_struct(4, &partition("2024-01-02", "y"));
        make(client, "rename_partition", writer.finish_struct()).await;
        let mut writer = Writer::new();
        of_table(&mut writer);
        writer.field_strings(3, &["2024-01-02", "y"]);
        writer.field_bool(4, false);
        make(client, "drop_partition", writer.finish_struct()).await;

        fill_details(client, catalog, name, &marked, &folder).await;
    }
}

async fn fill_details(client: &Client, catalog: Option<&str>, database: &str, marked: &str, folder: &str) {
    let function = Function {
        name: "mask".to_owned(),
        class_name: Some("example.Mask".to_owned()),
        owner_name: Some("ann".to_owned()),
        owner_type: Some(PrincipalType::User),
        resources: vec![("jar".to_owned(), "hdfs://nn/mask.jar".to_owned())],
        ..Function::default()
    };
    make(client, "create_function", raw(&encode_function(catalog, database, &function))).await;
    for kind in ConstraintKind::ALL {
        let constraint = ConstraintColumn {
            kind,
            name: format!("{database}_{}_{}", catalog.unwrap_or("none"), kind as u8),
            column_name: Some("id".to_owned()),
            key_sequence: 1,
            referenced: (kind == ConstraintKind::ForeignKey).then(|| {
                let parent = DatabaseTable { database: database.to_owned(), table: "customers".to_owned() };
                (parent, "id".to_owned())
            }),
            expression: Some("1".to_owned()),
            is_enabled: true,
            is_validated: false,
            is_rely: true,
        };
        let (method, table) = match kind {
            ConstraintKind::PrimaryKey => ("add_primary_key", "customers"),
            ConstraintKind::ForeignKey => ("add_foreign_key", "orders"),
            ConstraintKind::Unique => ("add_unique_constraint", "customers"),
            ConstraintKind::NotNull => ("add_not_null_constraint", "customers"),
            ConstraintKind::Default => ("add_default_constraint", "customers"),
            ConstraintKind::Check => ("add_check_constraint", "customers"),
        };
        let bytes = encode_constraint(catalog, database, table, &constraint);
        make(client, method, one(|writer| writer.field_raw_structs(1, &[bytes]))).await;
    }
    let statistic = ColumnStatistic {
        column_name: "id".to_owned(),
        data_type: "bigint".to_owned(),
        null_count: Some(1),
        distinct_count: Some(9),
        min_value: Some("-5".to_owned()),
        max_value: Some("99".to_owned()),
        ..ColumnStatistic::default()
    };
    let statistic = skep_hms::objects::encode_column_statistic(&statistic);
    let statistics = one(|writer| {
        writer.field_struct(1, |writer| {
            writer.field_bool(1, true);
            writer.field_string(2, database);
            writer.field_string(3, "customers");
            writer.field_string_option(6, catalog);
        });
        writer.field_raw_structs(2, &[statistic]);
        writer.field_string(4, "hive");
    });
    make(client, "update_table_column_statistics", statistics).await;

    for (kind, table) in [("database", None), ("table", Some("customers"))] {
        let privilege = Privilege {
            object_kind: kind,
            database: Some(DatabaseName::new(catalog.unwrap_or("hive"), database)),
            table_name: table.map(str::to_owned),
            partition_values: vec![],
            column_name: None,
            principal_name: "ann".to_owned(),
            principal_type: Some(PrincipalType::User),
            privilege: "SELECT".to_owned(),
            grantor_name: Some("root".to_owned()),
            granted_time: 1_700_000_000,
            has_grant_option: true,
        };
        let bytes = skep_hms::objects::encode_privilege(catalog.is_some(), &privilege);
        make(client, "grant_privileges", one(|writer| writer.field_raw_structs(1, &[bytes]))).await;
    }

    let table = Table {
        name: "clients".to_owned(),
        owner_name: Some("ann".to_owned()),
        storage: storage(format!("{folder}/{database}.db/customers")),
        parameters: vec![("EXTERNAL".to_owned(), "TRUE".to_owned())],
        table_type: "EXTERNAL_TABLE".to_owned(),
        ..Table::default()
    };
    let mut spare = table.clone();
    spare.name = "spare".to_owned();
    make(client, "create_table", raw(&encode_table(catalog, database, &spare))).await;
    spare.name = "renamed".to_owned();
    let mut writer = Writer::new();
    writer.field_string(1, marked);
    writer.field_string(2, "spare");
    writer.field_raw_struct(3, &encode_table(catalog, database, &spare));
    make(client, "alter_table", writer.finish_struct()).await;
    spare.parameters.push(("comment".to_owned(), "altered".to_owned()));
    let mut writer = Writer::new();
    writer.field_string(1, marked);
    writer.field_string(2, "renamed");
    writer.field_raw_struct(3, &encode_table(catalog, database, &spare));
    make(client, "alter_table", writer.finish_struct()).await;
    let mut writer = Writer::new();
    writer.field_string(1, marked);
    writer.field_string(2, "renamed");
    writer.field_bool(3, false);
    make(client, "drop_table", writer.finish_struct()).await;
}
