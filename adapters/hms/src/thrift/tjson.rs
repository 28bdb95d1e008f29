//! Thrift's JSON text (TJSONProtocol), as it stands inside notification messages, from and to
//! strict binary struct bytes.

use base64::Engine;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Flaw, Kind, Limits, Reader, Result, Writer, bounded, fail};

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

const KINDS: [Kind; 11] = [
    Kind::Bool,
    Kind::Byte,
    Kind::I16,
    Kind::I32,
    Kind::I64,
    Kind::Double,
    Kind::String,
    Kind::Struct,
    Kind::Map,
    Kind::Set,
    Kind::List,
];

fn bad<T>(text: impl Into<String>) -> Result<T> {
    fail(0, Flaw::BadJson(text.into()))
}

/// The struct body that a TJSON text means.
///
/// Fields come in the order of their ids as text; a double may be off by its last bit. Bounds: JSON nesting of 128 levels (some 40
/// structs), the text itself is bounded by its carrier.
pub fn from_tjson(text: &str) -> Result<Bytes> {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => {
            let mut writer = Writer::new();
            put_struct(&mut writer, &value)?;
            Ok(writer.finish())
        }
        Err(e) => bad(e.to_string()),
    }
}

fn put_struct(writer: &mut Writer, value: &Value) -> Result<()> {
    let Value::Object(fields) = value else { return bad("an object expected") };
    for (id, field) in fields {
        let Ok(id) = id.parse::<i16>() else { return bad(format!("field id {id:?}")) };
        let Some((name, value)) = field.as_object().and_then(|field| field.iter().next()) else {
            return bad(format!("field {id} is not an object with one key"));
        };
        let kind = kind_of(Some(&Value::String(name.clone())))?;
        writer.field(kind, id);
        put_value(writer, kind, value)?;
    }
    writer.stop();
    Ok(())
}

fn kind_of(value: Option<&Value>) -> Result<Kind> {
    let name = value.and_then(Value::as_str).unwrap_or_default();
    match KINDS.into_iter().find(|kind| tag(*kind) == name) {
        Some(kind) => Ok(kind),
        None => bad(format!("{name:?} is not a type")),
    }
}

/// An integer; map keys are written as text.
fn integer(value: &Value) -> Result<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
    .map_or_else(|| bad("an integer expected"), Ok)
}

fn put_value(writer: &mut Writer, kind: Kind, value: &Value) -> Result<()> {
    match kind {
        Kind::Bool => writer.bool(integer(value)? != 0),
        Kind::Byte => writer.byte(integer(value)? as i8),
        Kind::I16 => writer.i16(integer(value)? as i16),
        Kind::I32 => writer.i32(integer(value)? as i32),
        Kind::I64 => writer.i64(integer(value)?),
        Kind::Double => match value {
            Value::String(text) => match text.parse() {
                Ok(number) => writer.double(number),
                Err(_) => return bad("a number expected"),
            },
            value => match value.as_f64() {
                Some(number) => writer.double(number),
                None => return bad("a number expected"),
            },
        },
        Kind::String => match value {
            Value::String(text) => writer.string(text),
            _ => return bad("text expected"),
        },
        Kind::Struct => put_struct(writer, value)?,
        Kind::List | Kind::Set => {
            let Some([element, _, values @ ..]) = value.as_array().map(Vec::as_slice) else {
                return bad("a list needs type and count");
            };
            let element = kind_of(Some(element))?;
            writer.list(element, values.len());
            for value in values {
                put_value(writer, element, value)?;
            }
        }
        Kind::Map => {
            let Some([key, value, _, Value::Object(pairs)]) = value.as_array().map(Vec::as_slice) else {
                return bad("a map needs types, count and pairs");
            };
            let (key, value) = (kind_of(Some(key))?, kind_of(Some(value))?);
            if matches!(key, Kind::Struct | Kind::List | Kind::Set | Kind::Map) && !pairs.is_empty() {
                return bad("a map key must be text or a number");
            }
            writer.map(key, value, pairs.len());
            for (name, pair) in pairs {
                put_value(writer, key, &Value::String(name.clone()))?;
                put_value(writer, value, pair)?;
            }
        }
    }
    Ok(())
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
