//! Partitions.

use super::{FOUND_CHANGED, FOUND_DROPPED, FOUND_NEW, Place, Work};
use crate::fault::Fault;
use crate::model::{Item, Partition, TableName};
use crate::store::entry::Entry;

impl Work<'_> {
    pub(super) fn put_partitions(
        &mut self,
        name: &TableName,
        items: Vec<(String, Item<Partition>)>,
    ) -> Result<(), Fault> {
        let Some(table) = self.peek_table(name) else { return Ok(()) };
        let collection = table.partitions.clone();
        let (mut created, mut altered) = (0, 0);
        let names = items.iter().map(|(key, _)| key.as_str());
        self.ask(&collection, || Place::Table(name.clone()), names)?;
        for (key, item) in items {
            let entry = Entry::partition(&key, item, self.origin.stamp);
            match self.digest_of(&collection, &key) {
                Some(known) if known == entry.hot.digests.full => {
                    self.applied.unchanged_count += 1;
                    self.pend_stamp(collection.address, || Place::Table(name.clone()), &key);
                    continue;
                }
                Some(_) => altered += 1,
                None => created += 1,
            }
            self.pend(collection.address, || Place::Table(name.clone()), &key, Some(entry));
        }
        self.applied.created_count += created;
        self.applied.altered_count += altered;
        for (what, count) in [(FOUND_NEW, created), (FOUND_CHANGED, altered)] {
            if count != 0 {
                self.found(what, &name.database, Some(&name.table), count);
            }
        }
        self.touch_partitions(name);
        Ok(())
    }

    pub(super) fn drop_partitions(&mut self, name: &TableName, names: Vec<String>) -> Result<(), Fault> {
        let Some(table) = self.peek_table(name) else { return Ok(()) };
        let collection = table.partitions.clone();
        let mut dropped = 0;
        let keys = names.iter().map(String::as_str);
        self.ask(&collection, || Place::Table(name.clone()), keys)?;
        for key in names {
            if self.digest_of(&collection, &key).is_some() {
                self.pend(collection.address, || Place::Table(name.clone()), &key, None);
                dropped += 1;
            }
        }
        if dropped != 0 {
            self.applied.dropped_count += dropped;
            self.found(FOUND_DROPPED, &name.database, Some(&name.table), dropped);
            self.touch_partitions(name);
        }
        Ok(())
    }

    fn touch_partitions(&mut self, name: &TableName) {
        let id = self.id;
        if let Some(table) = self.table(name) {
            table.partitions_generation = id;
        }
        self.resum(&name.database);
    }
}
