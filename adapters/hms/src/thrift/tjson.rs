//! Thrift's JSON text (TJSONProtocol), as it stands inside notification messages, from strict binary
//! struct bytes.

use base64::Engine;
use serde_json::Number;

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
    let mut out = Vec::with_capacity(2 * body.len());
    put_struct(&mut out, &mut Reader::new(body), 1)?;
    // All that is put is text.
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Appends a value as JSON; writing texts and numbers into memory cannot fail.
fn put(out: &mut Vec<u8>, value: impl serde::Serialize) {
    let _ = serde_json::to_writer(out, &value);
}

fn put_struct(out: &mut Vec<u8>, reader: &mut Reader<'_>, depth: usize) -> Result<()> {
    let mut separator = b'{';
    while let Some((kind, id)) = reader.field()? {
        out.push(separator);
        put(out, id.to_string());
        out.extend_from_slice(b":{");
        put(out, tag(kind));
        out.push(b':');
        put_value(out, reader, kind, depth + 1)?;
        out.push(b'}');
        separator = b',';
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

fn put_value(out: &mut Vec<u8>, reader: &mut Reader<'_>, kind: Kind, depth: usize) -> Result<()> {
    bounded(reader.position(), "nesting depth", depth as i64, Limits::REPLY.depth_max + 1)?;
    match kind {
        Kind::Bool => put(out, u8::from(reader.bool()?)),
        Kind::Byte => put(out, reader.byte()?),
        Kind::I16 => put(out, reader.i16()?),
        Kind::I32 => put(out, reader.i32()?),
        Kind::I64 => put(out, reader.i64()?),
        Kind::Double => {
            let number = reader.double()?;
            match Number::from_f64(number) {
                Some(number) => put(out, number),
                None if number.is_nan() => put(out, "NaN"),
                None => put(out, if number > 0.0 { "Infinity" } else { "-Infinity" }),
            }
        }
        Kind::String => {
            let bytes = reader.binary()?;
            match std::str::from_utf8(bytes) {
                Ok(text) => put(out, text),
                Err(_) => put(out, base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)),
            }
        }
        Kind::Struct => put_struct(out, reader, depth)?,
        Kind::List | Kind::Set => {
            let (element, count) = reader.list()?;
            out.push(b'[');
            put(out, tag(element));
            out.push(b',');
            put(out, count);
            for _ in 0..count {
                out.push(b',');
                put_value(out, reader, element, depth + 1)?;
            }
            out.push(b']');
        }
        Kind::Map => {
            let (key, value, count) = reader.map()?;
            out.push(b'[');
            put(out, tag(key));
            out.push(b',');
            put(out, tag(value));
            out.push(b',');
            put(out, count);
            out.extend_from_slice(b",{");
            for index in 0..count {
                if index != 0 {
                    out.push(b',');
                }
                put_key(out, reader, key, depth)?;
                out.push(b':');
                put_value(out, reader, value, depth + 1)?;
            }
            out.extend_from_slice(b"}]");
        }
    }
    Ok(())
}

/// A key is a text, whatever its kind.
fn put_key(out: &mut Vec<u8>, reader: &mut Reader<'_>, kind: Kind, depth: usize) -> Result<()> {
    match kind {
        Kind::String => put_value(out, reader, kind, depth + 1)?,
        Kind::Bool | Kind::Byte | Kind::I16 | Kind::I32 | Kind::I64 => {
            out.push(b'"');
            put_value(out, reader, kind, depth + 1)?;
            out.push(b'"');
        }
        _ => return fail(reader.position(), Flaw::BadJson("a map key must be text".to_owned())),
    }
    Ok(())
}
