//! Expressions as large as planning can make them.
//!
//! A condition above sub-queries is moved down through them, and every name in it becomes the
//! expression that it stands for: thirty times `SELECT a + a AS a FROM (...)` below
//! `WHERE a > 0` is a condition of a billion parts. So parts are counted as if all names were
//! replaced, before anything is.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::NODES_MAX;

/// Parts of one expression when all names in it are replaced.
const PARTS_MAX: usize = 2 * NODES_MAX;

/// Errors: `SQL_TOO_COMPLEX`. To be called on a thread with a large stack.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    columns(plan).map(|_| ())
}

/// Parts of what each column of a plan stands for.
fn columns(plan: &LogicalPlan) -> Result<Vec<usize>> {
    let inputs = plan.inputs();
    let mut below = Vec::new();
    for input in &inputs {
        below.extend(columns(input)?);
    }
    let mut schema = DFSchema::empty();
    for input in &inputs {
        schema = match schema.join(input.schema()) {
            Ok(joined) => joined,
            // The same name on both sides, as in a union: there nothing refers to them.
            Err(_) => return Ok(vec![largest(&below); plan.schema().fields().len()]),
        };
    }
    let parts = plan.expressions().iter().map(|expr| parts(expr, &schema, &below)).collect::<Result<_>>()?;
    Ok(match plan {
        LogicalPlan::Projection(_) => parts,
        LogicalPlan::Window(_) => [below, parts].concat(),
        LogicalPlan::TableScan(_) => vec![1; plan.schema().fields().len()],
        _ if below.len() == plan.schema().fields().len() && !matches!(plan, LogicalPlan::Aggregate(_)) => {
            below
        }
        _ => vec![largest(&below).max(largest(&parts)); plan.schema().fields().len()],
    })
}

fn largest(parts: &[usize]) -> usize {
    parts.iter().copied().max().unwrap_or(1)
}

/// Parts of an expression when its columns are replaced.
fn parts(expr: &Expr, schema: &DFSchema, below: &[usize]) -> Result<usize> {
    let mut count = 0_usize;
    expr.apply(|part| {
        let more = match part {
            Expr::Column(column) => {
                let index = schema.maybe_index_of_column(column);
                index.and_then(|index| below.get(index)).copied().unwrap_or(1)
            }
            Expr::ScalarSubquery(query) => largest(&columns(&query.subquery)?),
            Expr::Exists(exists) => largest(&columns(&exists.subquery.subquery)?),
            Expr::InSubquery(within) => largest(&columns(&within.subquery.subquery)?),
            _ => 1,
        };
        count = count.saturating_add(more);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if count <= PARTS_MAX {
        return Ok(count);
    }
    let fault = super::too_complex(
        "an expression, its names replaced by what they stand for, with a number of parts",
        PARTS_MAX,
    );
    Err(DataFusionError::External(Box::new(fault)))
}
