//! What "the mirror equals the metastore" means: every struct with every field, as Hive's own
//! client reads it, against the bytes that the mirror keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_catalog::model::ConstraintKind;
use skep_catalog::snapshot::{MetastoreView, Snapshot};
use skep_catalog::store::Catalog;
use skep_tests::harness::Dumped;
use skep_tests::harness::canonical::{Node, decode};

/// Kind and place of an object, and a number where several share one.
type Place = (String, String, String, String, String, usize);

/// Panics with the differing fields unless the mirror of `metastore` holds exactly `dump`.
pub fn assert_equal(catalog: &Arc<Catalog>, metastore: &str, dump: &[Dumped]) {
    let mirrored = mirrored(&catalog.snapshot(), metastore);
    let expected = placed(dump.iter().map(|object| {
        let name =
            if object.kind.starts_with("SQL") || object.kind == "privilege" { "" } else { &object.name };
        let place = [&object.kind, &object.catalog, &object.database, &object.table, name].map(str::to_owned);
        (place, object.canonical.clone())
    }));
    let mut wrong: Vec<String> = Vec::new();
    for (place, node) in &expected {
        match mirrored.get(place) {
            None => wrong.push(format!("{place:?} is not mirrored")),
            Some(other) => {
                wrong.extend(node.differences(other).iter().map(|line| format!("{place:?} field {line}")));
            }
        }
    }
    wrong.extend(
        mirrored
            .keys()
            .filter(|place| !expected.contains_key(*place))
            .map(|place| format!("{place:?} is no more")),
    );
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(!expected.is_empty(), "nothing was compared");
}

/// Objects by place; those that share one are numbered in the order of their contents.
fn placed(objects: impl Iterator<Item = ([String; 5], Node)>) -> BTreeMap<Place, Node> {
    let mut groups: BTreeMap<[String; 5], Vec<Node>> = BTreeMap::new();
    for (place, node) in objects {
        groups.entry(place).or_default().push(node);
    }
    let mut all = BTreeMap::new();
    for ([kind, catalog, database, table, name], mut nodes) in groups {
        nodes.sort();
        for (number, node) in nodes.into_iter().enumerate() {
            let place =
                (kind.clone(), catalog.clone(), database.clone(), table.clone(), name.clone(), number);
            all.insert(place, node);
        }
    }
    all
}

fn mirrored(snapshot: &Snapshot, metastore: &str) -> BTreeMap<Place, Node> {
    let view = snapshot.metastore(metastore).unwrap();
    let mut objects: Vec<([String; 5], Node)> = Vec::new();
    let mut add = |place: [&str; 5], raw: &[u8]| {
        let node = decode(raw).unwrap_or_else(|| panic!("{place:?}: the kept bytes are not a struct"));
        objects.push((place.map(str::to_owned), node));
    };
    read(snapshot, view, &mut add);
    placed(objects.into_iter())
}

fn read(snapshot: &Snapshot, view: &MetastoreView, add: &mut impl FnMut([&str; 5], &[u8])) {
    for (privilege, _) in snapshot.load_privileges(view).unwrap() {
        let grant = &privilege.value;
        let database = grant.database.as_ref();
        add(
            [
                "privilege",
                database.map_or("", |name| &name.catalog),
                database.map_or("", |name| &name.database),
                grant.table_name.as_deref().unwrap_or_default(),
                "",
            ],
            &privilege.raw,
        );
    }
    for catalog in view.catalogs.iter().filter(|catalog| !catalog.raw.is_empty()) {
        add(["catalog", &catalog.name, "", "", &catalog.name], &catalog.raw);
    }
    for database in view.databases() {
        let (catalog, name) = (database.catalog_name.as_ref(), database.name.as_ref());
        add(["database", catalog, name, "", name], &database.raw);
        for (function, _) in snapshot.load_functions(database).unwrap() {
            add(["function", catalog, name, "", &function.value.name], &function.raw);
        }
        for (id, item) in snapshot.load_tables(database).unwrap() {
            let table = database.tables.iter().find(|table| table.id == id).unwrap();
            add(["table", catalog, name, &table.name, &table.name], &item.raw);
            for index in 0..snapshot.chunk_summaries(table).len() {
                for (_, partition) in snapshot.load_partitions(table, index).unwrap() {
                    let values = partition.value.values.join("\0");
                    add(["partition", catalog, name, &table.name, &values], &partition.raw);
                }
            }
        }
        for (id, details, _) in snapshot.load_details(database).unwrap() {
            let table = database.tables.iter().find(|table| table.id == id).unwrap();
            for constraint in &details.constraints {
                let kind = match constraint.value.kind {
                    ConstraintKind::PrimaryKey => "SQLPrimaryKey",
                    ConstraintKind::ForeignKey => "SQLForeignKey",
                    ConstraintKind::Unique => "SQLUniqueConstraint",
                    ConstraintKind::NotNull => "SQLNotNullConstraint",
                    ConstraintKind::Default => "SQLDefaultConstraint",
                    ConstraintKind::Check => "SQLCheckConstraint",
                };
                add([kind, catalog, name, &table.name, ""], &constraint.raw);
            }
            for column in &details.column_statistics {
                add(["column_statistic", catalog, name, &table.name, &column.value.column_name], &column.raw);
            }
        }
    }
}
