//! Loads what snapshots leave in the store.

use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::collection::{Address, Collection, Placed};
use super::delta::{self, Delta};
use super::entry::{Entry, Hot};
use super::segment::{self, HotBlock, Known};
use super::tree::Unsealed;
use super::trees::Trees;
use super::{keys, record};
use crate::change::Stamp;
use crate::fault::{Code, Fault};
use crate::model::*;
use crate::ports::Decoder;
use crate::snapshot::*;

/// Loads what snapshots leave in the store.
pub struct Loader {
    pub(super) decoder: Arc<dyn Decoder>,
    trees: Arc<Trees>,
    /// Collections that could not be read: the writer empties them and has them mirrored again.
    damaged: Mutex<Vec<Address>>,
}

impl Loader {
    pub(super) fn new(trees: Arc<Trees>, decoder: Arc<dyn Decoder>) -> Self {
        Self { decoder, trees, damaged: Mutex::default() }
    }

    /// Collections that could not be read since the last call.
    pub(super) fn take_damaged(&self) -> Vec<Address> {
        std::mem::take(&mut self.damaged.lock())
    }

    /// Notes where a load failed because of damage.
    fn noted<T>(&self, address: Address, result: Result<T, Fault>) -> Result<T, Fault> {
        if let Err(Fault { code: Code::STORE_DAMAGED, .. }) = &result {
            let mut damaged = self.damaged.lock();
            if !damaged.contains(&address) {
                damaged.push(address);
            }
        }
        result
    }

    fn part(&self, key: &[u8], is_gone: impl Fn() -> bool) -> Result<Unsealed, Fault> {
        match self.trees.current().get(key)? {
            Some(record) => Ok(record),
            None if is_gone() => Err(Fault::new(
                Code::STORE_IO,
                "store: load a segment",
                "it was rewritten and removed since this statement began",
            )
            .with_fix("Run the statement again.")),
            None => Err(Fault::new(Code::STORE_DAMAGED, "store: load a segment", "its record is missing")),
        }
    }

    fn hot_block(&self, placed: &Placed) -> Result<HotBlock, Fault> {
        let segment = &placed.segment;
        let read = || {
            let mut block = segment::read_hot(&self.part(&segment.hot_key(), || segment.is_gone())?)?;
            if block.columns.names.len() as u64 != segment.sums.count {
                return Err(Fault::new(
                    Code::STORE_DAMAGED,
                    "store: load a segment",
                    "it has another number of items than its summary says",
                ));
            }
            for run in placed.stamps.iter() {
                let length = block.columns.stamps.len();
                let range = (run.begin as usize).min(length)..(run.end as usize).min(length);
                if range.start < range.end {
                    block.columns.stamps[range].fill(run.stamp);
                }
            }
            Ok(block)
        };
        self.noted(segment.address, read())
    }

    fn raws(&self, placed: &Placed) -> Result<Vec<Bytes>, Fault> {
        let segment = &placed.segment;
        let read = || {
            let raws = segment::read_raw(&self.part(&segment.raw_key(), || segment.is_gone())?)?;
            if raws.len() as u64 == segment.sums.count {
                return Ok(raws);
            }
            let why = "it has another number of items than its summary says";
            Err(Fault::new(Code::STORE_DAMAGED, "store: load a segment", why))
        };
        self.noted(segment.address, read())
    }

    fn rows(&self, delta: &Delta) -> Result<Vec<delta::Row>, Fault> {
        let read = || delta::read(&self.part(&delta.key(), || delta.is_gone())?);
        self.noted(delta.address, read())
    }

    /// What the segments of a collection know of items, changed items left out. `names` are in
    /// order; each segment is read once.
    pub(super) fn find(
        &self,
        collection: &Collection,
        names: &[&str],
    ) -> Result<Vec<Option<(usize, Known)>>, Fault> {
        let mut found = vec![None; names.len()];
        let mut begin = 0;
        while begin < names.len() {
            let Some(at) = collection.segment_of(names[begin]) else { break };
            let placed = &collection.segments[at];
            let next = collection.segments.get(at + 1).map(|next| &*next.segment.name_min);
            let end = begin + names[begin..].partition_point(|name| next.is_none_or(|next| *name < next));
            let segment = &placed.segment;
            let is_in = |name: &&str| *segment.name_min <= **name && **name <= *segment.name_max;
            if names[begin..end].iter().any(is_in) {
                let read = || {
                    segment::find(&self.part(&segment.hot_key(), || segment.is_gone())?, &names[begin..end])
                };
                let known = self.noted(segment.address, read())?;
                for (place, known) in found[begin..end].iter_mut().zip(known) {
                    *place = known.map(|known| (at, known));
                }
            }
            begin = end;
        }
        Ok(found)
    }

    /// A whole item.
    pub(super) fn entry(&self, collection: &Collection, name: &str) -> Result<Option<Entry>, Fault> {
        if let Some(changed) = collection.changes.get(name) {
            let Some(hot) = changed.hot.clone() else { return Ok(None) };
            let row = self.rows(&changed.delta)?.into_iter().nth(changed.index);
            let raw = row.and_then(|row| row.entry).map(|entry| entry.raw);
            return Ok(raw.map(|raw| Entry { hot, raw }));
        }
        let Some(index) = collection.segment_of(name) else { return Ok(None) };
        let placed = &collection.segments[index];
        let block = self.hot_block(placed)?;
        let Ok(at) = block.columns.names.binary_search_by(|known| known.as_ref().cmp(name)) else {
            return Ok(None);
        };
        // A copy, so that one item does not hold on to the bytes of its neighbours.
        let raw = Bytes::copy_from_slice(&self.raws(placed)?[at]);
        Ok(Some(Entry { hot: block.hot(at), raw }))
    }

    /// All items of a segment, changed items left out.
    pub(super) fn segment_entries(&self, placed: &Placed) -> Result<Vec<(Box<str>, Entry)>, Fault> {
        let block = self.hot_block(placed)?;
        let raws = self.raws(placed)?;
        let hots: Vec<Hot> = (0..raws.len()).map(|at| block.hot(at)).collect();
        let entries = hots.into_iter().zip(raws).map(|(hot, raw)| Entry { hot, raw });
        Ok(block.columns.names.into_iter().zip(entries).collect())
    }

    /// Whole changed items; `None` for those that were removed.
    pub(super) fn changed_entries<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Arc<str>, &'a Arc<delta::Changed>)>,
    ) -> Result<BTreeMap<Box<str>, Option<Entry>>, Fault> {
        let mut records: HashMap<u64, Vec<delta::Row>> = HashMap::new();
        let mut entries = BTreeMap::new();
        for (name, changed) in changes {
            let Some(hot) = changed.hot.clone() else {
                entries.insert(name.as_ref().into(), None);
                continue;
            };
            let rows = match records.entry(changed.delta.number) {
                hash_map::Entry::Occupied(rows) => rows.into_mut(),
                hash_map::Entry::Vacant(place) => place.insert(self.rows(&changed.delta)?),
            };
            let Some(entry) = rows.get(changed.index).and_then(|row| row.entry.as_ref()) else {
                let fault = Fault::new(Code::STORE_DAMAGED, "store: load a delta", "an item is missing");
                return self.noted(changed.delta.address, Err(fault));
            };
            entries.insert(name.as_ref().into(), Some(Entry { hot, raw: entry.raw.clone() }));
        }
        Ok(entries)
    }

    /// Whole items of one chunk.
    fn chunk_entries(&self, collection: &Collection, index: usize) -> Result<Vec<(Box<str>, Entry)>, Fault> {
        let changes = self.changed_entries(collection.changes_of(index))?;
        let base = match collection.segments.get(index) {
            Some(placed) => self.segment_entries(placed)?,
            None => Vec::new(),
        };
        Ok(lay_over(base, changes))
    }

    /// All items of a collection.
    pub(super) fn entries(&self, collection: &Collection) -> Result<Vec<(Box<str>, Entry)>, Fault> {
        let mut entries = Vec::new();
        for index in 0..collection.chunk_count() {
            entries.extend(self.chunk_entries(collection, index)?);
        }
        Ok(entries)
    }

    pub(crate) fn tables(&self, database: &DatabaseView) -> Result<Vec<(TableId, Item<Table>)>, Fault> {
        let mut raws: HashMap<Box<str>, Bytes> =
            self.entries(&database.table_items)?.into_iter().map(|(key, entry)| (key, entry.raw)).collect();
        database
            .tables
            .iter()
            .map(|table| {
                let raw = raws.remove(&keys::item_of_table(table.id));
                let raw = raw.ok_or_else(|| self.missing(database, table))?;
                Ok((table.id, self.decoded(Decoder::table, raw)?))
            })
            .collect()
    }

    pub(crate) fn table(&self, database: &DatabaseView, table: &TableView) -> Result<Item<Table>, Fault> {
        let entry = self.entry(&database.table_items, &keys::item_of_table(table.id))?;
        let raw = entry.ok_or_else(|| self.missing(database, table))?.raw;
        self.decoded(Decoder::table, raw)
    }

    fn missing(&self, database: &DatabaseView, table: &TableView) -> Fault {
        Fault::new(
            Code::STORE_DAMAGED,
            format!("store: load table {}.{}", database.name, table.name),
            "its record was damaged; it is being mirrored again",
        )
    }

    fn decoded<T>(
        &self,
        decode: impl Fn(&(dyn Decoder + 'static), &[u8]) -> Result<T, Fault>,
        raw: Bytes,
    ) -> Result<Item<T>, Fault> {
        Ok(Item { value: decode(self.decoder.as_ref(), &raw)?, raw })
    }

    pub(crate) fn chunk_summaries(&self, table: &TableView) -> Vec<ChunkSummary> {
        let collection = &table.partitions;
        (0..collection.chunk_count()).map(|index| chunk_summary(collection, index)).collect()
    }

    pub(crate) fn chunk(&self, table: &TableView, index: usize) -> Result<PartitionChunk, Fault> {
        let collection = &table.partitions;
        let base = match collection.segments.get(index) {
            Some(placed) => self.hot_block(placed)?.columns,
            None => PartitionChunk::default(),
        };
        let changes: Vec<_> = collection.changes_of(index).collect();
        Ok(if changes.is_empty() { base } else { lay_over_columns(base, &changes) })
    }

    pub(crate) fn partitions(
        &self,
        table: &TableView,
        index: usize,
    ) -> Result<Vec<(String, Item<Partition>)>, Fault> {
        self.chunk_entries(&table.partitions, index)?
            .into_iter()
            .map(|(name, Entry { raw, .. })| Ok((name.into(), self.decoded(Decoder::partition, raw)?)))
            .collect()
    }

    pub(crate) fn functions(&self, database: &DatabaseView) -> Result<Vec<(Item<Function>, Stamp)>, Fault> {
        self.entries(&database.functions)?
            .into_iter()
            .map(|(_, Entry { hot, raw })| Ok((self.decoded(Decoder::function, raw)?, hot.stamp)))
            .collect()
    }

    pub(crate) fn details(
        &self,
        database: &DatabaseView,
    ) -> Result<Vec<(TableId, TableDetails, Stamp)>, Fault> {
        self.entries(&database.details)?
            .into_iter()
            .filter_map(|(key, entry)| Some((keys::table_of_item(&key)?, entry)))
            .map(|(table, Entry { hot, raw })| {
                Ok((table, record::read_details(&raw, self.decoder.as_ref())?, hot.stamp))
            })
            .collect()
    }

    pub(crate) fn privileges(
        &self,
        metastore: &MetastoreView,
    ) -> Result<Vec<(Item<Privilege>, Stamp)>, Fault> {
        self.entries(&metastore.privileges)?
            .into_iter()
            .map(|(_, Entry { hot, raw })| Ok((self.decoded(Decoder::privilege, raw)?, hot.stamp)))
            .collect()
    }
}

/// Items with changed ones in their places.
pub(super) fn lay_over(
    base: Vec<(Box<str>, Entry)>,
    changes: BTreeMap<Box<str>, Option<Entry>>,
) -> Vec<(Box<str>, Entry)> {
    let mut merged = Vec::with_capacity(base.len() + changes.len());
    let mut changes = changes.into_iter().peekable();
    for (name, entry) in base {
        while let Some((changed, item)) = changes.next_if(|(changed, _)| *changed < name) {
            merged.extend(item.map(|item| (changed, item)));
        }
        match changes.next_if(|(changed, _)| *changed == name) {
            Some((_, item)) => merged.extend(item.map(|item| (name, item))),
            None => merged.push((name, entry)),
        }
    }
    for (name, item) in changes {
        merged.extend(item.map(|item| (name, item)));
    }
    merged
}

fn lay_over_columns(base: PartitionChunk, changes: &[(&Arc<str>, &Arc<delta::Changed>)]) -> PartitionChunk {
    let mut merged = PartitionChunk::default();
    let mut changes = changes.iter().peekable();
    let push = |merged: &mut PartitionChunk, name: &Arc<str>, hot: &Option<Hot>| {
        let Some(hot) = hot else { return };
        merged.names.push(name.as_ref().into());
        merged.locations.push(hot.location.clone());
        merged.create_times.push(hot.create_time);
        merged.last_ddl_times.push(hot.last_ddl_time);
        merged.row_counts.push(hot.row_count);
        merged.total_size_bytes.push(hot.total_size_bytes);
        merged.file_counts.push(hot.file_count);
        merged.stamps.push(hot.stamp);
    };
    let mut locations = base.locations;
    for (index, name) in base.names.into_iter().enumerate() {
        while let Some((changed, item)) = changes.next_if(|(changed, _)| ***changed < *name) {
            push(&mut merged, changed, &item.hot);
        }
        match changes.next_if(|(changed, _)| ***changed == *name) {
            Some((changed, item)) => push(&mut merged, changed, &item.hot),
            None => {
                merged.names.push(name);
                merged.locations.push(locations[index].take());
                merged.create_times.push(base.create_times[index]);
                merged.last_ddl_times.push(base.last_ddl_times[index]);
                merged.row_counts.push(base.row_counts[index]);
                merged.total_size_bytes.push(base.total_size_bytes[index]);
                merged.file_counts.push(base.file_counts[index]);
                merged.stamps.push(base.stamps[index]);
            }
        }
    }
    for (name, item) in changes {
        push(&mut merged, name, &item.hot);
    }
    merged
}

/// What is known of a chunk. Ranges may be wider than the items: an item that was removed or
/// changed since still counts for them.
fn chunk_summary(collection: &Collection, index: usize) -> ChunkSummary {
    let segment = collection.segments.get(index).map(|placed| &placed.segment);
    let mut sums = segment.map(|segment| segment.sums).unwrap_or_default();
    let mut names = segment.map(|segment| (segment.name_min.clone(), segment.name_max.clone()));
    // `None`: nothing seen yet; `Some(None)`: an item has no location.
    let mut locations = segment.map(|segment| segment.locations.clone());
    for (name, changed) in collection.changes_of(index) {
        changed.lay_over(&mut sums);
        let Some(hot) = &changed.hot else { continue };
        let (min, max) = names.get_or_insert_with(|| (name.as_ref().into(), name.as_ref().into()));
        widen(min, max, name);
        match (&hot.location, &mut locations) {
            (None, _) => locations = Some(None),
            (Some(_), Some(None)) => {}
            (Some(location), Some(Some((min, max)))) => widen(min, max, location),
            (Some(location), None) => locations = Some(Some((location.clone(), location.clone()))),
        }
    }
    let (name_min, name_max) = names.unwrap_or_default();
    ChunkSummary { name_min, name_max, locations: locations.flatten(), totals: sums.totals() }
}

fn widen(min: &mut Box<str>, max: &mut Box<str>, text: &str) {
    if text < min.as_ref() {
        *min = text.into();
    }
    if max.as_ref() < text {
        *max = text.into();
    }
}
