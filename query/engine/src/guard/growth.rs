//! How much a function can make at most, told from what it is given.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::bounded::constant_text;
use crate::bytes;

/// Bytes that an element of a list takes besides its own.
const ELEMENT_BYTES: usize = 16;

/// How much a call makes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Growth {
    /// The first text as often as the second argument says.
    Times,
    /// As many characters as the second argument says.
    Pad,
    /// The last text for every byte of the first.
    Replace,
    /// All arguments together.
    Sum,
    /// The first text between all others.
    Joined,
    /// The first text for every group of the pattern, which is the second.
    Groups,
    /// The first text, each letter of it an element of a list.
    Letters,
    /// What the second argument says, of which two characters can become 34.
    Format,
}

/// The functions that can make more than they are given.
pub const GROWING: &[(&str, Growth)] = &[
    ("array_append", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_union", Growth::Sum),
    ("array_to_string", Growth::Replace),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Joined),
    ("encode", Growth::Sum),
    ("lpad", Growth::Pad),
    ("make_array", Growth::Sum),
    ("overlay", Growth::Sum),
    ("regexp_match", Growth::Groups),
    ("regexp_replace", Growth::Replace),
    ("repeat", Growth::Times),
    ("replace", Growth::Replace),
    ("rpad", Growth::Pad),
    ("string_to_array", Growth::Letters),
    ("to_char", Growth::Format),
    ("translate", Growth::Replace),
    ("||", Growth::Sum),
];

impl Growth {
    /// Bytes that a call makes at most of these rows.
    pub fn bytes_max(self, args: &[ColumnarValue], rows: usize) -> usize {
        let text = |index: usize| args.get(index).map_or(0, |arg| bytes_of(arg, rows));
        let number = |index: usize| args.get(index).map_or(0, number_max);
        match self {
            Self::Times => text(0).saturating_mul(number(1)),
            // A character has at most four bytes.
            Self::Pad => rows.saturating_mul(number(1)).saturating_mul(4),
            Self::Replace => {
                let longest = args.iter().skip(1).map(longest).max().unwrap_or(0);
                text(0).saturating_add(rows).saturating_mul(longest.max(1))
            }
            Self::Sum => (0..args.len()).map(text).fold(0, usize::saturating_add),
            Self::Joined => {
                let separators = text(0).saturating_mul(args.len().saturating_sub(2));
                (1..args.len()).map(text).fold(separators, usize::saturating_add)
            }
            Self::Groups => {
                let groups = args.get(1).and_then(constant_text).map_or(0, |p| p.matches('(').count());
                let list = text(0).saturating_add(rows.saturating_mul(ELEMENT_BYTES));
                list.saturating_mul(groups + 1)
            }
            // Where an element begins takes four bytes.
            Self::Letters => text(0).saturating_mul(5),
            Self::Format => text(1).saturating_mul(17),
        }
    }
}

/// Bytes of a value over all rows.
fn bytes_of(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => bytes::of(array.as_ref()),
        ColumnarValue::Scalar(scalar) => bytes::of_scalar(scalar).saturating_mul(rows),
    }
}

/// Bytes of the longest of the rows of a value.
pub fn longest(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Array(array) => bytes::longest(array.as_ref()),
        ColumnarValue::Scalar(scalar) => bytes::of_scalar(scalar),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn separators_count_as_often_as_they_are_written() {
        let column = ColumnarValue::Array(Arc::new(StringArray::from(vec!["abc", "de"])));
        let empty = ColumnarValue::Scalar(ScalarValue::from(""));
        let args = |n: usize| [vec![column.clone()], vec![empty.clone(); n]].concat();
        let separator = bytes_of(&column, 2);
        assert_eq!(Growth::Joined.bytes_max(&args(1), 2), 0);
        assert_eq!(Growth::Joined.bytes_max(&args(4_000), 2), 3_999 * separator);
    }

    #[test]
    fn texts_count_once_for_every_group_of_a_pattern() {
        let column = ColumnarValue::Array(Arc::new(StringArray::from(vec!["abc", "de"])));
        let made = |pattern: &str| {
            let pattern = ColumnarValue::Scalar(ScalarValue::from(pattern));
            Growth::Groups.bytes_max(&[column.clone(), pattern], 2)
        };
        assert_eq!(made("((a)(b))"), 4 * made("ab"));
    }
}
