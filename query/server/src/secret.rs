//! Secrets from where no other user sees them: a file, the environment, a terminal without echo.
//! Never from the command line, which every process of the machine can read.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use skep_catalog::fault::{Code, Fault};

use crate::console;

/// Bytes of a secret: much more than anybody chooses.
const BYTES_MAX: u64 = 4 << 10;

fn refused(what: &str, why: impl Into<String>) -> Fault {
    Fault::new(Code::CONFIG_INVALID, what, why)
}

/// The first line of a file.
///
/// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`.
pub fn in_file(path: &Path) -> Result<String, Fault> {
    let what = format!("file {}", path.display());
    let file = File::open(path).map_err(|error| {
        Fault::new(Code::CONFIG_UNREADABLE, &what, error.to_string()).with_fix("Check path and permissions.")
    })?;
    first_line(file, &what)
}

/// From standard input: without echo, after `prompt`, when that is a terminal.
///
/// Errors: `CONFIG_INVALID`.
pub fn on_standard_input(prompt: &str) -> Result<String, Fault> {
    let input = std::io::stdin();
    if input.is_terminal() { ask(prompt) } else { first_line(input.lock(), "standard input") }
}

/// Asks at the terminal of the process, which need not be its standard input.
///
/// Errors: `CONFIG_INVALID` when it has none.
pub fn ask(prompt: &str) -> Result<String, Fault> {
    let failed = |why: String| refused("secret not asked for", why);
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(|error| failed(format!("there is no terminal: {error}")))?;
    let before = tcgetattr(&terminal).map_err(|error| failed(error.to_string()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| failed(error.to_string()))?;
    let _echoes_again = Echo { terminal: &terminal, before };
    console::note(prompt);
    let read = first_line(&terminal, "terminal");
    console::note("\n");
    read
}

/// Gives the terminal back as it was.
struct Echo<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Echo<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn first_line(from: impl Read, what: &str) -> Result<String, Fault> {
    let mut line = Vec::new();
    let mut from = BufReader::new(from.take(BYTES_MAX + 1));
    from.read_until(b'\n', &mut line).map_err(|error| refused(what, error.to_string()))?;
    if BYTES_MAX < line.len() as u64 {
        return Err(refused(what, format!("its first line is longer than {BYTES_MAX} bytes")));
    }
    let line = String::from_utf8(line).map_err(|_| refused(what, "it is not UTF-8 text"))?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(refused(what, "its first line is empty, a secret was expected there"));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_without_its_end() {
        for text in ["s3cret", "s3cret\n", "s3cret\r\n", "s3cret\nmore"] {
            assert_eq!(first_line(text.as_bytes(), "x").unwrap(), "s3cret");
        }
        assert_eq!(first_line(" a b \n".as_bytes(), "x").unwrap(), " a b ");
        for bad in [&b""[..], b"\n", b"\xff\n", &[b'a'; 5_000]] {
            let fault = first_line(bad, "standard input").unwrap_err();
            assert_eq!(fault.code, Code::CONFIG_INVALID);
            assert!(!fault.to_string().contains("aaaa"), "{fault}");
        }
    }
}
