//! Functions that make much out of little: taken away, or held to a size before they run.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion::optimizer::AnalyzerRule;
use skep_catalog::fault::{Code, Fault};

/// Bytes that one call may make for one batch of rows.
const RESULT_BYTES_MAX: usize = 16 << 20;
/// Bytes that one call with nothing but constants may make: planning computes it.
const CONSTANT_BYTES_MAX: usize = 1 << 20;
/// Calls of growing functions in one statement; with the bytes above, a bound of the whole.
pub const GROWING_CALLS_MAX: usize = 64;

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

/// How much a call makes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// The first text as often as the second argument says.
    Times,
    /// As many characters as the second argument says.
    Pad,
    /// The last text for every byte of the first.
    Replace,
    /// All arguments together.
    Sum,
    /// What the second argument says, of which two characters can become 34.
    Format,
}

const GROWING: &[(&str, Growth)] = &[
    ("array_append", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_union", Growth::Sum),
    ("array_to_string", Growth::Replace),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Sum),
    ("encode", Growth::Sum),
    ("lpad", Growth::Pad),
    ("make_array", Growth::Sum),
    ("overlay", Growth::Sum),
    ("regexp_replace", Growth::Replace),
    ("repeat", Growth::Times),
    ("replace", Growth::Replace),
    ("rpad", Growth::Pad),
    ("to_char", Growth::Format),
    ("translate", Growth::Replace),
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
    for function in SessionStateDefaults::default_scalar_functions() {
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
    /// Its results are bounded.
    Bounded(Growth),
}

/// `None` for a function that is left as it is.
fn offer(function: &ScalarUDF) -> Option<Offer> {
    let is_named = |name: &str| function.name() == name || function.aliases().iter().any(|a| a == name);
    if FORBIDDEN.iter().any(|name| is_named(name)) {
        return Some(Offer::Forbidden);
    }
    GROWING.iter().find(|(name, _)| is_named(name)).map(|(_, growth)| Offer::Bounded(*growth))
}

/// Whether the function of this name, in lower case, is taken away.
pub fn is_forbidden(name: &str) -> bool {
    NAMES.get(name) == Some(&Offer::Forbidden)
}

/// Whether the function of this name, in lower case, can make more than it is given.
pub fn is_growing(name: &str) -> bool {
    matches!(NAMES.get(name), Some(Offer::Bounded(_)))
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
        Some(Offer::Bounded(growth)) => {
            Some(Arc::new(ScalarUDF::new_from_impl(Bounded { inner: function, growth })))
        }
        None => Some(function),
    }
}

/// Offers functions as [`offered`] where the planner takes them from elsewhere: for `[a, b]`,
/// `OVERLAY(a PLACING b FROM 1)` and the like it does not look them up by their names.
#[derive(Debug)]
pub struct BoundedFunctionsRule;

impl AnalyzerRule for BoundedFunctionsRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let bounded = |part: Expr| match part {
            Expr::ScalarFunction(call) if !call.func.inner().is::<Bounded>() => match offer(&call.func) {
                Some(Offer::Bounded(growth)) => {
                    let func = Arc::new(ScalarUDF::new_from_impl(Bounded { inner: call.func, growth }));
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

/// A function whose result is bounded before it is made.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
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
        if is_constant(&args) || args.number_rows <= 1 {
            self.growth.check(self.name(), &args)?;
            return self.inner.invoke_with_args(args);
        }
        if self.growth.bytes_max(&args.args, args.number_rows) <= RESULT_BYTES_MAX {
            return self.inner.invoke_with_args(args);
        }
        // The most that it could make is seldom what it makes: fewer rows at once tell.
        let half = args.number_rows / 2;
        let mut parts = Vec::with_capacity(2);
        let mut bytes = 0;
        for rows in [0..half, half..args.number_rows] {
            let part = self.invoke_with_args(part(&args, rows.clone()))?.into_array(rows.len())?;
            bytes += part.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
            bounded(self.name(), bytes, RESULT_BYTES_MAX)?;
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

fn bounded(name: &str, bytes: usize, limit: usize) -> Result<()> {
    if bytes <= limit {
        return Ok(());
    }
    let fault = Fault::new(
        Code::SQL_FORBIDDEN,
        format!("function {name}"),
        format!("it would make up to {bytes} bytes at once, more than {limit}"),
    );
    Err(DataFusionError::External(Box::new(fault)))
}

/// Refuses to put texts together that are too large together.
pub(super) fn check_sum(name: &str, args: &ScalarFunctionArgs) -> Result<()> {
    Growth::Sum.check(name, args)
}

impl Growth {
    fn check(self, name: &str, args: &ScalarFunctionArgs) -> Result<()> {
        let (rows, limit) =
            if is_constant(args) { (1, CONSTANT_BYTES_MAX) } else { (args.number_rows, RESULT_BYTES_MAX) };
        bounded(name, self.bytes_max(&args.args, rows), limit)
    }

    fn bytes_max(self, args: &[ColumnarValue], rows: usize) -> usize {
        let text = |index: usize| args.get(index).map_or(0, |arg| bytes_of(arg, rows));
        let number = |index: usize| args.get(index).map_or(0, number_max);
        match self {
            Self::Times => text(0).saturating_mul(number(1)),
            // A character has at most four bytes.
            Self::Pad => rows.saturating_mul(number(1)).saturating_mul(4),
            Self::Replace => {
                let longest = (1..args.len()).map(|i| longest(&args[i])).max().unwrap_or(0);
                text(0).saturating_add(rows).saturating_mul(longest.max(1))
            }
            Self::Sum => (0..args.len()).map(text).fold(0, usize::saturating_add),
            Self::Format => text(1).saturating_mul(17),
        }
    }
}

/// Bytes of a value over all rows.
fn bytes_of(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
        ColumnarValue::Scalar(scalar) => scalar_bytes(scalar).saturating_mul(rows),
    }
}

/// The largest number in a value; 0 for anything else.
fn number_max(value: &ColumnarValue) -> usize {
    let number = match value {
        ColumnarValue::Array(array) => array
            .as_primitive_opt::<Int64Type>()
            .and_then(arrow::compute::max)
            // Other kinds of numbers are few; they count as the most.
            .or_else(|| (!array.is_empty() && array.data_type() != &DataType::Int64).then_some(i64::MAX)),
        ColumnarValue::Scalar(scalar) => match scalar.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => number,
            _ => None,
        },
    };
    usize::try_from(number.unwrap_or(0)).unwrap_or(0)
}

/// The longest text in a value, in bytes.
fn longest(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Array(array) => match array.as_string_opt::<i32>() {
            Some(texts) => texts.iter().flatten().map(str::len).max().unwrap_or(0),
            None => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
        },
        ColumnarValue::Scalar(scalar) => scalar_bytes(scalar),
    }
}

fn scalar_bytes(scalar: &ScalarValue) -> usize {
    match scalar {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.as_ref().map_or(0, String::len)
        }
        other => other.size(),
    }
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
            assert!(is_growing(name), "{name} is no function of DataFusion");
        }
    }
}
