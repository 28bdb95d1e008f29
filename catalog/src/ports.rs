//! What the catalog needs from the outside: traits that adapters implement.

use async_trait::async_trait;

use crate::fault::Fault;
use crate::model::{
    CatalogObject, ColumnStatistic, ConstraintColumn, ConstraintKind, Database, DatabaseName, Function, Item,
    Partition, Privilege, Table, TableDetails, TableName,
};

/// Tells the time; tests replace it.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970, UTC.
    fn now_micros(&self) -> i64;
}

/// The time of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Reads the struct bytes that metastores sent, as kept by the store.
///
/// Errors: `STORE_DAMAGED` when the bytes are not the struct that they should be.
pub trait Decoder: Send + Sync {
    /// A `Catalog` struct.
    fn catalog(&self, raw: &[u8]) -> Result<CatalogObject, Fault>;
    /// A `Database` struct.
    fn database(&self, raw: &[u8]) -> Result<Database, Fault>;
    /// A `Table` struct.
    fn table(&self, raw: &[u8]) -> Result<Table, Fault>;
    /// A `Partition` struct.
    fn partition(&self, raw: &[u8]) -> Result<Partition, Fault>;
    /// A `Function` struct.
    fn function(&self, raw: &[u8]) -> Result<Function, Fault>;
    /// An `SQLPrimaryKey`, `SQLForeignKey`, ... struct, by kind.
    fn constraint(&self, kind: ConstraintKind, raw: &[u8]) -> Result<ConstraintColumn, Fault>;
    /// A `ColumnStatisticsObj` struct.
    fn column_statistic(&self, raw: &[u8]) -> Result<ColumnStatistic, Fault>;
    /// A `HiveObjectPrivilege` struct.
    fn privilege(&self, raw: &[u8]) -> Result<Privilege, Fault>;
}

/// What a metastore said about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceFacts {
    /// Release, as far as it can be told: `getVersion` answers "3.0" on all of 2.3 and 3.x, so
    /// this names the generation found by probing there (`2.3`, `3.1`) and the true release on 4.x.
    pub hive_version: String,
    /// The URI that answered.
    pub endpoint_uri: String,
    /// Whether it has catalogs (Hive 3 and later).
    pub has_catalogs: bool,
    /// Its newest notification event id; `None` when it keeps no notification log (no
    /// `DbNotificationListener`, told by an id of 0 on a metastore that has objects).
    pub head_event_id: Option<i64>,
    /// Why its log could not be read, when it did not say that it keeps none for us: there is no
    /// `head_event_id` then, but there may be a log.
    pub log_fault: Option<Fault>,
    /// What identifies the database behind it, and so its log: `get_metastore_db_uuid`, Hive 3 and
    /// later.
    pub database_id: Option<String>,
    /// Optional methods that it lacks; each is a row in `sync.coverage`.
    pub missing_methods: Vec<String>,
    /// How the connection is authenticated and protected: `none`, `tls`, ...
    pub auth_mode: String,
}

/// What objects one bulk call brought, and which it could not.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    /// Objects that were read, each with its name.
    pub items: Vec<(String, Item<T>)>,
    /// Objects that failed by themselves, found by the single-object fallback, with the reason.
    /// Names in neither list no longer exist.
    pub failed: Vec<(String, Fault)>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { items: Vec::new(), failed: Vec::new() }
    }
}

/// What an event is about, as far as following needs it.
#[derive(Clone, Debug, PartialEq)]
pub enum EventSubject {
    /// A catalog was created, altered or dropped: catalogs are listed again.
    Catalogs,
    /// A database was created or altered.
    DatabasePut(DatabaseName),
    /// A database was dropped.
    DatabaseDropped(DatabaseName),
    /// A table was created.
    TableCreated(TableName),
    /// A table was altered in place.
    TableAltered(TableName),
    /// A table was renamed, perhaps to another database.
    TableRenamed {
        /// Old name.
        from: TableName,
        /// New name.
        to: TableName,
    },
    /// A table was dropped.
    TableDropped(TableName),
    /// Partitions were added or altered, by partition name; empty means "some, unknown which".
    PartitionsPut(TableName, Vec<String>),
    /// Partitions were dropped, by partition name; empty means "some, unknown which".
    PartitionsDropped(TableName, Vec<String>),
    /// A partition was renamed.
    PartitionRenamed {
        /// Table.
        table: TableName,
        /// Old partition name.
        from: String,
        /// New partition name.
        to: String,
    },
    /// Functions of a database changed.
    Functions(DatabaseName),
    /// Constraints or column statistics of a table changed.
    TableDetails(TableName),
    /// Nothing that the mirror keeps (transactions, inserts without metadata, unknown types).
    Nothing,
}

impl EventSubject {
    /// Bytes that the names of partitions take in memory, roughly.
    pub fn names_bytes(&self) -> usize {
        let bytes = |name: &String| size_of::<String>() + name.len();
        match self {
            Self::PartitionsPut(_, names) | Self::PartitionsDropped(_, names) => {
                names.iter().map(bytes).sum()
            }
            Self::PartitionRenamed { from, to, .. } => bytes(from) + bytes(to),
            _ => 0,
        }
    }

    /// Makes it all partitions of the table, instead of those that it names.
    pub fn forget_names(&mut self) {
        match self {
            Self::PartitionsPut(_, names) | Self::PartitionsDropped(_, names) => *names = Vec::new(),
            Self::PartitionRenamed { table, .. } => *self = Self::PartitionsPut(table.clone(), Vec::new()),
            _ => {}
        }
    }
}

/// One entry of a metastore's notification log.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceEvent {
    /// Id, rising; gaps mean that the log was trimmed.
    pub event_id: i64,
    /// When the metastore wrote it, in seconds since 1970.
    pub event_time: i64,
    /// `CREATE_TABLE`, `ALTER_PARTITIONS`, ... as the metastore wrote it.
    pub event_type: String,
    /// Catalog, database and table columns of the row, as the metastore wrote them.
    pub catalog_name: Option<String>,
    /// Database, as written.
    pub database_name: Option<String>,
    /// Table, as written.
    pub table_name: Option<String>,
    /// What it is about. A message that cannot be read becomes the widest subject that its
    /// row names (the table altered, else the database put), so that nothing is missed.
    pub subject: EventSubject,
}

/// One page of a notification log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// Events after the asked position, in order.
    pub events: Vec<SourceEvent>,
    /// Set when events between the asked position and the first event here are gone.
    pub is_gap: bool,
}

/// A metastore to read from. Every call is bounded in time (the adapter's deadlines) and in
/// concurrency (the adapter's `requests_in_flight_max`, adaptive, and its rate limit), so a caller
/// may ask for much at once and need not pace itself.
///
/// Errors: `METASTORE_*` faults. An optional method that the server lacks is
/// `METASTORE_METHOD_MISSING`, never an empty answer (but see [`Source::table_details`]).
/// Cancel safety: dropping a call drops its connection, nothing else.
#[async_trait]
pub trait Source: Send + Sync {
    /// Connects, asks what the server is and can.
    async fn probe(&self) -> Result<SourceFacts, Fault>;
    /// [`SourceFacts::database_id`] alone, by one call; `None` when it cannot be told now.
    async fn database_id(&self) -> Option<String>;
    /// How many calls are worth having under way at once.
    fn requests_in_flight_max(&self) -> usize;
    /// All catalogs; one made-up `hive` with empty bytes where the server has none.
    async fn catalogs(&self) -> Result<Vec<Item<CatalogObject>>, Fault>;
    /// Names of all databases of a catalog, sorted.
    async fn database_names(&self, catalog: &str) -> Result<Vec<String>, Fault>;
    /// A database; `None` when it does not exist.
    async fn database(&self, name: &DatabaseName) -> Result<Option<Item<Database>>, Fault>;
    /// Names of all tables and views of a database, sorted.
    async fn table_names(&self, database: &DatabaseName) -> Result<Vec<String>, Fault>;
    /// Tables by name, in bulk with single-object fallback.
    async fn tables(&self, database: &DatabaseName, names: &[String]) -> Result<Batch<Table>, Fault>;
    /// Names of all partitions of a table, sorted; empty for a table without partition keys or
    /// one that does not exist.
    async fn partition_names(&self, table: &TableName) -> Result<Vec<String>, Fault>;
    /// Partitions by name, in bulk with single-object fallback. `keys` are the table's
    /// partition key names.
    async fn partitions(
        &self,
        table: &TableName,
        keys: &[String],
        names: &[String],
    ) -> Result<Batch<Partition>, Fault>;
    /// All functions of a database, in order of name; those that fail by themselves are named.
    async fn functions(&self, database: &DatabaseName) -> Result<Batch<Function>, Fault>;
    /// Constraints and column statistics of a table. `columns` are the table's column names.
    ///
    /// A kind whose method the server lacks is left out, so what was mirrored of it goes: "not known"
    /// and "none" are told apart by [`SourceFacts::missing_methods`] alone. Where servers of different
    /// releases share an address, such a kind goes and comes back with the server that answers, until
    /// all are of one release.
    async fn table_details(&self, table: &TableName, columns: &[String]) -> Result<TableDetails, Fault>;
    /// All grants of the metastore.
    async fn privileges(&self) -> Result<Vec<Item<Privilege>>, Fault>;
    /// The newest event id, 0 when there is none.
    async fn head_event_id(&self) -> Result<i64, Fault>;
    /// At most `max` events after `after_event_id`.
    async fn events(&self, after_event_id: i64, max: usize) -> Result<EventPage, Fault>;
}
