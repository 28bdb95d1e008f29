//! Why a metastore does not do what it is asked.

use skep_hms::thrift::ThriftError;

/// Exceptions that Hive's methods declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Database, table, partition or function does not exist.
    NoSuchObject,
    /// The name is taken.
    AlreadyExists,
    /// It cannot be done to this object.
    InvalidOperation,
    /// The object that was sent is wrong.
    InvalidObject,
    /// An argument is wrong.
    InvalidInput,
    /// Anything else that Hive names.
    Meta,
    /// The database does not exist, where a method says so in its own way.
    UnknownDatabase,
    /// The table does not exist, where a method says so in its own way.
    UnknownTable,
    /// A configuration key that clients may not read.
    ConfigValueSecurity,
}

/// A call that failed: a declared exception when the method declares it, else a
/// `TApplicationException` of type 6 (internal error), as in Hive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{exception:?}: {message}")]
pub struct Refusal {
    /// Which exception.
    pub exception: Exception,
    /// Its text.
    pub message: String,
}

/// Result of everything that a metastore does.
pub type Outcome<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(exception: Exception, message: impl Into<String>) -> Self {
        Self { exception, message: message.into() }
    }
}

pub(crate) fn refuse<T>(exception: Exception, message: impl Into<String>) -> Outcome<T> {
    Err(Refusal::new(exception, message))
}

impl From<ThriftError> for Refusal {
    fn from(error: ThriftError) -> Self {
        Self::new(Exception::Meta, error.to_string())
    }
}
