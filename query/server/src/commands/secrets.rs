//! `skep hash-password`, `skep token`: what the config keeps instead of secrets.

use std::io::IsTerminal;

use skep_catalog::fault::{Code, Fault};
use skep_flight::{PasswordHash, TokenHash, random_token};

use crate::exit::Exit;
use crate::{console, secret};

/// Reads a password from standard input and prints its hash.
pub fn hash_password() -> Result<Exit, Fault> {
    let password = secret::on_standard_input("Password: ")?;
    if std::io::stdin().is_terminal() && secret::ask("Again: ")? != password {
        return Err(Fault::new(Code::CONFIG_INVALID, "password", "the two are not the same")
            .with_fix("Type it again."));
    }
    console::print(format_args!("{}\n", PasswordHash::new(&password)?))?;
    Ok(Exit::Done)
}

/// Prints a new token and its hash, each on a line.
pub fn token() -> Result<Exit, Fault> {
    let token = random_token()?;
    console::print(format_args!("{token}\n{}\n", TokenHash::new(&token)))?;
    console::note("The first line is for who asks, the second for token_hashes in the config.\n");
    Ok(Exit::Done)
}
