//! Who asks, and what they may.

use std::sync::Arc;

/// What somebody may do; each role may what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Ask.
    Reader,
    /// And have metastores read again, paused, and statements ended.
    Operator,
    /// And change settings and metastores, and copy the catalog.
    Admin,
}

impl Role {
    /// As shown in SQL and written in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name, as in the audit log.
    pub principal: Arc<str>,
    /// From where: an address, or `local` for the process itself.
    pub client: Arc<str>,
    /// What they may.
    pub role: Role,
}

impl Caller {
    /// Whoever started the process: nobody else can reach it.
    pub fn local() -> Self {
        Self { principal: "local".into(), client: "local".into(), role: Role::Admin }
    }
}
