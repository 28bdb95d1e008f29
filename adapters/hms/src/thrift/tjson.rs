//! Thrift's JSON text (TJSONProtocol), as it stands inside notification messages, from strict binary
//! struct bytes.

use base64::Engine;
use serde_json::{Map, Value};

use super::{Flaw, Kind, Limits, Reader, Result, bounded, fail};

fn tag(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "tf",
        Kind::Byte => "i8",
        Kind::I16 => "i16",
        Kind::I32 => "i32",
        Kind::I64 => "i64",
        Kind::Double => "dbl",
        Kind::String => "str",
        Kind::Struct => "rec",
        Kind::Map => "map",
        Kind::Set => "set",
        Kind::List => "lst",
    }
}

/// The TJSON text of a struct body. Strings that are not UTF-8 are written as base64, which is
/// what TJSONProtocol does with binary fields.
///
/// Errors: bytes that are not a well-formed struct, and maps whose keys are not text or numbers
/// (TJSONProtocol of Java writes them in a form that no JSON parser accepts).
pub fn to_tjson(body: &[u8]) -> Result<String> {
    let mut reader = Reader::new(body);
    Ok(get_struct(&mut reader, 1)?.to_string())
}

fn get_struct(reader: &mut Reader<'_>, depth: usize) -> Result<Value> {
    let mut fields = Map::new();
    while let Some((kind, id)) = reader.field()? {
        let mut field = Map::new();
        field.insert(tag(kind).to_owned(), get_value(reader, kind, depth + 1)?);
        fields.insert(id.to_string(), Value::Object(field));
    }
    Ok(Value::Object(fields))
}

fn get_value(reader: &mut Reader<'_>, kind: Kind, depth: usize) -> Result<Value> {
    bounded(reader.position(), "nesting depth", depth as i64, Limits::REPLY.depth_max + 1)?;
    Ok(match kind {
        Kind::Bool => u8::from(reader.bool()?).into(),
        Kind::Byte => reader.byte()?.into(),
        Kind::I16 => reader.i16()?.into(),
        Kind::I32 => reader.i32()?.into(),
        Kind::I64 => reader.i64()?.into(),
        Kind::Double => {
            let number = reader.double()?;
            match serde_json::Number::from_f64(number) {
                Some(number) => Value::Number(number),
                None if number.is_nan() => "NaN".into(),
                None if number > 0.0 => "Infinity".into(),
                None => "-Infinity".into(),
            }
        }
        Kind::String => {
            let bytes = reader.binary()?;
            match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes).into(),
            }
        }
        Kind::Struct => get_struct(reader, depth)?,
        Kind::List | Kind::Set => {
            let (element, count) = reader.list()?;
            let mut values = vec![tag(element).into(), count.into()];
            for _ in 0..count {
                values.push(get_value(reader, element, depth + 1)?);
            }
            Value::Array(values)
        }
        Kind::Map => {
            let (key, value, count) = reader.map()?;
            let mut pairs = Map::new();
            for _ in 0..count {
                let name = match get_value(reader, key, depth + 1)? {
                    Value::String(text) => text,
                    Value::Number(number) => number.to_string(),
                    _ => return fail(reader.position(), Flaw::BadJson("a map key must be text".to_owned())),
                };
                pairs.insert(name, get_value(reader, value, depth + 1)?);
            }
            Value::Array(vec![tag(key).into(), tag(value).into(), pairs.len().into(), Value::Object(pairs)])
        }
    })
}
