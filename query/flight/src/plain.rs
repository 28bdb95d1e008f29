//! Types that every client reads: older drivers know neither views nor dictionaries nor large
//! texts, and take a comment in the metadata of a field for its name.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use skep_catalog::fault::Fault;

/// The schema of a result on the wire.
pub fn schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new(fields))
}

fn field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain(field.data_type()), field.is_nullable()))
}

fn plain(data_type: &DataType) -> DataType {
    match data_type {
        // A column of NULLs alone is a text, as a parameter is that nothing types.
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::RunEndEncoded(_, values) => plain(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(field(item), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, is_sorted) => DataType::Map(field(entries), *is_sorted),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        other => other.clone(),
    }
}

/// The same rows with exactly this schema.
///
/// Errors: `INTERNAL` when they are none of it.
pub fn batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Fault> {
    let failed = |e: arrow::error::ArrowError| Fault::internal("rows cannot be sent", e.to_string());
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => cast(column, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use arrow::array::{
        ArrayRef, DictionaryArray, Int32Array, LargeListArray, StringArray, StringViewArray, StructArray,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn views_dictionaries_and_comments_are_gone_and_the_values_stay() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), Some("x")].into_iter().collect();
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let lists = LargeListArray::new(item, OffsetBuffer::from_lengths([1, 1]), Arc::clone(&views), None);
        let inner = Arc::new(Field::new("v", DataType::Utf8View, true));
        let nested = StructArray::new(vec![inner].into(), vec![Arc::clone(&views)], None);
        let columns: Vec<ArrayRef> = vec![
            views,
            Arc::new(dictionary),
            Arc::new(lists),
            Arc::new(nested),
            Arc::new(Int32Array::from(vec![1, 2])),
        ];
        let fields: Vec<Field> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                Field::new(format!("c{index}"), column.data_type().clone(), index != 4)
                    .with_metadata(HashMap::from([("comment".to_owned(), "c".to_owned())]))
            })
            .collect();
        let given = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let schema = schema(&given.schema());
        let sent = batch(&given, &schema).unwrap();
        assert!(schema.fields().iter().all(|field| field.metadata().is_empty()));
        assert!(!schema.field(4).is_nullable() && schema.field(0).is_nullable());
        let text = format!("{schema:?}");
        assert!(!["View", "Dictionary", "Large"].iter().any(|word| text.contains(word)), "{text}");
        let texts = sent.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        assert_eq!(texts.iter().collect::<Vec<_>>(), [Some("a"), None]);
        let shown = |batch: &RecordBatch| {
            arrow::util::pretty::pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string()
        };
        assert_eq!(shown(&sent), shown(&given));
    }
}
