//! Tables, views and their details.

use std::sync::Arc;

use super::{FOUND_CHANGED, FOUND_DROPPED, FOUND_NEW, Place, Work};
use crate::fault::Fault;
use crate::mirror::digest;
use crate::model::{DatabaseName, Item, Table, TableDetails, TableId, TableName};
use crate::snapshot::{DroppedTable, TableView};
use crate::store::collection::{Address, Collection, Kind};
use crate::store::entry::Entry;
use crate::store::head::{head, own_totals};
use crate::store::{keys, record};

impl Work<'_> {
    pub(super) fn put_table(&mut self, name: &TableName, item: Item<Table>) {
        let Some(database) = self.peek_database(&name.database) else { return };
        let (items, known) = (database.table_items.address, database.table(&name.table).cloned());
        let digests = digest::table(&item.value);
        let (stamp, now, id) = (self.origin.stamp, self.now, self.id);
        self.dirty.tables.insert(name.clone());
        if known.as_ref().is_some_and(|known| known.digests == digests) {
            if let Some(view) = self.table(name) {
                view.stamp = stamp;
            }
            self.applied.unchanged_count += 1;
            return;
        }
        let head = head(&item.value, self.interner);
        let table_id = match known {
            Some(known) => {
                if let Some(view) = self.table(name) {
                    view.head = head;
                    view.stamp = stamp;
                    view.changed_at = now;
                    view.digests = digests;
                    view.generation = id;
                    view.totals = totals(view);
                }
                self.applied.altered_count += 1;
                self.found(FOUND_CHANGED, &name.database, Some(&name.table), 0);
                known.id
            }
            None => {
                let table_id = TableId(self.counters.take_table());
                let address = Address { kind: Kind::Partitions, table: table_id, ..items };
                let mut view = TableView {
                    id: table_id,
                    name: name.table.as_str().into(),
                    head,
                    stamp,
                    changed_at: now,
                    digests,
                    partitions_digest: 0,
                    generation: id,
                    partitions_generation: id,
                    totals: Default::default(),
                    partitions: Collection::empty(address),
                };
                view.totals = totals(&view);
                self.insert_table(&name.database, view);
                self.applied.created_count += 1;
                self.found(FOUND_NEW, &name.database, Some(&name.table), 0);
                table_id
            }
        };
        self.resum(&name.database);
        if let Some(database) = self.database(&name.database) {
            database.tables_generation = id;
        }
        let entry = Entry::plain(item.raw, stamp);
        self.pend(
            items,
            || Place::Database(name.database.clone()),
            &keys::item_of_table(table_id),
            Some(entry),
        );
    }

    pub(super) fn drop_table(&mut self, name: &TableName) {
        let Some(database) = self.peek_database(&name.database) else { return };
        let Some(table) = database.table(&name.table).cloned() else { return };
        let (items, details) = (database.table_items.address, database.details.clone());
        self.forget_table(&name.database, &table);
        let key = keys::item_of_table(table.id);
        self.pend(items, || Place::Database(name.database.clone()), &key, None);
        let id = self.id;
        // Details of a table are one item; whether it had any is not worth a look into the store.
        self.pend(details.address, || Place::Database(name.database.clone()), &key, None);
        if let Some(database) = self.database(&name.database) {
            database.tables.retain(|t| t.id != table.id);
            database.tables_generation = id;
            database.details_generation = id;
        }
        self.resum(&name.database);
    }

    /// What dropping a table and dropping its database have in common.
    pub(super) fn forget_table(&mut self, database: &DatabaseName, table: &Arc<TableView>) {
        self.dropped_tables.push(DroppedTable {
            catalog_name: database.catalog.clone(),
            database_name: database.database.clone(),
            table_name: table.name.to_string(),
            id: table.id,
            head: table.head.clone(),
            totals: table.totals,
            deleted_at: self.now,
            stamp: self.origin.stamp,
        });
        self.discard(&table.partitions);
        self.remove_table_record(database, table);
        self.dirty.tables.remove(&database.table(table.name.as_ref()));
        self.applied.dropped_count += 1 + table.totals.partition_count;
        self.found(FOUND_DROPPED, database, Some(&table.name), 0);
    }

    fn remove_table_record(&mut self, database: &DatabaseName, table: &TableView) {
        let metastore = self.view.id;
        let key = self.view.catalogs.iter().find(|c| c.name.as_ref() == database.catalog).and_then(|c| {
            let database = self.peek_database(database)?;
            Some(keys::table(metastore, c.id, database.id, table.id))
        });
        self.dirty.removed.extend(key);
    }

    pub(super) fn rename_table(&mut self, from: &TableName, to: &TableName) -> Result<(), Fault> {
        if from == to || self.peek_database(&to.database).is_none() {
            return Ok(());
        }
        let Some(table) = self.peek_table(from).cloned() else { return Ok(()) };
        self.drop_table(to);
        let (now, id) = (self.now, self.id);
        if from.database != to.database {
            self.move_items(from, to, table.id)?;
        }
        self.remove_table_record(&from.database, &table);
        self.dirty.tables.remove(from);
        if let Some(pending) = self.pending.get_mut(&table.partitions.address) {
            pending.place = Place::Table(to.clone());
        }
        if let Some(database) = self.database(&from.database) {
            database.tables.retain(|t| t.id != table.id);
            database.tables_generation = id;
        }
        let mut view = table.as_ref().clone();
        view.name = to.table.as_str().into();
        view.changed_at = now;
        view.generation = id;
        self.insert_table(&to.database, view);
        if let Some(database) = self.database(&to.database) {
            database.tables_generation = id;
        }
        self.dirty.tables.insert(to.clone());
        self.resum(&from.database);
        self.resum(&to.database);
        self.applied.altered_count += 1;
        self.found(FOUND_CHANGED, &to.database, Some(&to.table), 0);
        Ok(())
    }

    /// Carries object and details of a table over to another database; its partitions stay where
    /// they are.
    fn move_items(&mut self, from: &TableName, to: &TableName, table: TableId) -> Result<(), Fault> {
        let (Some(old), Some(new)) = (self.peek_database(&from.database), self.peek_database(&to.database))
        else {
            return Ok(());
        };
        let key = keys::item_of_table(table);
        let pairs =
            [(old.table_items.clone(), new.table_items.address), (old.details.clone(), new.details.address)];
        for (old, new) in pairs {
            let waiting =
                self.pending.get(&old.address).and_then(|pending| pending.items.get(&*key)).cloned();
            let entry = match waiting {
                Some(entry) => entry,
                None => self.loader.entry(&old, &key)?,
            };
            if entry.is_some() {
                self.pend(old.address, || Place::Database(from.database.clone()), &key, None);
                self.pend(new, || Place::Database(to.database.clone()), &key, entry);
            }
        }
        let id = self.id;
        for name in [&from.database, &to.database] {
            if let Some(database) = self.database(name) {
                database.details_generation = id;
            }
        }
        Ok(())
    }

    fn insert_table(&mut self, name: &DatabaseName, view: TableView) {
        if let Some(database) = self.database(name) {
            let index = database.tables.partition_point(|t| t.name < view.name);
            database.tables.insert(index, Arc::new(view));
        }
    }

    pub(super) fn set_details(&mut self, name: &TableName, details: TableDetails) -> Result<(), Fault> {
        let Some(database) = self.peek_database(&name.database) else { return Ok(()) };
        let Some(table) = database.table(&name.table) else { return Ok(()) };
        let (collection, key) = (database.details.clone(), keys::item_of_table(table.id));
        let is_empty = details.constraints.is_empty() && details.column_statistics.is_empty();
        let entry = Entry::plain(record::details(&details).into(), self.origin.stamp);
        let place = || Place::Database(name.database.clone());
        self.ask(&collection, place, std::iter::once(&*key))?;
        match self.digest_of(&collection, &key) {
            None if is_empty => {
                self.applied.unchanged_count += 1;
                return Ok(());
            }
            Some(known) if known == entry.hot.digests.full => {
                self.applied.unchanged_count += 1;
                self.pend_stamp(collection.address, || Place::Database(name.database.clone()), &key);
                return Ok(());
            }
            None => self.applied.created_count += 1,
            Some(_) if is_empty => self.applied.dropped_count += 1,
            Some(_) => self.applied.altered_count += 1,
        }
        self.pend(
            collection.address,
            || Place::Database(name.database.clone()),
            &key,
            Some(entry).filter(|_| !is_empty),
        );
        let id = self.id;
        if let Some(database) = self.database(&name.database) {
            database.details_generation = id;
        }
        let is_told = self.applied.found.iter().rev().take(8).any(|found| {
            found.database == name.database && found.table_name.as_deref() == Some(name.table.as_str())
        });
        if !is_told {
            self.found(FOUND_CHANGED, &name.database, Some(&name.table), 0);
        }
        Ok(())
    }
}

/// Totals of a table: over its partitions, or over itself when it has no partition keys.
pub(crate) fn totals(view: &TableView) -> crate::snapshot::Totals {
    if view.head.partition_keys.is_empty() && view.partitions.sums.count == 0 {
        own_totals(&view.head)
    } else {
        view.partitions.sums.totals()
    }
}
