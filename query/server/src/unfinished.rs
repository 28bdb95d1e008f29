//! What calls asked to be read again of a former process, which ended before it did.

use std::sync::Arc;

use skep_catalog::control::{Call, Status};
use skep_catalog::mirror::Extent;
use skep_catalog::model::DatabaseName;
use skep_catalog::snapshot::Snapshot;
use skep_catalog::store::Catalog;

/// Calls before this time before now are forgotten: complete passes have come since, or the
/// metastore was away for so long that nobody waits any more.
const AGE_MICROS_MAX: i64 = 24 * 3_600 * 1_000_000;

/// Metastore and what of it was asked for after it was last read, each once.
pub fn unfinished<'a>(
    calls: impl DoubleEndedIterator<Item = &'a Arc<Call>>,
    catalog: &Catalog,
) -> Vec<(String, Extent)> {
    let snapshot = catalog.snapshot();
    let since = catalog.clock().now_micros().saturating_sub(AGE_MICROS_MAX);
    let mut unfinished = Vec::new();
    let recent = calls.rev().take_while(|call| since <= call.request.called_at);
    for call in recent.filter(|call| call.status == Status::Queued) {
        let Some((metastore, extent)) = asked(call) else { continue };
        let Some(view) = snapshot.metastore(&metastore) else { continue };
        let pass_at = catalog.status(view.id).last_pass_at;
        let read_at = pass_at.max(read_at(&snapshot, &metastore, &extent));
        let is_done = read_at.is_some_and(|read_at| call.request.called_at <= read_at);
        if !is_done && !unfinished.contains(&(metastore.clone(), extent.clone())) {
            unfinished.push((metastore, extent));
        }
    }
    unfinished
}

fn asked(call: &Call) -> Option<(String, Extent)> {
    let argument = |name: &str| call.request.arguments.get(name);
    let database = || {
        let [catalog, database] = [argument("catalog_name")?, argument("database_name")?];
        Some(DatabaseName::new(catalog.to_lowercase(), database.to_lowercase()))
    };
    let extent = match call.request.procedure_name.as_str() {
        "ops.refresh_metastore" => return Some((argument("name")?.clone(), Extent::Metastore)),
        "ops.refresh_database" => Extent::Database(database()?),
        "ops.refresh_table" => Extent::Table(database()?.table(argument("table_name")?.to_lowercase())),
        _ => return None,
    };
    Some((argument("metastore_name")?.clone(), extent))
}

/// When it was last read by itself; `None` for what is not mirrored.
fn read_at(snapshot: &Snapshot, metastore: &str, extent: &Extent) -> Option<i64> {
    let view = snapshot.metastore(metastore)?;
    match extent {
        Extent::Metastore => None,
        Extent::Database(name) => Some(view.database(&name.catalog, &name.database)?.stamp.synced_at),
        Extent::Table(name) => {
            let database = view.database(&name.database.catalog, &name.database.database)?;
            Some(database.table(&name.table)?.stamp.synced_at)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use skep_catalog::control::Request;
    use skep_catalog::ports::SystemClock;
    use skep_catalog::snapshot::MetastoreSettings;
    use skep_catalog::store::StoreOptions;
    use skep_hms::HmsDecoder;

    use super::*;

    fn call(procedure: &str, arguments: &[(&str, &str)], called_at: i64, status: Status) -> Arc<Call> {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let request = Request {
            procedure_name: format!("ops.{procedure}"),
            arguments: arguments.collect(),
            called_at,
            ..Request::default()
        };
        Arc::new(Call { request, status, touched: Vec::new(), error: None })
    }

    #[test]
    fn only_what_was_not_read_since_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let (decoder, clock) = (Arc::new(HmsDecoder), Arc::new(SystemClock));
        let catalog = Catalog::open(folder.path(), StoreOptions::default(), decoder, clock).unwrap().0;
        let settings = MetastoreSettings {
            name: "m".to_owned(),
            uris: vec!["thrift://m:1".to_owned()],
            follow: "auto".to_owned(),
            origin: "config",
        };
        let id = catalog.declare(&[settings]).unwrap()[0];
        let now = catalog.clock().now_micros();
        catalog.update_status(id, |status| status.last_pass_at = Some(now - 1_000));
        let of_table =
            [("metastore_name", "m"), ("catalog_name", "hive"), ("database_name", "D"), ("table_name", "T")];
        let mut calls = vec![
            call("refresh_metastore", &[("name", "m")], now - 2 * AGE_MICROS_MAX, Status::Queued),
            call("refresh_metastore", &[("name", "m")], now - 2_000, Status::Queued),
            call("refresh_table", &of_table, now - 500, Status::Queued),
            call("refresh_table", &of_table, now - 400, Status::Queued),
            call("refresh_metastore", &[("name", "m")], now - 300, Status::Rejected),
            call("refresh_metastore", &[("name", "gone")], now - 200, Status::Queued),
            call("pause_metastore", &[("name", "m")], now - 100, Status::Applied),
        ];
        let table = DatabaseName::new("hive", "d").table("t");
        assert_eq!(unfinished(calls.iter(), &catalog), [("m".to_owned(), Extent::Table(table))]);
        calls.push(call("refresh_metastore", &[("name", "m")], now - 50, Status::Queued));
        assert_eq!(unfinished(calls.iter(), &catalog)[0], ("m".to_owned(), Extent::Metastore));
    }
}
