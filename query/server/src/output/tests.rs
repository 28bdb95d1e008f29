#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    Int64Array, ListBuilder, MapBuilder, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};

use super::*;

fn batch() -> RecordBatch {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), Some("b \"q\"")]);
    list.append_null();
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("v");
    map.append(true).unwrap();
    map.append(true).unwrap();
    let columns: Vec<(&str, arrow::array::ArrayRef)> = vec![
        ("name", Arc::new(StringArray::from(vec![Some("a,b\n\"c\""), Some("")]))),
        ("n", Arc::new(Int64Array::from(vec![None, Some(7)]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_500_000, 1_700_000_000_000_000]).with_timezone("UTC"),
            ),
        ),
        ("list", Arc::new(list.finish())),
        ("map", Arc::new(map.finish())),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.1).collect()).unwrap()
}

fn print(format: Format, style: TableStyle, batches: &[RecordBatch]) -> (String, u64, Option<String>) {
    let mut out = Vec::new();
    let mut printer = Printer::new(format, style, &batch().schema(), &mut out).unwrap();
    for batch in batches {
        printer.batch(batch).unwrap();
    }
    let (rows, left_out) = printer.end().unwrap();
    (String::from_utf8(out).unwrap(), rows, left_out)
}

#[test]
fn csv_quotes_as_rfc_4180_and_tells_null_from_empty() {
    let (text, rows, _) = print(Format::Csv, TableStyle::PLAIN, &[batch()]);
    assert_eq!(rows, 2);
    assert_eq!(
        text,
        "name,n,at,list,map\n\
         \"a,b\n\"\"c\"\"\",,1970-01-01T00:00:01.500Z,\"[\"\"a\"\",\"\"b \\\"\"q\\\"\"\"\"]\",\"{\"\"k\"\":\"\"v\"\"}\"\n\
         \"\",7,2023-11-14T22:13:20Z,,{}\n"
    );
}

#[test]
fn json_is_one_array_with_a_row_per_line_over_all_batches() {
    let (text, rows, _) = print(Format::Json, TableStyle::PLAIN, &[batch(), batch()]);
    assert_eq!((rows, text.lines().count()), (4, 4));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[0]["name"], "a,b\n\"c\"");
    assert_eq!(rows[0]["n"], serde_json::Value::Null);
    assert_eq!(rows[0]["list"][1], "b \"q\"");
    assert_eq!(rows[1]["n"], 7);
    assert_eq!(rows[3]["map"], serde_json::json!({}));
    assert_eq!(print(Format::Json, TableStyle::PLAIN, &[]).0, "[]\n");
}

#[test]
fn markdown_keeps_one_line_per_row() {
    let (text, _, _) = print(Format::Markdown, TableStyle::PLAIN, &[batch()]);
    assert_eq!(text.lines().count(), 4);
    assert!(text.starts_with("| name | n | at | list | map |\n| --- | ---: | --- | --- | --- |\n"), "{text}");
}

#[test]
fn table_says_which_rows_it_leaves_out() {
    let style = TableStyle { rows_max: 3, ..TableStyle::PLAIN };
    let (text, rows, left_out) = print(Format::Table, style, &[batch(), batch()]);
    assert_eq!(rows, 4);
    assert_eq!(text.lines().count(), 4 + 3, "{text}");
    assert_eq!(left_out.as_deref(), Some("only the first 3 rows are shown; csv, json and markdown give all"));
}

#[test]
fn table_fits_the_terminal_or_turns_rows_into_lines() {
    let style = |width| TableStyle { width: Some(width), ..TableStyle::PLAIN };
    let (text, _, left_out) = print(Format::Table, style(70), &[batch()]);
    assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
    assert!(left_out.is_some_and(|text| text.contains("cut")), "{text}");
    let (text, _, _) = print(Format::Table, style(30), &[batch()]);
    assert!(text.starts_with("── row 1 ──\nname │ a,b \"c\"\n"), "{text}");
}

#[test]
fn people_are_shown_no_control_characters_in_values_or_headings() {
    let schema = Arc::new(Schema::new(vec![Field::new("a\u{1b}[31m\nb", DataType::Utf8, true)]));
    let column: arrow::array::ArrayRef = Arc::new(StringArray::from(vec!["x\u{1b}]0;title\u{7}\ty"]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
    for style in [TableStyle::PLAIN, TableStyle { is_expanded: true, ..TableStyle::PLAIN }] {
        for format in [Format::Table, Format::Markdown] {
            let mut out = Vec::new();
            let mut printer = Printer::new(format, style, &schema, &mut out).unwrap();
            printer.batch(&batch).unwrap();
            printer.end().unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            assert!(text.contains("x ]0;title  y") && text.contains("a [31m b"), "{text}");
        }
    }
}

#[test]
fn a_null_without_a_type_is_a_null_in_every_format() {
    let columns: [(&str, arrow::array::ArrayRef); 2] =
        [("a", Arc::new(arrow::array::NullArray::new(1))), ("b", Arc::new(StringArray::from(vec![""])))];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    for (format, expected) in [(Format::Csv, "a,b\n,\"\"\n"), (Format::Json, "[{\"a\":null,\"b\":\"\"}]\n")] {
        let mut out = Vec::new();
        let mut printer = Printer::new(format, TableStyle::PLAIN, &batch.schema(), &mut out).unwrap();
        printer.batch(&batch).unwrap();
        printer.end().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
