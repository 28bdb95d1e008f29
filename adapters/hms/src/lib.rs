//! The way to a Hive Metastore: Thrift bytes in, model values out.
//!
//! Invariants: nothing that arrives is trusted. Every length is checked against a limit and
//! against the bytes that are there before anything is allocated, text is checked to be UTF-8,
//! nesting is bounded, and a byte sequence that is not a valid message is an error with its
//! offset, never a panic.

pub mod client;
pub mod dates;
pub mod events;
pub mod objects;
mod source;
pub mod thrift;

pub use client::{Client, ClientOptions, TlsOptions};
pub use objects::HmsDecoder;
pub use source::HmsSource;
