//! Bounded Thrift codec: strict binary as the one inner form, compact transcoded on the way in
//! and out.
//!
//! A struct body is always strict binary bytes, ended by its stop byte, whatever came over the
//! wire; so kept bytes mean the same for every server and can be spliced into any message.

mod binary;
mod compact;
mod exception;
mod message;
mod reader;
mod room;
mod tjson;
mod writer;

pub use exception::{ApplicationException, ExceptionKind};
pub use message::{Message, MessageDecoder, MessageType, Protocol, Transport, Wire, encode_message};
pub use reader::Reader;
pub use room::LARGE_BYTES;
pub use tjson::to_tjson;
pub use writer::Writer;

/// The type of a Thrift value, with its number in the binary protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool = 2,
    /// Signed 8-bit integer.
    Byte = 3,
    /// IEEE 754 double.
    Double = 4,
    /// Signed 16-bit integer.
    I16 = 6,
    /// Signed 32-bit integer, also enums.
    I32 = 8,
    /// Signed 64-bit integer.
    I64 = 10,
    /// Text or bytes.
    String = 11,
    /// Fields ended by a stop byte, also unions and exceptions.
    Struct = 12,
    /// Key-value pairs.
    Map = 13,
    /// Like a list on the wire.
    Set = 14,
    /// Values of one kind.
    List = 15,
}

impl Kind {
    /// The kind with this number in the binary protocol.
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            2 => Self::Bool,
            3 => Self::Byte,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::String,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            _ => return None,
        })
    }

    /// Bytes of a value of fixed width in the binary protocol.
    fn fixed_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Byte => Some(1),
            Self::I16 => Some(2),
            Self::I32 => Some(4),
            Self::I64 | Self::Double => Some(8),
            _ => None,
        }
    }

    /// The least bytes that a value takes in the binary protocol: what bounds a count by the
    /// bytes that remain.
    fn bytes_min(self) -> usize {
        match self {
            Self::Struct => 1,
            Self::String => 4,
            Self::List | Self::Set => 5,
            Self::Map => 6,
            _ => self.fixed_bytes().unwrap_or(1),
        }
    }
}

/// What is accepted from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message in the binary protocol.
    pub message_bytes_max: usize,
    /// Bytes of one string.
    pub string_bytes_max: usize,
    /// Structs and containers inside each other.
    pub depth_max: usize,
    /// Bytes of a method name.
    pub name_bytes_max: usize,
}

impl Limits {
    /// For replies of a metastore: 256 MiB, as one reply may hold thousands of partitions.
    pub const REPLY: Self =
        Self { message_bytes_max: 256 << 20, string_bytes_max: 64 << 20, depth_max: 64, name_bytes_max: 128 };
    /// For requests of clients.
    pub const REQUEST: Self =
        Self { message_bytes_max: 64 << 20, string_bytes_max: 16 << 20, depth_max: 64, name_bytes_max: 128 };
}

/// What is wrong with bytes that claim to be Thrift.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The bytes end too early.
    #[error("{needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A length or count is negative.
    #[error("negative {what}: {actual}")]
    Negative {
        /// Which number.
        what: &'static str,
        /// Its value.
        actual: i64,
    },
    /// A limit is exceeded.
    #[error("{what} is {actual}, the limit is {limit}")]
    TooLarge {
        /// Which number.
        what: &'static str,
        /// Its value.
        actual: u64,
        /// The limit.
        limit: u64,
    },
    /// A value takes fewer bytes than any real one.
    #[error("{what} takes {actual} bytes, at least {least} belong to one")]
    TooSmall {
        /// Which value.
        what: &'static str,
        /// Bytes that it takes.
        actual: usize,
        /// Bytes that the smallest real one takes.
        least: usize,
    },
    /// No kind has this number.
    #[error("{0} is not a Thrift type")]
    UnknownKind(u8),
    /// A value of another kind belongs here.
    #[error("{expected:?} expected, {actual:?} found")]
    WrongKind {
        /// What belongs here.
        expected: Kind,
        /// What is there.
        actual: Kind,
    },
    /// A required field is not there.
    #[error("field {0} is missing")]
    MissingField(&'static str),
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A variable-length integer does not end.
    #[error("an integer of variable length has too many bytes")]
    BadVarint,
    /// The message does not begin as the protocol demands.
    #[error("not a Thrift message: {0}")]
    BadHeader(String),
    /// JSON text is not what TJSONProtocol writes.
    #[error("not Thrift JSON: {0}")]
    BadJson(String),
}

/// Bytes that are not valid Thrift, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flaw} (at byte {offset})")]
pub struct ThriftError {
    /// Offset of the value in the message or struct being read.
    pub offset: usize,
    /// What is wrong.
    pub flaw: Flaw,
}

/// Result of the codec.
pub type Result<T> = std::result::Result<T, ThriftError>;

fn fail<T>(offset: usize, flaw: Flaw) -> Result<T> {
    Err(ThriftError { offset, flaw })
}

/// Checks a declared length or count against zero and a limit.
fn bounded(offset: usize, what: &'static str, actual: i64, limit: usize) -> Result<usize> {
    match usize::try_from(actual) {
        Err(_) => fail(offset, Flaw::Negative { what, actual }),
        Ok(count) if count > limit => {
            fail(offset, Flaw::TooLarge { what, actual: count as u64, limit: limit as u64 })
        }
        Ok(count) => Ok(count),
    }
}

#[cfg(test)]
mod tests;
