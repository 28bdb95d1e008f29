//! How a command ends: exit codes, and how a fault is told.

use std::io::IsTerminal;
use std::process::ExitCode;

use skep_catalog::fault::{Code, Fault};

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 2: could not do it, or not all of it.
    Failed,
    /// 64: wrong usage or config.
    Usage,
}

impl Exit {
    /// As a number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 2,
            Self::Usage => 64,
        }
    }

    /// How a command ends that met `fault`.
    pub fn of(fault: &Fault) -> Self {
        match fault.code {
            Code::CONFIG_INVALID | Code::CONFIG_UNREADABLE => Self::Usage,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Tells a fault on standard error, in one line; in colour on a terminal.
pub fn report(fault: &Fault) {
    let line = fault.to_string();
    let in_colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let shown = match line.split_once(": ").filter(|_| in_colour) {
        Some((code, rest)) => match rest.rsplit_once(" Fix: ") {
            Some((what, fix)) => format!("\x1b[1;31m{code}\x1b[0m: {what}\n\x1b[32mFix:\x1b[0m {fix}"),
            None => format!("\x1b[1;31m{code}\x1b[0m: {rest}"),
        },
        None => line,
    };
    crate::console::note(format_args!("{shown}\n"));
}
