//! Applies a list of changes to a working copy of the current view.
//!
//! Invariants: the published snapshot is never touched (every level is copied when it is first
//! written to, `Arc::make_mut`); nothing becomes visible before its batch is in the store; items
//! of collections are gathered in `pending` and become deltas or segments at the end.

mod database;
mod finish;
mod partition;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::collection::{Address, Collection, Kind};
use super::entry::{Entry, Hot};
use super::head::Interner;
use super::load::Loader;
use super::record::Counters;
use super::segment::Known;
use crate::change::{Applied, Change, Found, Origin, Stamp};
use crate::fault::Fault;
use crate::model::{DatabaseName, TableName};
use crate::snapshot::{CatalogView, DatabaseView, DroppedTable, MetastoreView, TableView, Totals};

pub(crate) use finish::Stage;
pub(crate) use table::totals as totals_of_table;

pub(crate) const FOUND_NEW: &str = "FOUND_NEW";
pub(crate) const FOUND_CHANGED: &str = "FOUND_CHANGED";
pub(crate) const FOUND_DROPPED: &str = "FOUND_DROPPED";

/// Whose collection it is, by the name at the end of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Metastore,
    Database(DatabaseName),
    Table(TableName),
}

/// What is to become of the items of one collection.
pub(crate) struct Pending {
    pub place: Place,
    /// Written, or (`None`) removed.
    pub items: BTreeMap<Box<str>, Option<Entry>>,
    /// Read again and found equal.
    pub stamps: BTreeMap<Box<str>, Stamp>,
    /// What the segments know of items that were asked for: place of the segment, and the item.
    pub known: BTreeMap<Box<str>, Option<(usize, Known)>>,
}

impl Pending {
    /// Asks the segments for what is not known of these items yet.
    pub fn ask<'n>(
        &mut self,
        collection: &Collection,
        loader: &Loader,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), Fault> {
        if collection.segments.is_empty() {
            return Ok(());
        }
        let is_new = |name: &&str| !self.known.contains_key(*name) && !collection.changes.contains_key(*name);
        let mut names: Vec<&str> = names.filter(is_new).collect();
        names.sort_unstable();
        names.dedup();
        let found = loader.find(collection, &names)?;
        self.known.extend(names.into_iter().map(Box::from).zip(found));
        Ok(())
    }
}

/// The working copy.
pub(crate) struct Work<'a> {
    pub loader: &'a Loader,
    pub interner: &'a mut Interner,
    pub origin: Origin,
    pub now: i64,
    /// Number of the snapshot that this will be; generations of what changes become it.
    pub id: u64,
    pub view: Arc<MetastoreView>,
    pub counters: Counters,
    pub pending: BTreeMap<Address, Pending>,
    /// Collections that are gone with the object that they belonged to.
    pub discarded: Vec<Arc<Collection>>,
    /// Small records to write, by name of the object.
    pub dirty: Dirty,
    pub dropped_tables: Vec<DroppedTable>,
    /// Databases whose totals are to be summed up again.
    pub resum: BTreeSet<(String, String)>,
    pub applied: Applied,
}

/// Objects whose record is to be written or removed.
#[derive(Default)]
pub(crate) struct Dirty {
    pub metastore: bool,
    pub catalogs: BTreeSet<String>,
    pub databases: BTreeSet<DatabaseName>,
    pub tables: BTreeSet<TableName>,
    /// Keys of records that go.
    pub removed: Vec<Vec<u8>>,
}

impl Work<'_> {
    /// Applies one change. Changes to bookkeeping are not for here and are passed over.
    pub fn apply(&mut self, change: Change) -> Result<(), Fault> {
        match change {
            Change::PutCatalog(item) => self.put_catalog(item),
            Change::DropCatalog(name) => self.drop_catalog(&name),
            Change::PutDatabase(name, item) => self.put_database(&name, item),
            Change::DropDatabase(name) => self.drop_database(&name),
            Change::PutTable(name, item) => self.put_table(&name, item),
            Change::RenameTable { from, to } => return self.rename_table(&from, &to),
            Change::DropTable(name) => self.drop_table(&name),
            Change::PutPartitions(name, items) => return self.put_partitions(&name, items),
            Change::DropPartitions(name, names) => return self.drop_partitions(&name, names),
            Change::SetFunctions(name, items, kept) => return self.set_functions(&name, items, &kept),
            Change::SetTableDetails(name, details) => return self.set_details(&name, details),
            Change::SetPrivileges(items) => return self.set_privileges(items),
            Change::SetPosition(event_id) => {
                self.metastore().position = Some(event_id);
                self.dirty.metastore = true;
            }
            Change::ClearPosition => {
                self.metastore().position = None;
                self.dirty.metastore = true;
            }
            Change::PutRun(run) if run.state == "done" || run.state == "partial" => {
                if self.view.mirrored_at.is_none() {
                    let at = run.finished_at.unwrap_or(self.now);
                    self.metastore().mirrored_at = Some(at);
                    self.dirty.metastore = true;
                }
            }
            Change::MarkDatabaseDone(..)
            | Change::PutRun(_)
            | Change::AddEvents(_)
            | Change::AddErrors(_)
            | Change::ClearErrors(..)
            | Change::ClearErrorsOf(..)
            | Change::SetMissingMethods(_)
            | Change::SetSourceCount(..) => {}
        }
        Ok(())
    }

    /// The collection at a place, to be changed.
    pub fn collection(&mut self, place: &Place, kind: Kind) -> Option<&mut Arc<Collection>> {
        match place {
            Place::Metastore => Some(&mut self.metastore().privileges),
            Place::Database(name) => self.database(name).map(|view| match kind {
                Kind::Functions => &mut view.functions,
                Kind::Details => &mut view.details,
                _ => &mut view.table_items,
            }),
            Place::Table(name) => self.table(name).map(|view| &mut view.partitions),
        }
    }

    /// Makes the sums of a table fit its partitions.
    pub fn settle(&mut self, place: &Place) {
        if let Place::Table(name) = place
            && let Some(view) = self.table(name)
        {
            view.partitions_digest = view.partitions.sums.digest;
            view.totals = table::totals(view);
        }
    }

    /// Sums up the databases that were touched.
    pub fn sum_up(&mut self) {
        for (catalog, database) in std::mem::take(&mut self.resum) {
            if let Some(view) = self.database(&DatabaseName { catalog, database }) {
                let mut totals = Totals::default();
                for table in &view.tables {
                    totals.add(&table.totals);
                }
                view.totals = totals;
            }
        }
    }

    fn metastore(&mut self) -> &mut MetastoreView {
        Arc::make_mut(&mut self.view)
    }

    fn catalog(&mut self, name: &str) -> Option<&mut CatalogView> {
        let view = self.metastore();
        let index = view.catalogs.binary_search_by(|c| c.name.as_ref().cmp(name)).ok()?;
        Some(Arc::make_mut(&mut view.catalogs[index]))
    }

    /// A database to be changed. Its generation rises.
    pub fn database(&mut self, name: &DatabaseName) -> Option<&mut DatabaseView> {
        self.view.database(&name.catalog, &name.database)?;
        let id = self.id;
        let catalog = self.catalog(&name.catalog)?;
        let index =
            catalog.databases.binary_search_by(|d| d.name.as_ref().cmp(name.database.as_str())).ok()?;
        let view = Arc::make_mut(&mut catalog.databases[index]);
        view.generation = id;
        Some(view)
    }

    /// A table to be changed. The generation of its database rises.
    pub fn table(&mut self, name: &TableName) -> Option<&mut TableView> {
        self.peek_table(name)?;
        let database = self.database(&name.database)?;
        let index = database.tables.binary_search_by(|t| t.name.as_ref().cmp(name.table.as_str())).ok()?;
        Some(Arc::make_mut(&mut database.tables[index]))
    }

    fn peek_database(&self, name: &DatabaseName) -> Option<&Arc<DatabaseView>> {
        self.view.database(&name.catalog, &name.database)
    }

    fn peek_table(&self, name: &TableName) -> Option<&Arc<TableView>> {
        self.peek_database(&name.database)?.table(&name.table)
    }

    /// Asks the segments for what is not known of these items yet.
    fn ask<'n>(
        &mut self,
        collection: &Collection,
        place: impl FnOnce() -> Place,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), Fault> {
        let loader = self.loader;
        self.pending(collection.address, place).ask(collection, loader, names)
    }

    /// The full digest of an item as it is now, changes of this list included; it has to be asked
    /// for before.
    fn digest_of(&self, collection: &Collection, key: &str) -> Option<u64> {
        let pending = self.pending.get(&collection.address);
        if let Some(item) = pending.and_then(|pending| pending.items.get(key)) {
            return item.as_ref().map(|entry| entry.hot.digests.full);
        }
        if let Some(changed) = collection.changes.get(key) {
            return changed.hot.as_ref().map(|hot| hot.digests.full);
        }
        let (_, known) = pending?.known.get(key)?.as_ref()?;
        Some(known.full)
    }

    fn pending(&mut self, address: Address, place: impl FnOnce() -> Place) -> &mut Pending {
        self.pending.entry(address).or_insert_with(|| Pending {
            place: place(),
            items: BTreeMap::new(),
            stamps: BTreeMap::new(),
            known: BTreeMap::new(),
        })
    }

    fn pend(&mut self, address: Address, place: impl FnOnce() -> Place, key: &str, entry: Option<Entry>) {
        let pending = self.pending(address, place);
        pending.stamps.remove(key);
        pending.items.insert(key.into(), entry);
    }

    fn pend_stamp(&mut self, address: Address, place: impl FnOnce() -> Place, key: &str) {
        let stamp = self.origin.stamp;
        let pending = self.pending(address, place);
        match pending.items.get_mut(key) {
            Some(Some(entry)) => entry.hot.stamp = stamp,
            _ => {
                pending.stamps.insert(key.into(), stamp);
            }
        }
    }

    fn discard(&mut self, collection: &Arc<Collection>) {
        self.pending.remove(&collection.address);
        self.discarded.push(collection.clone());
    }

    fn resum(&mut self, name: &DatabaseName) {
        self.resum.insert((name.catalog.clone(), name.database.clone()));
    }

    fn found(&mut self, what: &'static str, database: &DatabaseName, table: Option<&str>, partitions: u64) {
        self.applied.found.push(Found {
            what,
            database: database.clone(),
            table_name: table.map(str::to_owned),
            partition_count: partitions,
        });
    }

    /// Makes the items of a collection be exactly these and those of the names to keep. Returns whether anything differed.
    fn replace_all(
        &mut self,
        collection: &Arc<Collection>,
        place: Place,
        entries: BTreeMap<Box<str>, Entry>,
        kept: &[String],
    ) -> Result<bool, Fault> {
        let mut old: BTreeMap<Box<str>, Hot> =
            self.loader.entries(collection)?.into_iter().map(|(key, entry)| (key, entry.hot)).collect();
        if let Some(pending) = self.pending.get(&collection.address) {
            for (key, item) in &pending.items {
                match item {
                    Some(entry) => old.insert(key.clone(), entry.hot.clone()),
                    None => old.remove(key),
                };
            }
        }
        let mut is_changed = false;
        for (key, entry) in entries {
            match old.remove(&key) {
                Some(known) if known.digests.full == entry.hot.digests.full => {
                    self.applied.unchanged_count += 1;
                    self.pend_stamp(collection.address, || place.clone(), &key);
                    continue;
                }
                Some(_) => self.applied.altered_count += 1,
                None => self.applied.created_count += 1,
            }
            is_changed = true;
            self.pend(collection.address, || place.clone(), &key, Some(entry));
        }
        for key in old.into_keys().filter(|key| kept.iter().all(|kept| **kept != **key)) {
            is_changed = true;
            self.applied.dropped_count += 1;
            self.pend(collection.address, || place.clone(), &key, None);
        }
        Ok(is_changed)
    }
}
