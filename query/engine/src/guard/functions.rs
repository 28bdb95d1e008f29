//! Functions that make much out of little, or take long for it: taken away, or held to a bound
//! before they run.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::Array;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use skep_catalog::fault::{Code, Fault};

use super::growth::{GROWING, Growth};
use super::product::{PRODUCTS, pairs_max};
use crate::bytes;

/// Bytes that one call may make for one batch of rows.
const RESULT_BYTES_MAX: usize = 16 << 20;
/// Bytes that all calls of a statement together may make, each for one batch of rows: in a
/// projection all of them are there at the same time.
const RESULTS_BYTES_MAX: usize = 32 << 20;
/// Bytes that one call with nothing but constants may make: planning computes it.
const CONSTANT_BYTES_MAX: usize = 1 << 20;
/// Calls of growing functions in the text of one statement.
pub const GROWING_CALLS_MAX: usize = 64;
/// Pairs of bytes that one call may compare for one batch of rows.
pub const PAIRS_MAX: usize = 256 << 20;
/// Rows of an ordinary batch.
const BATCH_ROWS: usize = 8_192;
/// Rows at once for functions that compare pairs: few, so that texts of kilobytes are no reason to
/// refuse them.
const PAIRS_ROWS: usize = 256;

/// Taken away: the size of what they make is in their arguments alone; or what they make has parts
/// of other types, so that thirty of them in each other have a type of a billion parts, which
/// planning goes through.
const FORBIDDEN: &[&str] = &[
    "array_repeat",
    "array_resize",
    "arrays_zip",
    "arrow_cast",
    "arrow_try_cast",
    "gen_series",
    "generate_series",
    "glob",
    "list_repeat",
    "list_resize",
    "map",
    "named_struct",
    "parquet_metadata",
    "range",
    "read_avro",
    "read_csv",
    "read_json",
    "read_parquet",
    "struct",
];

/// Aggregates whose result holds all rows: as window functions they would hold them once per row.
const GATHERING: &[&str] = &["array_agg", "listagg", "string_agg"];

/// Aggregates that look at all values again for every result: as window functions over growing or
/// sliding frames they would do so for every row.
const RECOMPUTING: &[&str] = &["median", "percentile_cont", "quantile_cont"];
/// Aggregates that do not do so with DISTINCT either.
const DISTINCT_AT_ONCE: &[&str] = &["count", "max", "min"];

/// Every name of the functions above that DataFusion knows, aliases too, and what becomes of them.
static NAMES: LazyLock<HashMap<String, Offer>> = LazyLock::new(|| {
    let mut names: HashMap<String, Offer> =
        FORBIDDEN.iter().map(|name| ((*name).to_owned(), Offer::Forbidden)).collect();
    let all = SessionStateDefaults::default_scalar_functions();
    for function in all.into_iter().chain([super::concat::function()]) {
        if let Some(offer) = offer(&function) {
            names.insert(function.name().to_lowercase(), offer);
            names.extend(function.aliases().iter().map(|alias| (alias.to_lowercase(), offer)));
        }
    }
    names
});

/// What becomes of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// It is taken away.
    Forbidden,
    /// Its results, or its time, are bounded.
    Bounded(Bound),
}

/// What a call is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bound {
    /// Bytes of its results, which it shares with so many calls of the statement, itself included.
    Bytes { growth: Growth, calls: usize },
    /// [`PAIRS_MAX`].
    Pairs,
}

impl Bound {
    /// Rows that it is to be given at once.
    fn rows_at_once(self) -> usize {
        match self {
            Self::Bytes { calls, .. } => (BATCH_ROWS / calls).max(1),
            Self::Pairs => PAIRS_ROWS,
        }
    }
}

/// `None` for a function that is left as it is.
fn offer(function: &ScalarUDF) -> Option<Offer> {
    let is_named = |name: &str| function.name() == name || function.aliases().iter().any(|a| a == name);
    if FORBIDDEN.iter().any(|name| is_named(name)) {
        return Some(Offer::Forbidden);
    }
    if PRODUCTS.iter().any(|name| is_named(name)) {
        return Some(Offer::Bounded(Bound::Pairs));
    }
    let growing = GROWING.iter().find(|(name, _)| is_named(name));
    growing.map(|(_, growth)| Offer::Bounded(Bound::Bytes { growth: *growth, calls: 1 }))
}

/// Whether the function of this name, in lower case, is taken away.
pub fn is_forbidden(name: &str) -> bool {
    NAMES.get(name) == Some(&Offer::Forbidden)
}

/// Whether the function of this name, in lower case, can make more than it is given.
pub fn is_growing(name: &str) -> bool {
    matches!(NAMES.get(name), Some(Offer::Bounded(Bound::Bytes { .. })))
}

/// Whether the aggregate of this name, in lower case, cannot be a window function.
pub fn is_gathering(name: &str) -> bool {
    GATHERING.contains(&name)
}

/// Whether the aggregate of this name, in lower case, looks at all values again for every result.
pub fn is_recomputing(name: &str, is_distinct: bool) -> bool {
    RECOMPUTING.contains(&name) || (is_distinct && !DISTINCT_AT_ONCE.contains(&name))
}

/// The function as skep offers it; `None` when it is taken away.
pub fn offered(function: Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
    match offer(&function) {
        Some(Offer::Forbidden) => None,
        Some(Offer::Bounded(bound)) => Some(bounded_function(function, bound)),
        None => Some(function),
    }
}

fn bounded_function(inner: Arc<ScalarUDF>, bound: Bound) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Bounded { inner, bound }))
}

/// The function as a bounded one, if it is one.
fn as_bounded(function: &ScalarUDF) -> Option<&Bounded> {
    function.inner().downcast_ref()
}

/// Shares what a statement may make among its calls of growing functions. For an optimised plan:
/// optimising can copy calls.
pub fn shared(plan: LogicalPlan) -> Result<LogicalPlan> {
    // It shows a plan and runs none.
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(plan);
    }
    let mut calls = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                calls += usize::from(growing(part).is_some());
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if calls <= 1 {
        return Ok(plan);
    }
    let with_calls = |part: Expr| match (growing(&part), part) {
        (Some((inner, growth)), Expr::ScalarFunction(call)) => {
            let func = bounded_function(inner, Bound::Bytes { growth, calls });
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })))
        }
        (_, part) => Ok(Transformed::no(part)),
    };
    let inside = |expr: Expr| expr.transform_up(with_calls);
    plan.transform_up_with_subqueries(|node| node.map_expressions(inside)).data()
}

/// The growing function that an expression calls.
fn growing(expr: &Expr) -> Option<(Arc<ScalarUDF>, Growth)> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let Bounded { inner, bound: Bound::Bytes { growth, .. } } = as_bounded(&call.func)? else { return None };
    Some((Arc::clone(inner), *growth))
}

/// Rows that the calls in an expression are to be given at once; `None` for as many as there are.
pub fn rows_at_once(expr: &Arc<dyn PhysicalExpr>) -> Result<Option<usize>> {
    let mut rows: Option<usize> = None;
    expr.apply(|part| {
        let part: &dyn Any = part.as_ref();
        let call: Option<&ScalarFunctionExpr> = part.downcast_ref();
        if let Some(bounded) = call.and_then(|call| as_bounded(call.fun())) {
            let here = bounded.bound.rows_at_once();
            rows = Some(rows.map_or(here, |rows| rows.min(here)));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(rows.filter(|rows| *rows < BATCH_ROWS))
}

/// Offers functions as [`offered`] where the planner takes them from elsewhere: for `[a, b]`,
/// `OVERLAY(a PLACING b FROM 1)` and the like it does not look them up by their names.
#[derive(Debug)]
pub struct BoundedFunctionsRule;

impl AnalyzerRule for BoundedFunctionsRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let bounded = |part: Expr| match part {
            Expr::ScalarFunction(call) if as_bounded(&call.func).is_none() => match offer(&call.func) {
                Some(Offer::Bounded(bound)) => {
                    let func = bounded_function(call.func, bound);
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })))
                }
                _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
            },
            other => Ok(Transformed::no(other)),
        };
        let inside = |expr: Expr| expr.transform_up(bounded);
        plan.transform_up_with_subqueries(|node| node.map_expressions(inside)).data()
    }

    fn name(&self) -> &str {
        "bounded_functions"
    }
}

/// A function whose result, or whose time, is bounded before it is called.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    bound: Bound,
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

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = if is_constant(&args) { 1 } else { args.number_rows };
        match self.bound {
            Bound::Bytes { growth, calls } => self.grow(growth, calls, rows, args),
            Bound::Pairs => {
                refuse_above(PAIRS_MAX, pairs_max(&args.args, rows), self.name(), "compare up to", "pairs")?;
                self.inner.invoke_with_args(args)
            }
        }
    }
}

impl Bounded {
    fn grow(
        &self,
        growth: Growth,
        calls: usize,
        rows: usize,
        args: ScalarFunctionArgs,
    ) -> Result<ColumnarValue> {
        let limit = if is_constant(&args) {
            CONSTANT_BYTES_MAX
        } else {
            RESULT_BYTES_MAX.min(RESULTS_BYTES_MAX / calls)
        };
        let bounded = |bytes| refuse_above(limit, bytes, self.name(), "make up to", "bytes");
        let bytes_max = growth.bytes_max(&args.args, rows);
        if rows <= 1 {
            bounded(bytes_max)?;
        }
        if bytes_max <= limit {
            return self.inner.invoke_with_args(args);
        }
        // The most that it could make is seldom what it makes: fewer rows at once tell.
        let mut parts = Vec::with_capacity(2);
        let mut bytes = 0_usize;
        for rows in [0..rows / 2, rows / 2..rows] {
            let part = part(&args, rows.clone());
            let part = self.grow(growth, calls, rows.len(), part)?.into_array(rows.len())?;
            bytes = bytes.saturating_add(bytes::of(part.as_ref()));
            bounded(bytes)?;
            parts.push(part);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(arrow::compute::concat(&parts)?))
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

fn is_constant(args: &ScalarFunctionArgs) -> bool {
    args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

fn refuse_above(limit: usize, number: usize, name: &str, does: &str, what: &str) -> Result<()> {
    if number <= limit {
        return Ok(());
    }
    let fault = Fault::new(
        Code::SQL_FORBIDDEN,
        format!("function {name}"),
        format!("it would {does} {number} {what} at once, more than {limit}"),
    );
    Err(DataFusionError::External(Box::new(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_functions_are_found_by_all_their_names() {
        for name in ["repeat", "list_concat", "array_concat", "array_cat", "list_push_back", "make_list"] {
            assert!(is_growing(name), "{name}");
        }
        for name in ["array_repeat", "list_repeat", "list_resize", "generate_series", "read_csv"] {
            assert!(is_forbidden(name), "{name}");
        }
        for (name, _) in GROWING {
            assert!(is_growing(name), "there is no function {name}");
        }
        for name in PRODUCTS.iter().chain(&["trim", "list_has_any", "instr"]) {
            assert_eq!(NAMES.get(*name), Some(&Offer::Bounded(Bound::Pairs)), "{name}");
        }
    }
}
