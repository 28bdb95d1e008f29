//! Asking inside expressions: `f(x)` becomes `stoppable(f(x))`, a function that gives back what it
//! is given unless the statement is to stop.
//!
//! Done to the optimised logical plan, where every operator's expressions can be reached alike.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result, internal_err};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Join, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};

use super::Stop;

/// The plan with a place to stop around every part of an expression that can take long, and
/// around every condition of a join: joins try it for all pairs before they give a row.
pub fn stoppable(plan: LogicalPlan, stop: &Arc<Stop>) -> Result<LogicalPlan> {
    // It shows a plan and runs none.
    if matches!(plan, LogicalPlan::Explain(_)) {
        return Ok(plan);
    }
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(Stoppable { stop: Arc::clone(stop), signature });
    let function = Arc::new(function);
    let inside = |expr: Expr| {
        expr.transform_up(|part| match takes_long(&part) {
            true => Ok(Transformed::yes(function.call(vec![part]))),
            false => Ok(Transformed::no(part)),
        })
    };
    plan.transform_up_with_subqueries(|node| match node {
        // Its filters are the table's own tests.
        LogicalPlan::TableScan(_) => Ok(Transformed::no(node)),
        LogicalPlan::Join(join) => {
            let join = Join { filter: condition(&join).map(|c| function.call(vec![c])), ..join };
            LogicalPlan::Join(join).map_expressions(inside)
        }
        other => other.map_expressions(inside),
    })
    .data()
}

/// What a join tests its pairs by. Joins that only ask whether there is a pair go through all
/// pairs with the same keys without giving a row: they get a condition to stop in.
fn condition(join: &Join) -> Option<Expr> {
    let is_question = matches!(
        join.join_type,
        JoinType::LeftSemi
            | JoinType::RightSemi
            | JoinType::LeftAnti
            | JoinType::RightAnti
            | JoinType::LeftMark
            | JoinType::RightMark
    );
    match &join.filter {
        None if is_question && !join.null_aware && !join.on.is_empty() => Some(lit(true)),
        filter => filter.clone(),
    }
}

/// Whether a part can take long for one batch; comparisons and sums of numbers cannot.
fn takes_long(part: &Expr) -> bool {
    match part {
        Expr::ScalarFunction(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::Case(_)
        | Expr::InList(_) => true,
        Expr::BinaryExpr(binary) => matches!(
            binary.op,
            Operator::RegexMatch
                | Operator::RegexIMatch
                | Operator::RegexNotMatch
                | Operator::RegexNotIMatch
                | Operator::LikeMatch
                | Operator::ILikeMatch
                | Operator::NotLikeMatch
                | Operator::NotILikeMatch
                | Operator::StringConcat
        ),
        _ => false,
    }
}

#[derive(Debug)]
struct Stoppable {
    stop: Arc<Stop>,
    signature: Signature,
}

impl PartialEq for Stoppable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.stop, &other.stop)
    }
}

impl Eq for Stoppable {}

impl Hash for Stoppable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.stop).hash(state);
    }
}

impl ScalarUDFImpl for Stoppable {
    fn name(&self) -> &str {
        "stoppable"
    }

    // The names of columns stay as they were.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [only] => Ok(only.clone()),
            _ => internal_err!("a place to stop has one argument"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [only] => Ok(Arc::clone(only)),
            _ => internal_err!("a place to stop has one argument"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.stop.check()?;
        match (args.args.pop(), args.args.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => internal_err!("a place to stop has one argument"),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(inputs.first().map_or(SortProperties::Unordered, |input| input.sort_properties))
    }

    fn preserves_lex_ordering(&self, _: &[ExprProperties]) -> Result<bool> {
        Ok(true)
    }
}
