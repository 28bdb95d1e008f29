//! Asking between the operators of a plan.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use futures::{Stream, StreamExt};

use super::Stop;
use crate::wrapper::{Work, wrap};

/// The plan with a place to stop above every operator.
pub fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|operator| Ok(Transformed::yes(wrap(operator, Asking { stop: Arc::clone(stop) }))))
        .data()
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
