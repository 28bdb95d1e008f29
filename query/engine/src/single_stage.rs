//! Aggregates that hold all their values (texts, lists, those of DISTINCT) run in one stage.
//!
//! In two stages, the first one hands on all that it holds whenever memory is short, and what is
//! under way to the second belongs to neither, four copies of it: that went on for as long as
//! there was input. In one stage there is one holder, and the statement ends when that has no
//! memory left. Little is lost by it: a first stage is worth its time where it makes less of its
//! input, which holding does with DISTINCT only, and a single DISTINCT is planned as two
//! aggregates that hold nothing.
//!
//! Aggregates with one text for each group do so in statements that make texts: there, groups with
//! texts of kilobytes can be as many as rows. Texts of tables are small, and a first stage makes
//! few of many.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use crate::bytes::has_fixed_size;
use crate::coalesced::makes_texts;
use crate::guard::gathered::holds_values;

/// Makes one stage of two. It comes before the rules that bring rows of the same group together.
#[derive(Debug)]
pub struct SingleStageRule;

impl PhysicalOptimizerRule for SingleStageRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let makes_texts = plan.exists(makes_texts)?;
        plan.transform_up(|plan| match single_stage(&plan, makes_texts)? {
            Some(single) => Ok(Transformed::yes(Arc::new(single) as Arc<dyn ExecutionPlan>)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "single_stage"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The one stage; `None` where there are not two, or where they are to stay: without groups there
/// is one text for each thread. GROUPING SETS get one for all threads: what tells their rows apart
/// is added in the stage itself.
fn single_stage(plan: &Arc<dyn ExecutionPlan>, makes_texts: bool) -> Result<Option<AggregateExec>> {
    let Some(last) = as_aggregate(plan) else { return Ok(None) };
    let Some(first) = as_aggregate(last.input()) else { return Ok(None) };
    let groups = first.group_expr();
    let mode = match last.mode() {
        AggregateMode::Final => AggregateMode::Single,
        AggregateMode::FinalPartitioned if groups.has_grouping_set() => AggregateMode::Single,
        AggregateMode::FinalPartitioned => AggregateMode::SinglePartitioned,
        _ => return Ok(None),
    };
    let gives_texts = |f: &AggregateFunctionExpr| !has_fixed_size(f.field().data_type());
    let is_holding = first.aggr_expr().iter().any(|f| holds_values(f) || (makes_texts && gives_texts(f)));
    let stays = groups.is_empty() || !is_holding;
    if stays || *first.mode() != AggregateMode::Partial {
        return Ok(None);
    }
    let single = AggregateExec::try_new(
        mode,
        groups.clone(),
        first.aggr_expr().to_vec(),
        first.filter_expr().to_vec(),
        Arc::clone(first.input()),
        first.input_schema(),
    )?;
    Ok(Some(single.with_limit_options(last.limit_options())))
}

fn as_aggregate(plan: &Arc<dyn ExecutionPlan>) -> Option<&AggregateExec> {
    let plan: &dyn Any = plan.as_ref();
    plan.downcast_ref()
}
