//! A function whose result, and whose time, are bounded before it is called.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use skep_catalog::fault::{Code, Fault};

use super::digest;
use super::growth::Growth;
use super::pattern;
use super::work::{STEPS_MAX, Work};
use crate::bytes;
use crate::session::BATCH_ROWS;
use crate::stop::Stop;
use crate::stop::rule::StopRule;

/// Bytes that one call may make for one batch of rows.
const RESULT_BYTES_MAX: usize = 16 << 20;
/// Bytes that all calls of a statement together may make, each for one batch of rows: in a
/// projection all of them are there at the same time.
const RESULTS_BYTES_MAX: usize = 32 << 20;
/// Bytes that one call with nothing but constants may make: planning computes it.
const CONSTANT_BYTES_MAX: usize = 1 << 20;

/// What a function is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// `None` for a function that makes no more than it is given.
    pub growth: Option<Growth>,
    /// `None` for a function whose time is that of reading what it is given.
    pub work: Option<Work>,
}

/// The function, held to these bounds.
pub fn bounded(inner: Arc<ScalarUDF>, bounds: Bounds) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Bounded { inner, bounds, calls: 1, program_states: None, stop: None }))
}

/// Whether the function is one of these.
pub fn is_bounded(function: &ScalarUDF) -> bool {
    as_bounded(function).is_some()
}

fn as_bounded(function: &ScalarUDF) -> Option<&Bounded> {
    function.inner().downcast_ref()
}

/// Tells every bounded call of a statement with how many others it shares what they may make, and
/// when to stop; refuses those whose patterns are no constants. For an optimised plan: optimising
/// can copy calls, and computes what is constant.
///
/// Errors: `SQL_FORBIDDEN`, `SQL_INVALID`.
pub fn settled(plan: LogicalPlan, stop: &Arc<Stop>) -> Result<LogicalPlan> {
    // It shows a plan and runs none.
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(plan);
    }
    let mut calls = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                digest::check(part)?;
                if let Expr::ScalarFunction(call) = part
                    && let Some(bounded) = as_bounded(&call.func)
                {
                    calls += usize::from(bounded.bounds.growth.is_some());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    let settled = |part: Expr| match part {
        Expr::ScalarFunction(ScalarFunction { func, args }) => match as_bounded(&func) {
            Some(bounded) => {
                let settled = Bounded {
                    inner: Arc::clone(&bounded.inner),
                    bounds: bounded.bounds,
                    calls,
                    program_states: bounded.constant_states(&args)?,
                    stop: Some(Arc::clone(stop)),
                };
                let func = Arc::new(ScalarUDF::new_from_impl(settled));
                Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args })))
            }
            None => Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
        },
        other => Ok(Transformed::no(other)),
    };
    let inside = |expr: Expr| expr.transform_up(settled);
    plan.transform_up_with_subqueries(|node| node.map_expressions(inside)).data()
}

/// Rows that the calls in an expression are to be given at once; `None` for as many as there are.
pub fn rows_at_once(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<usize>> {
    let mut rows = BATCH_ROWS;
    expr.apply(|part| {
        let part: &dyn Any = part.as_ref();
        let call: Option<&ScalarFunctionExpr> = part.downcast_ref();
        if let Some(bounded) = call.and_then(|call| as_bounded(call.fun()))
            && bounded.bounds.growth.is_some()
        {
            rows = rows.min((BATCH_ROWS / bounded.calls.max(1)).max(1));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((rows < BATCH_ROWS).then_some(rows))
}

/// Whether a call has nothing but constants.
pub fn is_constant(args: &[ColumnarValue]) -> bool {
    args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// The text of a constant; `None` for NULL and for anything else.
pub fn constant_text(value: &ColumnarValue) -> Option<&str> {
    match value {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    }
}

#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bounds: Bounds,
    /// Growing calls of the statement, this one included.
    calls: usize,
    /// Size of the call's pattern, so that it is not compiled for every batch; none while the call
    /// is planned, and without a pattern. It follows from the arguments, so it is no part of what
    /// makes two calls equal.
    program_states: Option<usize>,
    /// That of the statement; none while it is planned. All calls of a statement have the same, so
    /// it is no part of what makes two calls equal.
    stop: Option<Arc<Stop>>,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        (&self.inner, self.bounds, self.calls) == (&other.inner, other.bounds, other.calls)
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inner, self.bounds, self.calls).hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
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

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.name() {
            "regexp_like" => pattern::simplified(&self.inner, args, info),
            _ => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = if is_constant(&args.args) { 1 } else { args.number_rows };
        let Some(work) = self.bounds.work else { return self.grow(rows, args) };
        let program_states = work.program_states(self.name(), &args.args, self.program_states)?;
        self.work(work, program_states, rows, args)
    }
}

impl Bounded {
    /// Size of the pattern; `None` without one. Patterns and flags have to be constants, and small.
    fn constant_states(&self, args: &[Expr]) -> Result<Option<usize>> {
        let Some(places) = self.bounds.work.and_then(Work::constants) else { return Ok(None) };
        let mut texts = [None, None];
        for (text, place) in texts.iter_mut().zip(places) {
            match args.get(place) {
                Some(Expr::Literal(value, _)) => *text = value.try_as_str().flatten(),
                Some(_) => return Err(pattern::not_constant(self.name())),
                None => {}
            }
        }
        pattern::states(self.name(), texts[0], texts[1]).map(Some)
    }

    /// The call, in parts that end soon, and a place to stop before each.
    fn work(
        &self,
        work: Work,
        program_states: usize,
        rows: usize,
        args: ScalarFunctionArgs,
    ) -> Result<ColumnarValue> {
        match &self.stop {
            Some(stop) => stop.check()?,
            None => StopRule::check()?,
        }
        let steps = work.steps_max(program_states, &args.args, rows);
        if rows <= 1 {
            self.refuse_above(STEPS_MAX, steps, "take up to", "steps")?;
        }
        if steps <= STEPS_MAX {
            return self.grow(rows, args);
        }
        self.halves(rows, &args, |rows, half| self.work(work, program_states, rows, half))
    }

    /// The call, in parts that make little enough.
    fn grow(&self, rows: usize, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(growth) = self.bounds.growth else { return self.inner.invoke_with_args(args) };
        let limit = self.bytes_max(&args);
        let bytes = growth.bytes_max(&args.args, rows);
        if rows <= 1 {
            self.refuse_above(limit, bytes, "make up to", "bytes")?;
        }
        if bytes <= limit {
            return self.inner.invoke_with_args(args);
        }
        // The most that it could make is seldom what it makes: fewer rows at once tell.
        self.halves(rows, &args, |rows, half| self.grow(rows, half))
    }

    /// Bytes that the call may make.
    fn bytes_max(&self, args: &ScalarFunctionArgs) -> usize {
        match is_constant(&args.args) {
            true => CONSTANT_BYTES_MAX,
            false => RESULT_BYTES_MAX.min(RESULTS_BYTES_MAX / self.calls.max(1)),
        }
    }

    /// The call on one half of its rows and then on the other.
    fn halves(
        &self,
        rows: usize,
        args: &ScalarFunctionArgs,
        call: impl Fn(usize, ScalarFunctionArgs) -> Result<ColumnarValue>,
    ) -> Result<ColumnarValue> {
        let mut parts = Vec::with_capacity(2);
        let mut bytes = 0_usize;
        for rows in [0..rows / 2, rows / 2..rows] {
            let part = call(rows.len(), part(args, rows.clone()))?.into_array(rows.len())?;
            if self.bounds.growth.is_some() {
                bytes = bytes.saturating_add(bytes::of(part.as_ref()));
                self.refuse_above(self.bytes_max(args), bytes, "make up to", "bytes")?;
            }
            parts.push(part);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(arrow::compute::concat(&parts)?))
    }

    fn refuse_above(&self, limit: usize, number: usize, does: &str, what: &str) -> Result<()> {
        if number <= limit {
            return Ok(());
        }
        let fault = Fault::new(
            Code::SQL_FORBIDDEN,
            format!("function {}", self.name()),
            format!("it would {does} {number} {what} at once, more than {limit}"),
        );
        Err(DataFusionError::External(Box::new(fault)))
    }
}

/// The call on some of its rows.
fn part(args: &ScalarFunctionArgs, rows: std::ops::Range<usize>) -> ScalarFunctionArgs {
    let sliced = args.args.iter().map(|arg| match arg {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(rows.start, rows.len())),
        ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(scalar.clone()),
    });
    ScalarFunctionArgs {
        args: sliced.collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: rows.len(),
        return_field: Arc::clone(&args.return_field),
        config_options: Arc::clone(&args.config_options),
    }
}
