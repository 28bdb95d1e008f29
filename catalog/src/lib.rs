//! The catalog: what skep knows, how it decides, and how it keeps it.
//!
//! Map of the crate, in the direction that data flows:
//! - [`ports`]: the traits that the outside implements ([`ports::Source`] reads a metastore,
//!   [`ports::Decoder`] turns kept wire bytes into model values, [`ports::Clock`] tells the time);
//! - [`model`]: names, ids and objects, free of any wire format;
//! - [`mirror`]: decides what to read, when, and turns what was read into [`change::Change`]s;
//! - [`change`]: the one vocabulary of everything that can happen to the mirror;
//! - [`store`]: applies changes atomically and durably (sled), heals itself on open;
//! - [`journal`]: keeps what no metastore could give back, durable before it is acknowledged;
//! - [`control`]: decides calls, and what they lead to, on top of it;
//! - [`snapshot`]: the immutable view that every reader works on;
//! - [`scope`]: how much of it somebody may see.
//!
//! Deliberately absent: sockets, SQL, Arrow, Thrift, and clocks read directly. Objects keep the
//! bytes that their metastore sent; only a [`ports::Decoder`] knows how to read them.

pub mod change;
pub mod control;
pub mod fault;
pub mod journal;
pub mod limits;
pub mod mirror;
pub mod model;
pub mod ports;
pub mod scope;
pub mod snapshot;
pub mod store;
