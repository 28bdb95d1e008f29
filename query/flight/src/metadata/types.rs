//! The types of columns, as ODBC and JDBC know them.

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use skep_catalog::fault::Fault;
use skep_query::spec::Kind;

/// The longest text: what fits a row.
const TEXT_CHARS_MAX: i32 = i32::MAX;

/// The name of a column's type, one of those below.
pub fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "VARCHAR",
        Kind::Int => "BIGINT",
        Kind::Float => "DOUBLE",
        Kind::Bool => "BOOLEAN",
        Kind::Time => "TIMESTAMP",
        Kind::TextList => "ARRAY",
        Kind::TextMap => "MAP",
    }
}

/// All types that a column or an expression can have. For those that ODBC has no code for it is
/// the one of text.
pub fn all() -> Result<XdbcTypeInfoData, Fault> {
    // Ordered by the code, as ODBC wants it. Those of BIT and BIGINT, -7 and -5, are not in the
    // protocol's list.
    let types = [
        number("NUMERIC", XdbcDataType::XdbcNumeric, 38, 10, (Some(0), Some(38))),
        number("DECIMAL", XdbcDataType::XdbcDecimal, 38, 10, (Some(0), Some(38))),
        number("INTEGER", XdbcDataType::XdbcInteger, 32, 2, (None, None)),
        number("BIGINT", XdbcDataType::XdbcInteger, 64, 2, (None, None)),
        number("SMALLINT", XdbcDataType::XdbcSmallint, 16, 2, (None, None)),
        number("REAL", XdbcDataType::XdbcReal, 24, 2, (None, None)),
        number("DOUBLE", XdbcDataType::XdbcDouble, 53, 2, (None, None)),
        quoted("VARCHAR", TEXT_CHARS_MAX, "'"),
        plain("BOOLEAN", XdbcDataType::XdbcVarchar, 5),
        plain("ARRAY", XdbcDataType::XdbcVarchar, TEXT_CHARS_MAX),
        plain("MAP", XdbcDataType::XdbcVarchar, TEXT_CHARS_MAX),
        quoted("BINARY", TEXT_CHARS_MAX, "X'"),
        moment("DATE", XdbcDataType::XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear),
        moment("TIME", XdbcDataType::XdbcTime, 15, XdbcDatetimeSubcode::XdbcSubcodeTime),
        moment("TIMESTAMP", XdbcDataType::XdbcTimestamp, 32, XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
    ];
    let mut builder = XdbcTypeInfoDataBuilder::new();
    types.into_iter().for_each(|info| builder.append(info));
    builder.build().map_err(super::failed)
}

fn plain(name: &str, code: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type: code,
        column_size: Some(size),
        literal_prefix: None,
        literal_suffix: None,
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: false,
        searchable: Searchable::Full,
        unsigned_attribute: None,
        fixed_prec_scale: false,
        auto_increment: None,
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: code,
        datetime_subcode: None,
        num_prec_radix: None,
        interval_precision: None,
    }
}

fn quoted(name: &str, size: i32, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        case_sensitive: true,
        ..plain(name, XdbcDataType::XdbcVarchar, size)
    }
}

fn number(
    name: &str,
    code: XdbcDataType,
    size: i32,
    radix: i32,
    (minimum_scale, maximum_scale): (Option<i32>, Option<i32>),
) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        minimum_scale,
        maximum_scale,
        num_prec_radix: Some(radix),
        ..plain(name, code, size)
    }
}

fn moment(name: &str, code: XdbcDataType, size: i32, subcode: XdbcDatetimeSubcode) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(format!("{name} '")),
        literal_suffix: Some("'".to_owned()),
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        ..plain(name, code, size)
    }
}
