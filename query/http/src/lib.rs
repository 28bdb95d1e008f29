//! The door for those who watch the service: is it alive, is it ready, what do its meters show.
//!
//! Map of the crate:
//! - [`door`]: listens, bounds connections and their time;
//! - [`answer`]: the few paths there are;
//! - [`phase`]: what the service is doing, and whether that is being ready;
//! - [`metrics`]: the meters, read when they are asked for.
//! - [`process`]: what Linux knows of this process.
//!
//! Deliberately absent: anything that changes anything, names of users, texts of statements.

mod answer;
mod door;
mod metrics;
mod phase;
mod process;

pub use door::{Door, OpenDoor, check_listen};
pub use phase::{Phase, Watched};
