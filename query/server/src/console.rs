//! Standard output and standard error of the commands.
//!
//! Whoever reads them may leave early (`skep check | head -1`). What is printed after that is
//! dropped quietly, and the command does its work to the end: a sync that nobody watches is still
//! a sync. `println!` and `eprintln!` would panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use skep_catalog::fault::{Code, Fault};

/// Prints to standard output.
///
/// Errors: `INTERNAL` when it cannot be written (a full disk, say), but not when nobody reads it.
pub fn print(text: impl Display) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let fault = Fault::new(Code::INTERNAL, "standard output cannot be written", error.to_string());
            Err(fault.with_fix("Look at where standard output goes."))
        }
        _ => Ok(()),
    }
}

/// Prints to standard error, if anybody can be told.
pub fn note(text: impl Display) {
    // Where else could it be told that standard error cannot be written?
    let _ = write!(std::io::stderr(), "{text}");
}
