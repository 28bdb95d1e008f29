//! Aggregates that hold all values that they were given, in texts or lists.
//!
//! They tell the memory pool what they hold, and after they hold it. What they need is more: a
//! text that grows takes up to twice its bytes, three times while it is moved, and it is copied
//! into a value and into an array before it is let go of. So they count as [`COPIES`] of what
//! they were given, which also covers the batch that they have not told of yet. It is counted as
//! it comes: looking through all that is held after every batch would take time that grows with
//! its square.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    Signature,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;

use crate::bytes;

/// What such an aggregate may take, in multiples of what it was given.
const COPIES: usize = 6;
/// Bytes that a value takes besides its own while it waits to be put in order.
const ORDERED_VALUE_BYTES: usize = 192;
/// Bytes that a row takes besides its value: its group, and where it is.
const ROW_BYTES: usize = 16;

const GATHERING: &[&str] = &["array_agg", "nth_value", "string_agg"];
/// Aggregates of numbers that hold all of them.
const HOLDING: &[&str] = &["median", "percentile_cont"];

/// The aggregate as skep offers it.
pub fn offered(function: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match GATHERING.contains(&function.name()) {
        true => Arc::new(AggregateUDF::new_from_impl(Gathering { inner: function })),
        false => function,
    }
}

/// Whether a function is one of these.
pub fn gathers(function: &AggregateFunctionExpr) -> bool {
    GATHERING.contains(&function.fun().name())
}

/// Whether a function is one of these, or holds all values, or all different ones, in another form.
pub fn holds_values(function: &AggregateFunctionExpr) -> bool {
    gathers(function) || function.is_distinct() || HOLDING.contains(&function.fun().name())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Gathering {
    inner: Arc<AggregateUDF>,
}

/// Bytes and rows that were given.
#[derive(Debug)]
struct Given {
    bytes: usize,
    row_bytes: usize,
}

impl Given {
    fn new(args: &AccumulatorArgs<'_>) -> Self {
        let row_bytes = if args.order_bys.is_empty() { ROW_BYTES } else { ORDERED_VALUE_BYTES };
        Self { bytes: 0, row_bytes }
    }

    fn add(&mut self, values: &[ArrayRef]) {
        for value in values {
            self.bytes += bytes::of(value.as_ref()) + value.len() * self.row_bytes;
        }
    }
}

/// One text or list.
#[derive(Debug)]
struct One {
    inner: Box<dyn Accumulator>,
    /// `None` with DISTINCT, which holds less than it is given.
    given: Option<Given>,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if let Some(given) = &mut self.given {
            given.add(values);
        }
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        if let Some(given) = &mut self.given {
            given.add(states);
        }
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        let held = self.given.as_ref().map_or_else(|| self.inner.size(), |given| given.bytes);
        held.saturating_mul(COPIES)
    }
}

/// A text or list for each group.
struct Groups {
    inner: Box<dyn GroupsAccumulator>,
    given: Given,
}

impl Groups {
    /// Forgets what was given away.
    fn gave(&mut self, emit_to: EmitTo) {
        self.given.bytes = match emit_to {
            EmitTo::All => 0,
            EmitTo::First(_) => self.inner.size(),
        };
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.given.add(values);
        self.inner.update_batch(values, group_indices, filter, total_num_groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.given.add(values);
        self.inner.merge_batch(values, group_indices, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let given = self.inner.evaluate(emit_to);
        self.gave(emit_to);
        given
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let given = self.inner.state(emit_to);
        self.gave(emit_to);
        given
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(values, filter)
    }

    fn size(&self) -> usize {
        self.given.bytes.saturating_mul(COPIES)
    }
}

impl AggregateUDFImpl for Gathering {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.inner.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let given = (!args.is_distinct).then(|| Given::new(&args));
        Ok(Box::new(One { inner: self.inner.accumulator(args)?, given }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        let given = Given::new(&args);
        Ok(Box::new(Groups { inner: self.inner.create_groups_accumulator(args)?, given }))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let inner = AggregateUDF::clone(&self.inner).with_beneficial_ordering(beneficial_ordering)?;
        Ok(inner.map(|inner| Arc::new(Self { inner: Arc::new(inner) }) as Arc<dyn AggregateUDFImpl>))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        match self.inner.reverse_udf() {
            ReversedUDAF::Reversed(inner) => {
                ReversedUDAF::Reversed(Arc::new(AggregateUDF::new_from_impl(Self { inner })))
            }
            other => other,
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.inner.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.inner.supports_null_handling_clause()
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
