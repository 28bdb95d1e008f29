//! Memory of columns that a projection gives several times.
//!
//! A projection hands such a column on without copying it, and the memory pool counts it once. What
//! stands above, a sort or a merge, copies every one of them, row by row. So they are copied here
//! already, in batches that [`crate::repeated`] keeps small, and count as what they are.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MutableArrayData, RecordBatch, make_array};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::wrapper::{Work, wrap};

/// Copies, above every projection, the columns that stood before.
#[derive(Debug)]
pub struct AliasedColumnsRule;

impl PhysicalOptimizerRule for AliasedColumnsRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match again(&plan) {
            Some(again) => Ok(Transformed::yes(wrap(plan, Aliased { again: again.into() }))),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "aliased_columns"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Places of a projection's results that stood before; `None` when there are none.
fn again(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<usize>> {
    let plan: &dyn Any = plan.as_ref();
    let mut seen = HashSet::new();
    let mut again = Vec::new();
    for (place, projected) in plan.downcast_ref::<ProjectionExec>()?.expr().iter().enumerate() {
        let expression: &dyn Any = projected.expr.as_ref();
        if let Some(column) = expression.downcast_ref::<Column>()
            && !seen.insert(column.index())
        {
            again.push(place);
        }
    }
    (!again.is_empty()).then_some(again)
}

#[derive(Clone, Debug)]
struct Aliased {
    again: Arc<[usize]>,
}

impl Work for Aliased {
    const NAME: &'static str = "AliasedColumns";

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let again = Arc::clone(&self.again);
        let input = input.execute(partition, context)?;
        let schema = input.schema();
        let copied = input.map(move |batch| copied(&batch?, &again));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, copied)))
    }
}

fn copied(batch: &RecordBatch, again: &[usize]) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    for place in again {
        columns[*place] = copy(&columns[*place])?;
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(DataFusionError::from)
}

fn copy(array: &ArrayRef) -> Result<ArrayRef> {
    let data = array.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    Ok(make_array(copy.freeze()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn columns_that_stood_before_are_copied() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("bc")]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let fields = [("a", DataType::Utf8), ("b", DataType::Int64), ("c", DataType::Utf8)];
        let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields.to_vec())),
            vec![Arc::clone(&texts), numbers, texts],
        );
        let batch = batch.unwrap();
        let copied = copied(&batch, &[2]).unwrap();
        assert_eq!(copied, batch);
        let place = |batch: &RecordBatch, column: usize| batch.column(column).to_data().buffers()[1].as_ptr();
        assert_eq!(place(&copied, 0), place(&batch, 0));
        assert_ne!(place(&copied, 2), place(&batch, 2));
    }
}
