//! Writes strict binary struct bodies.

use bytes::{BufMut, Bytes, BytesMut};

use super::Kind;

/// Builds a strict-binary struct body: fields, then [`Writer::stop`].
#[derive(Debug, Default)]
pub struct Writer {
    out: BytesMut,
}

impl Writer {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes written so far.
    pub fn finish(self) -> Bytes {
        self.out.freeze()
    }

    /// Writes the stop byte and gives the finished body.
    pub fn finish_struct(mut self) -> Bytes {
        self.stop();
        self.finish()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// A field header.
    pub fn field(&mut self, kind: Kind, id: i16) {
        self.out.put_u8(kind as u8);
        self.out.put_i16(id);
    }

    /// The end of a struct.
    pub fn stop(&mut self) {
        self.out.put_u8(0);
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(value.into());
    }

    /// A signed byte.
    pub fn byte(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    /// A 16-bit integer.
    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    /// A 32-bit integer.
    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    /// A 64-bit integer.
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// A double.
    pub fn double(&mut self, value: f64) {
        self.out.put_f64(value);
    }

    /// Text.
    pub fn string(&mut self, value: &str) {
        self.binary(value.as_bytes());
    }

    /// Bytes. Values of 2 GiB and more do not exist in Thrift and are cut.
    pub fn binary(&mut self, value: &[u8]) {
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.out.put_i32(length);
        self.out.put_slice(&value[..length as usize]);
    }

    /// A list or set header; exactly `count` elements must follow.
    pub fn list(&mut self, element: Kind, count: usize) {
        self.out.put_u8(element as u8);
        self.count(count);
    }

    /// A map header; exactly `count` pairs must follow.
    pub fn map(&mut self, key: Kind, value: Kind, count: usize) {
        self.out.put_u8(key as u8);
        self.out.put_u8(value as u8);
        self.count(count);
    }

    fn count(&mut self, count: usize) {
        self.out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }

    /// Kept bytes of a struct (stop byte included) or of any other value, unchanged.
    pub fn raw_struct(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// A boolean field.
    pub fn field_bool(&mut self, id: i16, value: bool) {
        self.field(Kind::Bool, id);
        self.bool(value);
    }

    /// A 16-bit field.
    pub fn field_i16(&mut self, id: i16, value: i16) {
        self.field(Kind::I16, id);
        self.i16(value);
    }

    /// A 32-bit field.
    pub fn field_i32(&mut self, id: i16, value: i32) {
        self.field(Kind::I32, id);
        self.i32(value);
    }

    /// A 64-bit field.
    pub fn field_i64(&mut self, id: i16, value: i64) {
        self.field(Kind::I64, id);
        self.i64(value);
    }

    /// A double field.
    pub fn field_double(&mut self, id: i16, value: f64) {
        self.field(Kind::Double, id);
        self.double(value);
    }

    /// A text field.
    pub fn field_string(&mut self, id: i16, value: &str) {
        self.field(Kind::String, id);
        self.string(value);
    }

    /// A text field, left out when there is none.
    pub fn field_string_option(&mut self, id: i16, value: Option<&str>) {
        if let Some(value) = value {
            self.field_string(id, value);
        }
    }

    /// A field of bytes.
    pub fn field_binary(&mut self, id: i16, value: &[u8]) {
        self.field(Kind::String, id);
        self.binary(value);
    }

    /// A struct field from kept bytes (stop byte included).
    pub fn field_raw_struct(&mut self, id: i16, bytes: &[u8]) {
        self.field(Kind::Struct, id);
        self.raw_struct(bytes);
    }

    /// A struct field; `body` writes its fields, the stop byte follows by itself.
    pub fn field_struct(&mut self, id: i16, body: impl FnOnce(&mut Self)) {
        self.field(Kind::Struct, id);
        body(self);
        self.stop();
    }

    /// A list header as a field; exactly `count` elements must follow.
    pub fn field_list(&mut self, id: i16, element: Kind, count: usize) {
        self.field(Kind::List, id);
        self.list(element, count);
    }

    /// A list of texts as a field.
    pub fn field_strings(&mut self, id: i16, values: &[impl AsRef<str>]) {
        self.field_list(id, Kind::String, values.len());
        for value in values {
            self.string(value.as_ref());
        }
    }

    /// A list of structs as a field, from kept bytes.
    pub fn field_raw_structs(&mut self, id: i16, structs: &[impl AsRef<[u8]>]) {
        self.field_list(id, Kind::Struct, structs.len());
        for bytes in structs {
            self.raw_struct(bytes.as_ref());
        }
    }

    /// A map of texts as a field.
    pub fn field_string_map(&mut self, id: i16, pairs: &[(impl AsRef<str>, impl AsRef<str>)]) {
        self.field(Kind::Map, id);
        self.map(Kind::String, Kind::String, pairs.len());
        for (key, value) in pairs {
            self.string(key.as_ref());
            self.string(value.as_ref());
        }
    }
}
