//! `docs.*`: the spec as rows.

use std::sync::Arc;

use skep_catalog::fault::Code;

use crate::chunk::{Chunk, Tests};
use crate::pinned::Pinned;
use crate::rows::Rows;
use crate::spec::examples::EXAMPLES;
use crate::spec::{TABLES, TableSpec};

pub fn tables(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for table in TABLES.iter() {
            rows.push(&[
                table.schema.into(),
                table.name.into(),
                if table.view.is_some() { "view" } else { "table" }.into(),
                table.comment.into(),
                table.columns.len().into(),
                table.view.into(),
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
                rows.push(&[
                    table.schema.into(),
                    table.name.into(),
                    column.name.into(),
                    (index + 1).into(),
                    column.kind.sql_name().into(),
                    column.is_nullable.into(),
                    column.is_key.into(),
                    column.comment.into(),
                ]);
            }
        }
        rows.finish()
    })
}

pub fn errors(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for code in Code::ALL {
            rows.push(&[
                code.as_str().into(),
                code.blame().as_str().into(),
                code.is_retryable().into(),
                code.meaning().into(),
                code.fix().into(),
            ]);
        }
        rows.finish()
    })
}

pub fn examples(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |_, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for example in EXAMPLES {
            let (schema, table) = example.about;
            rows.push(&[example.question.into(), example.statement.into(), schema.into(), table.into()]);
        }
        rows.finish()
    })
}
