//! Functions whose time is the product of the lengths of what they compare: two texts of a megabyte
//! each would take an hour, in which nothing asks whether the statement is to stop.

use datafusion::logical_expr::ColumnarValue;

use super::growth::longest;
use crate::bytes;

/// Their first two arguments are what they compare.
pub const PRODUCTS: &[&str] =
    &["array_has_all", "array_has_any", "btrim", "levenshtein", "ltrim", "rtrim", "strpos"];

/// Pairs of bytes, one of each of the first two arguments, that a call goes through at most.
pub fn pairs_max(args: &[ColumnarValue], rows: usize) -> usize {
    let [first, second, ..] = args else { return 0 };
    let at_most = longest(first).saturating_mul(longest(second)).saturating_mul(rows);
    if at_most <= super::functions::PAIRS_MAX {
        return at_most;
    }
    // Seldom are all as long as the longest.
    (0..rows)
        .map(|row| bytes_at(first, row).saturating_mul(bytes_at(second, row)))
        .fold(0, usize::saturating_add)
}

fn bytes_at(value: &ColumnarValue, row: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => bytes::of_values(array.as_ref(), row..row + 1),
        ColumnarValue::Scalar(scalar) => bytes::of_scalar(scalar),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use datafusion::common::ScalarValue;

    use super::*;

    #[test]
    fn pairs_are_those_of_each_row() {
        let long = "x".repeat(100_000);
        let column = |texts: Vec<&str>| ColumnarValue::Array(Arc::new(StringArray::from(texts)));
        let (first, second) = (column(vec![long.as_str(), "ab"]), column(vec!["abc", long.as_str()]));
        assert_eq!(pairs_max(&[first.clone(), second], 2), 500_000);
        let constant = ColumnarValue::Scalar(ScalarValue::from("abc"));
        assert_eq!(pairs_max(&[first.clone(), constant], 2), 600_000);
        assert_eq!(pairs_max(&[first.clone(), first], 2), 10_000_000_004);
    }
}
