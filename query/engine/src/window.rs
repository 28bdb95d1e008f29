//! Memory of window functions.
//!
//! DataFusion's window operators keep their input, and make their results, without asking the
//! memory pool, and let go of their input before they compute. So each of them is put between
//! two operators: one below that reserves what comes in, and one above that holds the
//! reservation until the results are gone.
//!
//! What is reserved: the input twice (it is put together before it is computed), and for every
//! row each result at its longest. Results whose size cannot be told from the input (lists, and
//! texts computed on the way) are refused; a sub-query that computes them first is not.

use std::any::Any;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::window::WindowExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use skep_catalog::fault::{Code, Fault};

use crate::bytes;
use crate::wrapper::{Work, wrap};

/// Bytes of one result of one row besides its text: the value in its own form, then in an array.
const RESULT_BYTES: usize = 96;

/// Puts every window operator between the two.
#[derive(Debug)]
pub struct WindowMemoryRule;

impl PhysicalOptimizerRule for WindowMemoryRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let Some(functions) = window_functions(&plan) else { return Ok(Transformed::no(plan)) };
            let results = Arc::new(functions.iter().map(Growth::of).collect::<Result<Vec<_>>>()?);
            let slots = Slots::default();
            let around = |side| WindowMemory { side, slots: Arc::clone(&slots) };
            let below = || around(Side::Below(Arc::clone(&results)));
            let children =
                plan.children().into_iter().map(|input| wrap(Arc::clone(input), below())).collect();
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
            let window = plan.replace_children(children, options)?;
            Ok(Transformed::yes(wrap(window, around(Side::Above))))
        })
        .data()
    }

    fn name(&self) -> &str {
        "window_memory"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn window_functions(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Arc<dyn WindowExpr>>> {
    let plan: &dyn Any = plan.as_ref();
    if let Some(window) = plan.downcast_ref::<WindowAggExec>() {
        return Some(window.window_expr().to_vec());
    }
    plan.downcast_ref::<BoundedWindowAggExec>().map(|window| window.window_expr().to_vec())
}

/// What one window function adds to a row besides [`RESULT_BYTES`].
#[derive(Debug)]
enum Growth {
    /// Nothing: its results are all of one size.
    Fixed,
    /// At most the longest text of these columns, or so many bytes.
    Longest(Vec<usize>, usize),
}

impl Growth {
    fn of(function: &Arc<dyn WindowExpr>) -> Result<Self> {
        let field = function.field()?;
        if bytes::has_fixed_size(field.data_type()) {
            return Ok(Self::Fixed);
        }
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let (mut columns, mut constant_bytes, mut is_told) = (Vec::new(), 0, is_text);
        for argument in function.expressions() {
            let argument: &dyn Any = argument.as_ref();
            if let Some(column) = argument.downcast_ref::<Column>() {
                columns.push(column.index());
            } else if let Some(literal) = argument.downcast_ref::<Literal>() {
                constant_bytes = bytes::of_scalar(literal.value()).max(constant_bytes);
            } else {
                is_told = false;
            }
        }
        if is_told {
            return Ok(Self::Longest(columns, constant_bytes));
        }
        let fault = Fault::new(
            Code::SQL_FORBIDDEN,
            "statement refused",
            format!("the results of {} OVER would have no bound", function.name()),
        )
        .with_fix("Window functions give numbers, times and texts of plain columns: compute texts in a sub-query first, and aggregate lists with GROUP BY.");
        Err(DataFusionError::External(Box::new(fault)))
    }
}

/// Reservations of window operators that run, by partition: made above, used below.
type Slots = Arc<Mutex<HashMap<usize, Arc<MemoryReservation>>>>;

#[derive(Clone, Debug)]
enum Side {
    /// Reserves what passes, and what the window functions make of it.
    Below(Arc<Vec<Growth>>),
    /// Holds what is reserved.
    Above,
}

/// One of the two operators.
#[derive(Clone, Debug)]
struct WindowMemory {
    side: Side,
    slots: Slots,
}

impl Work for WindowMemory {
    const NAME: &'static str = "WindowMemory";

    fn describe(&self) -> String {
        match self.side {
            Side::Below(_) => "WindowMemory: reserve".to_owned(),
            Side::Above => "WindowMemory: hold".to_owned(),
        }
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let reservation = || {
            let consumer = MemoryConsumer::new(format!("Window[{partition}]"));
            Arc::new(consumer.register(context.memory_pool()))
        };
        let (reservation, meter) = match &self.side {
            Side::Above => {
                let reservation = reservation();
                self.slots.lock().insert(partition, Arc::clone(&reservation));
                (reservation, None)
            }
            Side::Below(results) => {
                let held = self.slots.lock().remove(&partition);
                let meter = Meter {
                    results: Arc::clone(results),
                    longest: vec![0; results.len()],
                    rows: 0,
                    input_bytes: 0,
                };
                (held.unwrap_or_else(reservation), Some(meter))
            }
        };
        let input = input.execute(partition, context)?;
        Ok(Box::pin(Reserved { input, reservation, meter }))
    }
}

/// How much a window operator needs for what it was given so far.
struct Meter {
    results: Arc<Vec<Growth>>,
    /// Longest text so far, one per result.
    longest: Vec<usize>,
    rows: usize,
    input_bytes: usize,
}

impl Meter {
    /// Bytes needed when this batch is there too.
    fn add(&mut self, batch: &RecordBatch) -> usize {
        self.rows += batch.num_rows();
        self.input_bytes += batch.columns().iter().map(|c| bytes::of(c.as_ref())).sum::<usize>();
        for (longest, result) in self.longest.iter_mut().zip(self.results.iter()) {
            if let Growth::Longest(columns, constant_bytes) = result {
                let texts = columns
                    .iter()
                    .filter_map(|c| batch.columns().get(*c))
                    .map(|c| bytes::longest(c.as_ref()));
                *longest = texts.fold((*longest).max(*constant_bytes), usize::max);
            }
        }
        let per_row = self
            .longest
            .iter()
            .map(|longest| longest.saturating_add(RESULT_BYTES))
            .fold(0, usize::saturating_add);
        self.input_bytes.saturating_mul(2).saturating_add(self.rows.saturating_mul(per_row))
    }
}

/// A stream with a reservation that lives as long.
struct Reserved {
    input: SendableRecordBatchStream,
    reservation: Arc<MemoryReservation>,
    /// Below the operator only.
    meter: Option<Meter>,
}

impl Stream for Reserved {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let next = this.input.poll_next_unpin(context);
        if let (Poll::Ready(Some(Ok(batch))), Some(meter)) = (&next, &mut this.meter)
            && let Err(e) = this.reservation.try_resize(meter.add(batch))
        {
            return Poll::Ready(Some(Err(e)));
        }
        next
    }
}

impl RecordBatchStream for Reserved {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
