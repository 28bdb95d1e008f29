//! Filters that tables apply themselves: tests of one text column against constants.
//!
//! A test is decided on the constants of a chunk, on its bounds, or row by row, and always
//! exactly, so that DataFusion need not filter again.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use crate::spec::{Kind, TableSpec};

/// What is asked of a text. NULL passes no test.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Is one of these.
    In(Vec<String>),
    /// Is not this.
    Not(String),
    /// Begins with this.
    Prefix(String),
    /// Is greater than this, or equal if the flag is set.
    Above(String, bool),
    /// Is less than this, or equal if the flag is set.
    Below(String, bool),
    /// Passes one of these.
    Any(Vec<Test>),
    /// Passes all of these.
    All(Vec<Test>),
}

impl Test {
    /// Whether a text passes.
    pub fn admits(&self, text: &str) -> bool {
        match self {
            Self::In(list) => list.iter().any(|one| one == text),
            Self::Not(one) => one != text,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Above(bound, or_equal) => bound.as_str() < text || (*or_equal && bound == text),
            Self::Below(bound, or_equal) => text < bound.as_str() || (*or_equal && bound == text),
            Self::Any(tests) => tests.iter().any(|t| t.admits(text)),
            Self::All(tests) => tests.iter().all(|t| t.admits(text)),
        }
    }

    /// Whether a text between `min` and `max`, both included, may pass.
    pub fn may_admit(&self, min: &str, max: &str) -> bool {
        match self {
            Self::In(list) => list.iter().any(|one| min <= one.as_str() && one.as_str() <= max),
            Self::Not(one) => !(min == max && min == one),
            Self::Prefix(prefix) => {
                let prefix = prefix.as_str();
                (prefix <= max || max.starts_with(prefix)) && (min <= prefix || min.starts_with(prefix))
            }
            Self::Above(bound, or_equal) => bound.as_str() < max || (*or_equal && bound == max),
            Self::Below(bound, or_equal) => min < bound.as_str() || (*or_equal && bound == min),
            Self::Any(tests) => tests.iter().any(|t| t.may_admit(min, max)),
            Self::All(tests) => tests.iter().all(|t| t.may_admit(min, max)),
        }
    }

    /// Whether every text between `min` and `max`, both included, passes for certain.
    pub fn must_admit(&self, min: &str, max: &str) -> bool {
        match self {
            Self::In(_) => min == max && self.admits(min),
            Self::Not(one) => one.as_str() < min || max < one.as_str(),
            // Everything between two texts with a common prefix has it too.
            Self::Prefix(_) | Self::Above(..) | Self::Below(..) => self.admits(min) && self.admits(max),
            Self::Any(tests) => tests.iter().any(|t| t.must_admit(min, max)),
            Self::All(tests) => tests.iter().all(|t| t.must_admit(min, max)),
        }
    }

    /// The few texts that can pass, when they can be named.
    pub fn candidates(&self) -> Option<&[String]> {
        match self {
            Self::In(list) => Some(list),
            Self::All(tests) => tests.iter().find_map(Self::candidates),
            _ => None,
        }
    }
}

/// All tests of a scan: column place and test.
#[derive(Clone, Debug, Default)]
pub struct Tests {
    spec: Option<&'static TableSpec>,
    /// Column place and test.
    pub list: Vec<(usize, Test)>,
}

impl Tests {
    /// From filters; those that are no tests are left out ([`as_test`] tells which).
    pub fn new(spec: &'static TableSpec, filters: &[Expr]) -> Self {
        Self { spec: Some(spec), list: filters.iter().filter_map(|f| as_test(spec, f)).collect() }
    }

    /// Whether a value of a column passes all tests of that column.
    pub fn admit(&self, column: &str, value: &str) -> bool {
        self.of(column).all(|test| test.admits(value))
    }

    /// Whether a value of a column between `min` and `max`, both included, may pass.
    pub fn may_admit(&self, column: &str, min: &str, max: &str) -> bool {
        self.of(column).all(|test| test.may_admit(min, max))
    }

    /// Tests of a column.
    pub fn of<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a Test> {
        self.list
            .iter()
            .filter(move |(index, _)| self.spec.is_some_and(|s| s.columns[*index].name == column))
            .map(|(_, test)| test)
    }

    /// The few values of a column that can pass, when they can be named.
    pub fn candidates<'a>(&'a self, column: &'a str) -> Option<&'a [String]> {
        self.of(column).find_map(Test::candidates)
    }
}

/// The column place and the test that a filter is, if it is one.
pub fn as_test(spec: &TableSpec, filter: &Expr) -> Option<(usize, Test)> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Or | Operator::And => {
                let (left_column, left) = as_test(spec, left)?;
                let (right_column, right) = as_test(spec, right)?;
                if left_column != right_column {
                    return None;
                }
                let test = match (op, left, right) {
                    (Operator::Or, Test::In(mut a), Test::In(b)) => {
                        a.extend(b);
                        Test::In(a)
                    }
                    (Operator::Or, a, b) => Test::Any(vec![a, b]),
                    (_, a, b) => Test::All(vec![a, b]),
                };
                Some((left_column, test))
            }
            _ => {
                let (column, value, op) = match (text_column(spec, left), literal(right)) {
                    (Some(column), Some(value)) => (column, value, *op),
                    _ => (text_column(spec, right)?, literal(left)?, op.swap()?),
                };
                Some((column, comparison(op, value)?))
            }
        },
        Expr::InList(list) if !list.negated => {
            let column = text_column(spec, &list.expr)?;
            Some((column, Test::In(list.list.iter().map(literal).collect::<Option<_>>()?)))
        }
        Expr::Between(between) if !between.negated => {
            let low = Test::Above(literal(&between.low)?, true);
            let high = Test::Below(literal(&between.high)?, true);
            Some((text_column(spec, &between.expr)?, Test::All(vec![low, high])))
        }
        Expr::Like(like) if !like.negated && !like.case_insensitive && like.escape_char.is_none() => {
            let pattern = literal(&like.pattern)?;
            Some((text_column(spec, &like.expr)?, like_test(&pattern)?))
        }
        Expr::ScalarFunction(call) if call.func.name() == "starts_with" && call.args.len() == 2 => {
            Some((text_column(spec, &call.args[0])?, Test::Prefix(literal(&call.args[1])?)))
        }
        _ => None,
    }
}

fn comparison(op: Operator, value: String) -> Option<Test> {
    Some(match op {
        Operator::Eq => Test::In(vec![value]),
        Operator::NotEq => Test::Not(value),
        Operator::Gt => Test::Above(value, false),
        Operator::GtEq => Test::Above(value, true),
        Operator::Lt => Test::Below(value, false),
        Operator::LtEq => Test::Below(value, true),
        Operator::LikeMatch => like_test(&value)?,
        _ => return None,
    })
}

/// Patterns that are a text, or a text and one `%` at the end.
fn like_test(pattern: &str) -> Option<Test> {
    let body = pattern.strip_suffix('%');
    if body.unwrap_or(pattern).contains(['%', '_', '\\']) {
        return None;
    }
    Some(match body {
        Some(prefix) => Test::Prefix(prefix.to_owned()),
        None => Test::In(vec![pattern.to_owned()]),
    })
}

fn text_column(spec: &TableSpec, expr: &Expr) -> Option<usize> {
    let Expr::Column(column) = expr else { return None };
    spec.index_of(&column.name).filter(|i| spec.columns[*i].kind == Kind::Text)
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
            _,
        ) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bounds_agree_with_single_texts() {
        let texts = ["", "a", "ab", "abc", "abd", "b", "ba", "c"];
        let text = |i: usize| texts[i].to_owned();
        let mut tests = Vec::new();
        for i in 0..texts.len() {
            tests.push(Test::In(vec![text(i)]));
            tests.push(Test::Not(text(i)));
            tests.push(Test::Prefix(text(i)));
            tests.push(Test::Above(text(i), i % 2 == 0));
            tests.push(Test::Below(text(i), i % 2 == 1));
        }
        let pairs: Vec<Test> = tests
            .iter()
            .zip(tests.iter().rev())
            .flat_map(|(a, b)| [Test::Any(vec![a.clone(), b.clone()]), Test::All(vec![a.clone(), b.clone()])])
            .collect();
        for test in tests.iter().chain(&pairs) {
            for low in 0..texts.len() {
                for high in low..texts.len() {
                    let between = &texts[low..=high];
                    let (min, max) = (texts[low], texts[high]);
                    if between.iter().any(|t| test.admits(t)) {
                        assert!(test.may_admit(min, max), "{test:?} {min} {max}");
                    }
                    if test.must_admit(min, max) {
                        assert!(between.iter().all(|t| test.admits(t)), "{test:?} {min} {max}");
                    }
                }
            }
        }
    }

    #[test]
    fn patterns_with_inner_wildcards_are_no_prefixes() {
        assert_eq!(like_test("hdfs://old-nn/%"), Some(Test::Prefix("hdfs://old-nn/".into())));
        assert_eq!(like_test("plain"), Some(Test::In(vec!["plain".into()])));
        for pattern in ["a_b%", "%a", "a%b", "a\\%", "a%%"] {
            assert_eq!(like_test(pattern), None, "{pattern}");
        }
    }
}
