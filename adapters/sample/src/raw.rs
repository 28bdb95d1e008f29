//! Struct bodies as lists of fields: what the server keeps, so that fields it does not know
//! survive.

use bytes::Bytes;
use skep_hms::thrift::{Kind, Reader, Result, Writer};

/// A struct body taken apart one level deep.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawStruct {
    fields: Vec<(i16, Kind, Bytes)>,
}

impl RawStruct {
    /// Takes apart a struct body that ends with a stop byte.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let mut fields = Vec::new();
        while let Some((kind, id)) = reader.field()? {
            fields.push((id, kind, Bytes::copy_from_slice(reader.slice(kind)?)));
        }
        Ok(Self { fields })
    }

    /// The value bytes of a field of this kind.
    pub(crate) fn get(&self, id: i16, kind: Kind) -> Option<&Bytes> {
        self.fields.iter().find(|field| field.0 == id && field.1 == kind).map(|field| &field.2)
    }

    /// The text of a field, empty when it is missing.
    pub(crate) fn text(&self, id: i16) -> String {
        self.get(id, Kind::String).and_then(|value| Reader::new(value).string().ok()).unwrap_or("").to_owned()
    }

    /// The number in a field.
    pub(crate) fn i32(&self, id: i16) -> Option<i32> {
        self.get(id, Kind::I32).and_then(|value| Reader::new(value).i32().ok())
    }

    /// The 64-bit number in a field.
    pub(crate) fn i64(&self, id: i16) -> Option<i64> {
        self.get(id, Kind::I64).and_then(|value| Reader::new(value).i64().ok())
    }

    /// The texts of a list field.
    pub(crate) fn texts(&self, id: i16) -> Vec<String> {
        self.get(id, Kind::List).and_then(|value| strings(value).ok()).unwrap_or_default()
    }

    /// The pairs of a map field.
    pub(crate) fn pairs(&self, id: i16) -> Vec<(String, String)> {
        self.get(id, Kind::Map).and_then(|value| pairs(value).ok()).unwrap_or_default()
    }

    /// The struct in a field.
    pub(crate) fn structure(&self, id: i16) -> Option<Self> {
        Self::parse(self.get(id, Kind::Struct)?).ok()
    }

    /// The bodies of a list of structs.
    pub(crate) fn structs(&self, id: i16) -> Vec<Bytes> {
        self.get(id, Kind::List).and_then(|value| structs(value).ok()).unwrap_or_default()
    }

    /// Takes a field out.
    pub(crate) fn remove(&mut self, id: i16, kind: Kind) {
        self.fields.retain(|field| field.0 != id || field.1 != kind);
    }

    fn set(&mut self, id: i16, kind: Kind, write: impl FnOnce(&mut Writer)) {
        let mut writer = Writer::new();
        write(&mut writer);
        let value = writer.finish();
        match self.fields.iter_mut().find(|field| field.0 == id) {
            Some(field) => *field = (id, kind, value),
            None => self.fields.push((id, kind, value)),
        }
    }

    /// Puts a number into a field.
    pub(crate) fn set_i32(&mut self, id: i16, value: i32) {
        self.set(id, Kind::I32, |w| w.i32(value));
    }

    /// Puts a 64-bit number into a field.
    pub(crate) fn set_i64(&mut self, id: i16, value: i64) {
        self.set(id, Kind::I64, |w| w.i64(value));
    }

    /// Puts false into a boolean field that is missing.
    pub(crate) fn default_false(&mut self, id: i16) {
        if self.get(id, Kind::Bool).is_none() {
            self.set(id, Kind::Bool, |w| w.bool(false));
        }
    }

    /// Puts text into a field.
    pub(crate) fn set_text(&mut self, id: i16, value: &str) {
        self.set(id, Kind::String, |w| w.string(value));
    }

    /// Puts a map into a field.
    pub(crate) fn set_pairs(&mut self, id: i16, pairs: &[(String, String)]) {
        self.set(id, Kind::Map, |w| {
            w.map(Kind::String, Kind::String, pairs.len());
            for (key, value) in pairs {
                w.string(key);
                w.string(value);
            }
        });
    }

    /// Puts a struct into a field.
    pub(crate) fn set_structure(&mut self, id: i16, value: &Self) {
        self.set(id, Kind::Struct, |w| {
            w.raw_struct(&value.fields());
            w.stop();
        });
    }

    /// Sets one pair of a map field.
    pub(crate) fn set_pair(&mut self, id: i16, key: &str, value: &str) {
        let mut pairs = self.pairs(id);
        match pairs.iter_mut().find(|pair| pair.0 == key) {
            Some(pair) => value.clone_into(&mut pair.1),
            None => pairs.push((key.to_owned(), value.to_owned())),
        }
        self.set_pairs(id, &pairs);
    }

    /// All fields, without the stop byte.
    pub(crate) fn fields(&self) -> Bytes {
        let mut writer = Writer::new();
        for (id, kind, value) in &self.fields {
            writer.field(*kind, *id);
            writer.raw_struct(value);
        }
        writer.finish()
    }
}

/// A struct body from its fields.
pub(crate) fn with_stop(fields: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(fields.len() + 1);
    body.extend_from_slice(fields);
    body.push(0);
    body.into()
}

/// The texts of a list value.
pub(crate) fn strings(value: &[u8]) -> Result<Vec<String>> {
    let mut reader = Reader::new(value);
    let count = reader.list_of(Kind::String)?;
    (0..count).map(|_| Ok(reader.string()?.to_owned())).collect()
}

/// The bodies of a list of structs.
pub(crate) fn structs(value: &[u8]) -> Result<Vec<Bytes>> {
    let mut reader = Reader::new(value);
    let count = reader.list_of(Kind::Struct)?;
    (0..count).map(|_| Ok(Bytes::copy_from_slice(reader.slice(Kind::Struct)?))).collect()
}

fn pairs(value: &[u8]) -> Result<Vec<(String, String)>> {
    let mut reader = Reader::new(value);
    let count = reader.map_of(Kind::String, Kind::String)?;
    (0..count).map(|_| Ok((reader.string()?.to_owned(), reader.string()?.to_owned()))).collect()
}
