//! Parameters of statements: `?` and `$1`, their types, their values.
//!
//! A statement is typed with NULLs in the place of its parameters, and run with the values cast to
//! those types: so its result has the same columns before and after the values are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::expr::{Expr, Placeholder};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use skep_catalog::fault::{Code, Fault};

/// Parameters of one statement.
pub const PARAMETERS_MAX: usize = 1_000;

fn invalid(why: impl Into<String>) -> Fault {
    Fault::new(Code::SQL_INVALID, "parameters do not fit the statement", why)
}

/// The text with `$1`, `$2`, ... for every `?`; `None` when it has no `?`.
///
/// Errors: `SQL_INVALID` for both kinds in one text, other kinds, or too many.
pub fn number(sql: &str, tokens: &[TokenWithSpan]) -> Result<Option<String>, Fault> {
    let mut unnumbered: Vec<Location> = Vec::new();
    let mut numbered = false;
    for TokenWithSpan { token, span } in tokens {
        let Token::Placeholder(written) = token else { continue };
        if written == "?" {
            unnumbered.push(span.start);
        } else {
            index(written)?;
            numbered = true;
        }
    }
    if unnumbered.is_empty() {
        return Ok(None);
    }
    if numbered {
        return Err(invalid("it has both ? and $1").with_fix("Write all parameters as ?, or all as $1, $2."));
    }
    if PARAMETERS_MAX < unnumbered.len() {
        return Err(too_many());
    }
    let mut text = String::with_capacity(sql.len() + 4 * unnumbered.len());
    let (mut line, mut column) = (1, 1);
    let mut next = 0;
    // As the tokenizer counts.
    for c in sql.chars() {
        if unnumbered.get(next) == Some(&Location { line, column }) {
            next += 1;
            text.push_str(&format!("${next}"));
        } else {
            text.push(c);
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(Some(text))
}

fn too_many() -> Fault {
    invalid(format!("it has more than {PARAMETERS_MAX} parameters"))
}

/// Place of a parameter, from 0.
pub fn index(written: &str) -> Result<usize, Fault> {
    let number = written.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    match number {
        Some(number @ 1..) if number <= PARAMETERS_MAX => Ok(number - 1),
        Some(1..) => Err(too_many()),
        _ => Err(invalid(format!("{written} is no parameter that can be bound"))
            .with_fix("Write parameters as ?, or as $1, $2 and so on.")),
    }
}

/// Types of all parameters, in order.
///
/// Errors: `SQL_INVALID`.
pub fn types(plan: &LogicalPlan) -> Result<Vec<DataType>, Fault> {
    let mut found: BTreeMap<usize, Option<DataType>> = BTreeMap::new();
    let mut fault = None;
    let walked = plan.apply_with_subqueries(|node| {
        // Planning leaves them untyped; rows are counted in whole numbers.
        let default = matches!(node, LogicalPlan::Limit(_)).then_some(DataType::Int64);
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let Expr::Placeholder(Placeholder { id, field }) = expr else {
                    return Ok(TreeNodeRecursion::Continue);
                };
                match index(id) {
                    Ok(index) => {
                        let told = field.as_ref().map(|field| field.data_type().clone());
                        let known = found.entry(index).or_default();
                        *known = known.take().or(told).or(default.clone());
                    }
                    Err(wrong) => fault = Some(wrong),
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walked.map_err(|e| crate::errors::from_datafusion(&e))?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let count = found.keys().next_back().map_or(0, |last| last + 1);
    let type_of = |index| found.remove(&index).flatten().filter(|known| *known != DataType::Null);
    Ok((0..count).map(type_of).map(|known| known.unwrap_or(DataType::Utf8)).collect())
}

/// Parameters as columns.
pub fn schema(types: &[DataType]) -> SchemaRef {
    let field = |(index, data_type): (usize, &DataType)| {
        Field::new(format!("${}", index + 1), data_type.clone(), true)
    };
    Arc::new(Schema::new(types.iter().enumerate().map(field).collect::<Vec<_>>()))
}

/// NULLs of these types.
///
/// Errors: a type has no NULL.
pub fn nulls(types: &[DataType]) -> Result<Vec<ScalarValue>> {
    types.iter().map(ScalarValue::try_new_null).collect()
}

/// The values of these types in a batch of one row.
///
/// Errors: `SQL_INVALID` when they are too few, too many or do not fit.
pub fn values(types: &[DataType], given: Option<&RecordBatch>) -> Result<Vec<ScalarValue>, Fault> {
    let count = given.map_or(0, RecordBatch::num_columns);
    if count != types.len() {
        let why = format!("it has {}, and {count} were given", counted(types.len()));
        return Err(invalid(why));
    }
    let Some(given) = given else { return Ok(Vec::new()) };
    if given.num_rows() != 1 && !types.is_empty() {
        let why = format!("values for {} runs were given, a query is run once", given.num_rows());
        return Err(invalid(why).with_fix("Bind one row of values for each execution."));
    }
    let pairs = types.iter().zip(given.columns()).enumerate();
    pairs.map(|(index, (wanted, column))| value(index, wanted, column)).collect()
}

fn value(index: usize, wanted: &DataType, column: &Arc<dyn Array>) -> Result<ScalarValue, Fault> {
    let told = column.data_type();
    let wrong = |why: String| invalid(format!("the value of parameter {} {why}", index + 1));
    if told.is_nested() || matches!(told, DataType::Dictionary(..)) {
        return Err(wrong(format!("is a {told}, which cannot be bound")));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let fitted = cast_with_options(column, wanted, &options)
        .map_err(|e| wrong(format!("is no {wanted}: {}", e.to_string().replace("Cast error: ", ""))))?;
    // A cast cuts off what does not fit, and then the statement would ask for another value.
    if loses_silently(told, wanted) {
        let back = cast_with_options(&fitted, told, &options);
        if back.map_or(true, |back| back.to_data() != column.to_data()) {
            return Err(wrong(format!("is a {told} that is no whole {wanted}")));
        }
    }
    ScalarValue::try_from_array(&fitted, 0).map_err(|e| wrong(format!("cannot be read: {e}")))
}

/// Whether a cast from one to the other drops digits without an error.
fn loses_silently(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (from, to) if to.is_integer() || to.is_decimal() => from.is_floating() || from.is_decimal(),
        (DataType::Timestamp(_, from), DataType::Timestamp(_, to)) => from == to,
        (DataType::Timestamp(_, None), DataType::Date32 | DataType::Date64) => true,
        _ => false,
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 parameter".to_owned() } else { format!("{count} parameters") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn numbered(sql: &str) -> Result<Option<String>, Fault> {
        let dialect = GenericDialect {};
        number(sql, &Tokenizer::new(&dialect, sql).tokenize_with_location().unwrap())
    }

    #[test]
    fn question_marks_are_numbered_where_they_are_parameters() {
        for (sql, expected) in [
            ("SELECT ?", "SELECT $1"),
            (
                "SELECT ?, 'a?b', \"c?\", ? -- ?\n/* ? */ , ?",
                "SELECT $1, 'a?b', \"c?\", $2 -- ?\n/* ? */ , $3",
            ),
            ("SELECT 'größer ?', ?\r\n, 'über'\n = ?", "SELECT 'größer ?', $1\r\n, 'über'\n = $2"),
            ("SELECT\t?+?", "SELECT\t$1+$2"),
        ] {
            assert_eq!(numbered(sql).unwrap().unwrap(), expected);
        }
        assert_eq!(numbered("SELECT '?', $1, $2").unwrap(), None);
    }

    #[test]
    fn a_value_that_does_not_fit_wholly_is_refused_and_none_is_changed() {
        use arrow::array::{Float64Array, StringArray, TimestampMicrosecondArray, TimestampSecondArray};
        use arrow::datatypes::TimeUnit;
        let float = |value: f64| Arc::new(Float64Array::from(vec![value])) as Arc<dyn Array>;
        let second = DataType::Timestamp(TimeUnit::Second, None);
        let micros = |value| Arc::new(TimestampMicrosecondArray::from(vec![value])) as Arc<dyn Array>;
        let missing = Arc::new(Float64Array::from(vec![None])) as Arc<dyn Array>;
        let fit = [
            (float(2.0), DataType::Int64, "2"),
            (float(1.5), DataType::Float32, "1.5"),
            (float(1.5), DataType::Decimal128(10, 2), "1.50"),
            (missing, DataType::Int64, "NULL"),
            (micros(2_000_000), second.clone(), "2"),
            (micros(0), DataType::Date32, "1970-01-01"),
            (
                Arc::new(TimestampSecondArray::from(vec![2])),
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                "2000000000",
            ),
            (Arc::new(StringArray::from(vec!["7"])), DataType::Int64, "7"),
        ];
        for (value, wanted, expected) in fit {
            let found = super::value(0, &wanted, &value).unwrap();
            assert!(found.to_string().starts_with(expected), "{value:?} as {wanted}: {found}");
        }
        let misfit = [
            (float(1.5), DataType::Int64),
            (float(-0.5), DataType::UInt8),
            (float(1e300), DataType::Int64),
            (float(f64::NAN), DataType::Int64),
            (float(1.234), DataType::Decimal128(10, 2)),
            (micros(2_000_001), second),
            (micros(1), DataType::Date32),
            (Arc::new(StringArray::from(vec!["1.5"])), DataType::Int64),
        ];
        for (value, wanted) in misfit {
            let fault = super::value(0, &wanted, &value).unwrap_err();
            assert_eq!(fault.code, Code::SQL_INVALID, "{value:?} as {wanted}");
            assert!(fault.why.contains("parameter 1"), "{fault}");
        }
    }

    #[test]
    fn other_and_mixed_parameters_are_refused() {
        for sql in ["SELECT ?, $1", "SELECT $0", "SELECT $name", "SELECT $1001", "SELECT ?1"] {
            assert_eq!(numbered(sql).unwrap_err().code, Code::SQL_INVALID, "{sql}");
        }
        let many = format!("SELECT ?{}", ", ?".repeat(PARAMETERS_MAX));
        assert!(numbered(&many).unwrap_err().why.contains("more than 1000"));
    }
}
