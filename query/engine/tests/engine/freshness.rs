//! What is said of how fresh and how complete the mirror is.

use skep_catalog::change::{Change, FollowState, ObjectError, Origin, Stamp};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::DatabaseName;
use skep_catalog::snapshot::MetastoreSettings;

use crate::fixture::{Fixture, fixture, read_alone, unpartitioned};

fn apply_at(f: &Fixture, event_id: i64, changes: Vec<Change>) {
    let metastore = f.catalog.snapshot().metastore("east").unwrap().id;
    let stamp = Stamp { synced_at: event_id * 1_000_000, source_event_id: Some(event_id) };
    f.catalog.apply(Origin { metastore, stamp }, changes).unwrap();
}

fn ops() -> DatabaseName {
    DatabaseName::new("hive", "ops")
}

#[test]
fn what_is_read_alone_has_its_own_stamp() {
    let f = fixture();
    for (event_id, change) in (50..).step_by(10).zip(read_alone()) {
        apply_at(&f, event_id, vec![change]);
    }
    apply_at(&f, 80, vec![Change::DropTable(ops().table("fresh"))]);
    apply_at(&f, 99, vec![Change::SetPosition(99)]);
    let stamp = |table: &str, test: &str| {
        f.rows(&format!(
            "SELECT DISTINCT source_event_id, CAST(to_unixtime(synced_at) AS BIGINT) FROM catalog.{table} WHERE {test}"
        ))
    };
    let in_sales = "metastore_name = 'east' AND database_name = 'sales'";
    assert_eq!(stamp("constraints", in_sales), [["50", "50"]]);
    assert_eq!(stamp("column_stats", in_sales), [["50", "50"]]);
    assert_eq!(stamp("functions", in_sales), [["60", "60"]]);
    assert_eq!(stamp("privileges", "metastore_name = 'east'"), [["70", "70"]]);
    assert_eq!(stamp("dropped_tables", "table_name = 'fresh'"), [["80", "80"]]);
}

/// `source_count`, `mirrored_count` and `missing_count` of `east.ops`.
fn coverage(f: &Fixture) -> [String; 3] {
    let sql = "SELECT source_count, mirrored_count, missing_count FROM sync.coverage \
               WHERE metastore_name = 'east' AND database_name = 'ops' AND object_kind = 'tables'";
    f.rows(sql).remove(0).try_into().unwrap()
}

fn unreadable(table: &str) -> Change {
    Change::AddErrors(vec![ObjectError {
        database: Some(ops()),
        table_name: Some(table.into()),
        partition_name: None,
        fault: Fault::new(Code::METASTORE_ERROR, "get_table", "boom"),
        at: 1,
    }])
}

#[test]
fn events_that_change_how_many_tables_there_are_change_no_table_to_missing() {
    let f = fixture();
    assert_eq!(coverage(&f), ["4", "3", "1"]);
    apply_at(&f, 50, vec![Change::ClearErrors(Some(ops()), Some("broken".into()))]);
    assert_eq!(coverage(&f), ["3", "3", "0"]);
    apply_at(&f, 51, vec![Change::DropTable(ops().table("fresh"))]);
    assert_eq!(coverage(&f), ["2", "2", "0"]);
    let to = DatabaseName::new("hive", "empty").table("moved");
    apply_at(&f, 52, vec![Change::RenameTable { from: ops().table("nothing_yet"), to }]);
    assert_eq!(coverage(&f), ["1", "1", "0"]);
}

#[test]
fn a_table_that_cannot_be_read_stays_missing_whatever_else_comes() {
    let f = fixture();
    apply_at(&f, 50, vec![unpartitioned("ops", "new"), unpartitioned("ops", "newer")]);
    assert_eq!(coverage(&f), ["6", "5", "1"]);
    // Told of by an event, and not readable.
    apply_at(&f, 51, vec![unreadable("newest")]);
    assert_eq!(coverage(&f), ["7", "5", "2"]);
    // Mirrored, although it could not be read again.
    apply_at(&f, 52, vec![unreadable("new")]);
    assert_eq!(coverage(&f), ["7", "5", "2"]);
    let healed = Change::ClearErrors(Some(ops()), Some("broken".into()));
    apply_at(&f, 53, vec![unpartitioned("ops", "broken"), healed]);
    assert_eq!(coverage(&f), ["7", "6", "1"]);
}

#[test]
fn what_the_first_mirror_has_not_reached_yet_is_missing() {
    let f = fixture();
    let west = f.catalog.snapshot().metastore("west").unwrap().id;
    let stamp = Stamp { synced_at: 1, source_event_id: None };
    let count = Change::SetSourceCount(DatabaseName::new("hive", "sales"), 9);
    f.catalog.apply(Origin { metastore: west, stamp }, vec![count]).unwrap();
    let sql = "SELECT catalog_name, database_name, source_count, mirrored_count, missing_count \
               FROM sync.coverage WHERE metastore_name = 'west' ORDER BY 1";
    assert_eq!(f.rows(sql), [["hive", "sales", "9", "1", "8"], ["spark", "lab", "-", "1", "-"]]);
}

#[test]
fn a_metastore_that_was_never_reached_is_missing_as_a_whole() {
    let f = fixture();
    let metastores = f.catalog.snapshot().metastores.clone();
    let mut settings: Vec<_> = metastores.iter().map(|metastore| metastore.settings.clone()).collect();
    settings.push(MetastoreSettings { name: "south".into(), ..settings[0].clone() });
    let south = f.catalog.declare(&settings).unwrap()[2];
    f.catalog.update_status(south, |status| {
        status.state = FollowState::Error;
        status.error =
            Some((Fault::new(Code::METASTORE_UNREACHABLE, "metastore south", "refused"), 7_000_000));
    });
    let of_south = |columns: &str, table: &str| {
        f.rows(&format!("SELECT {columns} FROM sync.{table} WHERE metastore_name = 'south'"))
    };
    assert_eq!(
        of_south("catalog_name, error_code, CAST(to_unixtime(last_seen_at) AS BIGINT)", "errors"),
        [["-", "METASTORE_UNREACHABLE", "7"]]
    );
    assert_eq!(of_south("error_count", "status"), [["1"]]);
    let counts = "catalog_name, database_name, object_kind, source_count, mirrored_count, missing_count";
    assert_eq!(of_south(counts, "coverage"), [["-", "-", "databases", "-", "0", "-"]]);
}
