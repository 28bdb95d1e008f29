//! `information_schema.*`: skep's own tables as the SQL standard shows them, with comments.

use std::sync::Arc;

use crate::chunk::{Chunk, Tests};
use crate::pinned::Pinned;
use crate::rows::{Rows, Value};
use crate::spec::{CATALOG, Kind, SCHEMAS, TABLES, TableSpec};

pub fn schemata(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for schema in SCHEMAS {
            rows.push(&[
                CATALOG.into(),
                schema.name.into(),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                schema.comment.into(),
            ]);
        }
        rows.finish()
    })
}

pub fn tables(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for table in TABLES.iter() {
            let table_type = if table.view.is_some() { "VIEW" } else { "BASE TABLE" };
            rows.push(&[
                CATALOG.into(),
                table.schema.into(),
                table.name.into(),
                table_type.into(),
                table.comment.into(),
            ]);
        }
        rows.finish()
    })
}

pub fn columns(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for table in TABLES.iter() {
            for (index, column) in table.columns.iter().enumerate() {
                let is_number = matches!(column.kind, Kind::Int | Kind::Float);
                rows.push(&[
                    CATALOG.into(),
                    table.schema.into(),
                    table.name.into(),
                    column.name.into(),
                    (index + 1).into(),
                    Value::Null,
                    if column.is_nullable { "YES" } else { "NO" }.into(),
                    column.kind.sql_name().into(),
                    Value::Null,
                    Value::Null,
                    is_number.then_some(64_i64).into(),
                    is_number.then_some(2_i64).into(),
                    (column.kind == Kind::Int).then_some(0_i64).into(),
                    (column.kind == Kind::Time).then_some(6_i64).into(),
                    Value::Null,
                    column.comment.into(),
                ]);
            }
        }
        rows.finish()
    })
}

pub fn views(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for table in TABLES.iter() {
            if let Some(sql) = table.view {
                rows.push(&[
                    CATALOG.into(),
                    table.schema.into(),
                    table.name.into(),
                    sql.into(),
                    table.comment.into(),
                ]);
            }
        }
        rows.finish()
    })
}
