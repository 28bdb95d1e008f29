//! What clients carry for us between two calls. Sealed, so that it comes back unchanged.

use prost::Message;

/// A prepared statement, with the values that were bound to it.
#[derive(Clone, PartialEq, Message)]
pub struct Handle {
    /// The text as it was sent.
    #[prost(string, tag = "1")]
    pub sql: String,
    /// Schema of tables that are named without one.
    #[prost(string, tag = "2")]
    pub schema: String,
    /// One row of values as an Arrow stream; empty when none are bound.
    #[prost(bytes = "vec", tag = "3")]
    pub parameters: Vec<u8>,
    /// For whom it was made: nobody else can use it.
    #[prost(string, tag = "4")]
    pub principal: String,
}

/// The rows of one execution, all from one snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct Ticket {
    /// What is run.
    #[prost(message, required, tag = "1")]
    pub statement: Handle,
    /// The snapshot, kept in the process that `instance` names.
    #[prost(uint64, tag = "2")]
    pub snapshot_id: u64,
    /// Number of the process.
    #[prost(fixed64, tag = "3")]
    pub instance: u64,
    /// Number of the execution, by which it is cancelled.
    #[prost(fixed64, tag = "4")]
    pub execution: u64,
    /// Microseconds since 1970.
    #[prost(int64, tag = "5")]
    pub expires_at: i64,
    /// Set when it stands for the answer of a call, and for nothing that is run.
    #[prost(message, tag = "6")]
    pub call: Option<CallTicket>,
}

/// The answer of a call, which is in the audit log of every process on the same catalog.
#[derive(Clone, PartialEq, Message)]
pub struct CallTicket {
    /// By which it is found.
    #[prost(string, tag = "1")]
    pub call_id: String,
    /// Whether it is the answer to a repeat of that call.
    #[prost(bool, tag = "2")]
    pub is_replay: bool,
}

/// The options of a session.
#[derive(Clone, PartialEq, Message)]
pub struct Session {
    /// Schema of tables that are named without one.
    #[prost(string, tag = "1")]
    pub schema: String,
    /// For whom it was made: nobody else can use it.
    #[prost(string, tag = "2")]
    pub principal: String,
}

/// What is made for somebody.
pub trait Owned {
    /// For whom.
    fn principal(&self) -> &str;
}

impl Owned for Handle {
    fn principal(&self) -> &str {
        &self.principal
    }
}

impl Owned for Ticket {
    fn principal(&self) -> &str {
        &self.statement.principal
    }
}

impl Owned for Session {
    fn principal(&self) -> &str {
        &self.principal
    }
}
