//! The objects of a metastore as SQL, comparison and migration see them.
//!
//! Every object travels as an [`Item`]: the decoded value beside the bytes that the metastore
//! sent. Fields that skep does not know stay in the bytes, and their hash in `unknown_hash`, so
//! that a change in one of them is still seen as a change.

use std::sync::Arc;

use bytes::Bytes;

use super::names::DatabaseName;

/// A decoded object and the struct bytes it came from (strict Thrift binary, all fields, known
/// or not).
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    /// The decoded object.
    pub value: T,
    /// The struct body as the metastore sent it.
    pub raw: Bytes,
}

/// Key-value pairs, sorted by key, keys unique.
pub type Parameters = Vec<(String, String)>;

/// The value of `key`, if there.
pub fn parameter<'a>(parameters: &'a Parameters, key: &str) -> Option<&'a str> {
    parameters.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok().map(|i| parameters[i].1.as_str())
}

/// The value of `key` as a non-negative number; -1, text and absence are all "not known".
pub fn parameter_count(parameters: &Parameters, key: &str) -> Option<i64> {
    parameter(parameters, key)?.parse().ok().filter(|n| 0 <= *n)
}

/// Who owns an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalType {
    /// A user (Thrift value 1).
    User,
    /// A role (2).
    Role,
    /// A group (3).
    Group,
}

impl PrincipalType {
    /// Lower-case word, as shown in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
        }
    }
}

/// A catalog (Hive 3 and later).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogObject {
    /// Name, `hive` for the default one.
    pub name: String,
    /// Comment.
    pub description: Option<String>,
    /// Root directory.
    pub location: Option<String>,
    /// Creation time in seconds since 1970.
    pub create_time: Option<i64>,
    /// Hash of the fields skep does not know, 0 when there are none.
    pub unknown_hash: u64,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// Name, lower case in every Hive.
    pub name: String,
    /// Catalog, `None` from servers without catalogs.
    pub catalog_name: Option<String>,
    /// Comment.
    pub description: Option<String>,
    /// Directory under which managed tables are made.
    pub location: Option<String>,
    /// Owner.
    pub owner_name: Option<String>,
    /// What kind of principal the owner is.
    pub owner_type: Option<PrincipalType>,
    /// Creation time in seconds since 1970 (Hive 3.1 and later).
    pub create_time: Option<i64>,
    /// Directory of managed tables (Hive 4).
    pub managed_location: Option<String>,
    /// Key-value pairs.
    pub parameters: Parameters,
    /// Hash of the fields skep does not know, 0 when there are none.
    pub unknown_hash: u64,
}

/// A column of a table, partition key or storage descriptor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Hive type text, such as `array<struct<a:int>>`.
    pub data_type: String,
    /// Comment.
    pub comment: Option<String>,
}

/// How rows are serialised.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SerdeInfo {
    /// Name, rarely set.
    pub name: Option<String>,
    /// Java class.
    pub library: Option<String>,
    /// Key-value pairs.
    pub parameters: Parameters,
}

/// Columns whose frequent values have directories of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkewedInfo {
    /// Skewed columns.
    pub columns: Vec<String>,
    /// Skewed value tuples.
    pub values: Vec<Vec<String>>,
    /// Directory per value tuple, sorted by tuple.
    pub locations: Vec<(Vec<String>, String)>,
}

/// Where and how the data of a table or partition lies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StorageDescriptor {
    /// Columns, without partition keys. Partitions of a table mostly have the same and share them.
    pub columns: Arc<Vec<Column>>,
    /// Directory or other address of the data.
    pub location: Option<String>,
    /// Java class.
    pub input_format: Option<String>,
    /// Java class.
    pub output_format: Option<String>,
    /// Whether Hive marked the data compressed.
    pub is_compressed: bool,
    /// Bucket count, -1 or 0 when not bucketed.
    pub bucket_count: i32,
    /// Serialisation.
    pub serde: SerdeInfo,
    /// Columns that rows are bucketed by.
    pub bucket_columns: Vec<String>,
    /// Columns that buckets are sorted by; 1 ascending, 0 descending.
    pub sort_columns: Vec<(String, i32)>,
    /// Key-value pairs.
    pub parameters: Parameters,
    /// Skew, when declared.
    pub skewed: Option<SkewedInfo>,
    /// Whether skewed values lie in sub-directories.
    pub is_stored_as_sub_directories: bool,
    /// Hash of the fields skep does not know, here and below, 0 when there are none.
    pub unknown_hash: u64,
}

/// A table, view or materialised view.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Name, lower case in every Hive.
    pub name: String,
    /// Owner.
    pub owner_name: Option<String>,
    /// What kind of principal the owner is (Hive 3 and later).
    pub owner_type: Option<PrincipalType>,
    /// Creation time in seconds since 1970.
    pub create_time: i64,
    /// Last access in seconds since 1970, 0 when never recorded.
    pub last_access_time: i64,
    /// Retention in seconds, 0 when none.
    pub retention: i64,
    /// Storage.
    pub storage: StorageDescriptor,
    /// Partition keys, in order.
    pub partition_keys: Vec<Column>,
    /// Key-value pairs.
    pub parameters: Parameters,
    /// View text as written, for views.
    pub view_original_text: Option<String>,
    /// View text with names resolved, for views.
    pub view_expanded_text: Option<String>,
    /// `MANAGED_TABLE`, `EXTERNAL_TABLE`, `VIRTUAL_VIEW`, `MATERIALIZED_VIEW`, ...
    pub table_type: String,
    /// Whether a materialised view may be used by rewrites.
    pub is_rewrite_enabled: bool,
    /// Hash of the fields skep does not know, and of the name of the database that it is in
    /// (as with [`Partition::unknown_hash`]). Fields that name the request rather than the table
    /// (write ids, capabilities, access types) do not count.
    pub unknown_hash: u64,
}

impl Table {
    /// Whether the object is a view of any kind.
    pub fn is_view(&self) -> bool {
        self.table_type.ends_with("_VIEW")
    }
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// One value per partition key, in order.
    pub values: Vec<String>,
    /// Creation time in seconds since 1970.
    pub create_time: i64,
    /// Last access in seconds since 1970, 0 when never recorded.
    pub last_access_time: i64,
    /// Storage.
    pub storage: StorageDescriptor,
    /// Key-value pairs.
    pub parameters: Parameters,
    /// Hash of the fields skep does not know, and of the names of the table that it is in.
    /// Those are no property of the partition, but bytes that name another table are to be
    /// replaced.
    pub unknown_hash: u64,
}

/// A permanent function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Java class.
    pub class_name: Option<String>,
    /// Owner.
    pub owner_name: Option<String>,
    /// What kind of principal the owner is.
    pub owner_type: Option<PrincipalType>,
    /// Creation time in seconds since 1970.
    pub create_time: i64,
    /// Files it needs: kind (`jar`, `file`, `archive`) and address.
    pub resources: Vec<(String, String)>,
    /// Hash of the fields skep does not know, 0 when there are none.
    pub unknown_hash: u64,
}

/// What a constraint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ConstraintKind {
    /// Primary key.
    PrimaryKey = 1,
    /// Foreign key.
    ForeignKey = 2,
    /// Unique (Hive 3).
    Unique = 3,
    /// Not null (Hive 3).
    NotNull = 4,
    /// Default (Hive 3.1).
    Default = 5,
    /// Check (Hive 3.1).
    Check = 6,
}

impl ConstraintKind {
    /// All kinds, in the order they are read.
    pub const ALL: [Self; 6] =
        [Self::PrimaryKey, Self::ForeignKey, Self::Unique, Self::NotNull, Self::Default, Self::Check];

    /// Lower-case words, as shown in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrimaryKey => "primary key",
            Self::ForeignKey => "foreign key",
            Self::Unique => "unique",
            Self::NotNull => "not null",
            Self::Default => "default",
            Self::Check => "check",
        }
    }
}

/// One column of a constraint: the unit in which metastores keep and send them.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstraintColumn {
    /// What it says.
    pub kind: ConstraintKind,
    /// Constraint name.
    pub name: String,
    /// Column (of the table that has the constraint).
    pub column_name: Option<String>,
    /// Place of the column in the key, from 1; 0 where there is no order.
    pub key_sequence: i32,
    /// Foreign keys: database, table and column referred to.
    pub referenced: Option<(DatabaseTable, String)>,
    /// Default value or check expression.
    pub expression: Option<String>,
    /// Whether new rows are checked.
    pub is_enabled: bool,
    /// Whether old rows were checked.
    pub is_validated: bool,
    /// Whether optimisers may rely on it.
    pub is_rely: bool,
}

/// A database and table name pair inside one catalog.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseTable {
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
}

/// Statistics of one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnStatistic {
    /// Column.
    pub column_name: String,
    /// Hive type text.
    pub data_type: String,
    /// Rows without a value.
    pub null_count: Option<i64>,
    /// Distinct values, estimated.
    pub distinct_count: Option<i64>,
    /// Smallest value, as text.
    pub min_value: Option<String>,
    /// Largest value, as text.
    pub max_value: Option<String>,
    /// Longest value in bytes (text and binary columns).
    pub max_length_bytes: Option<i64>,
    /// Mean length in bytes (text and binary columns).
    pub average_length_bytes: Option<f64>,
    /// True values (boolean columns).
    pub true_count: Option<i64>,
    /// False values (boolean columns).
    pub false_count: Option<i64>,
}

/// Constraints and column statistics of one table: what costs extra calls to read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableDetails {
    /// Constraint columns, by kind, name and place.
    pub constraints: Vec<Item<ConstraintColumn>>,
    /// Column statistics of the whole table, by column.
    pub column_statistics: Vec<Item<ColumnStatistic>>,
}

/// One grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Privilege {
    /// `global`, `database`, `table`, `partition` or `column`.
    pub object_kind: &'static str,
    /// Database it applies to; `None` for global grants.
    pub database: Option<DatabaseName>,
    /// Table it applies to.
    pub table_name: Option<String>,
    /// Partition values it applies to.
    pub partition_values: Vec<String>,
    /// Column it applies to.
    pub column_name: Option<String>,
    /// Who may.
    pub principal_name: String,
    /// What kind of principal.
    pub principal_type: Option<PrincipalType>,
    /// What: `SELECT`, `INSERT`, `ALL`, ...
    pub privilege: String,
    /// Who granted it.
    pub grantor_name: Option<String>,
    /// When, in seconds since 1970.
    pub granted_time: i64,
    /// Whether the holder may grant it on.
    pub has_grant_option: bool,
}
