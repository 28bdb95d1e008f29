//! Work in the background: merging deltas, healing damage; rebuilding has a file of its own.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::apply::Stage;
use super::catalog::{Catalog, Writer, collections};
use super::collection::{Address, Collection, Kind};
use super::keys::{self, Record};
use super::ledger::Desk;
use super::rebuild::Rebuild;
use super::record;
use crate::fault::Fault;
use crate::limits::DELTA_ITEMS_MAX;
use crate::snapshot::{DatabaseView, Digests, MetastoreView, Totals};

/// Deltas of one collection that are merged: reading the collection reads each of them.
const DELTAS_MERGED_AT: usize = 16;
/// Collections that are merged with one write, which costs more than the merge of a small one.
const MERGED_AT_ONCE: usize = 8;

/// How often [`Catalog::maintain`] is to run while anything changes: what was written since the last
/// time may be lost with the power, and is read again then.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// What maintenance came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Maintenance {
    /// Collections whose deltas were merged into segments.
    pub merged_count: usize,
    /// Set when the store was rebuilt.
    pub rebuild: Option<Rebuild>,
    /// What failed, and is tried again the next time.
    pub faults: Vec<Fault>,
}

impl Catalog {
    /// Merges deltas where there are many, writes everything to the disk, and rebuilds the store
    /// where that is due; each of them whatever became of the others. Blocks.
    pub fn maintain(&self) -> Maintenance {
        let mut done = Maintenance::default();
        match self.merge() {
            Ok(merged_count) => done.merged_count = merged_count,
            Err(fault) => done.faults.push(fault),
        }
        // Before the rebuild, which can take long and syncs what it makes.
        done.faults.extend(self.sync().err());
        match self.rebuild_if_due() {
            Ok(rebuild) => done.rebuild = rebuild,
            Err(fault) => done.faults.push(fault),
        }
        done
    }

    /// Merges deltas into segments where there are many; returns how many collections were
    /// merged.
    pub(super) fn merge(&self) -> Result<usize, Fault> {
        let is_due = |collection: &&Arc<Collection>| {
            DELTAS_MERGED_AT <= collection.deltas.len() || DELTA_ITEMS_MAX / 2 <= collection.changes.len()
        };
        let due: Vec<Address> = {
            let snapshot = self.snapshot();
            snapshot
                .metastores
                .iter()
                .flat_map(|view| collections(view))
                .filter(is_due)
                .map(|c| c.address)
                .collect()
        };
        self.heal(&mut self.writer.lock())?;
        let mut merged = 0;
        for some in due.chunks(MERGED_AT_ONCE) {
            // Few at a time, so that nobody waits for long to write.
            merged += self.merge_some(&mut self.writer.lock(), some)?;
        }
        let mut writer = self.writer.lock();
        let counters = writer.counters;
        if writer.has_graves() {
            let metastores = self.current.load().metastores.clone();
            self.commit(&mut writer, Stage::new(), counters, metastores)?;
        }
        Ok(merged)
    }

    fn merge_some(&self, writer: &mut Writer, addresses: &[Address]) -> Result<usize, Fault> {
        let (mut stage, mut counters) = (Stage::new(), writer.counters);
        let mut metastores = self.current.load().metastores.clone();
        // Chunks lie differently afterwards: what was derived from them is of the past.
        let generation = self.current.load().id + 1;
        let mut merged = 0;
        for address in addresses {
            let Some(view) = metastores.iter_mut().find(|view| view.id == address.metastore) else {
                continue;
            };
            let mut outcome = Ok(());
            change_collection(Arc::make_mut(view), *address, generation, |collection| {
                if !collection.deltas.is_empty() {
                    let mut changed = collection.as_ref().clone();
                    outcome = stage.merge(&mut changed, BTreeMap::new(), &self.loader, &mut counters);
                    *collection = Arc::new(changed);
                    merged += 1;
                }
            });
            outcome?;
        }
        if merged != 0 {
            self.commit(writer, stage, counters, metastores)?;
        }
        Ok(merged)
    }

    /// Empties collections that could not be read, and makes their metastores be mirrored again:
    /// position and `mirrored_at` go, and so do the digests of tables whose objects are lost.
    pub(super) fn heal(&self, writer: &mut Writer) -> Result<(), Fault> {
        let damaged = self.loader.take_damaged();
        if damaged.is_empty() {
            return Ok(());
        }
        let mut stage = Stage::new();
        let mut metastores = self.current.load().metastores.clone();
        let generation = self.current.load().id + 1;
        let mut counters = writer.counters;
        let now = self.clock().now_micros();
        let mut lost = HashSet::new();
        for address in damaged {
            let Some(view) = metastores.iter_mut().find(|view| view.id == address.metastore) else {
                continue;
            };
            let view = Arc::make_mut(view);
            view.position = None;
            view.mirrored_at = None;
            lost.insert(view.id);
            stage.batch.put(&keys::of_metastore(Record::Metastore, view.id), &record::metastore(view));
            change_collection(view, address, generation, |collection| {
                stage.discard(collection);
                *collection = Collection::empty(address);
            });
            forget_what_is_lost(view, address, generation, &mut stage);
            // A first mirror that was interrupted has to read again what it had read.
            let batch = &mut stage.batch;
            let mut desk = Desk { metastore: view.id, now, counters: &mut counters, batch };
            view.ledger.forget_done(&mut desk);
            tracing::warn!(metastore = %view.name, "damaged objects removed; mirroring again");
        }
        self.commit(writer, stage, counters, metastores)?;
        writer.lost.extend(lost);
        Ok(())
    }
}

/// Changes the collection of this address, wherever it is. Chunks of partitions are kept by
/// readers under the table's generation and their place, so that one moves on with any change.
fn change_collection(
    view: &mut MetastoreView,
    address: Address,
    generation: u64,
    change: impl FnOnce(&mut Arc<Collection>),
) {
    if address.kind == Kind::Privileges {
        change(&mut view.privileges);
        return;
    }
    let holds = |database: &DatabaseView| match address.kind {
        Kind::Partitions => database.tables.iter().any(|table| table.id == address.table),
        _ => database.id == address.database,
    };
    for catalog in &mut view.catalogs {
        let Some(index) = catalog.databases.iter().position(|database| holds(database)) else { continue };
        let database = Arc::make_mut(&mut Arc::make_mut(catalog).databases[index]);
        match address.kind {
            Kind::Partitions => {
                if let Some(table) = database.tables.iter_mut().find(|table| table.id == address.table) {
                    let table = Arc::make_mut(table);
                    table.partitions_generation = generation;
                    change(&mut table.partitions);
                }
            }
            Kind::Functions => change(&mut database.functions),
            Kind::Details => change(&mut database.details),
            Kind::Tables | Kind::Privileges => change(&mut database.table_items),
        }
        return;
    }
}

/// Makes sums, digests and generations fit a collection that was emptied.
fn forget_what_is_lost(view: &mut MetastoreView, address: Address, generation: u64, stage: &mut Stage) {
    if address.kind == Kind::Privileges {
        view.privileges_generation = generation;
        return;
    }
    let metastore = view.id;
    for catalog in &mut view.catalogs {
        let catalog = Arc::make_mut(catalog);
        for database in &mut catalog.databases {
            let is_it = match address.kind {
                Kind::Partitions => database.tables.iter().any(|table| table.id == address.table),
                _ => database.id == address.database,
            };
            if !is_it {
                continue;
            }
            let database = Arc::make_mut(database);
            database.generation = generation;
            match address.kind {
                Kind::Functions => database.functions_generation = generation,
                Kind::Details => database.details_generation = generation,
                Kind::Tables => {
                    database.tables_generation = generation;
                    for table in &mut database.tables {
                        let table = Arc::make_mut(table);
                        table.digests = Digests::default();
                        table.generation = generation;
                        let key = keys::table(metastore, catalog.id, database.id, table.id);
                        stage.batch.put(&key, &record::table(table));
                    }
                }
                Kind::Partitions | Kind::Privileges => {
                    for table in database.tables.iter_mut().filter(|table| table.id == address.table) {
                        let table = Arc::make_mut(table);
                        table.partitions_digest = 0;
                        table.totals = super::apply::totals_of_table(table);
                    }
                }
            }
            let mut totals = Totals::default();
            database.tables.iter().for_each(|table| totals.add(&table.totals));
            database.totals = totals;
        }
    }
}
