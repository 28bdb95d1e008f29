//! The promises of the Flight SQL door, over a real connection with a real client.
#![allow(clippy::unwrap_used)]

mod auth;
mod calls;
mod cancel;
mod door;
mod errors;
mod fixture;
mod metadata;
mod prepared;
mod sessions;
mod statements;
mod tls;
