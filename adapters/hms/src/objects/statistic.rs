//! `ColumnStatisticsObj`.

use bytes::Bytes;
use skep_catalog::model::ColumnStatistic;

use super::fields::{i64, text};
use crate::dates::{date_text, days_of};
use crate::thrift::{Kind, Reader, Result, Writer};

/// The arms of the `ColumnStatisticsData` union, by field id.
#[derive(Clone, Copy, PartialEq)]
enum Arm {
    Boolean = 1,
    Long = 2,
    Double = 3,
    String = 4,
    Binary = 5,
    Decimal = 6,
    Date = 7,
    Timestamp = 8,
}

const ARMS: [Arm; 8] =
    [Arm::Boolean, Arm::Long, Arm::Double, Arm::String, Arm::Binary, Arm::Decimal, Arm::Date, Arm::Timestamp];

/// Reads a `ColumnStatisticsObj` struct. Bit vectors and histograms stay in the bytes.
pub fn read_column_statistic(reader: &mut Reader<'_>) -> Result<ColumnStatistic> {
    let mut statistic = ColumnStatistic::default();
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => statistic.column_name = text(reader, kind)?,
            2 => statistic.data_type = text(reader, kind)?,
            3 => {
                reader.expect(Kind::Struct, kind)?;
                while let Some((kind, id)) = reader.field()? {
                    match ARMS.into_iter().find(|arm| *arm as i16 == id) {
                        Some(arm) => read_arm(reader, kind, arm, &mut statistic)?,
                        None => reader.skip(kind)?,
                    }
                }
            }
            _ => reader.skip(kind)?,
        }
    }
    Ok(statistic)
}

fn read_arm(reader: &mut Reader<'_>, kind: Kind, arm: Arm, statistic: &mut ColumnStatistic) -> Result<()> {
    reader.expect(Kind::Struct, kind)?;
    while let Some((kind, id)) = reader.field()? {
        match (arm, id) {
            (_, 3) => statistic.null_count = Some(i64(reader, kind)?),
            (Arm::Boolean, 1) => statistic.true_count = Some(i64(reader, kind)?),
            (Arm::Boolean, 2) => statistic.false_count = Some(i64(reader, kind)?),
            (Arm::String | Arm::Binary, 1) => statistic.max_length_bytes = Some(i64(reader, kind)?),
            (Arm::String | Arm::Binary, 2) => {
                reader.expect(Kind::Double, kind)?;
                statistic.average_length_bytes = Some(reader.double()?);
            }
            (Arm::Boolean | Arm::Binary, _) => reader.skip(kind)?,
            (_, 1) => statistic.min_value = Some(read_bound(reader, kind, arm)?),
            (_, 2) => statistic.max_value = Some(read_bound(reader, kind, arm)?),
            (_, 4) => statistic.distinct_count = Some(i64(reader, kind)?),
            _ => reader.skip(kind)?,
        }
    }
    Ok(())
}

/// A smallest or largest value as text.
fn read_bound(reader: &mut Reader<'_>, kind: Kind, arm: Arm) -> Result<String> {
    match arm {
        Arm::Double => {
            reader.expect(Kind::Double, kind)?;
            Ok(reader.double()?.to_string())
        }
        Arm::Decimal => read_decimal(reader, kind),
        Arm::Date | Arm::Timestamp => {
            reader.expect(Kind::Struct, kind)?;
            let mut number = 0;
            while let Some((kind, id)) = reader.field()? {
                match id {
                    1 => number = i64(reader, kind)?,
                    _ => reader.skip(kind)?,
                }
            }
            Ok(if arm == Arm::Date { date_text(number) } else { timestamp_text(number) })
        }
        _ => i64(reader, kind).map(|number| number.to_string()),
    }
}

fn read_decimal(reader: &mut Reader<'_>, kind: Kind) -> Result<String> {
    reader.expect(Kind::Struct, kind)?;
    let (mut unscaled, mut scale) = (&[][..], 0);
    while let Some((kind, id)) = reader.field()? {
        match id {
            1 => {
                reader.expect(Kind::String, kind)?;
                unscaled = reader.binary()?;
            }
            3 => {
                reader.expect(Kind::I16, kind)?;
                scale = reader.i16()?;
            }
            _ => reader.skip(kind)?,
        }
    }
    Ok(decimal_text(unscaled, scale))
}

/// A big-endian two's complement number of at most 16 bytes (38 digits, Hive's most) with
/// `scale` digits after the point; longer ones as hexadecimal digits.
fn decimal_text(unscaled: &[u8], scale: i16) -> String {
    if unscaled.len() > 16 {
        let digits: String = unscaled.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
        return format!("0x{digits}e-{scale}");
    }
    let is_negative = unscaled.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = [if is_negative { 0xff } else { 0 }; 16];
    bytes[16 - unscaled.len()..].copy_from_slice(unscaled);
    let number = i128::from_be_bytes(bytes);
    // Hive's scales lie between 0 and 38; anything else would only make long text.
    let scale = usize::try_from(scale).unwrap_or(0).min(100);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Text back into unscaled bytes and scale.
fn decimal_parts(text: &str) -> (Vec<u8>, i16) {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let number: i128 = text.replace('.', "").parse().unwrap_or(0);
    let bytes = number.to_be_bytes();
    // The shortest form that keeps the sign, as Java's BigInteger writes it.
    let sign = if number < 0 { 0xff } else { 0 };
    let start = (0..15).find(|&i| bytes[i] != sign || (bytes[i + 1] ^ sign) & 0x80 != 0).unwrap_or(15);
    (bytes[start..].to_vec(), scale as i16)
}

pub(super) fn timestamp_text(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    format!("{} {:02}:{:02}:{:02}", date_text(day), second / 3_600, second / 60 % 60, second % 60)
}

/// `YYYY-MM-DD` back into days since 1970; what is no number is a 1.
fn date_days(text: &str) -> i64 {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<i32>().map_or(1, i64::from));
    let mut next = || parts.next().unwrap_or(1);
    days_of(next(), next(), next())
}

fn timestamp_seconds(text: &str) -> i64 {
    let (date, time) = text.split_once(' ').unwrap_or((text, ""));
    let time = time.splitn(3, ':').fold(0, |sum, part| sum * 60 + part.parse::<i32>().map_or(0, i64::from));
    date_days(date) * 86_400 + time
}

/// A `ColumnStatisticsObj` struct; the type text decides on the form.
pub fn encode_column_statistic(statistic: &ColumnStatistic) -> Bytes {
    let arm = match statistic.data_type.split(['(', '<']).next().unwrap_or_default() {
        "boolean" => Arm::Boolean,
        "tinyint" | "smallint" | "int" | "bigint" => Arm::Long,
        "float" | "double" => Arm::Double,
        "binary" => Arm::Binary,
        "decimal" => Arm::Decimal,
        "date" => Arm::Date,
        "timestamp" => Arm::Timestamp,
        _ => Arm::String,
    };
    let mut writer = Writer::new();
    writer.field_string(1, &statistic.column_name);
    writer.field_string(2, &statistic.data_type);
    writer.field_struct(3, |writer| {
        writer.field_struct(arm as i16, |writer| write_arm(writer, arm, statistic))
    });
    writer.finish_struct()
}

fn write_arm(writer: &mut Writer, arm: Arm, statistic: &ColumnStatistic) {
    match arm {
        Arm::Boolean => {
            writer.field_i64(1, statistic.true_count.unwrap_or(0));
            writer.field_i64(2, statistic.false_count.unwrap_or(0));
        }
        Arm::String | Arm::Binary => {
            writer.field_i64(1, statistic.max_length_bytes.unwrap_or(0));
            writer.field_double(2, statistic.average_length_bytes.unwrap_or(0.0));
        }
        _ => {
            for (id, bound) in [(1, &statistic.min_value), (2, &statistic.max_value)] {
                if let Some(bound) = bound {
                    write_bound(writer, id, arm, bound);
                }
            }
        }
    }
    writer.field_i64(3, statistic.null_count.unwrap_or(0));
    if !matches!(arm, Arm::Boolean | Arm::Binary) {
        writer.field_i64(4, statistic.distinct_count.unwrap_or(0));
    }
}

fn write_bound(writer: &mut Writer, id: i16, arm: Arm, text: &str) {
    match arm {
        Arm::Double => writer.field_double(id, text.parse().unwrap_or(0.0)),
        Arm::Decimal => writer.field_struct(id, |writer| {
            let (unscaled, scale) = decimal_parts(text);
            writer.field_i16(3, scale);
            writer.field_binary(1, &unscaled);
        }),
        Arm::Date => writer.field_struct(id, |writer| writer.field_i64(1, date_days(text))),
        Arm::Timestamp => writer.field_struct(id, |writer| writer.field_i64(1, timestamp_seconds(text))),
        _ => writer.field_i64(id, text.parse().unwrap_or(0)),
    }
}
