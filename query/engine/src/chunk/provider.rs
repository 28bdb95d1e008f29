//! A system table as DataFusion sees it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::exec::ChunkExec;
use super::{SystemTable, Tests, as_test};
use crate::pinned::Pinned;

/// A system table at one snapshot.
pub struct ChunkTable {
    table: SystemTable,
    schema: SchemaRef,
    pinned: Arc<Pinned>,
}

impl ChunkTable {
    /// The table at the snapshot that `pinned` holds.
    pub fn new(table: SystemTable, pinned: Arc<Pinned>) -> Self {
        Self { table, schema: table.spec.arrow_schema(), pinned }
    }

    /// The table.
    pub fn table(&self) -> &SystemTable {
        &self.table
    }

    /// What it is pinned to.
    pub fn pinned(&self) -> &Arc<Pinned> {
        &self.pinned
    }
}

impl fmt::Debug for ChunkTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkTable({})", self.table.spec.full_name())
    }
}

#[async_trait]
impl TableProvider for ChunkTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(|filter| match as_test(self.table.spec, filter) {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spec = self.table.spec;
        let tests = Tests::new(spec, filters);
        let chunks = (self.table.chunks)(spec, &self.pinned, &tests);
        let projection = projection.cloned().unwrap_or_else(|| (0..spec.columns.len()).collect());
        let partitions_max = state.config().target_partitions();
        Ok(Arc::new(ChunkExec::new(spec, chunks, tests, projection, limit, partitions_max)))
    }
}
