//! `||` on texts as a function, so that its result is bounded like that of any other: thirty
//! nested `a || a` would make ten gigabytes out of ten bytes, some while planning.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::bounded::is_constant;

/// Plans `||` on anything but lists as [`TextConcat`].
#[derive(Debug)]
pub struct ConcatPlanner {
    function: Arc<ScalarUDF>,
}

impl Default for ConcatPlanner {
    fn default() -> Self {
        Self { function: function() }
    }
}

/// Unbounded: planning bounds it as all others ([`super::functions::BoundedFunctionsRule`]).
pub fn function() -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(TextConcat { signature }))
}

impl ExprPlanner for ConcatPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_list = |side: &Expr| {
            let data_type = side.get_type(schema);
            !data_type.is_ok_and(|t| !t.is_nested())
        };
        if expr.op != BinaryOperator::StringConcat || is_list(&expr.left) || is_list(&expr.right) {
            return Ok(PlannerResult::Original(expr));
        }
        Ok(PlannerResult::Planned(self.function.call(vec![expr.left, expr.right])))
    }
}

/// Two texts as one; NULL when either is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextConcat {
    signature: Signature,
}

impl ScalarUDFImpl for TextConcat {
    fn name(&self) -> &str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect::<Vec<_>>().join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8; arg_types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = is_constant(&args.args);
        let rows = if is_constant { 1 } else { args.number_rows };
        let [left, right] = args.args.as_slice() else { return exec_err!("|| takes two texts") };
        let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
        let (Some(left), Some(right)) = (left.as_string_opt::<i32>(), right.as_string_opt::<i32>()) else {
            return exec_err!("|| takes two texts");
        };
        let mut joined = StringBuilder::new();
        for (left, right) in left.iter().zip(right) {
            joined.append_option(left.zip(right).map(|(left, right)| format!("{left}{right}")));
        }
        let joined: ArrayRef = Arc::new(joined.finish());
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?));
        }
        Ok(ColumnarValue::Array(joined))
    }
}
