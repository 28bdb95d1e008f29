//! Constraints and column statistics of a table.

use bytes::Bytes;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{ColumnStatistic, ConstraintColumn, ConstraintKind, Item, TableDetails, TableName};

use super::reply::{NOT_FOUND_FIRST, NOT_FOUND_SECOND, read_all_items, read_wrapped};
use super::{Answer, HmsSource, none_if_not_found, of_metastore};
use crate::objects::{read_column_statistic, read_constraint};
use crate::thrift::{Kind, Reader, Result as ThriftResult};

/// The method that reads constraints of a kind.
pub(super) fn method(kind: ConstraintKind) -> &'static str {
    match kind {
        ConstraintKind::PrimaryKey => "get_primary_keys",
        ConstraintKind::ForeignKey => "get_foreign_keys",
        ConstraintKind::Unique => "get_unique_constraints",
        ConstraintKind::NotNull => "get_not_null_constraints",
        ConstraintKind::Default => "get_default_constraints",
        ConstraintKind::Check => "get_check_constraints",
    }
}

/// Bytes of the smallest constraint: database, table and name of it, each a field of 7 bytes and its
/// text.
const CONSTRAINT_BYTES_MIN: usize = 24;

/// Bytes of the smallest statistic: name, type, and the union with one arm.
const STATISTIC_BYTES_MIN: usize = 24;

fn read_constraints(
    kind: ConstraintKind,
    body: &Bytes,
    reader: &mut Reader<'_>,
    field: Kind,
) -> ThriftResult<Vec<Item<ConstraintColumn>>> {
    read_all_items(body, reader, field, CONSTRAINT_BYTES_MIN, |reader| read_constraint(kind, reader))
}

impl HmsSource {
    /// What the server lacks is left out and named by `probe`.
    pub(super) async fn read_details(
        &self,
        table: &TableName,
        columns: &[String],
    ) -> Result<TableDetails, Fault> {
        let (constraints, column_statistics) =
            futures::try_join!(self.constraints(table), self.statistics(table, columns))?;
        let mut details = TableDetails { constraints, column_statistics };
        details.constraints.sort_by(|a, b| {
            let key = |item: &Item<ConstraintColumn>| (item.value.kind, item.value.key_sequence);
            (a.value.kind, &a.value.name)
                .cmp(&(b.value.kind, &b.value.name))
                .then_with(|| key(a).cmp(&key(b)))
        });
        details.column_statistics.sort_by(|a, b| a.value.column_name.cmp(&b.value.column_name));
        Ok(details)
    }

    async fn constraints(&self, table: &TableName) -> Result<Vec<Item<ConstraintColumn>>, Fault> {
        // Hive 4 has one method for all kinds.
        if self.dialect().await?.has_catalogs && !self.lacks("get_all_table_constraints") {
            match self.all_constraints(table).await {
                Err(failure) if failure.fault.code == Code::METASTORE_METHOD_MISSING => {}
                answer => return none_if_not_found(answer),
            }
        }
        let kinds = ConstraintKind::ALL.map(|kind| self.constraints_of(kind, table));
        Ok(futures::future::try_join_all(kinds).await?.concat())
    }

    async fn all_constraints(&self, table: &TableName) -> Answer<Vec<Item<ConstraintColumn>>> {
        let dialect = self.dialect().await.map_err(of_metastore)?;
        let arguments = dialect.all_constraints(table);
        self.ask("get_all_table_constraints", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
            read_wrapped(body, reader, kind, 1, |body, reader, kind| {
                reader.expect(Kind::Struct, kind)?;
                let mut found = Vec::new();
                while let Some((field, id)) = reader.field()? {
                    match ConstraintKind::ALL.into_iter().find(|kind| *kind as i16 == id) {
                        Some(kind) => found.extend(read_constraints(kind, body, reader, field)?),
                        None => reader.skip(field)?,
                    }
                }
                Ok(found)
            })
        })
        .await
    }

    async fn constraints_of(
        &self,
        kind: ConstraintKind,
        table: &TableName,
    ) -> Result<Vec<Item<ConstraintColumn>>, Fault> {
        if self.lacks(method(kind)) {
            return Ok(Vec::new());
        }
        let arguments = self.dialect().await?.constraints(kind, table);
        let asked = self
            .ask(method(kind), &arguments, NOT_FOUND_SECOND, |body, reader, field| {
                read_wrapped(body, reader, field, 1, |body, reader, field| {
                    read_constraints(kind, body, reader, field)
                })
            })
            .await;
        none_if_missing(none_if_not_found(asked))
    }

    async fn statistics(
        &self,
        table: &TableName,
        columns: &[String],
    ) -> Result<Vec<Item<ColumnStatistic>>, Fault> {
        let method = "get_table_statistics_req";
        if columns.is_empty() || self.lacks(method) {
            return Ok(Vec::new());
        }
        let arguments = self.dialect().await?.statistics(table, columns);
        let asked = self
            .ask(method, &arguments, NOT_FOUND_FIRST, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, |body, reader, kind| {
                    read_all_items(body, reader, kind, STATISTIC_BYTES_MIN, read_column_statistic)
                })
            })
            .await;
        none_if_missing(none_if_not_found(asked))
    }
}

fn none_if_missing<T: Default>(asked: Result<T, Fault>) -> Result<T, Fault> {
    match asked {
        Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => Ok(T::default()),
        asked => asked,
    }
}
