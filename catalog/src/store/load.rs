//! Loads what snapshots leave in the store.

use std::sync::Arc;

use super::collection::Collection;
use super::entry::{Entry, Hot};
use super::{keys, record};
use crate::fault::Fault;
use crate::limits::SEGMENT_ITEMS_MAX;
use crate::model::*;
use crate::ports::Decoder;
use crate::snapshot::*;

/// Loads what snapshots leave in the store.
pub struct Loader {
    pub(super) decoder: Arc<dyn Decoder>,
}

impl Loader {
    pub(super) fn lookup(&self, collection: &Collection, key: &str) -> Result<Option<Hot>, Fault> {
        Ok(collection.entries.get(key).map(|entry| entry.hot.clone()))
    }

    pub(super) fn entry(&self, collection: &Collection, key: &str) -> Result<Option<Entry>, Fault> {
        Ok(collection.entries.get(key).cloned())
    }

    pub(super) fn entries(&self, collection: &Collection) -> Result<Vec<(Box<str>, Entry)>, Fault> {
        Ok(collection.entries.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    fn chunk_entries(&self, table: &TableView, index: usize) -> Result<Vec<(Box<str>, Entry)>, Fault> {
        let entries = self.entries(&table.partitions)?;
        Ok(entries.into_iter().skip(index * SEGMENT_ITEMS_MAX).take(SEGMENT_ITEMS_MAX).collect())
    }

    pub(crate) fn tables(&self, database: &DatabaseView) -> Result<Vec<(TableId, Item<Table>)>, Fault> {
        let mut items = std::collections::HashMap::new();
        for (key, entry) in self.entries(&database.table_items)? {
            items.insert(key, entry.raw);
        }
        let mut tables = Vec::with_capacity(database.tables.len());
        for table in &database.tables {
            if let Some(raw) = items.remove(&keys::item_of_table(table.id)) {
                tables.push((table.id, Item { value: self.decoder.table(&raw)?, raw }));
            }
        }
        Ok(tables)
    }

    pub(crate) fn table(&self, database: &DatabaseView, table: &TableView) -> Result<Item<Table>, Fault> {
        let entry = self.entry(&database.table_items, &keys::item_of_table(table.id))?;
        let Some(Entry { raw, .. }) = entry else {
            return Err(Fault::new(
                crate::fault::Code::STORE_DAMAGED,
                format!("store: load table {}.{}", database.name, table.name),
                "it is not in the store",
            ));
        };
        Ok(Item { value: self.decoder.table(&raw)?, raw })
    }

    pub(crate) fn chunk_summaries(&self, table: &TableView) -> Vec<ChunkSummary> {
        let entries: Vec<_> = table.partitions.entries.iter().collect();
        entries
            .chunks(SEGMENT_ITEMS_MAX)
            .map(|chunk| {
                let mut sums = super::entry::Sums::default();
                chunk.iter().for_each(|(_, entry)| sums.add(&entry.hot));
                let locations: Option<Vec<_>> =
                    chunk.iter().map(|(_, entry)| entry.hot.location.clone()).collect();
                let locations =
                    locations.and_then(|list| Some((list.iter().min()?.clone(), list.iter().max()?.clone())));
                ChunkSummary {
                    name_min: chunk[0].0.clone(),
                    name_max: chunk[chunk.len() - 1].0.clone(),
                    locations,
                    totals: sums.totals(),
                }
            })
            .collect()
    }

    pub(crate) fn chunk(&self, table: &TableView, index: usize) -> Result<PartitionChunk, Fault> {
        let mut chunk = PartitionChunk::default();
        for (name, Entry { hot, .. }) in self.chunk_entries(table, index)? {
            chunk.names.push(name);
            chunk.locations.push(hot.location);
            chunk.create_times.push(hot.create_time);
            chunk.last_ddl_times.push(hot.last_ddl_time);
            chunk.row_counts.push(hot.row_count);
            chunk.total_size_bytes.push(hot.total_size_bytes);
            chunk.file_counts.push(hot.file_count);
            chunk.stamps.push(hot.stamp);
        }
        Ok(chunk)
    }

    pub(crate) fn partitions(
        &self,
        table: &TableView,
        index: usize,
    ) -> Result<Vec<(String, Item<Partition>)>, Fault> {
        self.chunk_entries(table, index)?
            .into_iter()
            .map(|(name, Entry { raw, .. })| {
                Ok((name.into(), Item { value: self.decoder.partition(&raw)?, raw }))
            })
            .collect()
    }

    pub(crate) fn functions(&self, database: &DatabaseView) -> Result<Vec<Item<Function>>, Fault> {
        self.entries(&database.functions)?
            .into_iter()
            .map(|(_, Entry { raw, .. })| Ok(Item { value: self.decoder.function(&raw)?, raw }))
            .collect()
    }

    pub(crate) fn details(&self, database: &DatabaseView) -> Result<Vec<(TableId, TableDetails)>, Fault> {
        self.entries(&database.details)?
            .into_iter()
            .filter_map(|(key, Entry { raw, .. })| Some((keys::table_of_item(&key)?, raw)))
            .map(|(table, raw)| Ok((table, record::read_details(&raw, self.decoder.as_ref())?)))
            .collect()
    }

    pub(crate) fn privileges(&self, metastore: &MetastoreView) -> Result<Vec<Item<Privilege>>, Fault> {
        self.entries(&metastore.privileges)?
            .into_iter()
            .map(|(_, Entry { raw, .. })| Ok(Item { value: self.decoder.privilege(&raw)?, raw }))
            .collect()
    }
}
