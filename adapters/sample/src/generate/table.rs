//! One table of a company: its columns, storage, partitions and statistics.

use skep_catalog::model::{
    Column, ColumnStatistic, ConstraintColumn, ConstraintKind, DatabaseTable, Item, Parameters,
    PrincipalType, SerdeInfo, SkewedInfo, StorageDescriptor, Table, TableDetails,
};

use super::words::{AVRO, DELTA, HUDI, ICEBERG, ORC, PARQUET, TEXT};
use crate::generation::Generation;
use crate::partitions::Scheme;
use crate::random::Random;

/// Which partitions a table has.
pub(super) struct PartitionPlan {
    pub(super) scheme: Scheme,
    pub(super) count: u32,
    pub(super) first_day: i64,
    /// Where the older part of the partitions still lies.
    pub(super) old_root: Option<String>,
    pub(super) files_mean: u64,
    pub(super) file_bytes_mean: u64,
    pub(super) seed: u64,
}

/// What a table is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Orc,
    Parquet,
    Avro,
    Text,
    Iceberg,
    Delta,
    Hudi,
}

impl Format {
    pub(super) fn classes(self) -> [&'static str; 3] {
        match self {
            Self::Orc => ORC,
            Self::Parquet => PARQUET,
            Self::Avro => AVRO,
            Self::Text => TEXT,
            Self::Iceberg => ICEBERG,
            Self::Delta => DELTA,
            Self::Hudi => HUDI,
        }
    }

    /// Whether Hive knows its partitions: Iceberg and Delta keep them in files of their own.
    pub(super) fn has_partitions(self) -> bool {
        !matches!(self, Self::Iceberg | Self::Delta)
    }

    /// What engines write into the table's parameters.
    pub(super) fn parameters(self, location: &str, draw: u64) -> Parameters {
        let pairs: &[(&str, String)] = &match self {
            Self::Orc => vec![("orc.compress", "ZLIB".to_owned())],
            Self::Parquet => vec![("parquet.compression", "SNAPPY".to_owned())],
            Self::Avro => vec![("avro.schema.url", format!("{location}/_schema.avsc"))],
            Self::Text => vec![("skip.header.line.count", "1".to_owned())],
            Self::Iceberg => vec![
                ("current-snapshot-id", (draw >> 1).to_string()),
                ("metadata_location", format!("{location}/metadata/00042-{draw:016x}.metadata.json")),
                (
                    "previous_metadata_location",
                    format!("{location}/metadata/00041-{draw:016x}.metadata.json"),
                ),
                ("storage_handler", "org.apache.iceberg.mr.hive.HiveIcebergStorageHandler".to_owned()),
                ("table_type", "ICEBERG".to_owned()),
            ],
            Self::Delta => vec![
                ("delta.lastCommitTimestamp", (1_700_000_000_000 + draw % 50_000_000_000).to_string()),
                ("delta.lastUpdateVersion", (draw % 900).to_string()),
                ("spark.sql.sources.provider", "delta".to_owned()),
            ],
            Self::Hudi => vec![
                ("hoodie.table.type", "COPY_ON_WRITE".to_owned()),
                ("last_commit_time_sync", (20_250_101_000_000 + draw % 1_000_000).to_string()),
                ("spark.sql.sources.provider", "hudi".to_owned()),
            ],
        };
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }
}

/// `name type, name type` as columns; commas inside types do not part.
pub(super) fn columns(text: &str) -> Vec<Column> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '<' => depth += 1,
            ')' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    let column = |part: &str| {
        let (name, data_type) = part.trim().split_once(' ')?;
        Some(Column { name: name.to_owned(), data_type: data_type.to_owned(), comment: comment(name) })
    };
    parts.into_iter().filter_map(column).collect()
}

fn comment(column: &str) -> Option<String> {
    if column.contains("phone") {
        Some("personal data: phone number".to_owned())
    } else if column.contains("email") || column == "full_name" {
        Some("personal data".to_owned())
    } else if column.ends_with("_at") {
        Some("UTC".to_owned())
    } else {
        None
    }
}

/// The storage of a table at `location`.
pub(super) fn storage(columns: Vec<Column>, location: &str, format: Format) -> StorageDescriptor {
    let [input, output, serde] = format.classes();
    StorageDescriptor {
        columns: columns.into(),
        location: Some(location.to_owned()),
        input_format: Some(input.to_owned()),
        output_format: Some(output.to_owned()),
        is_compressed: false,
        bucket_count: -1,
        serde: SerdeInfo {
            name: None,
            library: Some(serde.to_owned()),
            parameters: vec![("serialization.format".to_owned(), "1".to_owned())],
        },
        // Servers answer an empty one where none was declared.
        skewed: Some(SkewedInfo::default()),
        ..Default::default()
    }
}

/// A table without partitions and statistics.
pub(super) fn table(name: &str, owner: &str, created: i64, storage: StorageDescriptor) -> Table {
    Table {
        name: name.to_owned(),
        owner_name: Some(owner.to_owned()),
        owner_type: Some(PrincipalType::User),
        create_time: created,
        storage,
        table_type: "MANAGED_TABLE".to_owned(),
        ..Default::default()
    }
}

/// Sets a parameter; the list stays sorted.
pub(super) fn set_parameter(parameters: &mut Parameters, key: &str, value: impl Into<String>) {
    match parameters.binary_search_by(|pair| pair.0.as_str().cmp(key)) {
        Ok(at) => parameters[at].1 = value.into(),
        Err(at) => parameters.insert(at, (key.to_owned(), value.into())),
    }
}

/// What Hive keeps about the rows of a table without partitions.
pub(super) fn set_statistics(table: &mut Table, random: &mut Random, has_small_files: bool) {
    let files = if has_small_files { 2_000 + random.below(20_000) } else { 1 + random.below(64) };
    let file_bytes =
        if has_small_files { 4_000 + random.below(900_000) } else { 8_000_000 + random.below(250_000_000) };
    let bytes = files * file_bytes;
    let rows = bytes / (30 + random.below(300));
    for (key, value) in
        [("numFiles", files), ("numRows", rows), ("rawDataSize", bytes * 3), ("totalSize", bytes)]
    {
        set_parameter(&mut table.parameters, key, value.to_string());
    }
}

/// Constraints that the generation knows, on a table whose first column is its key.
pub(super) fn constraints(
    table: &Table,
    database: &str,
    generation: Generation,
    has_customers: bool,
) -> Vec<ConstraintColumn> {
    let columns = &table.storage.columns;
    let Some(key) = columns.first() else { return Vec::new() };
    let make = |kind, prefix: &str, column: &str| ConstraintColumn {
        kind,
        name: format!("{prefix}_{}_{column}", table.name),
        column_name: Some(column.to_owned()),
        key_sequence: 0,
        referenced: None,
        expression: None,
        is_enabled: false,
        is_validated: false,
        is_rely: true,
    };
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let mut all =
        vec![ConstraintColumn { key_sequence: 1, ..make(ConstraintKind::PrimaryKey, "pk", &key.name) }];
    if has_customers && has("customer_id") && table.name != "customers" {
        let parent = DatabaseTable { database: database.to_owned(), table: "customers".to_owned() };
        all.push(ConstraintColumn {
            key_sequence: 1,
            referenced: Some((parent, "customer_id".to_owned())),
            ..make(ConstraintKind::ForeignKey, "fk", "customer_id")
        });
    }
    if generation.has_all_constraints() {
        let enabled =
            |kind, prefix, column| ConstraintColumn { is_enabled: true, ..make(kind, prefix, column) };
        all.push(enabled(ConstraintKind::NotNull, "nn", &key.name));
        if has("email") {
            all.push(ConstraintColumn { key_sequence: 1, ..make(ConstraintKind::Unique, "uk", "email") });
        }
        if has("currency") {
            let expression = Some("'EUR'".to_owned());
            all.push(ConstraintColumn { expression, ..enabled(ConstraintKind::Default, "df", "currency") });
        }
        if has("amount") {
            let expression = Some("amount >= 0".to_owned());
            all.push(ConstraintColumn { expression, ..enabled(ConstraintKind::Check, "ck", "amount") });
        }
    }
    all
}

/// Statistics of the columns that Hive computes any for.
pub(super) fn column_statistics(table: &Table, random: &mut Random) -> Vec<ColumnStatistic> {
    let is_plain = |column: &&Column| !column.data_type.contains('<') && column.data_type != "binary";
    let mut make = |column: &Column| {
        let mut statistic = ColumnStatistic {
            column_name: column.name.clone(),
            data_type: column.data_type.clone(),
            null_count: Some(random.below(1_000) as i64),
            ..Default::default()
        };
        let distinct = 1 + random.below(2_000_000) as i64;
        let base = column.data_type.split('(').next().unwrap_or("");
        if base != "boolean" {
            statistic.distinct_count = Some(distinct);
        }
        match base {
            "boolean" => {
                statistic.true_count = Some(random.below(900_000) as i64);
                statistic.false_count = Some(random.below(900_000) as i64);
            }
            "tinyint" | "smallint" | "int" | "bigint" => {
                statistic.min_value = Some("1".to_owned());
                statistic.max_value = Some(distinct.to_string());
            }
            "double" => {
                statistic.min_value = Some("0.5".to_owned());
                statistic.max_value = Some(format!("{}.25", distinct % 10_000));
            }
            "decimal" => {
                statistic.min_value = Some("0.01".to_owned());
                statistic.max_value = Some(format!("{}.99", distinct % 100_000));
            }
            "date" => {
                statistic.min_value = Some("2015-01-01".to_owned());
                statistic.max_value = Some("2025-12-31".to_owned());
            }
            "timestamp" => {}
            _ => {
                statistic.max_length_bytes = Some(8 + random.below(240) as i64);
                statistic.average_length_bytes = Some(4.0 + random.below(80) as f64 / 4.0);
            }
        }
        statistic
    };
    let mut statistics: Vec<_> = table.storage.columns.iter().filter(is_plain).map(&mut make).collect();
    // What came last to a table is often filled by nobody.
    let rows = table.parameters.iter().find(|(key, _)| key == "numRows");
    let rows = rows.and_then(|(_, rows)| rows.parse::<i64>().ok());
    if let (Some(rows), Some(last)) = (rows, statistics.last_mut()) {
        last.null_count = Some(rows / 10 * 9);
    }
    statistics
}

/// Constraints and statistics as the metastore keeps them; their bytes are made when asked for.
pub(super) fn details(
    constraints: Vec<ConstraintColumn>,
    column_statistics: Vec<ColumnStatistic>,
) -> TableDetails {
    fn items<T>(values: Vec<T>) -> Vec<Item<T>> {
        values.into_iter().map(|value| Item { value, raw: bytes::Bytes::new() }).collect()
    }
    TableDetails { constraints: items(constraints), column_statistics: items(column_statistics) }
}
