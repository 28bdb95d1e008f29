//! The adapter that reads real metastores reads the sample ones, every object of every kind.

#![allow(clippy::unwrap_used)]

mod wire;

use std::collections::{BTreeMap, BTreeSet};

use skep_catalog::fault::Code;
use skep_catalog::model::{ConstraintKind, DatabaseName};
use skep_catalog::ports::{Batch, EventSubject, Source};
use skep_hms::HmsSource;
use skep_hms::client::ClientOptions;
use skep_sample::{Churn, Content, Garbage, Generation, SampleServer, Trouble, TroubleRule};
use wire::serve;

fn source(server: &SampleServer) -> std::sync::Arc<HmsSource> {
    let options = ClientOptions { uris: vec![server.uri()], request_timeout_ms: 5_000, ..Default::default() };
    HmsSource::new(server.name(), options).unwrap()
}

async fn databases(source: &HmsSource) -> Vec<DatabaseName> {
    let mut all = Vec::new();
    for catalog in source.catalogs().await.unwrap() {
        let names = source.database_names(&catalog.value.name).await.unwrap();
        all.extend(names.iter().map(|name| DatabaseName::new(&catalog.value.name, name)));
    }
    all
}

#[tokio::test]
async fn adapter_reads_every_object_of_every_generation() {
    for generation in Generation::ALL {
        let server = serve(generation, Content::Company);
        let source = source(&server);
        let facts = source.probe().await.unwrap();
        assert_eq!(facts.has_catalogs, generation.has_catalogs());
        assert_eq!(facts.head_event_id, Some(server.with(|m| m.head_event_id())));
        let counts = server.with(|m| m.object_counts());
        let (mut tables, mut partitions, mut functions, mut kinds) = (0, 0, 0, BTreeSet::new());
        let names = databases(&source).await;
        assert_eq!(names.len(), counts.databases);
        for database in &names {
            let read = source.database(database).await.unwrap().unwrap();
            assert_eq!(read.value.name, database.database);
            functions += source.functions(database).await.unwrap().items.len();
            let wanted = source.table_names(database).await.unwrap();
            let batch = source.tables(database, &wanted).await.unwrap();
            assert!(batch.failed.is_empty(), "{:?}", batch.failed);
            assert_eq!(batch.items.len(), wanted.len());
            tables += wanted.len();
            for (name, table) in batch.items {
                let place = database.table(name);
                let keys: Vec<_> = table.value.partition_keys.iter().map(|key| key.name.clone()).collect();
                let columns: Vec<_> = table.value.storage.columns.iter().map(|c| c.name.clone()).collect();
                let details = source.table_details(&place, &columns).await.unwrap();
                kinds.extend(details.constraints.iter().map(|c| c.value.kind));
                if keys.is_empty() {
                    continue;
                }
                let wanted = source.partition_names(&place).await.unwrap();
                assert_eq!(wanted, server.with(|m| m.partition_names(&place)));
                let batch = source.partitions(&place, &keys, &wanted).await.unwrap();
                assert!(batch.failed.is_empty(), "{:?}", batch.failed);
                assert_eq!(batch.items.len(), wanted.len(), "{place}");
                partitions += wanted.len();
            }
        }
        assert_eq!((tables, partitions), (counts.tables, counts.partitions));
        assert!(functions > 5);
        let expected = if generation.has_all_constraints() { 6 } else { 2 };
        assert_eq!(kinds.len(), expected, "{generation:?}: {kinds:?}");
        assert!(kinds.contains(&ConstraintKind::ForeignKey));
        assert!(source.privileges().await.unwrap().len() > 20);
    }
}

#[tokio::test]
async fn adapter_understands_every_event() {
    for generation in Generation::ALL {
        let server = serve(generation, Content::Company);
        let source = source(&server);
        let start = source.head_event_id().await.unwrap();
        server.with(|m| {
            let mut churn = Churn::new(m, 3, 200);
            assert_eq!(churn.run(m, 400), 400);
        });
        let page = source.events(start, 1_000).await.unwrap();
        assert!(!page.is_gap);
        assert_eq!(page.events.len(), 400);
        let vague = page.events.iter().filter(|event| match &event.subject {
            EventSubject::Nothing | EventSubject::DatabasePut(_) => true,
            EventSubject::PartitionsPut(_, names) | EventSubject::PartitionsDropped(_, names) => {
                names.is_empty()
            }
            _ => false,
        });
        assert_eq!(vague.count(), 0, "{generation:?}");
        let renamed = page.events.iter().any(|e| matches!(e.subject, EventSubject::TableRenamed { .. }));
        assert!(renamed, "{generation:?}");
    }
}

#[tokio::test]
async fn adapter_sees_a_trimmed_log_as_a_gap() {
    let server = serve(Generation::V4_2, Content::Company);
    let source = source(&server);
    let start = source.head_event_id().await.unwrap();
    server.with(|m| {
        let mut churn = Churn::new(m, 3, 200);
        churn.run(m, 100);
        m.trim_events(start + 50);
    });
    assert!(source.events(start, 10).await.unwrap().is_gap);
    assert!(!source.events(start + 50, 10).await.unwrap().is_gap);
}

#[tokio::test]
async fn adapter_calls_garbage_by_its_name() {
    let server = serve(Generation::V3_1, Content::Company);
    for garbage in Garbage::ALL {
        server.trouble(TroubleRule::on_method("get_all_tables", Trouble::Garbage(garbage)));
        let source = source(&server);
        let fault = source.table_names(&DatabaseName::new("hive", "sales")).await.unwrap_err();
        // Without frames a message that ends too early is known by the closed connection only.
        let expected: &[Code] = match garbage {
            Garbage::CountBeyondRest => &[Code::METASTORE_MALFORMED, Code::METASTORE_CLOSED],
            _ => &[Code::METASTORE_MALFORMED],
        };
        assert!(expected.contains(&fault.code), "{garbage:?}: {fault}");
        server.calm();
    }
}

#[tokio::test]
async fn one_broken_table_does_not_spoil_its_batch() {
    let server = serve(Generation::V4_2, Content::Company);
    let fail = Trouble::Fail { message: "broken".to_owned() };
    server.trouble(TroubleRule::on_argument("customers", fail));
    let source = source(&server);
    let database = DatabaseName::new("hive", "sales");
    let names = source.table_names(&database).await.unwrap();
    let batch = source.tables(&database, &names).await.unwrap();
    assert_eq!(batch.items.len(), names.len() - 1);
    assert_eq!(batch.failed.len(), 1);
    assert_eq!(batch.failed[0].0, "customers");
}

/// Names that a source tells of, by what was asked; `None` where it told of an error.
type Told = BTreeMap<String, Option<BTreeSet<String>>>;

fn named<T, E>(read: Result<T, E>, names: impl FnOnce(T) -> Vec<String>) -> Option<BTreeSet<String>> {
    read.ok().map(|read| names(read).into_iter().collect())
}

/// Those that failed exist too.
fn in_batch<T>(batch: Batch<T>) -> Vec<String> {
    let items = batch.items.into_iter().map(|(name, _)| name);
    items.chain(batch.failed.into_iter().map(|(name, _)| name)).collect()
}

/// Everything that a source tells of the tables of `sales`.
async fn everything(source: &HmsSource, keys: &BTreeMap<String, Vec<String>>) -> Told {
    let sales = DatabaseName::new("hive", "sales");
    let mut told = Told::new();
    let names = |items: Vec<_>| items.into_iter().map(|name: String| name).collect();
    let catalogs = source.catalogs().await;
    told.insert("catalogs".into(), named(catalogs, |all| all.into_iter().map(|c| c.value.name).collect()));
    told.insert("databases".into(), named(source.database_names("hive").await, names));
    let database = source.database(&sales).await;
    told.insert("database".into(), named(database, |d| d.into_iter().map(|d| d.value.name).collect()));
    told.insert("tables".into(), named(source.table_names(&sales).await, names));
    let wanted: Vec<String> = keys.keys().cloned().collect();
    told.insert("table objects".into(), named(source.tables(&sales, &wanted).await, in_batch));
    told.insert("functions".into(), named(source.functions(&sales).await, in_batch));
    let grants = source.privileges().await;
    told.insert("grants".into(), named(grants, |all| all.iter().map(|g| format!("{:?}", g.raw)).collect()));
    for (table, keys) in keys {
        let place = sales.table(table);
        let details = source.table_details(&place, &["id".to_owned(), "customer_id".to_owned()]).await;
        let details = named(details, |details| {
            let constraints = details.constraints.iter().map(|item| format!("{:?}", item.raw));
            constraints
                .chain(details.column_statistics.iter().map(|item| format!("{:?}", item.raw)))
                .collect()
        });
        told.insert(format!("details of {table}"), details);
        if keys.is_empty() {
            continue;
        }
        let listed = source.partition_names(&place).await;
        told.insert(format!("partitions of {table}"), named(listed.clone(), names));
        let wanted: Vec<String> = listed.unwrap_or_default().into_iter().take(3).collect();
        if !wanted.is_empty() {
            let read = source.partitions(&place, keys, &wanted).await;
            told.insert(format!("partition objects of {table}"), named(read, in_batch));
        }
    }
    told
}

#[tokio::test]
async fn no_declared_error_of_a_metastore_means_that_something_is_gone() {
    for generation in Generation::ALL {
        let server = serve(generation, Content::Company);
        let sales = DatabaseName::new("hive", "sales");
        let mut keys = BTreeMap::new();
        {
            let source = source(&server);
            let names = source.table_names(&sales).await.unwrap();
            for (name, table) in source.tables(&sales, &names).await.unwrap().items {
                let of_table = table.value.partition_keys.iter().map(|key| key.name.clone());
                keys.insert(name, of_table.collect::<Vec<_>>());
            }
        }
        assert!(keys.values().any(|keys| !keys.is_empty()));
        // As it is, and without the methods that others stand in for.
        let bulk =
            ["get_table_objects_by_name_req", "get_partitions_by_names", "get_partitions_by_names_req"];
        let mut ways = vec![vec![], vec!["get_all_table_constraints"], bulk.to_vec()];
        if generation < Generation::V4_0 {
            ways.push(vec!["get_table_req", "get_table_objects_by_name_req"]);
            ways.push([&bulk[..], &["get_table_objects_by_name"]].concat());
        }
        let mut tried = BTreeSet::new();
        for lacking in ways {
            let lack = || {
                for method in &lacking {
                    server.trouble(TroubleRule::on_method(*method, Trouble::MissingMethod));
                }
            };
            server.calm();
            lack();
            server.forget_calls();
            let whole = everything(&source(&server), &keys).await;
            assert!(whole.values().all(Option::is_some), "{generation:?} {lacking:?}: {whole:?}");
            let methods: Vec<String> = server.calls().into_keys().collect();
            for method in methods.into_iter().filter(|method| !lacking.contains(&method.as_str())) {
                let source = source(&server);
                // What it speaks to is known before anything fails.
                source.probe().await.unwrap();
                lack();
                server.trouble(TroubleRule::on_method(&method, Trouble::Meta { message: "broken".into() }));
                let told = everything(&source, &keys).await;
                for (what, names) in &told {
                    assert!(
                        names.is_none() || *names == whole[what],
                        "{generation:?} without {lacking:?}, {method} fails: {what} are {names:?}"
                    );
                }
                server.calm();
                tried.insert(method);
            }
        }
        let expected = if generation < Generation::V3_1 { 14 } else { 17 };
        assert!(tried.len() >= expected, "{generation:?}: {tried:?}");
    }
}
