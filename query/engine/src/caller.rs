//! Who asks, and what they may.

use std::sync::Arc;

use skep_catalog::scope::Scope;

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
    /// What of the metastores they see, in every table.
    pub scope: Arc<Scope>,
}

impl Caller {
    /// Whoever started the process: nobody else can reach it.
    pub fn local() -> Self {
        Self {
            principal: "local".into(),
            client: "local".into(),
            role: Role::Admin,
            scope: Scope::everything(),
        }
    }

    /// Whether they see what this principal asks: readers see their own statements only.
    pub fn sees_statements_of(&self, principal: &str) -> bool {
        Role::Operator <= self.role || self.principal.as_ref() == principal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_their_own_statements_only() {
        let caller = |role| Caller { principal: "ann".into(), role, ..Caller::local() };
        assert!(Role::Reader < Role::Operator && Role::Operator < Role::Admin);
        for (role, others) in [(Role::Reader, false), (Role::Operator, true), (Role::Admin, true)] {
            assert!(caller(role).sees_statements_of("ann"));
            assert_eq!(caller(role).sees_statements_of("bob"), others);
        }
    }
}
