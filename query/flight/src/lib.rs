//! The Flight SQL door: SQL for clients and BI tools over gRPC.
//!
//! Map of the crate, in the direction that a call goes:
//! - [`door`]: listens, bounds connections, stops gracefully;
//! - [`calls`]: every RPC, with what the protocol's own dispatch does not let one answer;
//! - [`service`]: every command of Flight SQL;
//! - [`execution`]: statements, from text to rows;
//! - [`parameters`]: values bound to prepared statements;
//! - [`actions`], [`session`]: cancelling, renewing, session options;
//! - [`metadata`]: what skep is and has, as clients ask for it;
//! - [`rows`], [`plain`]: batches on the wire, in types that every client reads;
//! - [`ticket`], [`seal`]: what clients carry for us, signed;
//! - [`running`]: executions that can be cancelled;
//! - [`status`]: every fault as a gRPC status;
//! - [`client`]: the other side, for the shell;
//! - [`limits`]: every bound, named once.
//!
//! Deliberately absent: what tables hold (that is the engine's), state of a client between two
//! calls other than the snapshots that are kept for it.

mod actions;
mod calls;
pub mod client;
pub mod door;
mod execution;
pub mod limits;
mod metadata;
mod parameters;
mod plain;
mod rows;
mod running;
mod seal;
mod service;
mod session;
mod status;
mod ticket;

pub use door::{Door, OpenDoor, check_listen};
pub use seal::Key;
