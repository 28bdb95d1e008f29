//! Reads the small records at start and builds the view from them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::OpenReport;
use super::apply::totals_of_table;
use super::collection::{Address, Collection, Kind, Placed};
use super::delta::{self, Delta};
use super::grave::{self, Graveyard};
use super::head::Interner;
use super::keys::{self, Record};
use super::ledger::Ledger;
use super::record::{self, Counters};
use super::segment::Segment;
use super::tree::{Batch, Tree};
use crate::change::{EndpointStatus, FollowStatus};
use crate::fault::{Code, Fault};
use crate::model::{CatalogId, DatabaseId, MetastoreId, TableId};
use crate::ports::Decoder;
use crate::snapshot::{MetastoreView, Totals};

/// What the store holds, segments left out.
#[derive(Default)]
pub(super) struct Loaded {
    pub counters: Counters,
    pub interner: Interner,
    pub graveyard: Graveyard,
    /// Sorted by name.
    pub metastores: Vec<Arc<MetastoreView>>,
    pub statuses: HashMap<MetastoreId, Status>,
}

/// Status of a follower, and the endpoints of its metastore.
type Status = (FollowStatus, Vec<EndpointStatus>);

/// Errors: `STORE_DAMAGED` when a record above the metastores is damaged.
pub(super) fn all(tree: &Tree, decoder: &dyn Decoder, report: &mut OpenReport) -> Result<Loaded, Fault> {
    let mut loaded = Loaded::default();
    if let Some(bytes) = tree.get(&keys::all(Record::Counters))? {
        loaded.counters = record::read_counters(&bytes)?;
    }
    let mut dead = HashSet::new();
    tree.scan(&keys::all(Record::Grave), |key, payload| {
        let keys = grave::read(payload?)?;
        dead.extend(keys.iter().cloned());
        loaded.graveyard.add_old(key.to_vec(), keys);
        Ok(())
    })?;
    let mut views = Vec::new();
    tree.scan(&keys::all(Record::Metastore), |key, payload| {
        let id = keys::metastore_of(key).ok_or_else(misplaced)?;
        views.push(record::read_metastore(id, payload?)?);
        Ok(())
    })?;
    for mut view in views {
        let id = view.id;
        match metastore(tree, &mut view, &dead, decoder, &mut loaded.interner) {
            Ok(()) => {}
            Err(fault) if fault.code == Code::STORE_DAMAGED => {
                report.healed.push(format!(
                    "emptied metastore {}, which is mirrored again: {}",
                    view.name,
                    fault.message()
                ));
                view = empty(view);
                replace(tree, &view, &Record::OF_METASTORE)?;
            }
            Err(fault) => return Err(fault),
        }
        let status = match book(tree, id, &mut loaded.interner) {
            Ok((ledger, status)) => {
                view.ledger = ledger;
                status
            }
            // What is mirrored stays; without a position all of it is read again.
            Err(fault) if fault.code == Code::STORE_DAMAGED => {
                report.healed.push(format!(
                    "forgot runs, events and errors of metastore {}, which is read again: {}",
                    view.name,
                    fault.message()
                ));
                view.position = None;
                replace(tree, &view, &[&Record::OF_BOOK[..], &[Record::Status]].concat())?;
                Default::default()
            }
            Err(fault) => return Err(fault),
        };
        loaded.metastores.push(Arc::new(view));
        loaded.statuses.insert(id, status);
    }
    loaded.metastores.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(loaded)
}

fn misplaced() -> Fault {
    Fault::new(
        Code::STORE_DAMAGED,
        "store: read a record",
        "its key has a wrong form, or its parent is missing",
    )
}

/// A metastore of which nothing is left but its settings.
fn empty(view: MetastoreView) -> MetastoreView {
    MetastoreView {
        position: None,
        mirrored_at: None,
        catalogs: Vec::new(),
        privileges: Collection::empty(Address::privileges(view.id)),
        ..view
    }
}

/// Removes all records of these kinds of a metastore, and writes its own.
fn replace(tree: &Tree, view: &MetastoreView, kinds: &[Record]) -> Result<(), Fault> {
    let mut batch = Batch::new();
    for kind in kinds {
        tree.scan(&keys::of_metastore(*kind, view.id), |key, _| {
            batch.remove(key);
            Ok(())
        })?;
    }
    batch.put(&keys::of_metastore(Record::Metastore, view.id), &record::metastore(view));
    tree.write(batch)
}

/// The bookkeeping of a metastore, and the status of its follower.
fn book(tree: &Tree, id: MetastoreId, interner: &mut Interner) -> Result<(Ledger, Status), Fault> {
    let status = tree.get(&keys::of_metastore(Record::Status, id))?;
    let status = status.map(|bytes| record::read_status(&bytes)).transpose()?.unwrap_or_default();
    Ok((Ledger::load(tree, id, interner)?, status))
}

/// The four bytes or eight bytes of a number in a key.
fn number<const N: usize>(key: &[u8], at: usize) -> Result<[u8; N], Fault> {
    key.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or_else(misplaced)
}

fn metastore(
    tree: &Tree,
    view: &mut MetastoreView,
    dead: &HashSet<Vec<u8>>,
    decoder: &dyn Decoder,
    interner: &mut Interner,
) -> Result<(), Fault> {
    let mut collections = collections(tree, view.id, dead)?;
    let mut take = |address: Address| match collections.remove(&address) {
        Some(collection) => Arc::new(collection),
        None => Collection::empty(address),
    };
    view.privileges = take(Address::privileges(view.id));

    let mut catalogs = BTreeMap::new();
    tree.scan(&keys::of_metastore(Record::Catalog, view.id), |key, payload| {
        let id = CatalogId(u32::from_be_bytes(number(key, 7)?));
        catalogs.insert(id, record::read_catalog(id, payload?)?);
        Ok(())
    })?;
    let mut databases = BTreeMap::new();
    tree.scan(&keys::of_metastore(Record::Database, view.id), |key, payload| {
        let catalog_id = CatalogId(u32::from_be_bytes(number(key, 7)?));
        let id = DatabaseId(u32::from_be_bytes(number(key, 11)?));
        let catalog = catalogs.get(&catalog_id).ok_or_else(misplaced)?;
        let address = Address::of_database(Kind::Tables, view.id, catalog_id, id);
        let names = (view.name.clone(), catalog.name.clone());
        let mut database = record::read_database(address, names.0, names.1, payload?, decoder)?;
        database.table_items = take(address);
        database.functions = take(Address { kind: Kind::Functions, ..address });
        database.details = take(Address { kind: Kind::Details, ..address });
        databases.insert((catalog_id, id), database);
        Ok(())
    })?;
    tree.scan(&keys::of_metastore(Record::Table, view.id), |key, payload| {
        let catalog_id = CatalogId(u32::from_be_bytes(number(key, 7)?));
        let database_id = DatabaseId(u32::from_be_bytes(number(key, 11)?));
        let id = TableId(u64::from_be_bytes(number(key, 15)?));
        let database = databases.get_mut(&(catalog_id, database_id)).ok_or_else(misplaced)?;
        let mut table = record::read_table(view.id, id, payload?, interner)?;
        table.partitions = take(table.partitions.address);
        table.partitions_digest = table.partitions.sums.digest;
        table.totals = totals_of_table(&table);
        database.tables.push(Arc::new(table));
        Ok(())
    })?;
    if !collections.is_empty() {
        return Err(misplaced());
    }
    for ((catalog_id, _), mut database) in databases {
        database.tables.sort_by(|a, b| a.name.cmp(&b.name));
        let mut totals = Totals::default();
        database.tables.iter().for_each(|table| totals.add(&table.totals));
        database.totals = totals;
        let catalog = catalogs.get_mut(&catalog_id).ok_or_else(misplaced)?;
        catalog.databases.push(Arc::new(database));
    }
    for mut catalog in catalogs.into_values() {
        catalog.databases.sort_by(|a, b| a.name.cmp(&b.name));
        view.catalogs.push(Arc::new(catalog));
    }
    view.catalogs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// All collections of a metastore, by the summaries of their segments and by their deltas (`dead`
/// ones, which are in a grave, left out).
fn collections(
    tree: &Tree,
    id: MetastoreId,
    dead: &HashSet<Vec<u8>>,
) -> Result<HashMap<Address, Collection>, Fault> {
    let mut collections: HashMap<Address, Collection> = HashMap::new();
    let empty = |address| Arc::unwrap_or_clone(Collection::empty(address));
    tree.scan(&keys::of_metastore(Record::Summary, id), |key, payload| {
        let (address, number) = keys::part_of(key).ok_or_else(misplaced)?;
        let (segment, stamps) = Segment::read_summary(address, number, payload?)?;
        let placed = Placed { segment: Arc::new(segment), stamps: Arc::new(stamps) };
        collections.entry(address).or_insert_with(|| empty(address)).segments.push(placed);
        Ok(())
    })?;
    tree.scan(&keys::of_metastore(Record::Delta, id), |key, payload| {
        if dead.contains(key) {
            return Ok(());
        }
        let (address, number) = keys::part_of(key).ok_or_else(misplaced)?;
        let payload = payload?;
        let delta = Arc::new(Delta::new(address, number, payload.len() as u64));
        let rows = delta::read(payload)?;
        collections.entry(address).or_insert_with(|| empty(address)).lay_delta(delta, rows);
        Ok(())
    })?;
    for collection in collections.values_mut() {
        collection.segments.sort_by(|a, b| a.segment.name_min.cmp(&b.segment.name_min));
        collection.sum_up();
    }
    Ok(collections)
}
