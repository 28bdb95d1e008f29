//! `approx_percentile_cont` reserves memory for as many centroids as it is told to keep.

use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Expr, WindowFunctionDefinition};
use skep_catalog::fault::{Code, Fault};

/// The default is 100.
const CENTROIDS_MAX: i64 = 10_000;

/// Errors: `SQL_FORBIDDEN` for an aggregate that is to keep more.
pub fn check(expr: &Expr) -> Result<()> {
    let (name, args) = match expr {
        Expr::AggregateFunction(AggregateFunction { func, params }) => (func.name(), &params.args),
        Expr::WindowFunction(window) => match window.as_ref() {
            WindowFunction { fun: WindowFunctionDefinition::AggregateUDF(func), params } => {
                (func.name(), &params.args)
            }
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    // Values, weights, what of them: the number of centroids comes after these.
    let [_, _, .., last] = args.as_slice() else { return Ok(()) };
    if !name.starts_with("approx_percentile_cont") || centroids(last).is_some_and(|n| n <= CENTROIDS_MAX) {
        return Ok(());
    }
    let why = format!("it would keep more than {CENTROIDS_MAX} centroids");
    let fault = Fault::new(Code::SQL_FORBIDDEN, format!("function {name}"), why)
        .with_fix("Leave the number of centroids out, or compute the percentile exactly: percentile_cont.");
    Err(DataFusionError::External(Box::new(fault)))
}

/// `None` for what is no constant.
fn centroids(arg: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = arg else { return None };
    match value.cast_to(&arrow::datatypes::DataType::Int64) {
        Ok(ScalarValue::Int64(number)) => Some(number.unwrap_or(0)),
        _ => None,
    }
}
