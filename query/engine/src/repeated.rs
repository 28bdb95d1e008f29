//! Memory of operators that make batches nobody counts.
//!
//! A join, and the unnesting of a list, copies a row into every row that it becomes, and its
//! batches are no part of the memory pool: one text of a megabyte beside 8,192 rows is eight
//! gigabytes. So these operators make smaller batches, and their inputs are watched: an operator
//! that would copy more than [`COPIED_BYTES_MAX`] at once is refused before it does.
//!
//! A projection makes a new text of each row for every expression that gives one, and there can be
//! hundreds of them. So its input comes in batches whose texts, as often as they are used, take no
//! more than [`COMPUTED_BYTES_MAX`]. They have no more rows than what is called is to be given at
//! once either ([`rows_at_once`]).

use std::any::Any;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures::{Stream, StreamExt};
use skep_catalog::fault::{Code, Fault};

use crate::bytes::{self, has_fixed_size, span};
use crate::guard::bounded::rows_at_once;
use crate::wrapper::{Work, wrap};

/// Rows that such an operator makes at once.
const COPIED_ROWS: usize = 1_024;
/// Bytes that it makes at once.
const COPIED_BYTES_MAX: usize = 64 << 20;
/// Bytes of a batch whose rows expressions work on, counted as often as they are used.
const COMPUTED_BYTES_MAX: usize = 16 << 20;

/// Puts every such operator between its watchers.
#[derive(Debug)]
pub struct RepeatedRowsRule;

impl PhysicalOptimizerRule for RepeatedRowsRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let (sides, is_repeating) = match (sides(&plan), computed(&plan)?) {
                (Some(sides), _) => (sides, true),
                (None, Some(computed)) => (vec![Side::Computed(computed)], false),
                (None, None) => return Ok(Transformed::no(plan)),
            };
            let children: Vec<_> = plan.children().into_iter().cloned().collect();
            let watched = children.into_iter().zip(sides).map(|(input, side)| wrap(input, side));
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let plan = plan.replace_children(watched.collect(), options)?;
            Ok(Transformed::yes(if is_repeating { wrap(plan, Side::Above) } else { plan }))
        })
        .data()
    }

    fn name(&self) -> &str {
        "repeated_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What to watch at each input; `None` for an operator that repeats no rows.
fn sides(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Side>> {
    let operator: &dyn Any = plan.as_ref();
    if let Some(unnest) = operator.downcast_ref::<UnnestExec>() {
        let lists = unnest.list_column_indices().iter().map(|list| list.index_in_input_schema);
        return Some(vec![Side::Unnested(lists.collect())]);
    }
    if !plan.name().ends_with("JoinExec") {
        return None;
    }
    let is_cross = operator.downcast_ref::<CrossJoinExec>().is_some();
    let widest = Arc::new(AtomicUsize::new(0));
    Some(vec![Side::Kept(Arc::clone(&widest)), Side::Passing { widest, is_cross }])
}

/// What the expressions of an operator do with its input.
#[derive(Clone, Debug)]
pub struct Computed {
    /// How often those that give texts or lists use each column.
    uses: Arc<[usize]>,
    /// Rows that they may be given at once.
    rows: usize,
}

impl Computed {
    /// Whether there are any that give texts or lists.
    pub fn gives_texts(&self) -> bool {
        self.uses.iter().any(|times| 0 < *times)
    }
}

/// `None` for an operator that computes nothing, or nothing that its input has to be small for.
pub fn computed(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Computed>> {
    let operator: &dyn Any = plan.as_ref();
    let of_input = match operator.downcast_ref::<AggregateExec>() {
        // Later stages of an aggregate take states, not what the expressions are about.
        Some(aggregate) => aggregate.mode().input_mode() == AggregateInputMode::Raw,
        None => operator.is::<ProjectionExec>() || operator.is::<SortExec>() || operator.is::<FilterExec>(),
    };
    let inputs = plan.children();
    let ([input], true) = (inputs.as_slice(), of_input) else { return Ok(None) };
    let schema = input.schema();
    let (mut uses, mut rows) = (vec![0; schema.fields().len()], usize::MAX);
    let mut given = vec![0_usize; schema.fields().len()];
    plan.apply_expressions(&mut |expression| {
        rows = rows.min(rows_at_once(expression)?.unwrap_or(usize::MAX));
        let root: &dyn Any = expression.as_ref();
        let is_fixed = || expression.data_type(&schema).is_ok_and(|t| has_fixed_size(&t));
        if let Some(column) = root.downcast_ref::<Column>() {
            given.get_mut(column.index()).into_iter().for_each(|times| *times += 1);
        } else if !root.is::<Literal>() && !is_fixed() {
            for column in collect_columns(expression) {
                if let Some(times) = uses.get_mut(column.index()) {
                    *times += 1;
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if operator.is::<ProjectionExec>() {
        // Those that it gives again are copied ([`crate::aliased`]).
        uses.iter_mut().zip(given).for_each(|(uses, given)| *uses += given.saturating_sub(1));
    }
    let computed = Computed { uses: uses.into(), rows };
    Ok((computed.gives_texts() || rows != usize::MAX).then_some(computed))
}

/// Where a watcher stands.
#[derive(Clone, Debug)]
enum Side {
    /// Sets the size of batches.
    Above,
    /// Below a join, read first and kept: its widest row is noted.
    Kept(Arc<AtomicUsize>),
    /// Below a join, read then: each batch meets the rows that are kept. A cross join copies one
    /// of these for every batch, and is given as many rows as fit.
    Passing { widest: Arc<AtomicUsize>, is_cross: bool },
    /// Below the unnesting of these columns.
    Unnested(Vec<usize>),
    /// Below expressions.
    Computed(Computed),
}

impl Work for Side {
    const NAME: &'static str = "RepeatedRows";

    fn describe(&self) -> String {
        match self {
            Self::Above => format!("RepeatedRows: rows={COPIED_ROWS}"),
            _ => "RepeatedRows: watch".to_owned(),
        }
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if matches!(self, Self::Above) {
            return input.execute(partition, Arc::new(with_batch_rows(&context, COPIED_ROWS)));
        }
        let input = input.execute(partition, context)?;
        Ok(Box::pin(WatchedRows { input, side: self.clone(), rest: None }))
    }
}

/// The context with batches of so many rows.
pub fn with_batch_rows(context: &TaskContext, rows: usize) -> TaskContext {
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    )
}

struct WatchedRows {
    input: SendableRecordBatchStream,
    side: Side,
    /// Rows that are handed on next, and how many of them at once.
    rest: Option<(RecordBatch, usize)>,
}

impl WatchedRows {
    /// Rows of a batch that may be handed on at once.
    fn rows_at_once(&self, batch: &RecordBatch) -> Result<usize> {
        let widest_here = || {
            let columns = batch.columns().iter().map(|column| bytes::longest(column.as_ref()));
            columns.fold(0, usize::saturating_add)
        };
        match &self.side {
            Side::Above => Ok(batch.num_rows()),
            Side::Kept(widest) => {
                widest.fetch_max(widest_here(), Ordering::Relaxed);
                Ok(batch.num_rows())
            }
            Side::Passing { widest, is_cross } => {
                let row_bytes = widest.load(Ordering::Relaxed).saturating_add(widest_here()).max(1);
                if *is_cross {
                    return Ok((COPIED_BYTES_MAX / row_bytes).clamp(1, COPIED_ROWS));
                }
                bounded(row_bytes.saturating_mul(COPIED_ROWS))?;
                Ok(COPIED_ROWS)
            }
            Side::Computed(Computed { uses, rows }) => {
                let used = uses.iter().zip(batch.columns()).filter(|(times, _)| 0 < **times);
                let row_bytes =
                    used.map(|(times, column)| bytes::longest(column.as_ref()).saturating_mul(*times));
                let row_bytes = row_bytes.fold(0, usize::saturating_add).max(1);
                bounded(row_bytes)?;
                Ok((COMPUTED_BYTES_MAX / row_bytes).clamp(1, *rows))
            }
            Side::Unnested(lists) => {
                for row in 0..batch.num_rows() {
                    let made = lists.iter().map(|list| leaves(batch.column(*list).as_ref(), row..row + 1));
                    let rows = made.max().unwrap_or(1).max(COPIED_ROWS);
                    let others = (0..batch.num_columns()).filter(|column| !lists.contains(column));
                    let copied =
                        others.map(|column| bytes::of_rows(batch.column(column).as_ref(), row..row + 1));
                    bounded(copied.fold(0, usize::saturating_add).saturating_mul(rows))?;
                }
                Ok(batch.num_rows())
            }
        }
    }
}

fn bounded(bytes: usize) -> Result<()> {
    if bytes <= COPIED_BYTES_MAX {
        return Ok(());
    }
    let why = format!(
        "rows that are joined, unnested or computed would take {bytes} bytes, more than {COPIED_BYTES_MAX}, at once"
    );
    let fault = Fault::new(Code::SQL_MEMORY, "statement ended", why).with_fix(
        "Leave long texts out of what is joined, unnested or computed, and ask for them by their keys.",
    );
    Err(DataFusionError::External(Box::new(fault)))
}

/// Innermost elements of some rows of an array of lists.
fn leaves(array: &dyn Array, rows: Range<usize>) -> usize {
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            leaves(lists.values().as_ref(), span(lists.value_offsets(), &rows)).max(rows.len())
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            leaves(lists.values().as_ref(), span(lists.value_offsets(), &rows)).max(rows.len())
        }
        _ => rows.len(),
    }
}

impl Stream for WatchedRows {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let (batch, at_once) = match this.rest.take() {
            Some(rest) => rest,
            None => match this.input.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(batch))) => match this.rows_at_once(&batch) {
                    Ok(at_once) => (batch, at_once),
                    Err(e) => return Poll::Ready(Some(Err(e))),
                },
                other => return other,
            },
        };
        if batch.num_rows() <= at_once {
            return Poll::Ready(Some(Ok(batch)));
        }
        let next = batch.slice(0, at_once);
        this.rest = Some((batch.slice(at_once, batch.num_rows() - at_once), at_once));
        Poll::Ready(Some(Ok(next)))
    }
}

impl RecordBatchStream for WatchedRows {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bytes::tests::lists;

    #[test]
    fn elements_of_lists_are_counted_row_by_row() {
        let lists = lists(&[&["a", "b"], &[], &["cdef"]]);
        assert_eq!([0, 1, 2].map(|row| leaves(lists.as_ref(), row..row + 1)), [2, 1, 1]);
    }
}
