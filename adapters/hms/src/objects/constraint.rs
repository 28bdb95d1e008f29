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

/// Reads an `SQLPrimaryKey`, `SQLForeignKey`, ... struct, by kind.
pub fn read_constraint(kind: ConstraintKind, reader: &mut Reader<'_>) -> Result<ConstraintColumn> {
    let mut column = empty(kind);
    match kind {
        ConstraintKind::PrimaryKey => read_primary(reader, &mut column)?,
        ConstraintKind::ForeignKey => read_foreign(reader, &mut column)?,
        ConstraintKind::Unique => read_unique(reader, &mut column)?,
        ConstraintKind::NotNull => read_not_null(reader, &mut column)?,
        ConstraintKind::Default | ConstraintKind::Check => read_expression(reader, &mut column)?,
    }
    Ok(column)
}

fn read_primary(reader: &mut Reader<'_>, column: &mut ConstraintColumn) -> Result<()> {
    while let Some((kind, id)) = reader.field()? {
        match id {
            3 => column.column_name = text_option(reader, kind)?,
            4 => column.key_sequence = i32(reader, kind)?,
            5 => column.name = text(reader, kind)?,
            6 => column.is_enabled = flag(reader, kind)?,
            7 => column.is_validated = flag(reader, kind)?,
            8 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

fn read_foreign(reader: &mut Reader<'_>, column: &mut ConstraintColumn) -> Result<()> {
    let (mut database, mut table, mut referenced) = (String::new(), String::new(), String::new());
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => database = text(reader, kind)?,
            2 => table = text(reader, kind)?,
            3 => referenced = text(reader, kind)?,
            6 => column.column_name = text_option(reader, kind)?,
            7 => column.key_sequence = i32(reader, kind)?,
            10 => column.name = text(reader, kind)?,
            12 => column.is_enabled = flag(reader, kind)?,
            13 => column.is_validated = flag(reader, kind)?,
            14 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    column.referenced = Some((DatabaseTable { database, table }, referenced));
    Ok(())
}

fn read_unique(reader: &mut Reader<'_>, column: &mut ConstraintColumn) -> Result<()> {
    while let Some((kind, id)) = reader.field()? {
        match id {
            4 => column.column_name = text_option(reader, kind)?,
            5 => column.key_sequence = i32(reader, kind)?,
            6 => column.name = text(reader, kind)?,
            7 => column.is_enabled = flag(reader, kind)?,
            8 => column.is_validated = flag(reader, kind)?,
            9 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

fn read_not_null(reader: &mut Reader<'_>, column: &mut ConstraintColumn) -> Result<()> {
    while let Some((kind, id)) = reader.field()? {
        match id {
            4 => column.column_name = text_option(reader, kind)?,
            5 => column.name = text(reader, kind)?,
            6 => column.is_enabled = flag(reader, kind)?,
            7 => column.is_validated = flag(reader, kind)?,
            8 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

fn read_expression(reader: &mut Reader<'_>, column: &mut ConstraintColumn) -> Result<()> {
    while let Some((kind, id)) = reader.field()? {
        match id {
            4 => column.column_name = text_option(reader, kind)?,
            5 => column.expression = text_option(reader, kind)?,
            6 => column.name = text(reader, kind)?,
            7 => column.is_enabled = flag(reader, kind)?,
            8 => column.is_validated = flag(reader, kind)?,
            9 => column.is_rely = flag(reader, kind)?,
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
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
