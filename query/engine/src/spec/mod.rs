//! Every table and column of skep, described once.
//!
//! What is written here feeds the Arrow schemas, `information_schema`, `docs.*` and the
//! reference page; a test compares what the tables really give with it.

mod calls;
mod catalog;
mod docs;
mod federation;
mod information_schema;
mod reference;
mod runtime;
mod sync;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

pub mod examples;
pub use reference::reference_page;

/// The one SQL catalog.
pub const CATALOG: &str = "skep";
/// The schema that unqualified names are looked up in.
pub const DEFAULT_SCHEMA: &str = "catalog";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// 64-bit whole number.
    Int,
    /// Double precision.
    Float,
    /// True or false.
    Bool,
    /// `TIMESTAMP(6) WITH TIME ZONE`, UTC.
    Time,
    /// List of texts.
    TextList,
    /// Map of text to text.
    TextMap,
}

impl Kind {
    /// The type as SQL users know it.
    pub fn sql_name(self) -> &'static str {
        match self {
            Self::Text => "VARCHAR",
            Self::Int => "BIGINT",
            Self::Float => "DOUBLE",
            Self::Bool => "BOOLEAN",
            Self::Time => "TIMESTAMP(6) WITH TIME ZONE",
            Self::TextList => "VARCHAR[]",
            Self::TextMap => "MAP(VARCHAR, VARCHAR)",
        }
    }

    /// The type as Arrow knows it.
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TextList => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Self::TextMap => {
                let entries = Fields::from(vec![
                    Field::new("key", DataType::Utf8, false),
                    Field::new("value", DataType::Utf8, true),
                ]);
                let entries = Field::new("entries", DataType::Struct(entries), false);
                DataType::Map(Arc::new(entries), false)
            }
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// Name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it can be NULL.
    pub is_nullable: bool,
    /// Whether it is part of the row's natural key.
    pub is_key: bool,
    /// One sentence.
    pub comment: &'static str,
}

impl ColumnSpec {
    const fn new(name: &'static str, kind: Kind, comment: &'static str) -> Self {
        Self { name, kind, is_nullable: false, is_key: false, comment }
    }
    const fn null(mut self) -> Self {
        self.is_nullable = true;
        self
    }
    const fn key(mut self) -> Self {
        self.is_key = true;
        self
    }
}

const fn text(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::Text, comment)
}
const fn int(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::Int, comment)
}
const fn float(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::Float, comment)
}
const fn boolean(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::Bool, comment)
}
const fn time(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::Time, comment)
}
const fn list(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::TextList, comment)
}
const fn map(name: &'static str, comment: &'static str) -> ColumnSpec {
    ColumnSpec::new(name, Kind::TextMap, comment)
}

const METASTORE: ColumnSpec = text("metastore_name", "Metastore, by its name in the config.").key();
const CATALOG_NAME: ColumnSpec =
    text("catalog_name", "Catalog inside the metastore; 'hive' where the server has none.").key();
const DATABASE: ColumnSpec = text("database_name", "Database.").key();
const TABLE: ColumnSpec = text("table_name", "Table or view.").key();
const PARTITION: ColumnSpec =
    text("partition_name", "Partition as Hive writes it, such as ds=2024-01-01/h=3.").key();
const COLUMN: ColumnSpec = text("column_name", "Column.").key();
const SYNCED_AT: ColumnSpec = time("synced_at", "When the row was last read from its metastore.");
const SOURCE_EVENT_ID: ColumnSpec = int(
    "source_event_id",
    "Newest event of the metastore that the row is known to include; NULL without a notification log.",
)
.null();
const OLDEST_SYNCED_AT: ColumnSpec =
    time("synced_at", "When that of the objects behind the row was read which was read the longest ago.")
        .null();
const OLDEST_EVENT_ID: ColumnSpec = int(
    "source_event_id",
    "Smallest of the event ids that the objects behind the row are known to include; NULL without a \
     notification log.",
)
.null();
const STATE: ColumnSpec = text(
    "state",
    "'pending' (nobody follows it in this process, or not yet), 'mirroring', 'following', 'repairing', \
     'error' or 'paused'.",
);
const SYNC_STATUS: ColumnSpec = text(
    "sync_status",
    "'ok', 'stale' (nobody follows its metastore right now: the row is as of synced_at; always so after \
     a one-shot `skep sync`) or 'error' (see sync.errors).",
);

/// One table or view.
#[derive(Clone, Copy, Debug)]
pub struct TableSpec {
    /// Schema.
    pub schema: &'static str,
    /// Name.
    pub name: &'static str,
    /// One sentence.
    pub comment: &'static str,
    /// Columns, in order.
    pub columns: &'static [ColumnSpec],
    /// The SELECT behind a view.
    pub view: Option<&'static str>,
}

const fn table(
    schema: &'static str,
    name: &'static str,
    comment: &'static str,
    columns: &'static [ColumnSpec],
) -> TableSpec {
    TableSpec { schema, name, comment, columns, view: None }
}

impl TableSpec {
    const fn view(mut self, sql: &'static str) -> Self {
        self.view = Some(sql);
        self
    }

    /// `schema.name`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Place of a column.
    pub fn index_of(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// The Arrow schema; made once, for every chunk of a table asks.
    pub fn arrow_schema(&self) -> SchemaRef {
        static MADE: LazyLock<HashMap<(&str, &str), SchemaRef>> = LazyLock::new(|| {
            let all = TABLES.iter().copied().chain([&PARTITION_TOTALS, &LOCATION_TOTALS]);
            all.map(|table| ((table.schema, table.name), table.make_arrow_schema())).collect()
        });
        MADE.get(&(self.schema, self.name)).cloned().unwrap_or_else(|| self.make_arrow_schema())
    }

    fn make_arrow_schema(&self) -> SchemaRef {
        let fields: Vec<Field> =
            self.columns.iter().map(|c| Field::new(c.name, c.kind.arrow_type(), c.is_nullable)).collect();
        Arc::new(Schema::new(fields))
    }
}

/// One schema.
#[derive(Clone, Copy, Debug)]
pub struct SchemaSpec {
    /// Name.
    pub name: &'static str,
    /// One sentence.
    pub comment: &'static str,
}

/// All schemas, in the order they are shown.
pub const SCHEMAS: &[SchemaSpec] = &[
    SchemaSpec { name: "federation", comment: "The metastores that are mirrored and how they are." },
    SchemaSpec {
        name: "catalog",
        comment: "What the metastores hold: databases, tables, columns, partitions and more, of all of them.",
    },
    SchemaSpec { name: "sync", comment: "How fresh and how complete the mirror is." },
    SchemaSpec { name: "runtime", comment: "This process: settings, store, statements." },
    SchemaSpec { name: "docs", comment: "What there is to ask: tables, columns, errors, examples." },
    SchemaSpec {
        name: "information_schema",
        comment: "The SQL standard's view of skep's own tables, with comments.",
    },
];

/// All tables and views, schema by schema.
pub static TABLES: LazyLock<Vec<&'static TableSpec>> = LazyLock::new(|| {
    [
        federation::TABLES,
        catalog::TABLES,
        sync::TABLES,
        runtime::TABLES,
        docs::TABLES,
        information_schema::TABLES,
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// Columns of what calls answer.
pub use calls::{CALL_EXPLAINED, CALL_RESULT};

/// The hidden table of per-table sums that stands in for `catalog.partitions` in aggregates.
pub use catalog::{LOCATION_TOTALS, PARTITION_TOTALS};

/// The table of this schema and name.
pub fn find(schema: &str, name: &str) -> Option<&'static TableSpec> {
    TABLES.iter().find(|t| t.schema == schema && t.name == name).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_table_and_column_is_described_once() {
        let mut seen = std::collections::BTreeSet::new();
        for table in TABLES.iter() {
            assert!(seen.insert(table.full_name()), "{} twice", table.full_name());
            assert!(table.comment.ends_with('.'), "{}", table.full_name());
            assert!(SCHEMAS.iter().any(|s| s.name == table.schema));
            let mut columns = std::collections::BTreeSet::new();
            for column in table.columns {
                assert!(columns.insert(column.name), "{}.{} twice", table.full_name(), column.name);
                assert!(column.comment.ends_with('.'), "{}.{}", table.full_name(), column.name);
            }
        }
    }

    #[test]
    fn key_columns_keep_their_order_everywhere() {
        let order = [
            "metastore_name",
            "catalog_name",
            "database_name",
            "table_name",
            "partition_name",
            "column_name",
        ];
        for table in TABLES.iter().filter(|t| t.schema != "information_schema" && t.schema != "docs") {
            let places: Vec<usize> =
                table.columns.iter().filter_map(|c| order.iter().position(|o| *o == c.name)).collect();
            assert!(places.is_sorted(), "{}", table.full_name());
        }
    }
}
