//! The Flight SQL door: SQL for clients and BI tools over gRPC.
//!
//! Map of the crate, in the direction that a call goes:
//! - [`door`]: listens, stops gracefully;
//! - [`connection`], [`tls`], [`certificate`]: connections, bounded, with TLS or without;
//! - [`auth`]: finds out who makes a call, before anything of it is read;
//! - [`calls`]: every RPC, with what the protocol's own dispatch does not let one answer;
//! - [`service`]: every command of Flight SQL;
//! - [`execution`]: statements, from text to rows;
//! - [`parameters`]: values bound to prepared statements;
//! - [`asker`]: who makes a call, for those who answer it;
//! - [`actions`], [`session`]: cancelling, renewing, session options;
//! - [`metadata`]: what skep is and has, as clients ask for it;
//! - [`rows`], [`plain`]: batches on the wire, in types that every client reads;
//! - [`ticket`], [`seal`]: what clients carry for us, signed;
//! - [`running`]: executions that can be cancelled;
//! - [`status`]: every fault as a gRPC status;
//! - [`client`]: the other side, for the shell;
//! - [`seldom`]: log lines that others can cause without end;
//! - [`limits`]: every bound, named once.
//!
//! Deliberately absent: what tables hold (that is the engine's), state of a client between two
//! calls other than the snapshots that are kept for it.

mod actions;
mod asker;
mod auth;
mod calls;
mod certificate;
pub mod client;
mod connection;
pub mod door;
mod execution;
pub mod limits;
mod metadata;
mod parameters;
mod plain;
mod rows;
mod running;
mod seal;
mod seldom;
mod service;
mod session;
mod status;
mod ticket;
mod tls;

pub use auth::hash::{PasswordHash, TokenHash, random_token};
pub use auth::users::User;
pub use door::{Door, INSECURE_KEY, OpenDoor, Protection, check_listen};
pub use seal::Key;
pub use tls::TlsFiles;
