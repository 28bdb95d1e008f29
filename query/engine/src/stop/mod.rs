//! How a statement is made to end.
//!
//! Aborting a task ends it where it waits, and the work of a statement seldom waits: a join tries
//! a million pairs between two rows, an expression takes seconds for one batch. So the work asks:
//! between any two operators of the plan ([`operator`]), after every part of an expression that
//! can take long ([`expression`]) and between the rules of planning ([`rule`]). When the
//! statement is to stop, it gets an error there, and everything unwinds.
//!
//! What asks also holds the statement's place among those under way: it is given back when the
//! last part of the work is gone, and not before.

pub mod expression;
pub mod operator;
pub mod rule;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::{DataFusionError, Result};
use skep_catalog::fault::{Code, Fault};
use tokio::runtime::Handle;

use crate::threads::Place;

/// Shared by all parts of a statement's work.
#[derive(Debug)]
pub struct Stop {
    is_set: AtomicBool,
    /// Given back with the last part.
    place: Place,
}

impl Stop {
    /// For a statement that may go on.
    pub fn new(place: Place) -> Arc<Self> {
        Arc::new(Self { is_set: AtomicBool::new(false), place })
    }

    /// What the work runs on.
    pub fn threads(&self) -> &Handle {
        &self.place.threads
    }

    /// The statement is to stop.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    /// Errors: the statement is to stop.
    pub fn check(&self) -> Result<()> {
        if !self.is_set.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fault = Fault::new(Code::SQL_CANCELLED, "statement ended", "it was told to stop");
        Err(DataFusionError::External(Box::new(fault)))
    }
}

/// Stops a statement when dropped: whoever waits for it holds this.
pub struct StopOnDrop(pub Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}
