//! Arguments of a call, by field id.

use bytes::Bytes;
use skep_hms::thrift::{Kind, Limits, Reader, Result};

use crate::raw::{strings, structs};

/// The fields of an argument struct or of a request inside it.
pub(super) struct Args<'a> {
    fields: Vec<(i16, Kind, &'a [u8])>,
}

impl<'a> Args<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::with_limits(body, Limits::REQUEST);
        let mut fields = Vec::new();
        while let Some((kind, id)) = reader.field()? {
            fields.push((id, kind, reader.slice(kind)?));
        }
        Ok(Self { fields })
    }

    /// The bytes of a field. A field of another kind counts as absent, as in Java's readers.
    fn value(&self, id: i16, kind: Kind) -> Option<&'a [u8]> {
        self.fields.iter().find(|field| field.0 == id && field.1 == kind).map(|field| field.2)
    }

    pub(super) fn text(&self, id: i16) -> Result<Option<&'a str>> {
        self.value(id, Kind::String).map(|value| Reader::new(value).string()).transpose()
    }

    pub(super) fn texts(&self, id: i16) -> Result<Vec<String>> {
        self.value(id, Kind::List).map_or(Ok(Vec::new()), strings)
    }

    pub(super) fn bool(&self, id: i16) -> Result<bool> {
        self.value(id, Kind::Bool).map_or(Ok(false), |value| Reader::new(value).bool())
    }

    pub(super) fn i16(&self, id: i16) -> Result<Option<i16>> {
        self.value(id, Kind::I16).map(|value| Reader::new(value).i16()).transpose()
    }

    pub(super) fn i32(&self, id: i16) -> Result<Option<i32>> {
        self.value(id, Kind::I32).map(|value| Reader::new(value).i32()).transpose()
    }

    pub(super) fn i64(&self, id: i16) -> Result<Option<i64>> {
        self.value(id, Kind::I64).map(|value| Reader::new(value).i64()).transpose()
    }

    /// The body of a struct, as bytes.
    pub(super) fn body(&self, id: i16) -> Option<&'a [u8]> {
        self.value(id, Kind::Struct)
    }

    pub(super) fn structure(&self, id: i16) -> Result<Option<Self>> {
        self.body(id).map(Self::parse).transpose()
    }

    pub(super) fn bodies(&self, id: i16) -> Result<Vec<Bytes>> {
        self.value(id, Kind::List).map_or(Ok(Vec::new()), structs)
    }
}
