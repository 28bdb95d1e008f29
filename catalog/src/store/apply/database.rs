//! Catalogs, databases, functions and grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{FOUND_CHANGED, FOUND_DROPPED, FOUND_NEW, Place, Work};
use crate::fault::Fault;
use crate::mirror::digest;
use crate::model::{CatalogId, CatalogObject, Database, DatabaseId, DatabaseName, Function, Item, Privilege};
use crate::snapshot::{CatalogView, DatabaseView, Totals};
use crate::store::collection::{Address, Collection, Kind};
use crate::store::entry::Entry;
use crate::store::keys;

impl Work<'_> {
    pub(super) fn put_catalog(&mut self, item: Item<CatalogObject>) {
        let name = item.value.name.clone();
        let (stamp, now) = (self.origin.stamp, self.now);
        if let Some(view) = self.catalog(&name) {
            let is_equal = digest::catalog(&view.object) == digest::catalog(&item.value);
            view.stamp = stamp;
            if is_equal {
                self.applied.unchanged_count += 1;
                return;
            }
            view.object = item.value;
            view.raw = item.raw;
            self.applied.altered_count += 1;
        } else {
            let id = CatalogId(self.counters.take_catalog());
            let view = CatalogView {
                id,
                name: name.as_str().into(),
                object: item.value,
                raw: item.raw,
                stamp,
                changed_at: now,
                databases: Vec::new(),
            };
            let catalogs = &mut self.metastore().catalogs;
            let index = catalogs.partition_point(|c| c.name.as_ref() < name.as_str());
            catalogs.insert(index, Arc::new(view));
            self.applied.created_count += 1;
        }
        self.dirty.catalogs.insert(name);
    }

    pub(super) fn drop_catalog(&mut self, name: &str) {
        let Some(view) = self.catalog(name) else { return };
        let id = view.id;
        let databases: Vec<DatabaseName> =
            view.databases.iter().map(|d| DatabaseName::new(name, d.name.as_ref())).collect();
        for database in databases {
            self.drop_database(&database);
        }
        let metastore = self.metastore();
        metastore.catalogs.retain(|c| c.name.as_ref() != name);
        let key = keys::catalog(metastore.id, id);
        self.dirty.removed.push(key);
        self.dirty.catalogs.remove(name);
        self.applied.dropped_count += 1;
    }

    pub(super) fn put_database(&mut self, name: &DatabaseName, item: Item<Database>) {
        let digests = digest::database(&item.value);
        let (stamp, now, id) = (self.origin.stamp, self.now, self.id);
        if let Some(view) = self.database(name) {
            view.stamp = stamp;
            let is_equal = view.digests == digests;
            if !is_equal {
                view.object = item.value;
                view.raw = item.raw;
                view.digests = digests;
                view.changed_at = now;
            }
            self.dirty.databases.insert(name.clone());
            if is_equal {
                self.applied.unchanged_count += 1;
            } else {
                self.applied.altered_count += 1;
                self.found(FOUND_CHANGED, name, None, 0);
            }
            return;
        }
        let (metastore, metastore_name) = (self.view.id, self.view.name.clone());
        let Some(catalog) = self.catalog(&name.catalog) else { return };
        let (catalog_id, catalog_name) = (catalog.id, catalog.name.clone());
        let database = DatabaseId(self.counters.take_database());
        let address = |kind| Address::of_database(kind, metastore, catalog_id, database);
        let view = DatabaseView {
            id: database,
            metastore_name,
            catalog_name,
            name: name.database.as_str().into(),
            object: item.value,
            raw: item.raw,
            stamp,
            changed_at: now,
            digests,
            generation: id,
            tables_generation: id,
            functions_generation: id,
            details_generation: id,
            totals: Totals::default(),
            tables: Vec::new(),
            table_items: Collection::empty(address(Kind::Tables)),
            functions: Collection::empty(address(Kind::Functions)),
            details: Collection::empty(address(Kind::Details)),
        };
        if let Some(catalog) = self.catalog(&name.catalog) {
            let index = catalog.databases.partition_point(|d| d.name.as_ref() < name.database.as_str());
            catalog.databases.insert(index, Arc::new(view));
        }
        self.dirty.databases.insert(name.clone());
        self.applied.created_count += 1;
        self.found(FOUND_NEW, name, None, 0);
    }

    pub(super) fn drop_database(&mut self, name: &DatabaseName) {
        let Some(view) = self.peek_database(name).cloned() else { return };
        self.found(FOUND_DROPPED, name, None, 0);
        for table in &view.tables {
            self.forget_table(name, table);
        }
        for collection in [&view.table_items, &view.functions, &view.details] {
            self.discard(collection);
        }
        let metastore = self.view.id;
        if let Some(catalog) = self.catalog(&name.catalog) {
            let key = keys::database(metastore, catalog.id, view.id);
            catalog.databases.retain(|d| d.id != view.id);
            self.dirty.removed.push(key);
        }
        self.dirty.databases.remove(name);
        self.applied.dropped_count += 1;
    }

    pub(super) fn set_functions(
        &mut self,
        name: &DatabaseName,
        items: Vec<Item<Function>>,
        kept: &[String],
    ) -> Result<(), Fault> {
        let Some(view) = self.peek_database(name) else { return Ok(()) };
        let collection = view.functions.clone();
        let stamp = self.origin.stamp;
        let entries = items
            .into_iter()
            .map(|item| (item.value.name.as_str().into(), Entry::plain(item.raw, stamp)))
            .collect();
        if self.replace_all(&collection, Place::Database(name.clone()), entries, kept)? {
            let id = self.id;
            if let Some(view) = self.database(name) {
                view.functions_generation = id;
            }
        }
        Ok(())
    }

    pub(super) fn set_privileges(&mut self, items: Vec<Item<Privilege>>) -> Result<(), Fault> {
        let collection = self.view.privileges.clone();
        let stamp = self.origin.stamp;
        let entries: BTreeMap<_, _> = items
            .into_iter()
            .map(|item| (privilege_key(&item.value), Entry::plain(item.raw, stamp)))
            .collect();
        if self.replace_all(&collection, Place::Metastore, entries, &[])? {
            let id = self.id;
            self.metastore().privileges_generation = id;
        }
        Ok(())
    }
}

/// What makes a grant the grant that it is, as one text.
fn privilege_key(privilege: &Privilege) -> Box<str> {
    let database = privilege.database.as_ref();
    let mut parts = vec![
        privilege.object_kind,
        database.map_or("", |d| d.catalog.as_str()),
        database.map_or("", |d| d.database.as_str()),
        privilege.table_name.as_deref().unwrap_or(""),
        privilege.column_name.as_deref().unwrap_or(""),
    ];
    parts.extend(privilege.partition_values.iter().map(String::as_str));
    parts.extend([
        privilege.principal_type.map_or("", |kind| kind.as_str()),
        &privilege.principal_name,
        &privilege.privilege,
        privilege.grantor_name.as_deref().unwrap_or(""),
    ]);
    parts.join("\u{1}").into()
}
