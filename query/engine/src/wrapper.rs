//! Operators that stand around another one and hand on its rows as they are: same columns, same
//! order, same partitions. What they do meanwhile is theirs ([`Work`]); being an operator is here.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
    ReplaceChildrenOptions,
};

/// What an operator does that hands on rows.
pub trait Work: Clone + fmt::Debug + Send + Sync + 'static {
    /// Name of the operator.
    const NAME: &'static str;

    /// The operator as EXPLAIN shows it.
    fn describe(&self) -> String {
        Self::NAME.to_owned()
    }

    /// The rows of a partition of `input`.
    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// `work` around `input`.
pub fn wrap<W: Work>(input: Arc<dyn ExecutionPlan>, work: W) -> Arc<dyn ExecutionPlan> {
    Arc::new(Wrapper { input, work })
}

#[derive(Debug)]
struct Wrapper<W> {
    input: Arc<dyn ExecutionPlan>,
    work: W,
}

impl<W: Work> DisplayAs for Wrapper<W> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.work.describe())
    }
}

impl<W: Work> ExecutionPlan for Wrapper<W> {
    fn name(&self) -> &str {
        W::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(wrap(input, self.work.clone())),
            _ => internal_err!("{} has one child", W::NAME),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.work.execute(&self.input, partition, context)
    }
}
