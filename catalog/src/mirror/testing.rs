//! A metastore in memory: objects, a notification log, and faults on demand.

#![allow(clippy::unwrap_used)]

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Mirror, MirrorOptions, Progress};
use crate::fault::{Code, Fault};
use crate::model::*;
use crate::ports::*;
use crate::snapshot::MetastoreSettings;
use crate::store::{Catalog, StoreOptions};

/// Wire form of the fake: an object's debug text, and the object found by it.
#[derive(Default)]
pub(super) struct Wire(Mutex<HashMap<Bytes, Box<dyn Any + Send>>>);

impl Wire {
    fn item<T: std::fmt::Debug + Clone + Send + 'static>(&self, value: &T) -> Item<T> {
        let raw = Bytes::from(format!("{value:?}"));
        self.0.lock().entry(raw.clone()).or_insert_with(|| Box::new(value.clone()));
        Item { value: value.clone(), raw }
    }

    fn read<T: Clone + 'static>(&self, raw: &[u8]) -> Result<T, Fault> {
        let objects = self.0.lock();
        let value = objects.get(raw).and_then(|object| object.downcast_ref::<T>()).cloned();
        value.ok_or_else(|| Fault::new(Code::STORE_DAMAGED, "fake wire", "unknown bytes"))
    }
}

impl Decoder for Wire {
    fn catalog(&self, raw: &[u8]) -> Result<CatalogObject, Fault> {
        self.read(raw)
    }
    fn database(&self, raw: &[u8]) -> Result<Database, Fault> {
        self.read(raw)
    }
    fn table(&self, raw: &[u8]) -> Result<Table, Fault> {
        self.read(raw)
    }
    fn partition(&self, raw: &[u8]) -> Result<Partition, Fault> {
        self.read(raw)
    }
    fn function(&self, raw: &[u8]) -> Result<Function, Fault> {
        self.read(raw)
    }
    fn constraint(&self, _: ConstraintKind, raw: &[u8]) -> Result<ConstraintColumn, Fault> {
        self.read(raw)
    }
    fn column_statistic(&self, raw: &[u8]) -> Result<ColumnStatistic, Fault> {
        self.read(raw)
    }
    fn privilege(&self, raw: &[u8]) -> Result<Privilege, Fault> {
        self.read(raw)
    }
}

#[derive(Clone)]
pub(super) struct TableState {
    /// Stays over renames.
    pub identity: u64,
    pub table: Table,
    /// Databases that it is and was in.
    pub lived_in: BTreeSet<DatabaseName>,
    pub partitions: BTreeMap<String, Partition>,
    pub statistics: Vec<ColumnStatistic>,
}

#[derive(Clone, Default)]
pub(super) struct DatabaseState {
    pub database: Database,
    pub tables: BTreeMap<String, TableState>,
    pub functions: BTreeMap<String, Function>,
}

type Hook = Box<dyn FnOnce(&mut State) + Send>;

/// Everything that the metastore holds; tests change it through its methods, which write events.
pub(super) struct State {
    pub databases: BTreeMap<DatabaseName, DatabaseState>,
    pub privileges: Vec<Privilege>,
    pub log: Vec<SourceEvent>,
    pub has_log: bool,
    pub uri: String,
    pub database_id: Option<String>,
    /// Asked whether there is a log, it answers that it cannot say.
    pub log_fault: Option<Fault>,
    /// Tables that were moved through a database that is gone. A follower that reads the
    /// database after that has nothing to move them into, and they get new numbers.
    pub numberless: BTreeSet<u64>,
    /// Events up to this one are trimmed.
    pub trimmed: i64,
    /// Events after this one are not shown yet.
    pub shown: i64,
    /// By call or object: `table_names d`, `table d.t`, `partition d.t/k=1`, `functions`, ...
    pub faults: BTreeMap<String, Fault>,
    /// Calls that wait as long as they are in here, by name.
    pub stalls: BTreeSet<String>,
    /// Whether all calls do.
    pub are_all_stalled: bool,
    /// Calls so far, by name.
    pub calls: BTreeMap<&'static str, u64>,
    /// Run before the call of this number.
    pub hooks: BTreeMap<u64, Hook>,
    calls_sum: u64,
    mark: u64,
}

pub(super) struct World {
    pub state: Mutex<State>,
    pub wire: Arc<Wire>,
}

pub(super) fn db(name: &str) -> DatabaseName {
    DatabaseName::new(DEFAULT_CATALOG, name)
}

pub(super) fn boom() -> Fault {
    Fault::new(Code::METASTORE_ERROR, "fake", "boom")
}

pub(super) fn missing() -> Fault {
    Fault::new(Code::METASTORE_METHOD_MISSING, "fake", "no such method")
}

fn set(parameters: &mut Parameters, key: &str, value: String) {
    match parameters.binary_search_by(|(k, _)| k.as_str().cmp(key)) {
        Ok(index) => parameters[index].1 = value,
        Err(index) => parameters.insert(index, (key.to_string(), value)),
    }
}

impl State {
    fn next_mark(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    pub fn head(&self) -> i64 {
        self.log.last().map_or(0, |event| event.event_id)
    }

    fn event(&mut self, event_type: &str, subject: EventSubject) {
        let event_id = self.head() + 1;
        self.log.push(SourceEvent {
            event_id,
            event_time: 1_700_000_000,
            event_type: event_type.into(),
            catalog_name: None,
            database_name: Some("d".into()),
            table_name: None,
            subject,
        });
    }

    pub fn table_mut(&mut self, name: &TableName) -> Option<&mut TableState> {
        self.databases.get_mut(&name.database)?.tables.get_mut(&name.table)
    }

    pub fn create_database(&mut self, name: &DatabaseName) {
        if self.databases.contains_key(name) {
            return;
        }
        let mark = self.next_mark();
        let database = Database {
            name: name.database.clone(),
            description: Some(format!("v{mark}")),
            ..Database::default()
        };
        self.databases.insert(name.clone(), DatabaseState { database, ..DatabaseState::default() });
        self.event("CREATE_DATABASE", EventSubject::DatabasePut(name.clone()));
    }

    pub fn drop_database(&mut self, name: &DatabaseName) {
        if self.databases.remove(name).is_some() {
            let tables = self.databases.values().flat_map(|database| database.tables.values());
            let moved_out = tables.filter(|table| table.lived_in.contains(name));
            self.numberless.extend(moved_out.map(|table| table.identity));
            self.event("DROP_DATABASE", EventSubject::DatabaseDropped(name.clone()));
        }
    }

    pub fn create_table(&mut self, name: &TableName, is_partitioned: bool) {
        let mark = self.next_mark();
        let Some(database) = self.databases.get_mut(&name.database) else { return };
        if database.tables.contains_key(&name.table) {
            return;
        }
        let column = |name: &str| Column { name: name.into(), data_type: "string".into(), comment: None };
        let mut table = Table {
            name: name.table.clone(),
            table_type: "MANAGED_TABLE".into(),
            create_time: mark as i64,
            partition_keys: if is_partitioned { vec![column("k")] } else { Vec::new() },
            ..Table::default()
        };
        table.storage.columns = vec![column("a")].into();
        table.storage.location = Some(format!("/w/{name}"));
        let state = TableState {
            identity: mark,
            table,
            lived_in: BTreeSet::from([name.database.clone()]),
            partitions: BTreeMap::new(),
            statistics: Vec::new(),
        };
        database.tables.insert(name.table.clone(), state);
        self.event("CREATE_TABLE", EventSubject::TableCreated(name.clone()));
    }

    pub fn alter_table(&mut self, name: &TableName) {
        let mark = self.next_mark();
        let Some(state) = self.table_mut(name) else { return };
        set(&mut state.table.parameters, "x", mark.to_string());
        self.event("ALTER_TABLE", EventSubject::TableAltered(name.clone()));
    }

    /// Adds a column, to all partitions too, of which no event tells.
    pub fn alter_columns(&mut self, name: &TableName) {
        let mark = self.next_mark();
        let Some(state) = self.table_mut(name) else { return };
        let column = Column { name: format!("c{mark}"), data_type: "int".into(), comment: None };
        let add = |columns: &mut Arc<Vec<Column>>| Arc::make_mut(columns).push(column.clone());
        add(&mut state.table.storage.columns);
        state.partitions.values_mut().for_each(|p| add(&mut p.storage.columns));
        self.event("ALTER_TABLE", EventSubject::TableAltered(name.clone()));
    }

    /// Moves the partitions' locations too.
    pub fn rename_table(&mut self, from: &TableName, to: &TableName) {
        if self.table_mut(to).is_some() || !self.databases.contains_key(&to.database) {
            return;
        }
        let Some(database) = self.databases.get_mut(&from.database) else { return };
        let Some(mut state) = database.tables.remove(&from.table) else { return };
        state.table.name = to.table.clone();
        state.lived_in.insert(to.database.clone());
        state.table.storage.location = Some(format!("/w/{to}"));
        for (name, partition) in &mut state.partitions {
            partition.storage.location = Some(format!("/w/{to}/{name}"));
        }
        self.databases.get_mut(&to.database).unwrap().tables.insert(to.table.clone(), state);
        self.event("ALTER_TABLE", EventSubject::TableRenamed { from: from.clone(), to: to.clone() });
    }

    pub fn drop_table(&mut self, name: &TableName) {
        let Some(database) = self.databases.get_mut(&name.database) else { return };
        if database.tables.remove(&name.table).is_some() {
            self.event("DROP_TABLE", EventSubject::TableDropped(name.clone()));
        }
    }

    fn partition(&mut self, table: &TableName, value: u64) -> Partition {
        let mark = self.next_mark();
        let mut partition =
            Partition { values: vec![value.to_string()], create_time: mark as i64, ..Partition::default() };
        partition.storage.location = Some(format!("/w/{table}/k={value}"));
        partition
    }

    pub fn add_partitions(&mut self, name: &TableName, values: std::ops::Range<u64>, is_named: bool) {
        let mut added = Vec::new();
        for value in values {
            let partition = self.partition(name, value);
            let Some(state) = self.table_mut(name) else { return };
            let key = format!("k={value}");
            if !state.table.partition_keys.is_empty() && !state.partitions.contains_key(&key) {
                state.partitions.insert(key.clone(), partition);
                added.push(key);
            }
        }
        if !added.is_empty() {
            let names = if is_named { added } else { Vec::new() };
            self.event("ADD_PARTITION", EventSubject::PartitionsPut(name.clone(), names));
        }
    }

    pub fn alter_partition(&mut self, name: &TableName, value: u64) {
        let mark = self.next_mark();
        let key = format!("k={value}");
        let Some(partition) = self.table_mut(name).and_then(|t| t.partitions.get_mut(&key)) else { return };
        set(&mut partition.parameters, "numRows", mark.to_string());
        self.event("ALTER_PARTITION", EventSubject::PartitionsPut(name.clone(), vec![key]));
    }

    pub fn drop_partition(&mut self, name: &TableName, value: u64, is_named: bool) {
        let key = format!("k={value}");
        let Some(state) = self.table_mut(name) else { return };
        if state.partitions.remove(&key).is_some() {
            let names = if is_named { vec![key] } else { Vec::new() };
            self.event("DROP_PARTITION", EventSubject::PartitionsDropped(name.clone(), names));
        }
    }

    pub fn rename_partition(&mut self, name: &TableName, from: u64, to: u64) {
        let (from, key) = (format!("k={from}"), format!("k={to}"));
        let Some(state) = self.table_mut(name) else { return };
        if state.partitions.contains_key(&key) {
            return;
        }
        let Some(mut partition) = state.partitions.remove(&from) else { return };
        partition.values = vec![to.to_string()];
        state.partitions.insert(key.clone(), partition);
        let subject = EventSubject::PartitionRenamed { table: name.clone(), from, to: key };
        self.event("ALTER_PARTITION", subject);
    }

    pub fn create_function(&mut self, database: &DatabaseName, name: &str) {
        let mark = self.next_mark();
        let Some(state) = self.databases.get_mut(database) else { return };
        let function =
            Function { name: name.into(), class_name: Some(format!("c{mark}")), ..Function::default() };
        state.functions.insert(name.into(), function);
        self.event("CREATE_FUNCTION", EventSubject::Functions(database.clone()));
    }

    pub fn write_statistics(&mut self, name: &TableName) {
        let mark = self.next_mark();
        let Some(state) = self.table_mut(name) else { return };
        state.statistics = vec![ColumnStatistic {
            column_name: "a".into(),
            distinct_count: Some(mark as i64),
            ..ColumnStatistic::default()
        }];
        self.event("UPDATE_TBL_COL_STAT_EVENT", EventSubject::TableDetails(name.clone()));
    }

    fn fault(&self, key: &str) -> Result<(), Fault> {
        self.faults.get(key).map_or(Ok(()), |fault| Err(fault.clone()))
    }
}

/// Every object under a path, as text: what a world and its mirror are compared by.
pub(super) type Contents = BTreeMap<String, String>;

impl World {
    pub fn new(has_log: bool) -> Arc<Self> {
        let state = State {
            databases: BTreeMap::new(),
            privileges: Vec::new(),
            log: Vec::new(),
            has_log,
            uri: "thrift://localhost:9083".into(),
            database_id: None,
            log_fault: None,
            numberless: BTreeSet::new(),
            trimmed: 0,
            shown: i64::MAX,
            faults: BTreeMap::new(),
            stalls: BTreeSet::new(),
            calls: BTreeMap::new(),
            hooks: BTreeMap::new(),
            are_all_stalled: false,
            calls_sum: 0,
            mark: 0,
        };
        Arc::new(Self { state: Mutex::new(state), wire: Arc::default() })
    }

    /// Databases `d0`.., each with `tables` tables `t0`.., every second one with `partitions`.
    pub fn filled(has_log: bool, databases: u64, tables: u64, partitions: u64) -> Arc<Self> {
        let world = Self::new(has_log);
        world.change(|state| {
            for d in 0..databases {
                let name = db(&format!("d{d}"));
                state.create_database(&name);
                state.create_function(&name, "f");
                for t in 0..tables {
                    let table = name.table(format!("t{t}"));
                    state.create_table(&table, t % 2 == 0);
                    state.add_partitions(&table, 0..partitions, true);
                }
            }
        });
        world
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
    }

    /// One call: counted, after its hook, and with others in between.
    async fn call(&self, name: &'static str, subject: &str) -> Result<(), Fault> {
        {
            let state = &mut *self.state.lock();
            state.calls_sum += 1;
            *state.calls.entry(name).or_default() += 1;
            if let Some(hook) = state.hooks.remove(&state.calls_sum) {
                hook(state);
            }
        }
        tokio::task::yield_now().await;
        let is_stalled = |state: &State| state.are_all_stalled || state.stalls.contains(name);
        while is_stalled(&self.state.lock()) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let result = {
            let state = self.state.lock();
            state
                .fault("all")
                .and_then(|()| state.fault(name))
                .and_then(|()| state.fault(&format!("{name} {subject}")))
        };
        tokio::task::yield_now().await;
        result
    }

    pub fn contents(&self) -> Contents {
        let state = self.state.lock();
        let mut contents = Contents::new();
        for (name, database) in &state.databases {
            contents.insert(format!("{name}"), format!("{:?}", database.database));
            for function in database.functions.values() {
                contents.insert(format!("{name}()/{}", function.name), format!("{function:?}"));
            }
            for (table, state) in &database.tables {
                contents.insert(format!("{name}.{table}"), format!("{:?}", state.table));
                for (partition, value) in &state.partitions {
                    contents.insert(format!("{name}.{table}/{partition}"), format!("{value:?}"));
                }
                for statistic in &state.statistics {
                    contents.insert(
                        format!("{name}.{table}:{}", statistic.column_name),
                        format!("{statistic:?}"),
                    );
                }
            }
        }
        for privilege in &state.privileges {
            contents.insert(format!("grant {}", privilege.principal_name), format!("{privilege:?}"));
        }
        contents
    }

    /// Identity of each table by name, but of the numberless.
    pub fn identities(&self) -> BTreeMap<String, u64> {
        let state = self.state.lock();
        let mut identities = BTreeMap::new();
        for (name, database) in &state.databases {
            for (table, held) in &database.tables {
                if !state.numberless.contains(&held.identity) {
                    identities.insert(format!("{name}.{table}"), held.identity);
                }
            }
        }
        identities
    }
}

/// A catalog in a folder, with one metastore.
pub(super) struct Home {
    pub catalog: Arc<Catalog>,
    pub metastore: MetastoreId,
}

impl Home {
    pub fn open(path: &std::path::Path, world: &World) -> Self {
        let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::default() };
        let (catalog, _) = Catalog::open(path, options, world.wire.clone(), Arc::new(SystemClock)).unwrap();
        let settings = MetastoreSettings {
            name: "m".into(),
            uris: vec!["thrift://localhost:9083".into()],
            follow: "auto".into(),
            origin: "config",
        };
        let metastore = catalog.declare(&[settings]).unwrap()[0];
        Self { catalog, metastore }
    }

    pub fn mirror(&self, world: &Arc<World>) -> Mirror {
        Mirror {
            metastore: self.metastore,
            source: world.clone(),
            catalog: self.catalog.clone(),
            options: MirrorOptions {
                events_interval_ms: 5,
                poll_interval_ms: 5,
                tables_batch_max: 3,
                partitions_batch_max: 4,
                ..MirrorOptions::default()
            },
            progress: Arc::new(Progress::default()),
            asked: Arc::default(),
        }
    }

    pub fn contents(&self) -> Contents {
        let snapshot = self.catalog.snapshot();
        let metastore = &snapshot.metastores[0];
        let mut contents = Contents::new();
        for database in metastore.databases() {
            let name = db(&database.name);
            contents.insert(format!("{name}"), format!("{:?}", database.object));
            for (item, _) in snapshot.load_functions(database).unwrap() {
                contents.insert(format!("{name}()/{}", item.value.name), format!("{:?}", item.value));
            }
            for (id, details, _) in snapshot.load_details(database).unwrap() {
                let table = database.tables.iter().find(|table| table.id == id).unwrap();
                for item in details.column_statistics {
                    let key = format!("{name}.{}:{}", table.name, item.value.column_name);
                    contents.insert(key, format!("{:?}", item.value));
                }
            }
            for table in &database.tables {
                let item = snapshot.load_table(database, table).unwrap();
                contents.insert(format!("{name}.{}", table.name), format!("{:?}", item.value));
                for index in 0..snapshot.chunk_summaries(table).len() {
                    for (partition, item) in snapshot.load_partitions(table, index).unwrap() {
                        let key = format!("{name}.{}/{partition}", table.name);
                        contents.insert(key, format!("{:?}", item.value));
                    }
                }
            }
        }
        for (item, _) in snapshot.load_privileges(metastore).unwrap() {
            contents.insert(format!("grant {}", item.value.principal_name), format!("{:?}", item.value));
        }
        contents
    }

    /// Number of each table by name.
    pub fn ids(&self) -> BTreeMap<String, TableId> {
        let snapshot = self.catalog.snapshot();
        let mut ids = BTreeMap::new();
        for database in snapshot.metastores[0].databases() {
            for table in &database.tables {
                ids.insert(format!("{}.{}", db(&database.name), table.name), table.id);
            }
        }
        ids
    }

    pub fn position(&self) -> Option<i64> {
        self.catalog.snapshot().metastores[0].position
    }
}

#[async_trait]
impl Source for World {
    async fn probe(&self) -> Result<SourceFacts, Fault> {
        self.call("probe", "").await?;
        let state = self.state.lock();
        Ok(SourceFacts {
            hive_version: "3.1".into(),
            endpoint_uri: state.uri.clone(),
            database_id: state.database_id.clone(),
            log_fault: state.log_fault.clone(),
            // As the real adapter tells it: 0 may be a log that is empty, or none.
            head_event_id: Some(if state.has_log { state.head().min(state.shown) } else { 0 })
                .filter(|head| *head != 0 || state.databases.is_empty())
                .filter(|_| state.log_fault.is_none()),
            ..SourceFacts::default()
        })
    }

    async fn database_id(&self) -> Option<String> {
        self.call("database_id", "").await.ok()?;
        self.state.lock().database_id.clone()
    }

    fn requests_in_flight_max(&self) -> usize {
        4
    }

    async fn catalogs(&self) -> Result<Vec<Item<CatalogObject>>, Fault> {
        self.call("catalogs", "").await?;
        let state = self.state.lock();
        let mut names: BTreeSet<&str> = state.databases.keys().map(|name| name.catalog.as_str()).collect();
        names.insert(DEFAULT_CATALOG);
        let catalog = |name: &str| CatalogObject { name: name.into(), ..CatalogObject::default() };
        Ok(names.into_iter().map(|name| self.wire.item(&catalog(name))).collect())
    }

    async fn database_names(&self, catalog: &str) -> Result<Vec<String>, Fault> {
        self.call("database_names", catalog).await?;
        let state = self.state.lock();
        let names = state.databases.keys().filter(|name| name.catalog == catalog);
        Ok(names.map(|name| name.database.clone()).collect())
    }

    async fn database(&self, name: &DatabaseName) -> Result<Option<Item<Database>>, Fault> {
        self.call("database", &name.database).await?;
        let state = self.state.lock();
        Ok(state.databases.get(name).map(|database| self.wire.item(&database.database)))
    }

    async fn table_names(&self, database: &DatabaseName) -> Result<Vec<String>, Fault> {
        self.call("table_names", &database.database).await?;
        let state = self.state.lock();
        Ok(state.databases.get(database).map_or(Vec::new(), |state| state.tables.keys().cloned().collect()))
    }

    async fn tables(&self, database: &DatabaseName, names: &[String]) -> Result<Batch<Table>, Fault> {
        self.call("tables", &database.database).await?;
        let state = self.state.lock();
        let mut batch = Batch::default();
        for name in names {
            let table = state.databases.get(database).and_then(|database| database.tables.get(name));
            match (state.fault(&format!("table {database}.{name}")), table) {
                (Err(fault), Some(_)) => batch.failed.push((name.clone(), fault)),
                (Ok(()), Some(table)) => batch.items.push((name.clone(), self.wire.item(&table.table))),
                (_, None) => {}
            }
        }
        Ok(batch)
    }

    async fn partition_names(&self, table: &TableName) -> Result<Vec<String>, Fault> {
        self.call("partition_names", &table.to_string()).await?;
        let mut state = self.state.lock();
        Ok(state.table_mut(table).map_or(Vec::new(), |state| state.partitions.keys().cloned().collect()))
    }

    async fn partitions(
        &self,
        table: &TableName,
        keys: &[String],
        names: &[String],
    ) -> Result<Batch<Partition>, Fault> {
        assert_eq!(keys.len(), 1, "the only key of a partitioned table here is k");
        self.call("partitions", &table.to_string()).await?;
        let mut state = self.state.lock();
        let partitions = state.table_mut(table).map(|state| state.partitions.clone()).unwrap_or_default();
        let mut batch = Batch::default();
        for name in names {
            match (state.fault(&format!("partition {table}/{name}")), partitions.get(name)) {
                (Err(fault), Some(_)) => batch.failed.push((name.clone(), fault)),
                (Ok(()), Some(partition)) => batch.items.push((name.clone(), self.wire.item(partition))),
                (_, None) => {}
            }
        }
        Ok(batch)
    }

    async fn functions(&self, database: &DatabaseName) -> Result<Batch<Function>, Fault> {
        self.call("functions", &database.database).await?;
        let state = self.state.lock();
        let functions = state.databases.get(database).map(|database| database.functions.clone());
        let mut batch = Batch::default();
        for function in functions.unwrap_or_default().values() {
            let name = function.name.clone();
            match state.fault(&format!("function {database}/{name}")) {
                Err(fault) => batch.failed.push((name, fault)),
                Ok(()) => batch.items.push((name, self.wire.item(function))),
            }
        }
        Ok(batch)
    }

    async fn table_details(&self, table: &TableName, _columns: &[String]) -> Result<TableDetails, Fault> {
        self.call("table_details", &table.to_string()).await?;
        let mut state = self.state.lock();
        let statistics = state.table_mut(table).map(|state| state.statistics.clone());
        let Some(statistics) = statistics else {
            return Err(Fault::new(Code::METASTORE_NOT_FOUND, "fake", "no such table"));
        };
        let column_statistics = statistics.iter().map(|statistic| self.wire.item(statistic)).collect();
        Ok(TableDetails { constraints: Vec::new(), column_statistics })
    }

    async fn privileges(&self) -> Result<Vec<Item<Privilege>>, Fault> {
        self.call("privileges", "").await?;
        Ok(self.state.lock().privileges.iter().map(|privilege| self.wire.item(privilege)).collect())
    }

    async fn head_event_id(&self) -> Result<i64, Fault> {
        self.call("head_event_id", "").await?;
        let state = self.state.lock();
        Ok(if state.has_log { state.head().min(state.shown) } else { 0 })
    }

    async fn events(&self, after_event_id: i64, max: usize) -> Result<EventPage, Fault> {
        self.call("events", "").await?;
        let state = self.state.lock();
        let is_gap = after_event_id < state.trimmed;
        let is_new = |event: &&SourceEvent| {
            after_event_id < event.event_id && state.trimmed < event.event_id && event.event_id <= state.shown
        };
        // Short pages, so that following has to put several together.
        let events = state.log.iter().filter(is_new).take(max.min(7)).cloned().collect();
        Ok(EventPage { events, is_gap })
    }
}
