//! The immutable view that every reader works on.
//!
//! A snapshot holds databases and tables with what most questions need (heads, totals, digests);
//! partitions, whole objects and details stay in the store and are loaded by the `load_*`
//! methods, from the very segments that were current when the snapshot was published.
//! `generation` numbers rise whenever anything below an object changed, so that whoever keeps
//! something derived from it knows when to make it again.

use std::sync::Arc;

use bytes::Bytes;

use crate::change::Stamp;
use crate::fault::Fault;
use crate::model::{
    CatalogId, CatalogObject, Column, Database, DatabaseId, Function, Item, MetastoreId, Partition,
    Privilege, Table, TableDetails, TableId,
};
use crate::scope::Scope;
use crate::store::{Collection, Ledger, Loader};

/// Where a metastore is and how it is followed, as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct MetastoreSettings {
    /// Name, unique.
    pub name: String,
    /// `thrift://host:port`, several for fail-over.
    pub uris: Vec<String>,
    /// `auto`, `events` or `polling`.
    pub follow: String,
    /// `config` or `procedure`.
    pub origin: &'static str,
}

/// Sums over partitions (or, for an unpartitioned table, over the table itself). A statistic that
/// no partition has is known for 0 of them, and NULL in SQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Partitions.
    pub partition_count: u64,
    /// Sum of `numRows`.
    pub row_count: i64,
    /// How many partitions have `numRows`.
    pub row_count_known: u64,
    /// Sum of `totalSize` in bytes.
    pub total_size_bytes: i64,
    /// How many have `totalSize`.
    pub total_size_known: u64,
    /// Sum of `numFiles`.
    pub file_count: i64,
    /// How many have `numFiles`.
    pub file_count_known: u64,
}

impl Totals {
    /// Adds `other`, saturating.
    pub fn add(&mut self, other: &Totals) {
        self.partition_count = self.partition_count.saturating_add(other.partition_count);
        self.row_count = self.row_count.saturating_add(other.row_count);
        self.row_count_known += other.row_count_known;
        self.total_size_bytes = self.total_size_bytes.saturating_add(other.total_size_bytes);
        self.total_size_known += other.total_size_known;
        self.file_count = self.file_count.saturating_add(other.file_count);
        self.file_count_known += other.file_count_known;
    }
}

/// One hash per facet of an object, over its canonical form ([`crate::mirror::digest`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digests {
    /// Columns, partition keys, partition values, view texts.
    pub schema: u64,
    /// Formats, serde, buckets, sort, skew, table type.
    pub storage: u64,
    /// Owner and parameters, without statistics and volatile keys.
    pub parameters: u64,
    /// Locations.
    pub location: u64,
    /// `numRows`, `totalSize`, `numFiles`, `rawDataSize`.
    pub statistics: u64,
    /// Everything else that the metastore sent, volatile keys and times included: an object is
    /// rewritten when any facet, this one too, differs.
    pub rest: u64,
}

/// Everything, at one instant.
#[derive(Clone)]
pub struct Snapshot {
    /// Rises with every publication.
    pub id: u64,
    /// Sorted by name.
    pub metastores: Vec<Arc<MetastoreView>>,
    pub(crate) loader: Arc<Loader>,
}

/// A metastore.
#[derive(Clone, Debug)]
pub struct MetastoreView {
    /// Number.
    pub id: MetastoreId,
    /// Name.
    pub name: Arc<str>,
    /// As declared.
    pub settings: MetastoreSettings,
    /// All events up to this id are included; `None` before the first mirror is complete, and
    /// for metastores without a log.
    pub position: Option<i64>,
    /// When the first complete mirror was done, microseconds since 1970.
    pub mirrored_at: Option<i64>,
    /// Sorted by name.
    pub catalogs: Vec<Arc<CatalogView>>,
    /// Rises when the grants change.
    pub privileges_generation: u64,
    pub(crate) privileges: Arc<Collection>,
    /// Runs, events, errors and the like.
    pub ledger: Ledger,
}

/// A catalog of a metastore.
#[derive(Clone, Debug)]
pub struct CatalogView {
    /// Number.
    pub id: CatalogId,
    /// Name.
    pub name: Arc<str>,
    /// Decoded.
    pub object: CatalogObject,
    /// As the metastore sent it.
    pub raw: Bytes,
    /// When read.
    pub stamp: Stamp,
    /// When the catalog itself last differed, microseconds since 1970.
    pub changed_at: i64,
    /// Sorted by name.
    pub databases: Vec<Arc<DatabaseView>>,
}

/// A database.
#[derive(Clone, Debug)]
pub struct DatabaseView {
    /// Number.
    pub id: DatabaseId,
    /// Metastore that it is in.
    pub metastore_name: Arc<str>,
    /// Catalog that it is in.
    pub catalog_name: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Decoded.
    pub object: Database,
    /// As the metastore sent it.
    pub raw: Bytes,
    /// When the database itself was read.
    pub stamp: Stamp,
    /// When the database itself last differed, microseconds since 1970.
    pub changed_at: i64,
    /// Of the database itself.
    pub digests: Digests,
    /// Rises when the database or a table in it (partitions, details and stamps too) changes.
    pub generation: u64,
    /// Rises when a whole table object changes: what is derived from [`Snapshot::load_tables`].
    pub tables_generation: u64,
    /// Rises when functions change.
    pub functions_generation: u64,
    /// Rises when constraints or column statistics change.
    pub details_generation: u64,
    /// Over all tables.
    pub totals: Totals,
    /// Sorted by name.
    pub tables: Vec<Arc<TableView>>,
    pub(crate) table_items: Arc<Collection>,
    pub(crate) functions: Arc<Collection>,
    pub(crate) details: Arc<Collection>,
}

/// A table or view: what stays in memory of it.
#[derive(Clone, Debug)]
pub struct TableView {
    /// Number.
    pub id: TableId,
    /// Name.
    pub name: Arc<str>,
    /// Most-asked fields.
    pub head: TableHead,
    /// When the table itself was read.
    pub stamp: Stamp,
    /// When the table itself last differed, microseconds since 1970.
    pub changed_at: i64,
    /// Of the table itself, without its partitions.
    pub digests: Digests,
    /// Wrapping sum over partitions of a hash of name and digests: equal sums, equal partitions.
    pub partitions_digest: u64,
    /// Rises when the table itself changes.
    pub generation: u64,
    /// Rises when partitions change or are read again (their stamps move on).
    pub partitions_generation: u64,
    /// Over partitions.
    pub totals: Totals,
    pub(crate) partitions: Arc<Collection>,
}

/// The fields of a table that stay in memory. Repeated texts (formats, owners) are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableHead {
    /// `MANAGED_TABLE`, ...
    pub table_type: Arc<str>,
    /// Owner.
    pub owner_name: Option<Arc<str>>,
    /// Directory or other address.
    pub location: Option<Arc<str>>,
    /// Java class.
    pub input_format: Option<Arc<str>>,
    /// Java class.
    pub output_format: Option<Arc<str>>,
    /// Java class.
    pub serde_library: Option<Arc<str>>,
    /// Parameter `comment`.
    pub comment: Option<Arc<str>>,
    /// `iceberg`, `delta`, `hudi`, `parquet`, `orc`, `avro`, `text`, `json`, `view`, ..., told by
    /// parameters and formats.
    pub table_format: Arc<str>,
    /// Partition key names and types, in order, comments left out.
    pub partition_keys: Arc<[Column]>,
    /// Columns, partition keys not counted.
    pub column_count: u32,
    /// Seconds since 1970.
    pub create_time: i64,
    /// Parameter `transient_lastDdlTime` (or `last_modified_time`), seconds since 1970.
    pub last_ddl_time: Option<i64>,
    /// Seconds since 1970, `None` when never recorded.
    pub last_access_time: Option<i64>,
    /// Parameter `numRows` of the table itself.
    pub row_count: Option<i64>,
    /// Parameter `totalSize` of the table itself, bytes.
    pub total_size_bytes: Option<i64>,
    /// Parameter `numFiles` of the table itself.
    pub file_count: Option<i64>,
}

/// A table that is gone: a row of `catalog.dropped_tables`.
#[derive(Clone, Debug)]
pub struct DroppedTable {
    /// Catalog that it was in.
    pub catalog_name: String,
    /// Database that it was in.
    pub database_name: String,
    /// Name.
    pub table_name: String,
    /// Number.
    pub id: TableId,
    /// As last seen.
    pub head: TableHead,
    /// As last seen.
    pub totals: Totals,
    /// When its absence was seen, microseconds since 1970.
    pub deleted_at: i64,
    /// From what its absence was seen.
    pub stamp: Stamp,
}

/// Hot columns of some partitions of one table, sorted by partition name within the chunk.
/// Chunks of a table do not overlap and are in order.
///
/// Size: 60 to 100 bytes a partition. A location that is the table's directory and the partition
/// name is not kept but made when asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionChunk {
    /// Partition names.
    pub names: Vec<Box<str>>,
    /// Locations; `None` without one.
    pub locations: Vec<Option<Box<str>>>,
    /// Seconds since 1970.
    pub create_times: Vec<i64>,
    /// `transient_lastDdlTime`, seconds since 1970.
    pub last_ddl_times: Vec<Option<i64>>,
    /// `numRows`.
    pub row_counts: Vec<Option<i64>>,
    /// `totalSize`, bytes.
    pub total_size_bytes: Vec<Option<i64>>,
    /// `numFiles`.
    pub file_counts: Vec<Option<i64>>,
    /// When read.
    pub stamps: Vec<Stamp>,
}

/// What is known of a chunk without loading it, for pruning and for counting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkSummary {
    /// First and last partition name.
    pub name_min: Box<str>,
    /// See `name_min`.
    pub name_max: Box<str>,
    /// Smallest and largest location; `None` when a partition has none.
    pub locations: Option<(Box<str>, Box<str>)>,
    /// Over the chunk.
    pub totals: Totals,
}

impl Snapshot {
    /// What `scope` has of it. From the result nothing else can be reached: whoever is given it
    /// cannot show, count or compare what is left out.
    ///
    /// Takes time by the number of databases, not by what is in them.
    pub fn narrowed(self: &Arc<Self>, scope: &Arc<Scope>) -> Arc<Self> {
        if scope.is_everything() {
            return Arc::clone(self);
        }
        let metastores = self.metastores.iter().filter(|metastore| scope.has_metastore(&metastore.name));
        let metastores = match scope.has_all_databases() {
            true => metastores.cloned().collect(),
            false => metastores.map(|metastore| Arc::new(metastore.narrowed(scope))).collect(),
        };
        Arc::new(Self { id: self.id, metastores, loader: Arc::clone(&self.loader) })
    }

    /// The metastore of this name.
    pub fn metastore(&self, name: &str) -> Option<&Arc<MetastoreView>> {
        self.metastores.binary_search_by(|m| m.name.as_ref().cmp(name)).ok().map(|i| &self.metastores[i])
    }

    /// Whole tables of a database, in order of name: number and object.
    /// Errors: `STORE_DAMAGED`, `STORE_IO`.
    pub fn load_tables(&self, database: &DatabaseView) -> Result<Vec<(TableId, Item<Table>)>, Fault> {
        self.loader.tables(database)
    }

    /// One whole table, without loading the others of its database where the layout allows.
    pub fn load_table(&self, database: &DatabaseView, table: &TableView) -> Result<Item<Table>, Fault> {
        self.loader.table(database, table)
    }

    /// What is known of each partition chunk of a table without loading it.
    pub fn chunk_summaries(&self, table: &TableView) -> Vec<ChunkSummary> {
        self.loader.chunk_summaries(table)
    }

    /// Hot columns of one chunk of a table, by its place in [`Snapshot::chunk_summaries`].
    pub fn load_chunk(&self, table: &TableView, index: usize) -> Result<PartitionChunk, Fault> {
        self.loader.chunk(table, index)
    }

    /// Whole partitions of one chunk, in the same order.
    pub fn load_partitions(
        &self,
        table: &TableView,
        index: usize,
    ) -> Result<Vec<(String, Item<Partition>)>, Fault> {
        self.loader.partitions(table, index)
    }

    /// Functions of a database, in order of name, each with when it was read.
    pub fn load_functions(&self, database: &DatabaseView) -> Result<Vec<(Item<Function>, Stamp)>, Fault> {
        self.loader.functions(database)
    }

    /// Constraints and column statistics of the tables of a database that have any, with when
    /// they were read.
    pub fn load_details(
        &self,
        database: &DatabaseView,
    ) -> Result<Vec<(TableId, TableDetails, Stamp)>, Fault> {
        self.loader.details(database)
    }

    /// Grants of a metastore, each with when it was read.
    pub fn load_privileges(&self, metastore: &MetastoreView) -> Result<Vec<(Item<Privilege>, Stamp)>, Fault> {
        let mut grants = self.loader.privileges(metastore)?;
        grants.retain(|(grant, _)| {
            grant.value.database.as_ref().is_none_or(|database| metastore.ledger.has_database(database))
        });
        Ok(grants)
    }
}

impl MetastoreView {
    fn narrowed(&self, scope: &Arc<Scope>) -> Self {
        let catalogs = self.catalogs.iter().map(|catalog| {
            let databases = catalog.databases.iter();
            let databases =
                databases.filter(|database| scope.has_database(&database.catalog_name, &database.name));
            CatalogView { databases: databases.cloned().collect(), ..CatalogView::clone(catalog) }
        });
        // Of which nothing is seen, the name is not either.
        let catalogs = catalogs.filter(|catalog| !catalog.databases.is_empty()).map(Arc::new);
        Self { catalogs: catalogs.collect(), ledger: self.ledger.narrowed(scope), ..self.clone() }
    }

    /// Databases over all catalogs, in order of catalog and name.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DatabaseView>> {
        self.catalogs.iter().flat_map(|catalog| catalog.databases.iter())
    }

    /// The database of this catalog and name.
    pub fn database(&self, catalog: &str, database: &str) -> Option<&Arc<DatabaseView>> {
        let catalog =
            &self.catalogs[self.catalogs.binary_search_by(|c| c.name.as_ref().cmp(catalog)).ok()?];
        let index = catalog.databases.binary_search_by(|d| d.name.as_ref().cmp(database)).ok()?;
        Some(&catalog.databases[index])
    }
}

impl DatabaseView {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Arc<TableView>> {
        self.tables.binary_search_by(|t| t.name.as_ref().cmp(name)).ok().map(|i| &self.tables[i])
    }
}
