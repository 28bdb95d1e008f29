//! `catalog.locations`: every address that anything names.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::partitions::{self, PARTITION, PartitionPlace, hot, pick};
use super::walk::{self, Built, Place};
use crate::chunk::{Bounds, Chunk, Test, Tests, tested, tested_later};
use crate::hot::{Hot, Picked};
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Column, Rows, Value, batch, projected_schema};
use crate::spec::{ColumnSpec, LOCATION_TOTALS, TableSpec};

const KIND: usize = 5;
const LOCATION: usize = 6;

pub fn locations(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let mut chunks = of_others(spec, pinned, tests);
    if tests.admit("object_kind", "partition") {
        chunks.extend(of_partitions(spec, pinned, tests));
    }
    chunks
}

/// Addresses of all that are no partitions.
fn of_others(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    if tests.admit("object_kind", "catalog") {
        chunks.extend(of_catalogs(spec, pinned, tests));
    }
    if tests.admit("object_kind", "database") || tests.admit("object_kind", "table") {
        let of_places = walk::per_database(
            pinned,
            tests,
            |_| None,
            move |pinned, place, tests, wanted| of_database(spec, pinned, place, tests, wanted),
        );
        chunks.extend(of_places);
    }
    chunks
}

/// What follows `scheme://` up to the next `/`, and the scheme.
pub fn parts(location: &str) -> (Option<&str>, Option<&str>) {
    let Some((scheme, rest)) = location.split_once("://") else {
        // `file:/warehouse` has a scheme and no authority.
        let scheme = location.split_once(":/").map(|(scheme, _)| scheme);
        return (scheme.filter(|s| !s.is_empty()), None);
    };
    let authority = rest.split('/').next().filter(|a| !a.is_empty());
    (Some(scheme).filter(|s| !s.is_empty()), authority)
}

fn push(
    rows: &mut Rows,
    spec: &TableSpec,
    keys: [Value<'_>; 5],
    kind: &str,
    location: &str,
    stamp: [Value<'_>; 2],
    sync_status: &str,
) {
    let [metastore, catalog, database, table, partition] = keys;
    let (scheme, authority) = parts(location);
    let [synced_at, source_event_id] = stamp;
    let mut values = vec![
        metastore,
        catalog,
        database,
        table,
        partition,
        kind.into(),
        location.into(),
        scheme.into(),
        authority.into(),
    ];
    match spec.name == LOCATION_TOTALS.name {
        true => values.push(Value::Int(1)),
        false => values.extend([synced_at, source_event_id, sync_status.into()]),
    }
    rows.push(&values);
}

fn of_catalogs(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let tests = tests.clone();
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in walk::metastores(pinned, &tests) {
            let sync_status = pinned.sync_status(metastore, None, None);
            for catalog in &metastore.catalogs {
                if let Some(location) = &catalog.object.location {
                    let keys = [
                        (&metastore.name).into(),
                        (&catalog.name).into(),
                        Value::Null,
                        Value::Null,
                        Value::Null,
                    ];
                    push(
                        &mut rows,
                        spec,
                        keys,
                        "catalog",
                        location,
                        stamp_values(&catalog.stamp),
                        sync_status,
                    );
                }
            }
        }
        rows.finish()
    })
}

fn of_database(
    spec: &'static TableSpec,
    pinned: &Pinned,
    place: &Place,
    tests: &Tests,
    wanted: &[usize],
) -> Built {
    let mut rows = Rows::new(spec, wanted);
    let name = place.name();
    if let Some(location) = &place.database.object.location {
        let [metastore, catalog, database] = place.keys();
        let sync_status = pinned.sync_status(&place.metastore, Some(&name), None);
        let keys = [metastore, catalog, database, Value::Null, Value::Null];
        push(&mut rows, spec, keys, "database", location, stamp_values(&place.database.stamp), sync_status);
    }
    for table in walk::tables(&place.database, tests) {
        if let Some(location) = &table.head.location {
            let [metastore, catalog, database] = place.keys();
            let sync_status = pinned.sync_status(&place.metastore, Some(&name), Some(&table.name));
            let keys = [metastore, catalog, database, (&table.name).into(), Value::Null];
            push(&mut rows, spec, keys, "table", location, stamp_values(&table.stamp), sync_status);
        }
    }
    rows.finish()
}

fn of_partitions(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    partitions::summaries(pinned, tests)
        .into_iter()
        .map(|summary| {
            let mut bounds = vec![Bounds { column: PARTITION, min: summary.names.0, max: summary.names.1 }];
            // Only when every partition has a location is each of them a row.
            let row_count = summary.locations.as_ref().map(|_| summary.row_count);
            if let Some((min, max)) = summary.locations {
                bounds.push(Bounds { column: LOCATION, min, max });
            }
            let (pinned, at) = (Arc::clone(pinned), summary.at);
            let mut constants = at.constants();
            constants.push((KIND, "partition".into()));
            let load =
                move |wanted: &[usize], tests: &[(usize, Test)]| of_chunk(spec, &pinned, &at, wanted, tests);
            Chunk { constants, bounds, row_count, load: Arc::new(load) }
        })
        .collect()
}

fn of_chunk(
    spec: &'static TableSpec,
    pinned: &Pinned,
    at: &PartitionPlace,
    wanted: &[usize],
    tests: &[(usize, Test)],
) -> Built {
    let hot = hot(pinned, at)?;
    let (picked, others) = pick(spec, &hot, tests);
    let picked = picked.keep(|row| hot.has_location(row));
    tested(wanted, &others, |wanted| {
        let columns = wanted.iter().map(|index| column(&spec.columns[*index], pinned, at, &hot, &picked));
        batch(projected_schema(spec, wanted), columns.collect(), picked.len())
    })
}

/// A column of the picked partitions.
fn column(spec: &ColumnSpec, pinned: &Pinned, at: &PartitionPlace, hot: &Hot, picked: &Picked) -> ArrayRef {
    if let Some(array) = hot.column(spec.name, picked) {
        return array;
    }
    match spec.name {
        "scheme" => return hot.origins(picked, |address| parts(address).0),
        "authority" => return hot.origins(picked, |address| parts(address).1),
        _ => {}
    }
    let mut column = Column::new(spec.kind);
    let statuses = at.statuses(pinned);
    picked.each(|row| {
        match spec.name {
            "sync_status" => column.push(&statuses.of(hot.name(row)).into()),
            _ => column.push(&Value::Null),
        };
    });
    column.finish()
}

/// As `locations`, but partitions whose addresses begin with the same are one row.
pub fn location_totals(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    let mut chunks = of_others(spec, pinned, tests);
    if tests.admit("object_kind", "partition") {
        chunks.extend(partitions::summaries(pinned, tests).into_iter().map(|summary| {
            let (pinned, at) = (Arc::clone(pinned), summary.at);
            let mut constants = at.constants();
            constants.push((KIND, "partition".into()));
            let load = move |wanted: &[usize]| totals_of_chunk(spec, &pinned, &at, wanted);
            Chunk { constants, bounds: Vec::new(), row_count: None, load: tested_later(load) }
        }));
    }
    chunks
}

fn totals_of_chunk(
    spec: &'static TableSpec,
    pinned: &Pinned,
    at: &PartitionPlace,
    wanted: &[usize],
) -> Built {
    let hot = hot(pinned, at)?;
    let mut totals: Vec<(Origin, usize)> = Vec::new();
    hot.each_origin(|address, count| {
        let (scheme, authority) = parts(address);
        // They are few: one, nearly always.
        match totals.iter_mut().find(|(origin, _)| origin.is(scheme, authority)) {
            Some((_, total)) => *total += count,
            None => totals.push((Origin::new(scheme, authority), count)),
        }
    });
    let mut rows = Rows::new(spec, wanted);
    for (origin, count) in &totals {
        let [metastore, catalog, database] = at.place.keys();
        rows.push(&[
            metastore,
            catalog,
            database,
            (&at.table.name).into(),
            Value::Null,
            "partition".into(),
            Value::Null,
            origin.scheme.as_deref().into(),
            origin.authority.as_deref().into(),
            (*count).into(),
        ]);
    }
    rows.finish()
}

/// What addresses begin with.
struct Origin {
    scheme: Option<String>,
    authority: Option<String>,
}

impl Origin {
    fn new(scheme: Option<&str>, authority: Option<&str>) -> Self {
        Self { scheme: scheme.map(str::to_owned), authority: authority.map(str::to_owned) }
    }

    fn is(&self, scheme: Option<&str>, authority: Option<&str>) -> bool {
        self.scheme.as_deref() == scheme && self.authority.as_deref() == authority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_authority_are_told_apart() {
        assert_eq!(parts("hdfs://nn:8020/a/b"), (Some("hdfs"), Some("nn:8020")));
        assert_eq!(parts("s3a://bucket"), (Some("s3a"), Some("bucket")));
        assert_eq!(parts("file:/tmp"), (Some("file"), None));
        assert_eq!(parts("file:///tmp"), (Some("file"), None));
        assert_eq!(parts("/tmp"), (None, None));
    }
}
