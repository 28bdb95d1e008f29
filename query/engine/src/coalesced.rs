//! Memory of rows that wait for more of them.
//!
//! A repartition and a filter hold rows until they have a batch of 8,192, and nobody counts what
//! they hold. Rows of tables are small. Rows that a statement makes need not be, and a few of
//! megabytes each are never 8,192: the first stage of an aggregate, which hands on its groups
//! whenever memory is short, could do so again and again. So in statements that make texts or
//! lists both hand on rows as they come, and what then waits in a repartition is counted.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::guard::gathered::gathers;
use crate::repeated::{computed, with_batch_rows};
use crate::wrapper::{Work, wrap};

/// Rows that are waited for: larger batches are handed on as they are.
const AWAITED_ROWS: usize = 1;

/// Lets no operator wait for rows.
#[derive(Debug)]
pub struct CoalescedRowsRule;

impl PhysicalOptimizerRule for CoalescedRowsRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if !plan.exists(makes_texts)? {
            return Ok(plan);
        }
        plan.transform_up(|plan| {
            let operator: &dyn Any = plan.as_ref();
            if let Some(filter) = operator.downcast_ref::<FilterExec>() {
                let filter = filter.with_batch_size(AWAITED_ROWS)?;
                return Ok(Transformed::yes(Arc::new(filter) as Arc<dyn ExecutionPlan>));
            }
            let Some(repartition) = operator.downcast_ref::<RepartitionExec>() else {
                return Ok(Transformed::no(plan));
            };
            // It merges what it is given, and counts that.
            if repartition.preserve_order() {
                return Ok(Transformed::no(plan));
            }
            let usual = Arc::new(AtomicUsize::new(0));
            let input = wrap(Arc::clone(repartition.input()), Side::Below(Arc::clone(&usual)));
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let plan = plan.replace_children(vec![input], options)?;
            Ok(Transformed::yes(wrap(plan, Side::Above(usual))))
        })
        .data()
    }

    fn name(&self) -> &str {
        "coalesced_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an operator makes texts or lists that can be longer than those of its input.
pub fn makes_texts(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let operator: &dyn Any = plan.as_ref();
    let aggregate: Option<&AggregateExec> = operator.downcast_ref();
    let is_gathering = aggregate.is_some_and(|a| a.aggr_expr().iter().any(|f| gathers(f)));
    Ok(is_gathering || computed(plan)?.is_some_and(|computed| computed.gives_texts()))
}

/// Around a repartition: it takes the rows that it waits for from the size of batches, which stays
/// as it was for what is below.
#[derive(Clone, Debug)]
enum Side {
    Above(Arc<AtomicUsize>),
    Below(Arc<AtomicUsize>),
}

impl Work for Side {
    const NAME: &'static str = "CoalescedRows";

    fn describe(&self) -> String {
        match self {
            Self::Above(_) => format!("CoalescedRows: rows={AWAITED_ROWS}"),
            Self::Below(_) => "CoalescedRows: rows as before".to_owned(),
        }
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = match self {
            Self::Above(usual) => {
                usual.store(context.session_config().batch_size(), Ordering::Relaxed);
                AWAITED_ROWS
            }
            Self::Below(usual) => usual.load(Ordering::Relaxed),
        };
        input.execute(partition, Arc::new(with_batch_rows(&context, rows)))
    }
}
