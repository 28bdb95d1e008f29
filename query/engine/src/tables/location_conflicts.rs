//! `catalog.location_conflicts`: addresses that more than one table uses.
//!
//! A table uses its own address, and those of its partitions that lie elsewhere. Chunks of
//! partitions that are wholly below their table are passed over unread. First the directories
//! that partitions elsewhere lie in are compared, which are few; then the very addresses, of the
//! tables that came out of that.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use skep_catalog::change::Stamp;
use skep_catalog::fault::Fault;
use skep_catalog::snapshot::TableView;

use super::locations::parts;
use super::partitions::{PartitionPlace, hot};
use super::walk::{self, Place};
use crate::chunk::{Chunk, Tests};
use crate::errors::from_datafusion;
use crate::pinned::{Pinned, stamp_values};
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

/// Tables named in one row.
const NAMES_MAX: usize = 100;
/// What an owner's number and an address's share of the sets of tables take, at most.
const NUMBER_BYTES: usize = 16;
/// Between the parts of a [`key`]: before everything else in order, so that what is below a
/// directory follows it at once.
const SEPARATOR: char = '\0';

pub fn location_conflicts(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let memory = MemoryConsumer::new("location_conflicts").register(&pinned.shared.memory_pool);
        let owners = owners(pinned, &memory)?;
        let conflicts = conflicts(pinned, &owners, &memory)?;
        let mut rows = Rows::new(spec, wanted);
        for conflict in &conflicts {
            let tables = || conflict.tables.iter().filter_map(|number| owners.get(*number as usize));
            let metastores: BTreeSet<&str> = tables().map(|owner| &*owner.place.metastore.name).collect();
            let [synced_at, source_event_id] = stamp_values(&conflict.oldest);
            rows.push(&[
                (&conflict.location).into(),
                conflict.tables.len().into(),
                metastores.len().into(),
                Value::OwnedList(tables().take(NAMES_MAX).map(Owner::full_name).collect()),
                synced_at,
                source_event_id,
            ]);
        }
        rows.finish()
    })
}

/// A table, with where it is.
struct Owner {
    place: Place,
    table: Arc<TableView>,
}

impl Owner {
    fn full_name(&self) -> String {
        let database = &self.place.database;
        format!("{}.{}.{}.{}", database.metastore_name, database.catalog_name, database.name, self.table.name)
    }

    fn location(&self) -> Option<&str> {
        self.table.head.location.as_deref().filter(|location| !location.is_empty())
    }
}

/// Takes memory from what all statements share.
/// Errors: `SQL_MEMORY`.
fn take(memory: &MemoryReservation, bytes: usize) -> Result<(), Fault> {
    memory.try_grow(bytes).map_err(|error| from_datafusion(&error))
}

/// All tables, in order of their names.
fn owners(pinned: &Pinned, memory: &MemoryReservation) -> Result<Vec<Owner>, Fault> {
    let mut owners = Vec::new();
    for place in walk::places(pinned, &Tests::default()) {
        take(memory, 2 * size_of::<Owner>() * place.database.tables.len())?;
        for table in &place.database.tables {
            owners.push(Owner { place: place.clone(), table: Arc::clone(table) });
        }
    }
    Ok(owners)
}

/// An address that a table uses.
struct Use {
    key: Box<str>,
    /// Number of the owner.
    table: u32,
    location: Box<str>,
    stamp: Stamp,
}

/// An address, and what uses it or anything below it.
struct Conflict {
    location: String,
    tables: BTreeSet<u32>,
    oldest: Stamp,
}

/// Addresses under comparison, and their memory.
struct Uses {
    all: Vec<Use>,
    memory: MemoryReservation,
}

impl Uses {
    fn new(memory: &MemoryReservation) -> Self {
        Self { all: Vec::new(), memory: memory.new_empty() }
    }

    fn push(&mut self, key: String, table: usize, location: &str, stamp: Stamp) -> Result<(), Fault> {
        // A table's number fits: each takes hundreds of bytes of memory.
        let table = table as u32;
        // A vector that grows has up to twice the places that it needs.
        take(&self.memory, key.len() + location.len() + 2 * size_of::<Use>() + 32 + NUMBER_BYTES)?;
        self.all.push(Use { key: key.into(), table, location: location.into(), stamp });
        Ok(())
    }

    fn sort(&mut self) {
        self.all.sort_unstable_by(|a, b| (&a.key, a.table, &a.location).cmp(&(&b.key, b.table, &b.location)));
    }
}

fn conflicts(pinned: &Pinned, owners: &[Owner], memory: &MemoryReservation) -> Result<Vec<Conflict>, Fault> {
    let suspects = suspects(pinned, owners, memory)?;
    let mut uses = Uses::new(memory);
    for number in suspects {
        let Some(owner) = owners.get(number as usize) else { continue };
        if let Some(location) = owner.location() {
            uses.push(key(location), number as usize, location, owner.table.stamp)?;
        }
        each_outside(pinned, owner, |location, key, stamp| uses.push(key, number as usize, location, stamp))?;
    }
    uses.sort();
    let mut conflicts = Vec::new();
    each_shared(&uses.all, |used, tables, oldest| {
        take(memory, used.location.len() + 2 * size_of::<Conflict>() + NUMBER_BYTES * tables.len())?;
        conflicts.push(Conflict { location: used.location.to_string(), tables: tables.clone(), oldest });
        Ok(())
    })?;
    Ok(conflicts)
}

/// Tables that may be in conflict: those in whose directories, or those of their partitions
/// elsewhere, others are too.
fn suspects(pinned: &Pinned, owners: &[Owner], memory: &MemoryReservation) -> Result<BTreeSet<u32>, Fault> {
    let mut directories = Uses::new(memory);
    for (number, owner) in owners.iter().enumerate() {
        if let Some(location) = owner.location() {
            directories.push(key(location), number, "", owner.table.stamp)?;
        }
        let mut seen = HashSet::new();
        let of_seen = memory.new_empty();
        each_outside(pinned, owner, |_, key, stamp| {
            let directory = key.rsplit_once(SEPARATOR).map_or(key.as_str(), |(above, _)| above);
            if !seen.contains(directory) {
                take(&of_seen, directory.len() + 2 * size_of::<String>() + 32)?;
                seen.insert(directory.to_owned());
                directories.push(directory.to_owned(), number, "", stamp)?;
            }
            Ok(())
        })?;
    }
    directories.sort();
    let mut suspects: BTreeSet<u32> = BTreeSet::new();
    each_shared(&directories.all, |_, tables, _| {
        suspects.extend(tables);
        Ok(())
    })?;
    take(memory, NUMBER_BYTES * suspects.len())?;
    Ok(suspects)
}

/// Calls `visit` with address, key and stamp of each partition that is not below its table.
fn each_outside(
    pinned: &Pinned,
    owner: &Owner,
    mut visit: impl FnMut(&str, String, Stamp) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let table = &owner.table;
    let base = owner.location().map(|location| location.trim_end_matches('/'));
    let is_below = |location: &str| {
        base.is_some_and(|base| location.strip_prefix(base).is_some_and(|rest| rest.starts_with('/')))
    };
    let own = owner.location().map(key);
    for (index, summary) in pinned.snapshot.chunk_summaries(table).into_iter().enumerate() {
        // Everything between two texts with a common prefix has it too.
        if summary.locations.is_some_and(|(min, max)| is_below(&min) && is_below(&max)) {
            continue;
        }
        let at = PartitionPlace { place: owner.place.clone(), table: Arc::clone(table), index };
        let hot = hot(pinned, &at)?;
        for row in 0..hot.all().len() {
            let Some(location) = hot.location(row).filter(|location| !location.is_empty()) else { continue };
            if is_below(&location) {
                continue;
            }
            let key = key(&location);
            if !own.as_ref().is_some_and(|own| is_at_or_below(own, &key)) {
                visit(&location, key, hot.stamp(row))?;
            }
        }
    }
    Ok(())
}

/// An address in the form in which equal ones are equal and what is below it begins with it:
/// scheme and authority without case (those that name the same store are one), then the parts of
/// the path, however many slashes are between and after them.
fn key(location: &str) -> String {
    let (scheme, authority) = parts(location);
    let scheme = scheme.unwrap_or_default().to_ascii_lowercase();
    let store = match scheme.as_str() {
        "s3a" | "s3n" => "s3",
        "abfss" => "abfs",
        "wasbs" => "wasb",
        other => other,
    };
    let path = match (location.split_once("://"), scheme.is_empty()) {
        (Some((_, rest)), _) => rest.split_once('/').map_or("", |(_, path)| path),
        (None, false) => &location[scheme.len() + 1..],
        (None, true) => location,
    };
    let authority = authority.unwrap_or_default().to_ascii_lowercase();
    let mut key = [store, ":", &authority].concat();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        key.push(SEPARATOR);
        key.push_str(part);
    }
    key
}

fn is_at_or_below(directory: &str, key: &str) -> bool {
    key.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
}

/// An address whose end the walk has not reached yet.
struct Open<'a> {
    used: &'a Use,
    tables: BTreeSet<u32>,
    oldest: Stamp,
}

/// Calls `found` for each address that, with what is below it, several tables use. `uses` are in
/// order.
fn each_shared<'a>(
    uses: &'a [Use],
    mut found: impl FnMut(&'a Use, &BTreeSet<u32>, Stamp) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut open: Vec<Open<'a>> = Vec::new();
    let mut close = |open: &mut Vec<Open<'a>>| {
        let Some(mut closed) = open.pop() else { return Ok(()) };
        if 1 < closed.tables.len() {
            found(closed.used, &closed.tables, closed.oldest)?;
        }
        if let Some(above) = open.last_mut() {
            if above.tables.len() < closed.tables.len() {
                std::mem::swap(&mut above.tables, &mut closed.tables);
            }
            above.tables.append(&mut closed.tables);
            above.oldest = older(above.oldest, closed.oldest);
        }
        Ok(())
    };
    for used in uses {
        while open.last().is_some_and(|above| !is_at_or_below(&above.used.key, &used.key)) {
            close(&mut open)?;
        }
        match open.last_mut().filter(|above| above.used.key == used.key) {
            Some(same) => {
                same.tables.insert(used.table);
                same.oldest = older(same.oldest, used.stamp);
            }
            None => open.push(Open { used, tables: BTreeSet::from([used.table]), oldest: used.stamp }),
        }
    }
    while !open.is_empty() {
        close(&mut open)?;
    }
    Ok(())
}

fn older(a: Stamp, b: Stamp) -> Stamp {
    let ids = a.source_event_id.into_iter().chain(b.source_event_id);
    Stamp { synced_at: a.synced_at.min(b.synced_at), source_event_id: ids.min() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

    #[test]
    fn keys_are_equal_where_addresses_are() {
        for (a, b) in [
            ("hdfs://nn/a/b", "hdfs://nn/a/b/"),
            ("hdfs://nn/a/b", "hdfs://NN//a///b"),
            ("file:/a", "file:///a"),
            ("s3a://bucket/t", "s3://bucket/t"),
            ("s3n://bucket/t", "S3A://bucket/t/"),
            ("abfss://c@a.dfs.core.windows.net/t", "abfs://c@a.dfs.core.windows.net/t"),
            ("/a/b", "/a/b/"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        for (a, b) in [
            ("hdfs://nn/a/b", "hdfs://nn/a/B"),
            ("hdfs://nn/a/b", "hdfs://other/a/b"),
            ("hdfs://nn/a/b", "s3://nn/a/b"),
            ("hdfs://nn/a/b", "/a/b"),
            ("hdfs://nn/a/b", "hdfs://nn/a/bc"),
            ("hdfs://nn", "hdfs:/nn"),
        ] {
            assert_ne!(key(a), key(b), "{a} {b}");
        }
    }

    /// The addresses that several tables share; tables are numbered in order.
    fn shared(locations: &[&str]) -> Vec<(String, Vec<u32>)> {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let mut uses = Uses::new(&MemoryConsumer::new("test").register(&pool));
        for (number, location) in locations.iter().enumerate() {
            let stamp = Stamp { synced_at: number as i64, source_event_id: None };
            uses.push(key(location), number, location, stamp).unwrap();
        }
        uses.sort();
        let mut found = Vec::new();
        each_shared(&uses.all, |used, tables, oldest| {
            assert_eq!(oldest.synced_at, i64::from(*tables.iter().next().unwrap()));
            found.push((used.location.to_string(), tables.iter().copied().collect()));
            Ok(())
        })
        .unwrap();
        found.sort();
        found
    }

    #[test]
    fn what_lies_below_is_shared_and_what_only_begins_alike_is_not() {
        let expected = |list: &[(&str, &[u32])]| -> Vec<(String, Vec<u32>)> {
            list.iter().map(|(location, tables)| ((*location).to_owned(), tables.to_vec())).collect()
        };
        assert_eq!(shared(&["/a/b", "/a/b/c", "/a/bc", "/a/b-c"]), expected(&[("/a/b", &[0, 1])]));
        assert_eq!(shared(&["/a", "/b", "hdfs://n/a"]), expected(&[]));
        assert_eq!(
            shared(&["/x", "/x/y/z", "/x/y", "/x/y/", "/w"]),
            expected(&[("/x", &[0, 1, 2, 3]), ("/x/y", &[1, 2, 3])])
        );
    }

    #[test]
    fn shared_addresses_are_those_that_comparing_all_pairs_finds() {
        let parts = ["", "/a", "/b", "/a-", "/aa"];
        let mut locations = Vec::new();
        for number in 0..parts.len().pow(3) {
            let part = |place: u32| parts[number / parts.len().pow(place) % parts.len()];
            if number % 3 == 0 {
                locations.push(["hdfs://nn", part(2), part(1), part(0)].concat());
            }
        }
        let texts: Vec<&str> = locations.iter().map(String::as_str).collect();
        let mut expected = Vec::new();
        for directory in texts.iter().map(|text| key(text)).collect::<BTreeSet<_>>() {
            let below = |text: &&str| is_at_or_below(&directory, &key(text));
            let tables: Vec<u32> = (0..texts.len() as u32).filter(|i| below(&texts[*i as usize])).collect();
            if 1 < tables.len() {
                expected.push(tables);
            }
        }
        let mut found: Vec<Vec<u32>> = shared(&texts).into_iter().map(|(_, tables)| tables).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert!(5 < found.len());
    }
}
