//! TApplicationException: what a Thrift server answers when a call fails outside the method.

use bytes::Bytes;

use super::{Kind, Reader, Result, Writer};

/// Kinds of application exceptions that matter here, with their Thrift numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// 1: the server does not have the method.
    UnknownMethod,
    /// 6: the method failed with an exception that it does not declare.
    Internal,
    /// 7: the arguments cannot be read.
    Protocol,
    /// Any other number.
    Other(i32),
}

impl ExceptionKind {
    /// The kind with this number.
    pub fn from_i32(number: i32) -> Self {
        match number {
            1 => Self::UnknownMethod,
            6 => Self::Internal,
            7 => Self::Protocol,
            other => Self::Other(other),
        }
    }

    /// The number on the wire.
    pub fn as_i32(self) -> i32 {
        match self {
            Self::UnknownMethod => 1,
            Self::Internal => 6,
            Self::Protocol => 7,
            Self::Other(number) => number,
        }
    }
}

/// The body of an exception message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationException {
    /// What went wrong, by number.
    pub kind: ExceptionKind,
    /// Text of the server.
    pub message: String,
}

impl ApplicationException {
    /// An exception of this kind.
    pub fn new(kind: ExceptionKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Reads a struct body.
    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(body);
        let mut exception = Self::new(ExceptionKind::Other(0), "");
        while let Some((kind, id)) = reader.field()? {
            match (id, kind) {
                (1, Kind::String) => exception.message = reader.string()?.to_owned(),
                (2, Kind::I32) => exception.kind = ExceptionKind::from_i32(reader.i32()?),
                _ => reader.skip(kind)?,
            }
        }
        Ok(exception)
    }

    /// The struct body.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.field_string(1, &self.message);
        writer.field_i32(2, self.kind.as_i32());
        writer.finish_struct()
    }
}
