//! Asking between the operators of a plan.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};

use super::Stop;
use crate::wrapper::{Work, wrap};

/// The plan with a place to stop above every operator.
pub fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let root: &dyn Any = plan.as_ref();
    let shows_itself = root.is::<AnalyzeExec>();
    let plan = plan
        .transform_up(|operator| Ok(Transformed::yes(wrap(operator, Asking { stop: Arc::clone(stop) }))))
        .data()?;
    Ok(if shows_itself { wrap(plan, Hiding) } else { plan })
}

/// Takes the places to stop out of the plan that EXPLAIN ANALYZE shows: they are not the reader's.
#[derive(Clone, Debug)]
struct Hiding;

impl Work for Hiding {
    const NAME: &'static str = "HidingExec";

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let shown = input.execute(partition, context)?.map(|batch| hidden(&batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(input.schema(), shown)))
    }
}

fn hidden(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.as_string_opt::<i32>() {
        Some(texts) => {
            let texts: StringArray = texts.iter().map(|text| text.map(without_stops)).collect();
            Arc::new(texts) as ArrayRef
        }
        None => Arc::clone(column),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}

/// A plan as text, in which what is below another operator is indented by two more spaces.
fn without_stops(plan: &str) -> String {
    let mut above: Vec<usize> = Vec::new();
    let mut shown = String::with_capacity(plan.len());
    for line in plan.lines() {
        let operator = line.trim_start();
        let indent = line.len() - operator.len();
        above.retain(|stop| *stop < indent);
        if operator.starts_with(Asking::NAME) {
            above.push(indent);
            continue;
        }
        shown.push_str(&" ".repeat(indent.saturating_sub(2 * above.len())));
        shown.push_str(operator);
        shown.push('\n');
    }
    shown
}

/// Hands on what comes until the statement is to stop.
#[derive(Clone, Debug)]
struct Asking {
    stop: Arc<Stop>,
}

impl Work for Asking {
    const NAME: &'static str = "StopExec";

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.stop.check()?;
        let input = input.execute(partition, context)?;
        Ok(Box::pin(Stoppable { input, stop: Arc::clone(&self.stop) }))
    }
}

struct Stoppable {
    input: SendableRecordBatchStream,
    stop: Arc<Stop>,
}

impl Stream for Stoppable {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(e) = self.stop.check() {
            return Poll::Ready(Some(Err(e)));
        }
        self.input.poll_next_unpin(context)
    }
}

impl RecordBatchStream for Stoppable {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_stop_are_not_shown() {
        let plan = "StopExec, metrics=[]\n  A, metrics=[]\n    StopExec, metrics=[]\n      B\n    StopExec\n      C\n        D";
        assert_eq!(without_stops(plan), "A, metrics=[]\n  B\n  C\n    D\n");
    }
}
