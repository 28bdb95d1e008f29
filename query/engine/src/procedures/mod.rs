//! Procedures: what a CALL may say, what it comes to, and that it happens once.
//!
//! In the direction that a CALL goes:
//! - [`text`]: what its text alone tells;
//! - [`spec`]: every procedure, declared once;
//! - [`arguments`]: from the text to typed arguments;
//! - [`decide`]: what it comes to on the newest state, without an effect;
//! - [`calls`]: decided and recorded once, then done;
//! - [`rows`]: what it answers;
//! - [`host`]: what is needed of the process around the engine.

mod arguments;
mod calls;
mod decide;
mod host;
mod rows;
pub mod spec;
pub mod text;

pub use calls::{Called, Procedures};
pub(crate) use calls::{call, checked, explained};
pub use host::{Effect, Extent, Host, KnownSetting, NoHost};
pub(crate) use rows::{audit_log, explain_schema, result_schema};
