//! The six constraint structs. Each is one column of one constraint.

use bytes::Bytes;
use skep_catalog::model::{ConstraintColumn, ConstraintKind, DatabaseTable};

use super::fields::{flag, i32, text, text_option};
use crate::thrift::{Reader, Result, Writer};

fn empty(kind: ConstraintKind) -> ConstraintColumn {
    ConstraintColumn {
        kind,
        name: String::new(),
        column_name: None,
        key_sequence: 0,
        referenced: None,
        expression: None,
        is_enabled: false,
        is_validated: false,
        is_rely: false,
    }
}

/// Field ids of a kind's struct.
struct Ids {
    column_name: i16,
    key_sequence: Option<i16>,
    expression: Option<i16>,
    name: i16,
    /// Enabled, validated and rely follow each other.
    switches: i16,
}

impl Ids {
    const fn of(kind: ConstraintKind) -> Self {
        let (column_name, key_sequence, expression, name, switches) = match kind {
            ConstraintKind::PrimaryKey => (3, Some(4), None, 5, 6),
            ConstraintKind::ForeignKey => (6, Some(7), None, 10, 12),
            ConstraintKind::Unique => (4, Some(5), None, 6, 7),
            ConstraintKind::NotNull => (4, None, None, 5, 6),
            ConstraintKind::Default | ConstraintKind::Check => (4, None, Some(5), 6, 7),
        };
        Self { column_name, key_sequence, expression, name, switches }
    }
}

/// Reads an `SQLPrimaryKey`, `SQLForeignKey`, ... struct, by kind.
pub fn read_constraint(kind: ConstraintKind, reader: &mut Reader<'_>) -> Result<ConstraintColumn> {
    let ids = Ids::of(kind);
    let mut column = empty(kind);
    let (mut database, mut table, mut referenced) = (String::new(), String::new(), String::new());
    let is_foreign = kind == ConstraintKind::ForeignKey;
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 if is_foreign => database = text(reader, kind)?,
            2 if is_foreign => table = text(reader, kind)?,
            3 if is_foreign => referenced = text(reader, kind)?,
            _ if id == ids.column_name => column.column_name = text_option(reader, kind)?,
            _ if Some(id) == ids.key_sequence => column.key_sequence = i32(reader, kind)?,
            _ if Some(id) == ids.expression => column.expression = text_option(reader, kind)?,
            _ if id == ids.name => column.name = text(reader, kind)?,
            _ if id == ids.switches => column.is_enabled = flag(reader, kind)?,
            _ if id == ids.switches + 1 => column.is_validated = flag(reader, kind)?,
            _ if id == ids.switches + 2 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    column.referenced = is_foreign.then_some((DatabaseTable { database, table }, referenced));
    Ok(column)
}

/// The constraint struct of `column.kind`, of `database.table`. `catalog` as in
/// [`super::encode_table`]; the kinds of Hive 3 always name one.
pub fn encode_constraint(
    catalog: Option<&str>,
    database: &str,
    table: &str,
    column: &ConstraintColumn,
) -> Bytes {
    let mut writer = Writer::new();
    let name = column.column_name.as_deref();
    let switches = |writer: &mut Writer, first: i16| {
        writer.field_bool(first, column.is_enabled);
        writer.field_bool(first + 1, column.is_validated);
        writer.field_bool(first + 2, column.is_rely);
    };
    match column.kind {
        ConstraintKind::PrimaryKey => {
            writer.field_string(1, database);
            writer.field_string(2, table);
            writer.field_string_option(3, name);
            writer.field_i32(4, column.key_sequence);
            writer.field_string(5, &column.name);
            switches(&mut writer, 6);
            writer.field_string_option(9, catalog);
        }
        ConstraintKind::ForeignKey => {
            if let Some((parent, parent_column)) = &column.referenced {
                writer.field_string(1, &parent.database);
                writer.field_string(2, &parent.table);
                writer.field_string(3, parent_column);
            }
            writer.field_string(4, database);
            writer.field_string(5, table);
            writer.field_string_option(6, name);
            writer.field_i32(7, column.key_sequence);
            writer.field_i32(8, 0);
            writer.field_i32(9, 0);
            writer.field_string(10, &column.name);
            switches(&mut writer, 12);
            writer.field_string_option(15, catalog);
        }
        kind => {
            writer.field_string_option(1, catalog);
            writer.field_string(2, database);
            writer.field_string(3, table);
            writer.field_string_option(4, name);
            match kind {
                ConstraintKind::Unique => writer.field_i32(5, column.key_sequence),
                ConstraintKind::NotNull => {}
                _ => writer.field_string_option(5, column.expression.as_deref()),
            }
            let name_id = if kind == ConstraintKind::NotNull { 5 } else { 6 };
            writer.field_string(name_id, &column.name);
            switches(&mut writer, name_id + 1);
        }
    }
    writer.finish_struct()
}
