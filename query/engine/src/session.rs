//! DataFusion set up: once for the engine, and then for one statement on one pinned snapshot.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;

use crate::aliased::AliasedColumnsRule;
use crate::chunk::ChunkTable;
use crate::coalesced::CoalescedRowsRule;
use crate::guard::concat::ConcatPlanner;
use crate::guard::{functions, gathered};
use crate::pinned::Pinned;
use crate::repeated::RepeatedRowsRule;
use crate::rollup::PartitionTotalsRule;
use crate::single_stage::SingleStageRule;
use crate::spec::{self, CATALOG, DEFAULT_SCHEMA, SCHEMAS, TABLES};
use crate::stop::rule::{StopRule, stoppable};
use crate::tables;
use crate::version;
use crate::window::WindowMemoryRule;

/// Rows of an ordinary batch.
pub const BATCH_ROWS: usize = 8_192;

/// What every statement begins from: functions, rules, limits; no tables.
pub fn base_state(runtime: Arc<RuntimeEnv>, partitions: usize) -> SessionState {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_create_default_catalog_and_schema(false)
        // skep has its own, with comments.
        .with_information_schema(false)
        .with_target_partitions(partitions)
        .with_batch_size(BATCH_ROWS)
        // Times of functions and casts are like those of columns: with their zone.
        .set_str("datafusion.execution.time_zone", "UTC")
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let mut builder =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features();
    if let Some(all) = builder.scalar_functions().take() {
        *builder.scalar_functions() =
            Some(all.into_iter().filter_map(functions::offered).map(version::of_skep).collect());
    }
    if let Some(all) = builder.aggregate_functions().take() {
        *builder.aggregate_functions() = Some(all.into_iter().map(gathered::offered).collect());
    }
    let planner: Arc<dyn ExprPlanner> = Arc::new(ConcatPlanner::default());
    builder.expr_planners().get_or_insert_default().insert(0, planner);
    // All of them make rows from arguments or read files.
    *builder.table_functions() = None;
    let mut analysis = Analyzer::new().rules;
    analysis.insert(0, Arc::new(functions::BoundedFunctionsRule::default()));
    let mut logical = Optimizer::new().rules;
    logical.push(Arc::new(PartitionTotalsRule));
    let mut physical = PhysicalOptimizer::new().rules;
    physical.insert(0, Arc::new(SingleStageRule));
    physical.push(Arc::new(CoalescedRowsRule));
    physical.push(Arc::new(WindowMemoryRule));
    physical.push(Arc::new(RepeatedRowsRule));
    physical.push(Arc::new(AliasedColumnsRule));
    builder
        .with_higher_order_functions(Vec::new())
        .with_analyzer_rules(stoppable(analysis, Arc::new(StopRule)))
        .with_optimizer_rules(stoppable(logical, Arc::new(StopRule)))
        .with_physical_optimizer_rules(stoppable(physical, Arc::new(StopRule)))
        .build()
}

/// The base state with the tables of one snapshot; those named without a schema are in `schema`.
pub fn statement_state(base: &Arc<SessionState>, pinned: &Arc<Pinned>, schema: &str) -> SessionState {
    let mut state = SessionState::clone(base);
    if schema != DEFAULT_SCHEMA {
        schema.clone_into(&mut state.config_mut().options_mut().catalog.default_schema);
    }
    let names = Names { base: Arc::clone(base), pinned: Arc::clone(pinned) };
    state.register_catalog_list(Arc::new(names));
    state.mark_start_execution();
    state
}

/// The names that a statement can use: one catalog, its schemas, their tables.
#[derive(Clone)]
struct Names {
    base: Arc<SessionState>,
    pinned: Arc<Pinned>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Names(snapshot {})", self.pinned.snapshot.id)
    }
}

impl CatalogProviderList for Names {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for Names {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.iter().map(|s| s.name.to_owned()).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schema = SCHEMAS.iter().find(|s| s.name == name)?.name;
        Some(Arc::new(Schema { schema, names: self.clone() }))
    }
}

#[derive(Debug)]
struct Schema {
    schema: &'static str,
    names: Names,
}

#[async_trait]
impl SchemaProvider for Schema {
    fn table_names(&self) -> Vec<String> {
        TABLES.iter().filter(|t| t.schema == self.schema).map(|t| t.name.to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let Names { base, pinned } = &self.names;
        if let Some(table) = tables::find(self.schema, name) {
            return Ok(Some(Arc::new(ChunkTable::new(*table, Arc::clone(pinned)))));
        }
        let Some(sql) = spec::find(self.schema, name).and_then(|t| t.view) else { return Ok(None) };
        let plan = statement_state(base, pinned, DEFAULT_SCHEMA).create_logical_plan(sql).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql.to_owned())))))
    }

    fn table_exist(&self, name: &str) -> bool {
        spec::find(self.schema, name).is_some()
    }
}

/// Whether a table provider is one of skep's, for rules that look for them.
pub fn as_chunk_table(provider: &Arc<dyn TableProvider>) -> Option<&ChunkTable> {
    let provider: &dyn Any = provider.as_ref();
    provider.downcast_ref::<ChunkTable>()
}
