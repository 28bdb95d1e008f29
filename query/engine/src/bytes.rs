//! How many bytes the values of arrays take.
//!
//! Counted is what the rows asked for would take in an array of their own. What else an array
//! shares its buffers with is not: other rows of a slice, other texts of a buffer of views.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, OffsetSizeTrait};
use arrow::datatypes::{ArrowNativeType, ByteViewType, DataType};
use datafusion::common::ScalarValue;

/// Bytes that a view has room for; longer ones are elsewhere.
const IN_VIEW_MAX: usize = 12;

/// Whether all values of a type take as many bytes.
pub fn has_fixed_size(data_type: &DataType) -> bool {
    data_type.is_primitive() || matches!(data_type, DataType::Boolean | DataType::Null)
}

/// Bytes of an array.
pub fn of(array: &dyn Array) -> usize {
    of_rows(array, 0..array.len())
}

/// Bytes of some rows of an array: their values, and what tells where each of them is.
pub fn of_rows(array: &dyn Array, rows: Range<usize>) -> usize {
    let count = rows.len();
    let (values, place) = match array.data_type() {
        DataType::Utf8View => (of_views(array.as_string_view(), rows, IN_VIEW_MAX), 16),
        DataType::BinaryView => (of_views(array.as_binary_view(), rows, IN_VIEW_MAX), 16),
        DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => {
            (of_values(array, rows), 4)
        }
        DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => (of_values(array, rows), 8),
        _ => (of_values(array, rows), 0),
    };
    values.saturating_add(place * count)
}

/// Bytes of the longest value of an array.
pub fn longest(array: &dyn Array) -> usize {
    let widest = |offsets: &[i32]| {
        offsets.windows(2).map(|pair| pair[1].as_usize() - pair[0].as_usize()).max().unwrap_or(0)
    };
    match array.data_type() {
        DataType::Utf8 => widest(array.as_string::<i32>().value_offsets()),
        other => match other.primitive_width() {
            Some(width) => width,
            None => (0..array.len()).map(|row| of_values(array, row..row + 1)).max().unwrap_or(0),
        },
    }
}

/// Bytes of the values of some rows of an array: of a text, its own.
pub fn of_values(array: &dyn Array, rows: Range<usize>) -> usize {
    match array.data_type() {
        DataType::Utf8 => span(array.as_string::<i32>().value_offsets(), &rows).len(),
        DataType::LargeUtf8 => span(array.as_string::<i64>().value_offsets(), &rows).len(),
        DataType::Utf8View => of_views(array.as_string_view(), rows, 0),
        DataType::Binary => span(array.as_binary::<i32>().value_offsets(), &rows).len(),
        DataType::LargeBinary => span(array.as_binary::<i64>().value_offsets(), &rows).len(),
        DataType::BinaryView => of_views(array.as_binary_view(), rows, 0),
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            of_rows(lists.values().as_ref(), span(lists.value_offsets(), &rows))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            of_rows(lists.values().as_ref(), span(lists.value_offsets(), &rows))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries = span(map.value_offsets(), &rows);
            of_columns(map.entries().columns(), &entries)
        }
        DataType::Struct(_) => of_columns(array.as_struct().columns(), &rows),
        other => match other.primitive_width() {
            Some(width) => width.saturating_mul(rows.len()),
            None if matches!(other, DataType::Boolean | DataType::Null) => rows.len(),
            // Rare: counted as if any row were all of it.
            None => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
        },
    }
}

fn of_columns(columns: &[ArrayRef], rows: &Range<usize>) -> usize {
    columns.iter().map(|column| of_rows(column.as_ref(), rows.clone())).fold(0, usize::saturating_add)
}

/// Bytes of the values that are longer than so many.
fn of_views<T: ByteViewType>(views: &GenericByteViewArray<T>, rows: Range<usize>, longer: usize) -> usize {
    rows.filter(|row| views.is_valid(*row))
        .map(|row| AsRef::<[u8]>::as_ref(views.value(row)).len())
        .filter(|length| longer < *length)
        .sum()
}

/// Bytes of one value: of a text, its own.
pub fn of_scalar(scalar: &ScalarValue) -> usize {
    match scalar.try_as_str() {
        Some(text) => text.map_or(0, str::len),
        None => scalar.size(),
    }
}

/// Where the values of some rows are.
pub fn span<O: OffsetSizeTrait>(offsets: &[O], rows: &Range<usize>) -> Range<usize> {
    match (offsets.get(rows.start), offsets.get(rows.end)) {
        (Some(start), Some(end)) => start.as_usize()..end.as_usize(),
        _ => 0..0,
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{
        BinaryViewArray, Int64Array, LargeStringArray, ListBuilder, StringArray, StringBuilder,
        StringViewArray, StructArray,
    };
    use arrow::datatypes::Field;

    use super::*;

    fn each(array: &ArrayRef) -> Vec<usize> {
        (0..array.len()).map(|row| of_rows(array.as_ref(), row..row + 1)).collect()
    }

    /// Lists of texts.
    pub fn lists(rows: &[&[&str]]) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in rows {
            builder.append_value(row.iter().map(Some));
        }
        Arc::new(builder.finish())
    }

    #[test]
    fn bytes_are_those_of_the_rows_alone() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "bcd", ""]));
        assert_eq!(each(&texts), [5, 7, 4]);
        assert_eq!(of(texts.as_ref()), 16);
        let cut = texts.slice(1, 2);
        assert_eq!((each(&cut), of(cut.as_ref()), longest(cut.as_ref())), (vec![7, 4], 11, 3));
        let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "bcd"]));
        assert_eq!((each(&large), longest(large.as_ref())), (vec![9, 11], 3));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        assert_eq!((of(numbers.as_ref()), longest(numbers.as_ref())), (16, 8));
        let lists = lists(&[&["a", "b"], &[], &["cdef"]]);
        assert_eq!((each(&lists), longest(lists.as_ref())), (vec![14, 4, 12], 10));
        assert_eq!(of(lists.slice(2, 1).as_ref()), 12);
        let field =
            |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let both = vec![(field("n", &numbers), numbers.clone()), (field("t", &cut), cut.clone())];
        let both: ArrayRef = Arc::new(StructArray::from(both));
        assert_eq!(each(&both), [15, 12]);
    }

    #[test]
    fn views_count_for_what_they_show() {
        let long = "x".repeat(100);
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some(long.as_str()), Some("short"), None]));
        assert_eq!((each(&texts), longest(texts.as_ref())), (vec![116, 16, 16], 100));
        assert_eq!((of(texts.slice(1, 2).as_ref()), longest(texts.slice(1, 2).as_ref())), (32, 5));
        let binary: ArrayRef = Arc::new(BinaryViewArray::from(vec![long.as_bytes(), b"short"]));
        assert_eq!(each(&binary), [116, 16]);
    }

    #[test]
    fn one_text_counts_for_its_own_bytes() {
        assert_eq!(of_scalar(&ScalarValue::from("text")), 4);
        assert_eq!(of_scalar(&ScalarValue::Utf8View(None)), 0);
        assert!(8 <= of_scalar(&ScalarValue::from(1_i64)));
    }
}
