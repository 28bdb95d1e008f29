//! Reads result structs: field 0 is the answer, the others are the exceptions that the method
//! declares.

use bytes::Bytes;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::Item;

use crate::client::{CallError, Client};
use crate::objects::read_item;
use crate::thrift::{ExceptionKind, Flaw, Kind, Reader, Result, ThriftError};

/// Place of `NoSuchObjectException` (or its like) among the exceptions that a method declares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared {
    /// Field id; 0 when the method declares none.
    pub(super) not_found: i16,
}

pub(super) const NOT_FOUND_FIRST: Declared = Declared { not_found: 1 };
pub(super) const NOT_FOUND_SECOND: Declared = Declared { not_found: 2 };
pub(super) const NOT_FOUND_THIRD: Declared = Declared { not_found: 3 };
pub(super) const NEVER_NOT_FOUND: Declared = Declared { not_found: 0 };

/// Why a call brought nothing.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    /// Whether the metastore lives and another call may do better: it answered an error of its
    /// own, or a struct that cannot be read.
    pub(super) is_of_object: bool,
    /// The exception was of a kind that the method does not declare.
    pub(super) is_undeclared: bool,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

/// Calls, and hands the answer to `read`.
pub(super) async fn call<T>(
    client: &Client,
    method: &str,
    arguments: &[u8],
    declared: Declared,
    read: impl FnOnce(&Bytes, &mut Reader<'_>, Kind) -> Result<T>,
) -> std::result::Result<T, Failure> {
    match client.call(method, arguments).await {
        Ok(body) => answer(client, method, &body, declared, read),
        Err(error) => {
            let is_internal = matches!(&error, CallError::Exception(exception) if exception.kind != ExceptionKind::UnknownMethod);
            let mut fault = client.fault(method, error);
            if is_internal && is_refusal(&fault.why) {
                fault.code = Code::METASTORE_REFUSED;
            }
            Err(Failure { fault, is_of_object: is_internal, is_undeclared: is_internal })
        }
    }
}

fn answer<T>(
    client: &Client,
    method: &str,
    body: &Bytes,
    declared: Declared,
    read: impl FnOnce(&Bytes, &mut Reader<'_>, Kind) -> Result<T>,
) -> std::result::Result<T, Failure> {
    let failure = |code, why: String| Failure {
        fault: Fault::new(code, client.what(method), why),
        is_of_object: true,
        is_undeclared: false,
    };
    let mut reader = Reader::new(body);
    let malformed = |e: ThriftError| failure(Code::METASTORE_MALFORMED, e.to_string());
    match reader.field().map_err(malformed)? {
        Some((kind, 0)) => read(body, &mut reader, kind).map_err(malformed),
        Some((kind, id)) => {
            let message = exception_message(&mut reader, kind).map_err(malformed)?;
            let code = match id == declared.not_found {
                true => Code::METASTORE_NOT_FOUND,
                false if is_refusal(&message) => Code::METASTORE_REFUSED,
                false => Code::METASTORE_ERROR,
            };
            Err(failure(code, message))
        }
        None => Err(failure(Code::METASTORE_MALFORMED, "the result is empty".to_owned())),
    }
}

/// All of Hive's declared exceptions carry their text in field 1. The text of a Java stack may
/// be long: 2,000 characters say enough.
fn exception_message(reader: &mut Reader<'_>, kind: Kind) -> Result<String> {
    reader.expect(Kind::Struct, kind)?;
    let mut message = String::new();
    while let Some((kind, id)) = reader.field()? {
        match (id, kind) {
            (1, Kind::String) => message = reader.string()?.chars().take(2_000).collect(),
            _ => reader.skip(kind)?,
        }
    }
    if message.is_empty() {
        message.push_str("an exception without text");
    }
    Ok(message)
}

/// Whether a text speaks of missing rights: Hive has no exception type for that.
fn is_refusal(message: &str) -> bool {
    ["AccessControlException", "is not allowed to", "not authorized", "Permission denied", "No privilege"]
        .iter()
        .any(|words| message.contains(words))
}

/// A list of texts.
pub(super) fn read_texts(_: &Bytes, reader: &mut Reader<'_>, kind: Kind) -> Result<Vec<String>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of(Kind::String)?;
    // At most as many as there are 4 bytes each for.
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(reader.string()?.to_owned());
    }
    Ok(texts)
}

/// A text.
pub(super) fn read_text(_: &Bytes, reader: &mut Reader<'_>, kind: Kind) -> Result<String> {
    reader.expect(Kind::String, kind)?;
    reader.string().map(str::to_owned)
}

/// A list of at most `count_max` structs, which is how many were asked for, their bytes kept. A
/// struct that is well-formed Thrift but not what it should be is left out; the first flaw is told.
pub(super) fn read_items<T>(
    body: &Bytes,
    reader: &mut Reader<'_>,
    kind: Kind,
    count_max: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T>,
) -> Result<(Vec<Item<T>>, Option<ThriftError>)> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of_at_most(Kind::Struct, count_max)?;
    let mut items = Vec::with_capacity(count);
    let mut flaw = None;
    for _ in 0..count {
        let start = reader.clone();
        match read_item(body, reader, &mut read) {
            Ok(item) => items.push(item),
            Err(error) => {
                flaw.get_or_insert(error);
                *reader = start;
                reader.skip(Kind::Struct)?;
            }
        }
    }
    Ok((items, flaw))
}

/// A list of structs of which none may be left out, their bytes kept. How many there are is not
/// known beforehand, so each must take at least `bytes_min` bytes: then the values stay in
/// proportion to the bytes.
pub(super) fn read_all_items<T>(
    body: &Bytes,
    reader: &mut Reader<'_>,
    kind: Kind,
    bytes_min: usize,
    read: impl Fn(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<Item<T>>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of_at_least(Kind::Struct, bytes_min)?;
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = reader.position();
        let item = read_item(body, reader, &read)?;
        let actual = item.raw.len();
        if actual < bytes_min {
            let flaw = Flaw::TooSmall { what: "a struct", actual, least: bytes_min };
            return Err(ThriftError { offset, flaw });
        }
        items.push(item);
    }
    Ok(items)
}

/// One struct, its bytes kept.
pub(super) fn read_struct<T>(
    body: &Bytes,
    reader: &mut Reader<'_>,
    kind: Kind,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
) -> Result<Item<T>> {
    reader.expect(Kind::Struct, kind)?;
    read_item(body, reader, read)
}

/// Goes to field `id` of the struct that `_req` methods wrap their answer in, and reads it.
pub(super) fn read_wrapped<T>(
    body: &Bytes,
    reader: &mut Reader<'_>,
    kind: Kind,
    wanted: i16,
    read: impl FnOnce(&Bytes, &mut Reader<'_>, Kind) -> Result<T>,
) -> Result<T> {
    reader.expect(Kind::Struct, kind)?;
    while let Some((kind, id)) = reader.field()? {
        if id == wanted {
            return read(body, reader, kind);
        }
        reader.skip(kind)?;
    }
    Err(ThriftError { offset: reader.position(), flaw: Flaw::MissingField("the answer's content") })
}
