//! Aligned columns for people. On a terminal the table fits its width: long values are cut, and
//! when there are too many columns each row is shown as lines of its own. What was cut is said.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::{Cell, CellAlignment, Row, Table};

use super::cells::{TIMES_FOR_PEOPLE, one_line, texts};
use super::{PrintError, ResultWriter, grouped};

/// A column is not cut below this many characters, nor below its name.
const COLUMN_CHARS_MIN: usize = 12;
/// A column is never wider than this on a terminal.
const COLUMN_CHARS_MAX: usize = 100;

/// Rows that are shown as lines of their own when the table is too wide: a few screens.
const EXPANDED_ROWS_MAX: usize = 20;

/// How tables look.
#[derive(Clone, Copy, Debug)]
pub struct TableStyle {
    /// Rows that are shown; the rest is counted and said to be left out.
    pub rows_max: usize,
    /// Characters of a line of the terminal; `None` when it is no terminal: nothing is cut.
    pub width: Option<usize>,
    /// Each row as lines of its own, always.
    pub is_expanded: bool,
}

impl TableStyle {
    /// For files and pipes: whole values.
    pub const PLAIN: Self = Self { rows_max: 10_000, width: None, is_expanded: false };
}

pub struct TableWriter {
    style: TableStyle,
    names: Vec<String>,
    is_numeric: Vec<bool>,
    rows: Vec<Vec<Option<String>>>,
    row_count: usize,
    shown_max: usize,
    is_cut: bool,
}

impl TableWriter {
    pub fn new(schema: &SchemaRef, style: TableStyle) -> Self {
        let names = schema.fields().iter().map(|field| one_line(field.name())).collect();
        let is_numeric = schema.fields().iter().map(|field| field.data_type().is_numeric()).collect();
        Self {
            style,
            names,
            is_numeric,
            rows: Vec::new(),
            row_count: 0,
            shown_max: style.rows_max,
            is_cut: false,
        }
    }

    /// How many characters each column may have so that a line fits; `None` when nothing fits.
    fn column_limit(&self, line_chars: usize) -> Option<usize> {
        let widths: Vec<usize> = (0..self.names.len())
            .map(|index| {
                let values = self.rows.iter().filter_map(|row| row[index].as_deref());
                values.map(|text| text.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let frame = 3 * self.names.len() + 1;
        (COLUMN_CHARS_MIN..=COLUMN_CHARS_MAX).rev().find(|limit| {
            let columns = widths.iter().zip(&self.names);
            let total: usize =
                columns.map(|(width, name)| (*width).min(*limit).max(name.chars().count())).sum();
            total + frame <= line_chars
        })
    }

    fn cut(&mut self, text: &str, limit: usize) -> String {
        let line = one_line(text);
        if line.chars().count() <= limit {
            return line;
        }
        self.is_cut = true;
        line.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
    }

    fn aligned(&mut self, limit: usize) -> String {
        let mut table = Table::new();
        table.load_preset("││──├─┼┤│    ┬┴┌┐└┘");
        table.set_header(self.names.clone());
        for row in std::mem::take(&mut self.rows) {
            let mut cells = Vec::with_capacity(row.len());
            for (index, text) in row.into_iter().enumerate() {
                let limit = limit.max(self.names[index].chars().count());
                let cell = Cell::new(text.map_or_else(String::new, |text| self.cut(&text, limit)));
                let is_numeric = self.is_numeric[index];
                cells.push(if is_numeric { cell.set_alignment(CellAlignment::Right) } else { cell });
            }
            table.add_row(Row::from(cells));
        }
        format!("{table}\n")
    }

    fn expanded(&mut self, limit: usize) -> String {
        let name_chars = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut shown = String::new();
        for (number, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            shown.push_str(&format!("── row {} ──\n", number + 1));
            for (index, text) in row.into_iter().enumerate() {
                let text = text.map_or_else(String::new, |text| self.cut(&text, limit));
                shown.push_str(format!("{:name_chars$} │ {text}", self.names[index]).trim_end());
                shown.push('\n');
            }
        }
        shown
    }
}

impl ResultWriter for TableWriter {
    fn batch(&mut self, batch: &RecordBatch, _out: &mut dyn Write) -> Result<(), PrintError> {
        self.row_count += batch.num_rows();
        let wanted = batch.num_rows().min(self.style.rows_max.saturating_sub(self.rows.len()));
        if wanted == 0 {
            return Ok(());
        }
        let columns = texts(&batch.slice(0, wanted), &TIMES_FOR_PEOPLE)?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for _ in 0..wanted {
            self.rows.push(columns.iter_mut().map(|column| column.next().flatten()).collect());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> Result<(), PrintError> {
        if self.names.is_empty() {
            return Ok(());
        }
        let shown = match self.style.width {
            None if self.style.is_expanded => self.expanded(usize::MAX),
            None => self.aligned(usize::MAX),
            Some(_) if self.style.is_expanded => self.expanded(usize::MAX),
            Some(width) => match self.column_limit(width) {
                Some(limit) => self.aligned(limit),
                None => {
                    self.shown_max = self.shown_max.min(EXPANDED_ROWS_MAX);
                    self.rows.truncate(self.shown_max);
                    self.expanded(width.max(4 * COLUMN_CHARS_MIN))
                }
            },
        };
        out.write_all(shown.as_bytes())?;
        Ok(())
    }

    fn left_out(&self) -> Option<String> {
        let hidden = self.row_count.saturating_sub(self.shown_max);
        let rows = (hidden != 0).then(|| {
            format!(
                "only the first {} rows are shown; csv, json and markdown give all",
                grouped(self.shown_max as u64)
            )
        });
        let values = self
            .is_cut
            .then(|| "long values are cut at …; \\x or another output format shows them whole".to_owned());
        let parts: Vec<String> = rows.into_iter().chain(values).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}
