//! A statement as callers put it, and what is known of it before it runs.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use skep_catalog::snapshot::Snapshot;

use crate::caller::Caller;
use crate::spec::DEFAULT_SCHEMA;

/// One SQL text with everything that its rows depend on.
#[derive(Clone)]
pub struct Statement {
    /// The text. Parameters are written `?` or `$1`, `$2`, ...
    pub sql: String,
    /// One row, a column for each parameter, by position; names do not matter.
    pub parameters: Option<RecordBatch>,
    /// What it works on; `None` is the newest snapshot when it is planned.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Schema of tables that are named without one.
    pub schema: &'static str,
    /// Time for the whole statement in ms, when the caller has less than the engine allows.
    pub timeout_ms: Option<u64>,
    /// Who asks.
    pub caller: Caller,
    /// Work of the process itself, which nobody waits for: it has no timeout and no limit of rows.
    pub is_own: bool,
}

impl Statement {
    /// A text without parameters, on the newest snapshot, asked by the process itself.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            parameters: None,
            snapshot: None,
            schema: DEFAULT_SCHEMA,
            timeout_ms: None,
            caller: Caller::local(),
            is_own: false,
        }
    }
}

/// What a statement gives and takes: the same whatever the values of its parameters are.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Columns of its result.
    pub schema: SchemaRef,
    /// Its parameters `$1`, `$2`, ... in order, all nullable; `VARCHAR` where nothing tells the type.
    pub parameters: SchemaRef,
    /// Whether it is a CALL: it is done by [`crate::Engine::call`], and never run.
    pub is_call: bool,
}
