//! Two small metastores in a temporary catalog, with something planted for every question.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_catalog::change::{
    Change, EndpointStatus, EventRow, FollowMode, FollowState, MissingMethod, ObjectError, Origin, Run, Stamp,
};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::*;
use skep_catalog::ports::{Clock, SourceFacts, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_hms::HmsDecoder;
use skep_hms::objects::*;
use skep_query::arrow::array::RecordBatch;
use skep_query::arrow::util::display::{ArrayFormatter, FormatOptions};
use skep_query::{Caller, Engine, EngineOptions, Node, Setting, Statement};

/// Partitions of `east.sales.orders`: several segments.
pub const EAST_ORDERS: usize = 2_500;
/// Partitions of `west.sales.orders`.
pub const WEST_ORDERS: usize = 30;
/// Partitions of `east.ops.logs`, none of which has statistics.
pub const LOGS: usize = 7;
/// Every so many partitions of `east.sales.orders` still point at the old name node.
pub const OLD_EVERY: usize = 500;

pub struct Fixture {
    pub engine: Arc<Engine>,
    pub catalog: Arc<Catalog>,
    _folder: tempfile::TempDir,
}

fn parameters(list: &[(&str, String)]) -> Parameters {
    let mut parameters: Parameters = list.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    parameters.sort();
    parameters
}

fn column(name: &str, data_type: &str) -> Column {
    Column { name: name.into(), data_type: data_type.into(), comment: Some(format!("the {name}")) }
}

fn storage(location: &str, columns: Vec<Column>) -> StorageDescriptor {
    let columns = columns.into();
    StorageDescriptor {
        columns,
        location: Some(location.into()),
        input_format: Some("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat".into()),
        output_format: Some("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat".into()),
        serde: SerdeInfo {
            library: Some("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".into()),
            ..Default::default()
        },
        ..Default::default()
    }
}

fn table(name: &str, location: &str, columns: Vec<Column>) -> Table {
    Table {
        name: name.into(),
        owner_name: Some("ann".into()),
        create_time: 1_500_000_000,
        storage: storage(location, columns),
        parameters: parameters(&[("transient_lastDdlTime", "1500000001".into())]),
        table_type: "MANAGED_TABLE".into(),
        ..Default::default()
    }
}

struct Writer {
    changes: Vec<Change>,
    catalog: &'static str,
    has_catalogs: bool,
}

impl Writer {
    fn name(&self, database: &str) -> DatabaseName {
        DatabaseName::new(self.catalog, database)
    }
    fn word(&self) -> Option<&str> {
        self.has_catalogs.then_some(self.catalog)
    }
    fn catalog(&mut self) {
        let object = CatalogObject {
            name: self.catalog.into(),
            location: Some("hdfs://nn/warehouse".into()),
            ..Default::default()
        };
        let raw = encode_catalog(&object);
        self.changes.push(Change::PutCatalog(Item { value: object, raw }));
    }
    fn database(&mut self, name: &str) {
        let object = Database {
            name: name.into(),
            catalog_name: self.word().map(str::to_owned),
            location: Some(format!("hdfs://nn/warehouse/{name}.db")),
            description: Some("a database".into()),
            owner_name: Some("ann".into()),
            owner_type: Some(PrincipalType::User),
            parameters: parameters(&[("team", "data".into())]),
            ..Default::default()
        };
        let raw = encode_database(&object);
        self.changes.push(Change::PutDatabase(self.name(name), Item { value: object, raw }));
    }
    fn table(&mut self, database: &str, table: Table) {
        let raw = encode_table(self.word(), database, &table);
        let name = self.name(database).table(table.name.as_str());
        self.changes.push(Change::PutTable(name, Item { value: table, raw }));
    }
    fn partitions(&mut self, database: &str, table: &str, partitions: Vec<Partition>) {
        let item = |partition: Partition| {
            let name = partition_name(&["ds"], &partition.values);
            let raw = encode_partition(self.word(), database, table, &partition);
            (name, Item { value: partition, raw })
        };
        let items = partitions.into_iter().map(item).collect();
        self.changes.push(Change::PutPartitions(self.name(database).table(table), items));
    }
}

fn partition(base: &str, value: &str, statistics: &[(&str, i64)]) -> Partition {
    let list: Vec<(&str, String)> = statistics.iter().map(|(k, v)| (*k, v.to_string())).collect();
    Partition {
        values: vec![value.into()],
        create_time: 1_600_000_000,
        storage: storage(&format!("{base}/ds={value}"), vec![column("id", "bigint")]),
        parameters: parameters(&list),
        ..Default::default()
    }
}

/// `2000-01-01` and the days after it, in order of text.
fn day(index: usize) -> String {
    format!("{:04}-{:02}-{:02}", 2000 + index / 336, 1 + index / 28 % 12, 1 + index % 28)
}

fn east() -> Writer {
    let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: false };
    w.catalog();
    w.database("sales");
    w.database("ops");
    w.database("empty");
    let mut orders = table(
        "orders",
        "hdfs://nn/warehouse/sales.db/orders",
        vec![column("id", "bigint"), column("customer_phone", "string")],
    );
    orders.partition_keys = vec![column("ds", "string")];
    orders.parameters.push(("comment".into(), "all orders".into()));
    orders.parameters.push(("transactional".into(), "true".into()));
    orders.parameters.sort();
    w.table("sales", orders);
    let partitions = (0..EAST_ORDERS).map(|i| {
        let base = if i % OLD_EVERY == 3 {
            "hdfs://old-nn/sales/orders"
        } else {
            "hdfs://nn/warehouse/sales.db/orders"
        };
        let known = [("numRows", i as i64), ("totalSize", 10 * i as i64), ("numFiles", 1)];
        // Some have no statistics.
        partition(base, &day(i), if i % 10 == 0 { &[] } else { &known })
    });
    w.partitions("sales", "orders", partitions.collect());
    let mut small =
        table("small_files", "hdfs://nn/warehouse/sales.db/small_files", vec![column("id", "int")]);
    small.parameters = parameters(&[
        ("numFiles", "5000".into()),
        ("parquet.compression", "SNAPPY".into()),
        ("totalSize", "5000000".into()),
        ("numRows", "100".into()),
    ]);
    w.table("sales", small);
    let mut no_files = table("no_files", "hdfs://nn/warehouse/sales.db/no_files", vec![column("id", "int")]);
    no_files.parameters =
        parameters(&[("numFiles", "0".into()), ("totalSize", "0".into()), ("numRows", "0".into())]);
    w.table("sales", no_files);
    let mut view = table("orders_view", "x", vec![column("id", "bigint")]);
    view.storage.location = None;
    view.table_type = "VIRTUAL_VIEW".into();
    view.view_original_text = Some("SELECT id FROM orders".into());
    view.view_expanded_text = Some("SELECT `orders`.`id` FROM `sales`.`orders`".into());
    w.table("sales", view);
    let mut logs = table("logs", "hdfs://nn/warehouse/ops.db/logs", vec![column("line", "string")]);
    logs.partition_keys = vec![column("ds", "string")];
    w.table("ops", logs);
    let base = "hdfs://nn/warehouse/ops.db/logs";
    w.partitions("ops", "logs", (0..LOGS).map(|i| partition(base, &day(i), &[])).collect());
    let mut unpartitioned =
        table("nothing_yet", "hdfs://nn/warehouse/ops.db/nothing_yet", vec![column("a", "int")]);
    unpartitioned.partition_keys = vec![column("ds", "string")];
    w.table("ops", unpartitioned);
    let mut fresh =
        table("fresh", "hdfs://nn/warehouse/sales.db/orders", vec![column("id", "decimal(10,2)")]);
    fresh.create_time = SystemClock.now_micros() / 1_000_000 - 60;
    fresh.parameters = Vec::new();
    w.table("ops", fresh);
    w.table("ops", table("dropped", "hdfs://nn/warehouse/ops.db/dropped", vec![column("id", "int")]));
    w.changes.push(Change::DropTable(w.name("ops").table("dropped")));
    details(&mut w);
    ledger(&mut w);
    w
}

fn details(w: &mut Writer) {
    let constraint = |kind, name: &str, column: &str, referenced| ConstraintColumn {
        kind,
        name: name.into(),
        column_name: Some(column.into()),
        key_sequence: 1,
        referenced,
        expression: None,
        is_enabled: false,
        is_validated: false,
        is_rely: true,
    };
    let orders = DatabaseTable { database: "sales".into(), table: "orders".into() };
    let constraints = [
        constraint(ConstraintKind::PrimaryKey, "pk", "id", None),
        constraint(ConstraintKind::ForeignKey, "fk", "id", Some((orders, "id".into()))),
    ];
    let constraints = constraints.map(|value| {
        let raw = encode_constraint(None, "sales", "small_files", &value);
        Item { value, raw }
    });
    let statistic = ColumnStatistic {
        column_name: "id".into(),
        data_type: "int".into(),
        null_count: Some(90),
        distinct_count: Some(10),
        min_value: Some("1".into()),
        max_value: Some("10".into()),
        ..Default::default()
    };
    let raw = encode_column_statistic(&statistic);
    let details = TableDetails {
        constraints: constraints.into(),
        column_statistics: vec![Item { value: statistic, raw }],
    };
    w.changes.push(Change::SetTableDetails(w.name("sales").table("small_files"), details));
    let function = Function {
        name: "mask".into(),
        class_name: Some("org.example.Mask".into()),
        owner_name: Some("ann".into()),
        owner_type: Some(PrincipalType::User),
        create_time: 1_500_000_000,
        resources: vec![("jar".into(), "hdfs://nn/lib/mask.jar".into())],
        unknown_hash: 0,
    };
    let raw = encode_function(None, "sales", &function);
    w.changes.push(Change::SetFunctions(w.name("sales"), vec![Item { value: function, raw }], vec![]));
    let grant = Privilege {
        object_kind: "table",
        database: Some(w.name("sales")),
        table_name: Some("orders".into()),
        partition_values: Vec::new(),
        column_name: None,
        principal_name: "bob".into(),
        principal_type: Some(PrincipalType::Role),
        privilege: "SELECT".into(),
        grantor_name: Some("ann".into()),
        granted_time: 1_500_000_000,
        has_grant_option: false,
    };
    let raw = encode_privilege(false, &grant);
    w.changes.push(Change::SetPrivileges(vec![Item { value: grant, raw }]));
}

fn ledger(w: &mut Writer) {
    let now = SystemClock.now_micros();
    w.changes.push(Change::PutRun(Run {
        run_id: 1,
        kind: "first".into(),
        state: "done".into(),
        started_at: now - 5_000_000,
        finished_at: Some(now - 1_000_000),
        start_event_id: Some(40),
        objects_read: 10,
        objects_changed: 10,
        error_message: None,
    }));
    w.changes.push(Change::AddEvents(vec![EventRow {
        event_id: Some(41),
        event_type: "ALTER_TABLE".into(),
        catalog_name: "hive".into(),
        database_name: Some("sales".into()),
        table_name: Some("orders".into()),
        partition_count: 0,
        event_at: Some(now - 2_000_000),
        applied_at: now - 1_000_000,
    }]));
    // The first is mirrored, and could not be read again.
    for (table, at) in [("logs", now), ("broken", now - 1_000_000)] {
        w.changes.push(Change::AddErrors(vec![ObjectError {
            database: Some(w.name("ops")),
            table_name: Some(table.into()),
            partition_name: None,
            fault: Fault::new(Code::METASTORE_SLOW, "metastore east: get_table", "no answer in 30000 ms"),
            at,
        }]));
    }
    w.changes.push(Change::SetMissingMethods(vec![MissingMethod {
        method: "get_unique_constraints".into(),
        object_kind: "constraints".into(),
    }]));
    w.changes.push(Change::SetSourceCount(w.name("ops"), 4));
    w.changes.push(Change::SetPosition(41));
}

fn west() -> [Writer; 2] {
    let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: true };
    w.catalog();
    w.database("sales");
    let mut orders = table(
        "orders",
        "hdfs://west/warehouse/sales.db/orders",
        vec![column("id", "string"), column("customer_phone", "string"), column("note", "string")],
    );
    orders.partition_keys = vec![column("ds", "string")];
    w.table("sales", orders);
    let base = "hdfs://west/warehouse/sales.db/orders";
    let known = [("numRows", 1), ("totalSize", 100), ("numFiles", 1)];
    w.partitions("sales", "orders", (0..WEST_ORDERS).map(|i| partition(base, &day(i), &known)).collect());
    let mut spark = Writer { changes: Vec::new(), catalog: "spark", has_catalogs: true };
    spark.catalog();
    spark.database("lab");
    spark.table("lab", table("trial", "s3a://bucket/lab/trial", vec![column("x", "double")]));
    [w, spark]
}

/// An empty catalog that knows these metastores.
fn open(names: &[&str]) -> (tempfile::TempDir, Arc<Catalog>, Vec<MetastoreId>) {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, _) = Catalog::open(
        &folder.path().join("store"),
        StoreOptions::default(),
        Arc::new(HmsDecoder),
        Arc::new(SystemClock),
    )
    .unwrap();
    let settings = |name: &&str| MetastoreSettings {
        name: (*name).into(),
        uris: vec![format!("thrift://{name}:9083")],
        follow: "auto".into(),
        origin: "config",
    };
    let ids = catalog.declare(&names.iter().map(settings).collect::<Vec<_>>()).unwrap();
    (folder, catalog, ids)
}

pub fn fixture() -> Fixture {
    fixture_with(EngineOptions { threads: 2, ..EngineOptions::default() })
}

/// Functions of `east.sales`, details of `east.sales.small_files` and the grants of `east`, as
/// they are in the fixture: three changes in this order.
pub fn read_alone() -> Vec<Change> {
    let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: false };
    details(&mut w);
    w.changes
}

/// A table without partitions.
pub fn unpartitioned(database: &str, name: &str) -> Change {
    let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: false };
    let location = format!("hdfs://nn/warehouse/{database}.db/{name}");
    w.table(database, table(name, &location, vec![column("id", "int")]));
    w.changes.remove(0)
}

pub fn fixture_with(options: EngineOptions) -> Fixture {
    let (folder, catalog, ids) = open(&["east", "west"]);
    let stamp = Stamp { synced_at: SystemClock.now_micros(), source_event_id: Some(41) };
    catalog.apply(Origin { metastore: ids[0], stamp }, east().changes).unwrap();
    let stamp = Stamp { synced_at: SystemClock.now_micros(), source_event_id: None };
    for writer in west() {
        catalog.apply(Origin { metastore: ids[1], stamp }, writer.changes).unwrap();
    }
    catalog.update_status(ids[0], |status| {
        status.mode = FollowMode::Events;
        status.state = FollowState::Following;
        status.head_event_id = Some(43);
        status.lag_ms = Some(1_500);
        status.facts =
            Some(SourceFacts { hive_version: "2.3".into(), auth_mode: "none".into(), ..Default::default() });
    });
    catalog.update_status(ids[1], |status| {
        status.mode = FollowMode::Polling;
        status.state = FollowState::Error;
        status.error = Some((
            Fault::new(Code::METASTORE_UNREACHABLE, "metastore west", "connection refused"),
            stamp.synced_at,
        ));
    });
    let endpoint = |uri: &str, state, error: Option<&str>| EndpointStatus {
        uri: uri.into(),
        state,
        latency_ms: Some(0.5),
        last_ok_at: None,
        error_message: error.map(str::to_owned),
        found_by: "config",
    };
    catalog.set_endpoints(ids[0], vec![endpoint("thrift://east:9083", "ok", None)]);
    catalog.set_endpoints(ids[1], vec![endpoint("thrift://west:9083", "error", Some("connection refused"))]);
    let engine = Arc::new(Engine::new(Arc::clone(&catalog), options).unwrap());
    engine.set_nodes(vec![Node { node_id: "n1".into(), role: "demo".into(), ..Default::default() }]);
    engine.set_settings(vec![Setting { name: "data_dir".into(), origin: "default", ..Default::default() }]);
    Fixture { engine, catalog, _folder: folder }
}

/// A table, where it lies, and where its partitions lie.
pub struct Located {
    pub metastore: &'static str,
    pub table: &'static str,
    pub location: &'static str,
    pub partitions: Vec<String>,
}

/// Metastores `east` and `west`, each with a database `d` of some of these tables; what was read
/// of one table later has a greater stamp.
pub fn located(tables: &[Located]) -> Fixture {
    let names = ["east", "west"];
    let (folder, catalog, ids) = open(&names);
    for (name, id) in names.iter().zip(&ids) {
        let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: false };
        w.catalog();
        w.database("d");
        let stamp = Stamp { synced_at: 1, source_event_id: Some(1) };
        catalog.apply(Origin { metastore: *id, stamp }, std::mem::take(&mut w.changes)).unwrap();
        for (number, one) in tables.iter().enumerate().filter(|(_, one)| one.metastore == *name) {
            let mut made = table(one.table, one.location, vec![column("id", "bigint")]);
            made.partition_keys = vec![column("ds", "string")];
            w.table("d", made);
            let partition = |(index, location): (usize, &String)| Partition {
                storage: storage(location, Vec::new()),
                ..partition("", &day(index), &[])
            };
            w.partitions("d", one.table, one.partitions.iter().enumerate().map(partition).collect());
            let stamp = Stamp { synced_at: 1_000 + number as i64, source_event_id: Some(10 + number as i64) };
            catalog.apply(Origin { metastore: *id, stamp }, std::mem::take(&mut w.changes)).unwrap();
        }
    }
    let engine = Engine::new(Arc::clone(&catalog), EngineOptions::default()).unwrap();
    Fixture { engine: Arc::new(engine), catalog, _folder: folder }
}

/// One database of so many tables, each with so many partitions that know all that partitions can.
pub fn partitioned(tables: usize, partitions: usize) -> Fixture {
    let (folder, catalog, ids) = open(&["only"]);
    let mut w = Writer { changes: Vec::new(), catalog: "hive", has_catalogs: false };
    w.catalog();
    w.database("sales");
    for number in 0..tables {
        let name = format!("fact_{number:06}");
        let base = format!("hdfs://nameservice1/warehouse/tablespace/external/hive/sales.db/{name}");
        let mut fact = table(&name, &base, vec![column("id", "bigint")]);
        fact.partition_keys = vec![column("ds", "string")];
        w.table("sales", fact);
        let partition = |index: usize| {
            let rows = (index * 7_919 + number * 104_729) as i64 % 1_000_003;
            let ddl = 1_600_000_000 + 86_400 * index as i64;
            let known = [
                ("numFiles", 1 + rows % 300),
                ("numRows", rows),
                ("totalSize", rows * 40_097),
                ("transient_lastDdlTime", ddl + 60),
            ];
            Partition { create_time: ddl, ..partition(&base, &day(index), &known) }
        };
        w.partitions("sales", &name, (0..partitions).map(partition).collect());
    }
    let stamp = Stamp { synced_at: SystemClock.now_micros(), source_event_id: Some(41) };
    catalog.apply(Origin { metastore: ids[0], stamp }, w.changes).unwrap();
    let options = EngineOptions { threads: 2, ..EngineOptions::default() };
    Fixture {
        engine: Arc::new(Engine::new(Arc::clone(&catalog), options).unwrap()),
        catalog,
        _folder: folder,
    }
}

impl Fixture {
    pub fn try_batches(&self, sql: &str) -> Result<Vec<RecordBatch>, Fault> {
        self.run(Statement::new(sql))
    }

    fn run(&self, statement: Statement) -> Result<Vec<RecordBatch>, Fault> {
        futures::executor::block_on(async { self.engine.run(statement).await?.collect().await })
    }

    /// Rows of a statement that somebody else asks.
    pub fn rows_of(&self, caller: &Caller, sql: &str) -> Vec<Vec<String>> {
        self.rows_of_statement(Statement { caller: caller.clone(), ..Statement::new(sql) })
    }

    pub fn rows_of_statement(&self, statement: Statement) -> Vec<Vec<String>> {
        let sql = statement.sql.clone();
        texts(&self.run(statement).unwrap_or_else(|fault| panic!("{sql}\n{fault}")))
    }

    /// Rows as texts, NULL as `-`.
    pub fn try_rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Fault> {
        Ok(texts(&self.try_batches(sql)?))
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(sql).unwrap_or_else(|fault| panic!("{sql}\n{fault}"))
    }

    pub fn fault(&self, sql: &str) -> Fault {
        match self.try_rows(sql) {
            Ok(rows) => panic!("{} rows instead of an error: {}", rows.len(), sql.get(..200).unwrap_or(sql)),
            Err(fault) => fault,
        }
    }

    /// The plan as text.
    pub fn plan(&self, sql: &str) -> String {
        self.rows(&format!("EXPLAIN {sql}")).concat().join("\n")
    }
}

/// Rows as texts, NULL as `-`.
fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect());
        }
    }
    rows
}

/// Waits until a condition holds; the test fails when it does not within a minute.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    eventually_within(Duration::from_secs(60), what, condition);
}

/// Like [`eventually`], with a limit of its own.
pub fn eventually_within(limit: Duration, what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < limit, "{what} did not happen within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
