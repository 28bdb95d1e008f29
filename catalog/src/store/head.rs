//! What of a table stays in memory, with repeated texts shared.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Column, Parameters, Table, parameter, parameter_count};
use crate::snapshot::{TableHead, Totals};

/// Texts kept for sharing; beyond it those that nobody uses any more are let go.
const TEXTS_SWEEP_AT: usize = 100_000;

/// Shares equal texts and equal partition keys between tables.
#[derive(Default)]
pub(crate) struct Interner {
    texts: HashSet<Arc<str>>,
    keys: HashMap<Vec<(String, String)>, Arc<[Column]>>,
    sweep_at: usize,
}

impl Interner {
    /// The shared form of `text`.
    pub fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(found) = self.texts.get(text) {
            return found.clone();
        }
        if self.sweep_at.max(TEXTS_SWEEP_AT) <= self.texts.len() + self.keys.len() {
            self.texts.retain(|text| 1 < Arc::strong_count(text));
            self.keys.retain(|_, columns| 1 < Arc::strong_count(columns));
            self.sweep_at = 2 * (self.texts.len() + self.keys.len());
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    /// The shared form of an optional text.
    pub fn option(&mut self, text: Option<&str>) -> Option<Arc<str>> {
        text.map(|text| self.text(text))
    }

    /// The shared form of partition keys, comments left out.
    pub fn columns(&mut self, columns: &[Column]) -> Arc<[Column]> {
        let key: Vec<_> = columns.iter().map(|c| (c.name.clone(), c.data_type.clone())).collect();
        self.keys
            .entry(key)
            .or_insert_with_key(|key| {
                key.iter()
                    .map(|(name, data_type)| Column {
                        name: name.clone(),
                        data_type: data_type.clone(),
                        comment: None,
                    })
                    .collect()
            })
            .clone()
    }
}

/// The head of a table.
pub(crate) fn head(table: &Table, interner: &mut Interner) -> TableHead {
    let storage = &table.storage;
    let count = |key| parameter_count(&table.parameters, key);
    TableHead {
        table_type: interner.text(&table.table_type),
        owner_name: interner.option(table.owner_name.as_deref()),
        location: storage.location.as_deref().map(Arc::from),
        input_format: interner.option(storage.input_format.as_deref()),
        output_format: interner.option(storage.output_format.as_deref()),
        serde_library: interner.option(storage.serde.library.as_deref()),
        comment: parameter(&table.parameters, "comment").map(Arc::from),
        table_format: interner.text(table_format(table)),
        partition_keys: interner.columns(&table.partition_keys),
        column_count: u32::try_from(storage.columns.len()).unwrap_or(u32::MAX),
        create_time: table.create_time,
        last_ddl_time: count("transient_lastDdlTime").or_else(|| count("last_modified_time")),
        last_access_time: Some(table.last_access_time).filter(|time| 0 < *time),
        row_count: count("numRows"),
        total_size_bytes: count("totalSize"),
        file_count: count("numFiles"),
    }
}

/// What an unpartitioned table itself adds to the totals of its database.
pub(crate) fn own_totals(head: &TableHead) -> Totals {
    Totals {
        partition_count: 0,
        row_count: head.row_count.unwrap_or(0),
        row_count_known: u64::from(head.row_count.is_some()),
        total_size_bytes: head.total_size_bytes.unwrap_or(0),
        total_size_known: u64::from(head.total_size_bytes.is_some()),
        file_count: head.file_count.unwrap_or(0),
        file_count_known: u64::from(head.file_count.is_some()),
    }
}

/// How the data is laid out. Table formats announce themselves in parameters (Iceberg:
/// `table_type`; Spark's sources: `spark.sql.sources.provider`), file formats by Java classes.
fn table_format(table: &Table) -> &'static str {
    if table.is_view() {
        return "view";
    }
    let holds =
        |text: Option<&str>, part: &str| text.is_some_and(|text| text.to_ascii_lowercase().contains(part));
    let value = |parameters: &'static str| lookup_ignoring_case(&table.parameters, parameters);
    let storage = &table.storage;
    let announced = [
        value("table_type"),
        value("spark.sql.sources.provider"),
        value("storage_handler"),
        value("provider"),
    ];
    for format in ["iceberg", "delta", "hudi", "paimon", "hbase", "kafka", "kudu", "jdbc"] {
        if announced.iter().any(|text| holds(*text, format)) {
            return format;
        }
    }
    let classes = [storage.input_format.as_deref(), storage.serde.library.as_deref()];
    for (part, format) in [
        ("hoodie", "hudi"),
        ("iceberg", "iceberg"),
        ("parquet", "parquet"),
        ("orc", "orc"),
        ("avro", "avro"),
        ("json", "json"),
        ("csv", "csv"),
        ("regexserde", "regex"),
        ("rcfile", "rcfile"),
        ("columnarserde", "rcfile"),
        ("sequencefile", "sequencefile"),
        ("textinputformat", "text"),
        ("lazysimple", "text"),
    ] {
        if classes.iter().any(|text| holds(*text, part)) {
            return format;
        }
    }
    for format in ["parquet", "orc", "avro", "json", "csv", "text"] {
        if holds(value("spark.sql.sources.provider"), format) {
            return format;
        }
    }
    "other"
}

fn lookup_ignoring_case<'a>(parameters: &'a Parameters, key: &str) -> Option<&'a str> {
    parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
}
