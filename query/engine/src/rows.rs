//! Builds record batches row by row, held to the spec: a row has one value per column of the
//! spec, in its order; only the wanted columns are kept.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, MapBuilder, MapFieldNames,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Fields, Schema, SchemaRef};
use skep_catalog::fault::Fault;
use skep_catalog::model::Parameters;

use crate::spec::{Kind, TableSpec};

/// One cell.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// Text.
    Text(&'a str),
    /// Text made for the row.
    Owned(String),
    /// Whole number; microseconds since 1970 in a time column.
    Int(i64),
    /// Double.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// List of texts.
    List(&'a [String]),
    /// List of texts made for the row.
    OwnedList(Vec<String>),
    /// Map.
    Map(&'a Parameters),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<&'a Arc<str>> for Value<'a> {
    fn from(text: &'a Arc<str>) -> Self {
        Self::Text(text)
    }
}
impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Owned(text)
    }
}
impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}
impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}
impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Seconds since 1970 as microseconds; 0 and less mean "never recorded".
pub fn seconds(seconds: i64) -> Option<i64> {
    (0 < seconds).then(|| seconds.saturating_mul(1_000_000))
}

/// The column that is being built.
pub(crate) enum Column {
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    List(ListBuilder<StringBuilder>),
    Map(Box<MapBuilder<StringBuilder, StringBuilder>>),
}

impl Column {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Float => Self::Float(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::TextList => Self::List(ListBuilder::new(StringBuilder::new())),
            Kind::TextMap => {
                let names =
                    MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
                Self::Map(Box::new(MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())))
            }
        }
    }

    /// Appends a value; false when it does not fit the column.
    pub(crate) fn push(&mut self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Text(b), Value::Text(v)) => b.append_value(v),
            (Self::Text(b), Value::Owned(v)) => b.append_value(v),
            (Self::Text(b), Value::Null) => b.append_null(),
            (Self::Int(b), Value::Int(v)) => b.append_value(*v),
            (Self::Int(b), Value::Null) => b.append_null(),
            (Self::Float(b), Value::Float(v)) => b.append_value(*v),
            (Self::Float(b), Value::Null) => b.append_null(),
            (Self::Bool(b), Value::Bool(v)) => b.append_value(*v),
            (Self::Bool(b), Value::Null) => b.append_null(),
            (Self::Time(b), Value::Int(v)) => b.append_value(*v),
            (Self::Time(b), Value::Null) => b.append_null(),
            (Self::List(b), Value::List(v)) => b.append_value(v.iter().map(Some)),
            (Self::List(b), Value::OwnedList(v)) => b.append_value(v.iter().map(Some)),
            (Self::List(b), Value::Null) => b.append_null(),
            (Self::Map(b), Value::Map(v)) => {
                for (key, value) in v.iter() {
                    b.keys().append_value(key);
                    b.values().append_value(value);
                }
                return b.append(true).is_ok();
            }
            (Self::Map(b), Value::Null) => return b.append(false).is_ok(),
            _ => return false,
        }
        true
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::List(b) => Arc::new(b.finish()),
            Self::Map(b) => Arc::new(b.finish()),
        }
    }
}

/// The schema of some columns of a table.
pub fn projected_schema(spec: &TableSpec, wanted: &[usize]) -> SchemaRef {
    let schema = spec.arrow_schema();
    Arc::new(Schema::new(wanted.iter().map(|i| Arc::clone(&schema.fields()[*i])).collect::<Fields>()))
}

/// A batch from columns; a mismatch is a bug of skep.
pub fn batch(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, Fault> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .map_err(|e| Fault::internal("building rows", e.to_string()))
}

/// Rows of one table under construction.
pub struct Rows {
    spec: &'static TableSpec,
    wanted: Vec<usize>,
    columns: Vec<Column>,
    count: usize,
    mismatch: Option<&'static str>,
}

impl Rows {
    /// No rows yet; only the columns at the places `wanted` are kept.
    pub fn new(spec: &'static TableSpec, wanted: &[usize]) -> Self {
        let columns = wanted.iter().map(|i| Column::new(spec.columns[*i].kind)).collect();
        Self { spec, wanted: wanted.to_vec(), columns, count: 0, mismatch: None }
    }

    /// Whether a column is kept: what is costly to make may be NULL otherwise.
    pub fn wants(&self, column: &str) -> bool {
        self.wanted.iter().any(|i| self.spec.columns[*i].name == column)
    }

    /// Appends a row: one value per column of the spec.
    pub fn push(&mut self, row: &[Value<'_>]) {
        self.count += 1;
        if row.len() != self.spec.columns.len() {
            self.mismatch = Some("number of columns");
            return;
        }
        for (column, index) in self.columns.iter_mut().zip(&self.wanted) {
            if !column.push(&row[*index]) {
                self.mismatch = Some(self.spec.columns[*index].name);
            }
        }
    }

    /// The rows as a batch of the wanted columns.
    pub fn finish(mut self) -> Result<RecordBatch, Fault> {
        if let Some(what) = self.mismatch {
            return Err(Fault::internal(
                format!("table {}", self.spec.full_name()),
                format!("{what} does not fit the spec"),
            ));
        }
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        batch(projected_schema(self.spec, &self.wanted), arrays, self.count)
    }
}
