//! Patterns of texts: how large they may be, and which forms of them there are.
//!
//! Arrow and DataFusion keep every different regular expression of a batch, up to 10 MB each. So
//! a regular expression has to be a constant of the statement, and a small one. All its operators
//! (`~`, `!~*`, SIMILAR TO and so on) become the function `regexp_like`, which is bounded as all
//! others. The pattern of LIKE, which becomes a regular expression, may differ from row to row.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Like, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit, not,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use skep_catalog::fault::{Code, Fault};

use super::growth::longest;

/// Bytes of a pattern, with its flags.
const PATTERN_BYTES_MAX: usize = 4 << 10;
/// Bytes of a compiled regular expression. `\d{4}-\d{2}-\d{2}` takes 11 kB, `\w+@\w+` 36 kB,
/// `\w{30}` 530 kB.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

fn refused(name: &str, why: String, fix: &str) -> DataFusionError {
    let fault = Fault::new(Code::SQL_FORBIDDEN, format!("function {name}"), why).with_fix(fix);
    DataFusionError::External(Box::new(fault))
}

/// The fault of a pattern, or its flags, that differ from row to row.
pub fn not_constant(name: &str) -> DataFusionError {
    let why = "its pattern or flags are no constants, and every different one would be kept".to_owned();
    refused(name, why, "Write the pattern out, or compare with LIKE, strpos or starts_with.")
}

fn check_length(name: &str, bytes: usize) -> Result<()> {
    if bytes <= PATTERN_BYTES_MAX {
        return Ok(());
    }
    let why = format!("its pattern has {bytes} bytes, more than {PATTERN_BYTES_MAX}");
    Err(refused(name, why, "Shorten it, or join a list of values."))
}

/// States of a compiled regular expression, each of which may be looked at for each byte of a
/// text; 0 for NULL.
///
/// Errors: `SQL_FORBIDDEN` when it is too large, the parser's when it cannot be read.
pub fn states(name: &str, pattern: Option<&str>, flags: Option<&str>) -> Result<usize> {
    let Some(pattern) = pattern else { return Ok(0) };
    let flags = flags.unwrap_or_default();
    check_length(name, pattern.len().saturating_add(flags.len()))?;
    // `g` is the functions' own.
    let flags = flags.replace('g', "");
    let pattern = if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
    let parsed = syntax::parse(&pattern).map_err(|e| DataFusionError::External(Box::new(e)))?;
    let config = thompson::Config::new().nfa_size_limit(Some(PROGRAM_BYTES_MAX));
    match thompson::Compiler::new().configure(config).build_from_hir(&parsed) {
        Ok(program) => Ok(program.states().len()),
        Err(_) => {
            let why = format!(
                "its regular expression would need more than {PROGRAM_BYTES_MAX} bytes when compiled"
            );
            Err(refused(name, why, r"Repeat less, and [A-Za-z0-9_] and [0-9] rather than \w and \d."))
        }
    }
}

/// A comparison with a pattern in the form that is bounded.
pub fn bounded(expr: Expr, like_pattern: &Arc<ScalarUDF>) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match form(op) {
            Some(Form { is_regex: true, negated, ignores_case }) => {
                matches(*left, *right, negated, ignores_case)
            }
            Some(Form { is_regex: false, negated, ignores_case }) => {
                let like = Like::new(negated, left, right, None, ignores_case);
                bounded(Expr::Like(like), like_pattern)
            }
            None => Expr::BinaryExpr(BinaryExpr { left, op, right }),
        },
        // Planning refuses it with an escape character.
        Expr::SimilarTo(like) if like.escape_char.is_none() => {
            matches(*like.expr, *like.pattern, like.negated, like.case_insensitive)
        }
        Expr::Like(like) if !is_short(&like.pattern) => {
            Expr::Like(Like { pattern: Box::new(like_pattern.call(vec![*like.pattern])), ..like })
        }
        other => other,
    }
}

/// What a pattern operator is.
struct Form {
    is_regex: bool,
    negated: bool,
    ignores_case: bool,
}

fn form(op: Operator) -> Option<Form> {
    let (is_regex, negated, ignores_case) = match op {
        Operator::RegexMatch => (true, false, false),
        Operator::RegexIMatch => (true, false, true),
        Operator::RegexNotMatch => (true, true, false),
        Operator::RegexNotIMatch => (true, true, true),
        Operator::LikeMatch => (false, false, false),
        Operator::ILikeMatch => (false, false, true),
        Operator::NotLikeMatch => (false, true, false),
        Operator::NotILikeMatch => (false, true, true),
        _ => return None,
    };
    Some(Form { is_regex, negated, ignores_case })
}

fn matches(text: Expr, pattern: Expr, negated: bool, ignores_case: bool) -> Expr {
    let flags = ignores_case.then(|| lit("i"));
    let args = [text, pattern].into_iter().chain(flags).collect();
    let call = datafusion::functions::regex::regexp_like().call(args);
    if negated { not(call) } else { call }
}

fn is_short(pattern: &Expr) -> bool {
    match pattern {
        Expr::Literal(value, _) => {
            value.try_as_str().flatten().is_none_or(|text| text.len() <= PATTERN_BYTES_MAX)
        }
        _ => false,
    }
}

/// `regexp_like` of a column as LIKE or `=`, which are faster and tables may test themselves, where
/// it can be said so.
pub fn simplified(like: &ScalarUDF, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
    // Anything else than a column could be computed while the operator stands for it.
    let ([Expr::Column(_), pattern] | [Expr::Column(_), pattern, _]) = args.as_slice() else {
        return Ok(ExprSimplifyResult::Original(args));
    };
    if !matches!(pattern, Expr::Literal(..)) || !is_short(pattern) {
        return Ok(ExprSimplifyResult::Original(args));
    }
    let ExprSimplifyResult::Simplified(operator) = like.simplify(args.clone(), info)? else {
        return Ok(ExprSimplifyResult::Original(args));
    };
    let simplified = ExprSimplifier::new(info.clone()).simplify(operator)?;
    let has_regex = simplified.exists(|part| match part {
        Expr::BinaryExpr(binary) => Ok(form(binary.op).is_some()),
        _ => Ok(false),
    })?;
    match has_regex {
        true => Ok(ExprSimplifyResult::Original(args)),
        false => Ok(ExprSimplifyResult::Simplified(simplified)),
    }
}

/// Gives back the pattern of a LIKE unless it is too long.
pub fn like_pattern() -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(LikePattern { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LikePattern {
    signature: Signature,
}

impl ScalarUDFImpl for LikePattern {
    fn name(&self) -> &str {
        "LIKE"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [only] => Ok(only.clone()),
            _ => internal_err!("a pattern is one argument"),
        }
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(pattern) = args.args.pop() else { return internal_err!("a pattern is one argument") };
        if !matches!(pattern, ColumnarValue::Scalar(ScalarValue::Null)) {
            check_length(self.name(), longest(&pattern))?;
        }
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ordinary_regular_expressions_are_small() {
        for pattern in [
            r"\d{4}-\d{2}-\d{2}",
            "(?i)phone|email",
            r"\w+@\w+",
            r"(?i)[\w.+-]+@[\w-]+\.[\w.]+",
            r"^s3a?://([^/]+)/(.*)$",
            r"^[\w-]{8}-[\w-]{4}-[\w-]{4}-[\w-]{4}-[\w-]{12}$",
        ] {
            let states = states("f", Some(pattern), Some("gi")).unwrap();
            assert!((1..=12_000).contains(&states), "{pattern}: {states}");
        }
        assert_eq!(states("f", None, None).unwrap(), 0);
    }

    #[test]
    fn large_regular_expressions_are_refused() {
        let nested = format!("{}a?{}", "(".repeat(12), "){10}".repeat(12));
        for (pattern, flags) in [
            (r"\w{200}".to_owned(), ""),
            (nested, ""),
            ("a".repeat(5_000), ""),
            ("a".to_owned(), "i)a{99999}(?i"),
        ] {
            let fault =
                crate::errors::from_datafusion(&states("f", Some(&pattern), Some(flags)).unwrap_err());
            assert_eq!(fault.code, Code::SQL_FORBIDDEN, "{pattern:.40}: {fault}");
        }
    }
}
