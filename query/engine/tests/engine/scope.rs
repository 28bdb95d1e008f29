//! What a caller may not see is in no table, count, sum or text.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_catalog::change::{Change, EventRow, ObjectError, Origin, Run, Stamp};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::DatabaseName;
use skep_query::spec::{TABLES, TableSpec};
use skep_query::{Caller, Role, Scope, Setting, Subject};

use crate::fixture::{Fixture, fixture};

fn patterns(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|text| (*text).to_owned()).collect())
}

fn reader(name: &str, scope: Scope) -> Caller {
    Caller { principal: name.into(), client: "10.0.0.1:1".into(), role: Role::Reader, scope: Arc::new(scope) }
}

/// The fixture, with texts that name `east` and its database `ops` wherever the mirror can hold some.
fn planted() -> Fixture {
    let f = fixture();
    let east = f.catalog.snapshot().metastore("east").unwrap().id;
    let about = |database: Option<&str>| ObjectError {
        database: database.map(|name| DatabaseName::new("hive", name)),
        table_name: None,
        partition_name: None,
        fault: Fault::new(Code::METASTORE_ERROR, "metastore east: listing", "database ops is broken"),
        at: 1,
    };
    let event = |database: Option<&str>| EventRow {
        event_id: Some(42),
        event_type: "CREATE_DATABASE".into(),
        catalog_name: "hive".into(),
        database_name: database.map(str::to_owned),
        table_name: None,
        partition_count: 0,
        event_at: None,
        applied_at: 1,
    };
    let run = Run {
        run_id: 2,
        kind: "refresh".into(),
        state: "partial".into(),
        started_at: 1,
        finished_at: Some(2),
        start_event_id: None,
        objects_read: 0,
        objects_changed: 0,
        error_message: Some("database ops is broken".into()),
    };
    let stamp = Stamp { synced_at: 1, source_event_id: Some(41) };
    let changes = vec![
        Change::PutRun(run),
        Change::AddErrors(vec![about(None), about(Some("ops")), about(Some("gone_in_ops"))]),
        Change::AddEvents(vec![event(None), event(Some("ops")), event(Some("sales"))]),
        Change::SetSourceCount(DatabaseName::new("hive", "unread"), 3),
    ];
    f.catalog.apply(Origin { metastore: east, stamp }, changes).unwrap();
    f.catalog.update_status(east, |status| {
        status.error = Some((Fault::new(Code::METASTORE_REFUSED, "east", "not for you: database ops"), 1));
    });
    let setting = |name: &str, subject| Setting {
        name: name.into(),
        value: Some("thrift://east:9083".into()),
        origin: "config",
        subject: Some(subject),
        ..Setting::default()
    };
    let of_east = setting("metastore.east.uris", Subject::Metastore("east".into()));
    let of_user = setting("flight.user.ops.role", Subject::User("ops".into()));
    f.engine.set_settings(vec![of_east, of_user]);
    assert!(f.rows("SELECT 'ops east small_files logs'")[0][0].contains("east"));
    f
}

/// Every word of every cell of every table that shows what is mirrored, and the table where it is.
fn words(f: &Fixture, caller: &Caller) -> BTreeSet<(String, String)> {
    let mut words = BTreeSet::new();
    // These say the same to everybody.
    let is_fixed = |table: &TableSpec| {
        ["docs", "information_schema"].contains(&table.schema)
            || ["procedures", "procedure_parameters"].contains(&table.name)
    };
    for table in TABLES.iter().filter(|table| !is_fixed(table)) {
        for cell in f.rows_of(caller, &format!("SELECT * FROM {}", table.full_name())).concat() {
            let split = cell.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.extend(split.map(|word| (word.to_owned(), table.full_name())));
        }
    }
    words
}

#[test]
fn no_table_has_a_word_of_what_is_out_of_scope() {
    let f = planted();
    let everything = words(&f, &Caller::local());
    for (scope, hidden, shown) in [
        (
            Scope::new(patterns(&["we*"]), None),
            &["east", "small_files", "no_files", "orders_view", "logs", "nothing_yet", "unread"][..],
            &["west", "trial", "lab", "orders"][..],
        ),
        (
            Scope::new(None, patterns(&["sales"])),
            &[
                "ops",
                "logs",
                "nothing_yet",
                "fresh",
                "broken",
                "spark",
                "lab",
                "trial",
                "unread",
                "gone_in_ops",
            ],
            &["east", "west", "small_files", "orders_view", "mask", "bob"],
        ),
        (
            Scope::new(patterns(&["east"]), patterns(&["op*"])),
            &["west", "small_files", "orders_view", "mask", "bob", "empty", "lab", "unread"],
            &["east", "ops", "logs", "broken"],
        ),
        (
            Scope::new(None, patterns(&["@spark#*"])),
            &["ops", "sales", "orders", "logs", "bob", "mask"],
            &["lab", "trial", "east"],
        ),
        (Scope::new(patterns(&["none"]), None), &["east", "west", "sales", "ops", "lab"], &[]),
    ] {
        let caller = reader("ann", scope);
        let words = words(&f, &caller);
        for word in hidden {
            assert!(everything.iter().any(|(known, _)| known == word), "{word} is nowhere");
            let found: Vec<_> = words.iter().filter(|(known, _)| known == word).collect();
            assert!(found.is_empty(), "{found:?} for {caller:?}");
        }
        for word in shown {
            assert!(words.iter().any(|(known, _)| known == word), "{word} for {caller:?}");
        }
    }
}

#[test]
fn rows_are_those_of_everything_that_are_in_scope() {
    let f = planted();
    let scope = Scope::new(None, patterns(&["sales", "empty"]));
    let caller = reader("ann", scope.clone());
    let mut compared = 0;
    for table in TABLES.iter() {
        let place = |name: &str| table.columns.iter().position(|column| column.name == name);
        let (Some(_), Some(database)) = (place("metastore_name"), place("database_name")) else { continue };
        let keys: Vec<usize> = (0..table.columns.len()).filter(|i| table.columns[*i].is_key).collect();
        let sorted = |rows: Vec<Vec<String>>| {
            let mut rows: Vec<Vec<String>> =
                rows.iter().map(|row| keys.iter().map(|key| row[*key].clone()).collect()).collect();
            rows.sort();
            rows
        };
        let sql = format!("SELECT * FROM {}", table.full_name());
        let mut all = f.rows(&sql);
        // Of catalog spark nothing is seen.
        all.retain(|row| match row[database].as_str() {
            "-" => !row.contains(&"spark".to_owned()),
            name => scope.has_database("hive", name),
        });
        let seen = f.rows_of(&caller, &sql);
        let count = f.rows_of(&caller, &format!("SELECT count(*) FROM {}", table.full_name()));
        assert_eq!(count[0][0], seen.len().to_string(), "{}", table.full_name());
        assert_eq!(sorted(seen), sorted(all), "{}", table.full_name());
        compared += 1;
    }
    assert!(10 < compared);
}

#[test]
fn counts_and_comparisons_are_of_what_is_in_scope() {
    let f = planted();
    let of = |metastores: &[&str], databases: &[&str]| {
        reader("ann", Scope::new(patterns(metastores), patterns(databases)))
    };
    let both = of(&["*"], &["sales"]);
    let duplicates = "SELECT table_name, metastore_names FROM catalog.duplicate_tables";
    assert_eq!(f.rows_of(&both, duplicates), [["orders", "[east, west]"]]);
    for (metastores, databases) in [(["west"], ["*"]), (["*"], ["ops"])] {
        let caller = of(&metastores, &databases);
        assert!(f.rows_of(&caller, duplicates).is_empty());
        assert!(f.rows_of(&caller, "SELECT * FROM catalog.schema_differences").is_empty());
    }
    // ops.fresh lies in the directory of sales.orders.
    let conflicts = "SELECT count(*) FROM catalog.location_conflicts";
    assert_ne!(f.rows(conflicts), [["0"]]);
    assert_eq!(f.rows_of(&both, conflicts), [["0"]]);
    let sums = "SELECT database_count, table_count, partition_count FROM federation.metastores";
    assert_eq!(f.rows_of(&of(&["east"], &["ops"]), sums), [["1", "3", "7"]]);
    for (rolled_up, row_by_row) in [
        ("count(*)", "count(CASE WHEN length(partition_name) > 0 THEN 1 END)"),
        ("sum(total_size_bytes)", "sum(total_size_bytes + 0)"),
    ] {
        for caller in [&both, &of(&["east"], &["ops"]), &of(&["none"], &["*"])] {
            let ask = |what| f.rows_of(caller, &format!("SELECT {what} FROM catalog.partitions"));
            assert_eq!(ask(rolled_up), ask(row_by_row), "{caller:?}");
        }
    }
    let hidden = f.rows_of(&both, "SELECT error_message FROM sync.runs WHERE error_message IS NOT NULL");
    assert!(hidden[0][0].contains("for those who may see all databases"), "{hidden:?}");
}

#[test]
fn a_snapshot_that_was_kept_is_narrowed_too() {
    let f = planted();
    let statement = skep_query::Statement {
        snapshot: Some(f.engine.lease()),
        caller: reader("ann", Scope::new(patterns(&["west"]), None)),
        ..skep_query::Statement::new("SELECT DISTINCT metastore_name FROM catalog.tables")
    };
    assert_eq!(f.rows_of_statement(statement), [["west"]]);
}

#[test]
fn readers_see_their_own_statements_and_settings_only() {
    let f = planted();
    let as_role = |name: &str, role| Caller { role, ..reader(name, Scope::default()) };
    let (ann, bob) = (as_role("ann", Role::Reader), as_role("bob", Role::Reader));
    f.rows_of(&bob, "SELECT 'planted by bob'");
    let history = "SELECT DISTINCT principal, client FROM runtime.query_history ORDER BY 1";
    assert!(f.rows_of(&ann, history).is_empty());
    assert_eq!(f.rows_of(&bob, history), [["bob", "10.0.0.1:1"]]);
    let running = "SELECT principal FROM runtime.queries";
    assert_eq!(f.rows_of(&ann, running), [["ann"]]);
    for role in [Role::Operator, Role::Admin] {
        let seen = f.rows_of(&as_role("carl", role), history).concat();
        assert!(["ann", "bob", "local"].iter().all(|name| seen.contains(&(*name).to_owned())), "{seen:?}");
    }
    let users = "SELECT count(*) FROM runtime.settings WHERE name LIKE 'flight.user.%'";
    assert_eq!(f.rows_of(&ann, users), [["0"]]);
    assert_eq!(f.rows_of(&as_role("ops", Role::Reader), users), [["1"]]);
    assert_eq!(f.rows_of(&as_role("carl", Role::Operator), users), [["0"]]);
    assert_eq!(f.rows_of(&as_role("carl", Role::Admin), users), [["1"]]);
}
