//! Who makes a call, and what they say beside it.

use skep_catalog::fault::{Code, Fault};
use skep_query::Caller;
use tonic::Request;
use tonic::metadata::MetadataMap;

/// See the head of this file.
pub struct Asker {
    /// As the gate found out.
    pub caller: Caller,
    /// Headers of the call, without what proves who makes it.
    pub headers: MetadataMap,
}

impl Asker {
    /// Of a call that came through the gate.
    ///
    /// Errors: `INTERNAL` for one that did not: nothing is answered to it.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Fault> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Fault::internal("call refused", "nobody asked who makes it"))?;
        Ok(Self { caller, headers: request.metadata().clone() })
    }

    /// Refuses what was made for somebody else.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn check_owner(&self, what: &str, principal: &str) -> Result<(), Fault> {
        match principal == self.caller.principal.as_ref() {
            true => Ok(()),
            false => Err(Fault::new(Code::TICKET_INVALID, what, "it was made for somebody else")),
        }
    }
}
