//! The rows of benchmark `partitions-sql`, by one formula in Rust (for skep) and in SQL (for its
//! peer): three metastores, tables of about the same number of partitions, a tenth of the tables
//! with old partitions on another name node.

use bytes::Bytes;
use skep_catalog::change::Change;
use skep_catalog::model::*;
use skep_hms::objects::{encode_database, encode_partition, encode_table};

/// Names of the metastores.
pub const METASTORES: [&str; 3] = ["dc1", "dc2", "dc3"];
const TABLES_PER_DATABASE: usize = 100;
/// So many partitions of each tenth table lie at an old address.
const OLD_PARTITIONS: usize = 400;
/// Partitions of one change: what the mirror reads with one call.
const BATCH_PARTITIONS: usize = 1_000;

/// How many rows.
#[derive(Clone, Copy, Debug)]
pub struct Warehouse {
    /// Tables.
    pub tables: usize,
    /// Mean partitions of a table; tables have half to one and a half times as many.
    pub mean_partitions: usize,
}

impl Warehouse {
    /// About so many partitions, and of a table.
    pub fn of(partitions: usize, mean_partitions: usize) -> Self {
        let tables = (partitions / mean_partitions.max(1)).max(METASTORES.len());
        Self { tables, mean_partitions: partitions / tables }
    }

    /// Number of the metastore that has a table.
    pub fn metastore(&self, table: usize) -> usize {
        table * METASTORES.len() / self.tables
    }

    /// Database and table name.
    pub fn name(&self, table: usize) -> TableName {
        let database = format!("db_{:04}", table / TABLES_PER_DATABASE);
        DatabaseName::new(DEFAULT_CATALOG, database).table(format!("fact_{table:06}"))
    }

    /// How many partitions a table has.
    pub fn partition_count(&self, table: usize) -> usize {
        self.mean_partitions * (50 + table % 101) / 100
    }

    /// How many partitions all tables have.
    pub fn rows(&self) -> usize {
        (0..self.tables).map(|table| self.partition_count(table)).sum()
    }

    /// A table in the middle that has the mean number of partitions and no old ones.
    pub fn middle_table(&self) -> usize {
        let is_plain = |table: &usize| table % 101 == 50 && !table.is_multiple_of(10);
        (self.tables / 2..self.tables).chain(0..self.tables).find(is_plain).unwrap_or(0)
    }

    /// Name of a partition.
    pub fn partition_name(index: usize) -> String {
        format!("ds={:04}-{:02}-{:02}", 2020 + index / 336, 1 + index / 28 % 12, 1 + index % 28)
    }

    fn root(&self, table: usize, is_old: bool) -> String {
        let name = self.name(table);
        let node = if is_old { "old" } else { METASTORES[self.metastore(table)] };
        format!("hdfs://{node}-nn/warehouse/{}.db/{}", name.database.database, name.table)
    }

    /// The same rows as a `SELECT` over DuckDB's `range`.
    pub fn sql(&self) -> String {
        let Self { tables, mean_partitions } = self;
        let count = METASTORES.len();
        format!(
            "WITH tables AS (
                SELECT t, 'dc' || (1 + t * {count} // {tables}) AS metastore_name,
                    'db_' || lpad((t // {TABLES_PER_DATABASE})::VARCHAR, 4, '0') AS database_name,
                    'fact_' || lpad(t::VARCHAR, 6, '0') AS table_name,
                    {mean_partitions} * (50 + t % 101) // 100 AS partition_count
                FROM range({tables}) AS tables(t)
            ), rows AS (
                SELECT *, 'ds=' || (2020 + p // 336) || '-' || lpad((1 + p // 28 % 12)::VARCHAR, 2, '0')
                    || '-' || lpad((1 + p % 28)::VARCHAR, 2, '0') AS partition_name,
                    (t * 7919 + p * 104729) % 1000003 AS row_count
                FROM tables, range({mean_partitions} * 3 // 2 + 1) AS partitions(p) WHERE p < partition_count
            )
            SELECT metastore_name, database_name, table_name, partition_name,
                'hdfs://' || (CASE WHEN t % 10 = 0 AND p < {OLD_PARTITIONS} THEN 'old' ELSE metastore_name END)
                    || '-nn/warehouse/' || database_name || '.db/' || table_name || '/' || partition_name AS location,
                row_count, row_count * 97 + p AS total_size_bytes
            FROM rows ORDER BY t, p"
        )
    }

    /// The changes of what is not below a table.
    pub fn databases(&self, metastore: usize) -> Vec<Change> {
        let tables = (0..self.tables).filter(|table| self.metastore(*table) == metastore);
        let mut names: Vec<DatabaseName> = tables.map(|table| self.name(table).database).collect();
        names.dedup();
        let value = CatalogObject { name: DEFAULT_CATALOG.to_owned(), ..CatalogObject::default() };
        let raw = skep_hms::objects::encode_catalog(&value);
        let mut changes = vec![Change::PutCatalog(Item { value, raw })];
        for name in names {
            let value = Database { name: name.database.clone(), ..Database::default() };
            let raw = encode_database(&value);
            changes.push(Change::PutDatabase(name, Item { value, raw }));
        }
        changes
    }

    /// The changes that make a table with its partitions.
    pub fn table(&self, table: usize) -> Vec<Change> {
        let name = self.name(table);
        let value = Table {
            name: name.table.clone(),
            storage: storage(self.root(table, false)),
            partition_keys: vec![column("ds", "string")],
            table_type: "MANAGED_TABLE".to_owned(),
            ..Table::default()
        };
        let raw = encode_table(Some(DEFAULT_CATALOG), &name.database.database, &value);
        let mut changes = vec![Change::PutTable(name.clone(), Item { value, raw })];
        let partitions: Vec<usize> = (0..self.partition_count(table)).collect();
        for batch in partitions.chunks(BATCH_PARTITIONS) {
            let items = batch.iter().map(|index| self.partition(&name, table, *index)).collect();
            changes.push(Change::PutPartitions(name.clone(), items));
        }
        changes
    }

    fn partition(&self, name: &TableName, table: usize, index: usize) -> (String, Item<Partition>) {
        let partition_name = Self::partition_name(index);
        let is_old = table.is_multiple_of(10) && index < OLD_PARTITIONS;
        let row_count = (table * 7_919 + index * 104_729) % 1_000_003;
        let number = |key: &str, value: usize| (key.to_owned(), value.to_string());
        let value = Partition {
            values: vec![partition_name["ds=".len()..].to_owned()],
            create_time: 1_577_836_800 + index as i64 * 86_400,
            storage: storage(format!("{}/{partition_name}", self.root(table, is_old))),
            parameters: vec![
                ("COLUMN_STATS_ACCURATE".to_owned(), "{\"BASIC_STATS\":\"true\"}".to_owned()),
                number("numFiles", 1 + row_count % 16),
                number("numRows", row_count),
                number("rawDataSize", row_count * 311),
                number("totalSize", row_count * 97 + index),
                number("transient_lastDdlTime", 1_577_836_900 + index * 86_400 + table % 60),
            ],
            ..Partition::default()
        };
        let raw = encode_partition(Some(DEFAULT_CATALOG), &name.database.database, &name.table, &value);
        (partition_name, Item { value, raw })
    }
}

/// The struct bytes of all partitions among these changes, one after the other.
pub fn raw_partitions(changes: &[Change]) -> Vec<u8> {
    let mut raw = Vec::new();
    for change in changes {
        if let Change::PutPartitions(_, items) = change {
            items.iter().map(|(_, item)| &item.raw).for_each(|bytes: &Bytes| raw.extend_from_slice(bytes));
        }
    }
    raw
}

fn column(name: &str, data_type: &str) -> Column {
    Column { name: name.to_owned(), data_type: data_type.to_owned(), comment: None }
}

fn storage(location: String) -> StorageDescriptor {
    let text = |text: &str| Some(text.to_owned());
    StorageDescriptor {
        columns: vec![
            column("id", "bigint"),
            column("customer_id", "bigint"),
            column("amount", "decimal(18,2)"),
            column("currency", "string"),
            column("created_at", "timestamp"),
            column("status", "string"),
            column("note", "string"),
        ]
        .into(),
        location: Some(location),
        input_format: text("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"),
        output_format: text("org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"),
        bucket_count: -1,
        serde: SerdeInfo {
            name: None,
            library: text("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
            parameters: vec![("serialization.format".to_owned(), "1".to_owned())],
        },
        ..StorageDescriptor::default()
    }
}
