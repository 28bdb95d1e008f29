//! Asking between the rules of planning.

use std::future::Future;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::Stop;

tokio::task_local! {
    /// Of the statement that this task plans.
    static PLANNED: Arc<Stop>;
}

/// Plans; the rules below stop it.
pub async fn planning<T>(stop: Arc<Stop>, plan: impl Future<Output = T>) -> T {
    PLANNED.scope(stop, plan).await
}

/// Changes nothing and stops planning when the statement is to stop.
#[derive(Debug)]
pub struct StopRule;

impl StopRule {
    /// Errors: the statement that this task plans is to stop.
    pub fn check() -> Result<()> {
        // Outside of planning nothing is to be stopped here.
        PLANNED.try_with(|stop| stop.check()).unwrap_or(Ok(()))
    }
}

/// The rules, and a place to stop before each: [`StopRule`], as a rule of their kind.
pub fn stoppable<R: ?Sized>(rules: Vec<Arc<R>>, stop: Arc<R>) -> Vec<Arc<R>> {
    rules.into_iter().flat_map(|rule| [Arc::clone(&stop), rule]).collect()
}

const NAME: &str = "stop";

impl OptimizerRule for StopRule {
    fn name(&self) -> &str {
        NAME
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        Self::check()?;
        Ok(Transformed::no(plan))
    }
}

impl PhysicalOptimizerRule for StopRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Self::check()?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        NAME
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl AnalyzerRule for StopRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Self::check()?;
        Ok(plan)
    }

    fn name(&self) -> &str {
        NAME
    }
}
