//! Turns what is pending into deltas and segments, and the changed objects into records.
//!
//! Few changed items become one delta record; many are merged into segments at once, and so is
//! the first content of a collection. Replaced segments and merged deltas are buried: their
//! records go when no reader holds them any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Pending, Work};
use crate::fault::Fault;
use crate::limits::{DELTA_ITEMS_MAX, SEGMENT_BYTES_MAX, SEGMENT_ITEMS_MAX};
use crate::model::DatabaseName;
use crate::store::collection::{Address, Collection, Placed};
use crate::store::delta::{self, Changed, Delta, Row};
use crate::store::entry::Entry;
use crate::store::grave::Buried;
use crate::store::load::{Loader, lay_over};
use crate::store::record::{self, Counters};
use crate::store::tree::Batch;
use crate::store::{keys, segment};

/// Deltas of one collection, before a change merges them itself: usually
/// [`crate::store::Catalog::merge`] was there first.
const DELTAS_MAX: usize = 64;

type Items = BTreeMap<Box<str>, Option<Entry>>;

/// Writes of one change.
pub(crate) struct Stage {
    pub batch: Batch,
    pub buried: Vec<Buried>,
}

impl Stage {
    pub fn new() -> Self {
        Self { batch: Batch::new(), buried: Vec::new() }
    }

    /// Removes a collection with all it holds.
    pub fn discard(&mut self, collection: &Collection) {
        for placed in &collection.segments {
            self.bury_segment(placed);
        }
        self.buried.extend(collection.deltas.iter().cloned().map(Buried::Delta));
    }

    fn bury_segment(&mut self, placed: &Placed) {
        self.batch.remove(&placed.segment.summary_key());
        self.buried.push(Buried::Segment(placed.segment.clone()));
    }

    /// Lays what is pending over a collection.
    fn settle(
        &mut self,
        collection: &mut Collection,
        mut pending: Pending,
        loader: &Loader,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let names: Vec<_> = pending.items.keys().chain(pending.stamps.keys()).cloned().collect();
        pending.ask(collection, loader, names.iter().map(AsRef::as_ref))?;
        self.lay_stamps(collection, &pending);
        if pending.items.is_empty() {
            return Ok(());
        }
        let is_empty = collection.segments.is_empty() && collection.changes.is_empty();
        let is_many = DELTA_ITEMS_MAX < collection.changes.len() + pending.items.len();
        if is_empty || is_many || DELTAS_MAX <= collection.deltas.len() {
            self.merge(collection, pending.items, loader, counters)
        } else {
            self.append(collection, pending, counters)
        }
    }

    fn lay_stamps(&mut self, collection: &mut Collection, pending: &Pending) {
        let mut touched = BTreeSet::new();
        for (name, stamp) in &pending.stamps {
            if let Some(changed) = collection.changes.get_mut(name.as_ref()) {
                if let Some(hot) = &mut Arc::make_mut(changed).hot {
                    hot.stamp = *stamp;
                }
            } else if let Some(Some((index, known))) = pending.known.get(name) {
                let stamps = Arc::make_mut(&mut collection.segments[*index].stamps);
                segment::lay_stamp(stamps, known.index, known.count, *stamp);
                touched.insert(*index);
            }
        }
        for index in touched {
            let Placed { segment, stamps } = &collection.segments[index];
            self.batch.put(&segment.summary_key(), &segment.summary(stamps));
        }
    }

    /// Writes changed items as one delta.
    fn append(
        &mut self,
        collection: &mut Collection,
        pending: Pending,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let mut rows = Vec::with_capacity(pending.items.len());
        for (name, entry) in pending.items {
            let hides = match collection.changes.get(name.as_ref()) {
                Some(changed) => changed.hides,
                None => pending.known.get(&name).copied().flatten().map(|(_, known)| known.hidden),
            };
            rows.push(Row { name, entry, hides });
        }
        let record = delta::write(&rows)?;
        let delta = Arc::new(Delta::new(collection.address, counters.take_part(), record.len() as u64));
        self.batch.put(&delta.key(), &record);
        collection.lay_delta(delta, rows);
        collection.sum_up();
        Ok(())
    }

    /// Merges all changed items, and `items` over them, into the segments.
    pub fn merge(
        &mut self,
        collection: &mut Collection,
        items: Items,
        loader: &Loader,
        counters: &mut Counters,
    ) -> Result<(), Fault> {
        let mut rest = loader.changed_entries(collection.changes.iter())?;
        rest.extend(items);
        let mut segments = Vec::with_capacity(collection.segments.len() + 1);
        let address = collection.address;
        for (index, placed) in collection.segments.iter().enumerate() {
            let mine = match collection.segments.get(index + 1) {
                Some(next) => {
                    let after = rest.split_off(&next.segment.name_min);
                    std::mem::replace(&mut rest, after)
                }
                None => std::mem::take(&mut rest),
            };
            self.merge_segment(placed, mine, loader, counters, &mut segments)?;
        }
        self.write_segments(address, lay_over(Vec::new(), rest), counters, &mut segments)?;
        self.buried.extend(collection.deltas.drain(..).map(Buried::Delta));
        collection.changes.clear();
        collection.segments = segments;
        collection.sum_up();
        Ok(())
    }

    fn merge_segment(
        &mut self,
        placed: &Placed,
        mut mine: Items,
        loader: &Loader,
        counters: &mut Counters,
        out: &mut Vec<Placed>,
    ) -> Result<(), Fault> {
        let segment = &placed.segment;
        if mine.is_empty() {
            out.push(placed.clone());
            return Ok(());
        }
        // Many items beside the segment become segments of their own without reading it.
        let room =
            SEGMENT_ITEMS_MAX.saturating_sub(usize::try_from(segment.sums.count).unwrap_or(usize::MAX));
        let is_before = mine.last_key_value().is_some_and(|(name, _)| *name < segment.name_min);
        let is_after = mine.first_key_value().is_some_and(|(name, _)| segment.name_max < *name);
        if (is_before || is_after) && room < mine.len() {
            let entries = lay_over(Vec::new(), std::mem::take(&mut mine));
            if is_after {
                out.push(placed.clone());
            }
            self.write_segments(segment.address, entries, counters, out)?;
            if is_before {
                out.push(placed.clone());
            }
            return Ok(());
        }
        let entries = lay_over(loader.segment_entries(placed)?, mine);
        self.bury_segment(placed);
        self.write_segments(segment.address, entries, counters, out)
    }

    fn write_segments(
        &mut self,
        address: Address,
        entries: Vec<(Box<str>, Entry)>,
        counters: &mut Counters,
        out: &mut Vec<Placed>,
    ) -> Result<(), Fault> {
        let pieces = entries.len().div_ceil(SEGMENT_ITEMS_MAX).max(1);
        let length_max = entries.len().div_ceil(pieces);
        let mut rest = entries.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let mut length = rest.len().min(length_max);
            for (index, (_, entry)) in rest[..length].iter().enumerate() {
                bytes += entry.raw.len();
                if SEGMENT_BYTES_MAX < bytes && index != 0 {
                    length = index;
                    break;
                }
            }
            let (piece, after) = rest.split_at(length);
            rest = after;
            let written = segment::write(address, counters.take_part(), piece)?;
            let segment = written.segment;
            self.batch.put(&segment.hot_key(), &written.hot);
            self.batch.put(&segment.raw_key(), &written.raw);
            self.batch.put(&segment.summary_key(), &segment.summary(&[]));
            out.push(Placed::new(segment));
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Lays what is pending over the collections and stages all records.
    pub fn finish(&mut self, stage: &mut Stage) -> Result<(), Fault> {
        for (address, pending) in std::mem::take(&mut self.pending) {
            let (loader, mut counters, place) = (self.loader, self.counters, pending.place.clone());
            if let Some(collection) = self.collection(&place, address.kind) {
                let mut changed = collection.as_ref().clone();
                stage.settle(&mut changed, pending, loader, &mut counters)?;
                *collection = Arc::new(changed);
            }
            self.counters = counters;
            self.settle(&place);
        }
        for collection in std::mem::take(&mut self.discarded) {
            stage.discard(&collection);
        }
        self.sum_up();
        let dirty = std::mem::take(&mut self.dirty);
        for key in &dirty.removed {
            stage.batch.remove(key);
        }
        let view = self.view.clone();
        if dirty.metastore {
            let key = keys::of_metastore(keys::Record::Metastore, view.id);
            stage.batch.put(&key, &record::metastore(&view));
        }
        let catalog_id = |name: &str| view.catalogs.iter().find(|c| c.name.as_ref() == name);
        for catalog in dirty.catalogs.iter().filter_map(|name| catalog_id(name)) {
            stage.batch.put(&keys::catalog(view.id, catalog.id), &record::catalog(catalog));
        }
        let database = |name: &DatabaseName| {
            Some((catalog_id(&name.catalog)?, view.database(&name.catalog, &name.database)?))
        };
        for (catalog, database) in dirty.databases.iter().filter_map(database) {
            let key = keys::database(view.id, catalog.id, database.id);
            stage.batch.put(&key, &record::database(database));
        }
        for name in &dirty.tables {
            let Some((catalog, database)) = database(&name.database) else { continue };
            let Some(table) = database.table(&name.table) else { continue };
            let key = keys::table(view.id, catalog.id, database.id, table.id);
            stage.batch.put(&key, &record::table(table));
        }
        Ok(())
    }
}

impl Collection {
    /// Lays the items of a delta over the others.
    pub fn lay_delta(&mut self, delta: Arc<Delta>, rows: Vec<Row>) {
        for (index, row) in rows.into_iter().enumerate() {
            if row.entry.is_none() && row.hides.is_none() {
                self.changes.remove(row.name.as_ref());
                continue;
            }
            let hot = row.entry.map(|entry| entry.hot);
            let changed = Changed { hot, hides: row.hides, delta: delta.clone(), index };
            self.changes.insert(row.name.into(), Arc::new(changed));
        }
        self.deltas.push(delta);
    }
}
