//! How `skep sql` tells a service who asks.

use std::path::PathBuf;

use skep_catalog::fault::{Code, Fault};
use skep_flight::client::{ConnectOptions, Login};

use crate::{console, secret};

const PASSWORD_VARIABLE: &str = "SKEP_PASSWORD";
const TOKEN_VARIABLE: &str = "SKEP_TOKEN";

/// Options for services that ask.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LoginOptions {
    /// Who asks. The password comes from --password-file, from SKEP_PASSWORD, or is asked for.
    #[arg(long, value_name = "NAME", env = "SKEP_USER", help_heading = "On a service")]
    user: Option<String>,
    /// File whose first line is the password.
    #[arg(long, value_name = "FILE", requires = "user", help_heading = "On a service")]
    password_file: Option<PathBuf>,
    /// File whose first line is a token, instead of --user; SKEP_TOKEN holds one too.
    #[arg(long, value_name = "FILE", help_heading = "On a service")]
    token_file: Option<PathBuf>,
    /// With grpc+tls://: certificates of the authorities to trust, PEM; without it those of the system.
    #[arg(long, value_name = "FILE", help_heading = "On a service")]
    ca_file: Option<PathBuf>,
    /// With grpc+tls://: certificate chain to show, PEM.
    #[arg(long, value_name = "FILE", requires = "client_key_file", help_heading = "On a service")]
    client_cert_file: Option<PathBuf>,
    /// Private key of --client-cert-file, PEM.
    #[arg(long, value_name = "FILE", requires = "client_cert_file", help_heading = "On a service")]
    client_key_file: Option<PathBuf>,
}

impl LoginOptions {
    /// Reads what is in files and in the environment, and asks for a password that is nowhere.
    ///
    /// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`.
    pub fn resolve(&self, uri: &str) -> Result<ConnectOptions, Fault> {
        let login = self.login(uri)?;
        if login.is_some() && !uri.starts_with("grpc+tls://") && !is_loopback(uri) {
            console::note("Without TLS (grpc+tls://) others on the way can read passwords and tokens.\n");
        }
        let client_certificate = self.client_cert_file.clone().zip(self.client_key_file.clone());
        Ok(ConnectOptions { ca_file: self.ca_file.clone(), client_certificate, login })
    }

    fn login(&self, uri: &str) -> Result<Option<Login>, Fault> {
        if let Some(file) = &self.token_file {
            return secret::in_file(file).map(Login::Token).map(Some);
        }
        let Some(user) = self.user.clone() else {
            return Ok(variable(TOKEN_VARIABLE)?.map(Login::Token));
        };
        let password = match (&self.password_file, variable(PASSWORD_VARIABLE)?) {
            (Some(file), _) => secret::in_file(file)?,
            (None, Some(password)) => password,
            (None, None) => secret::ask(&format!("Password of {user} at {uri}: ")).map_err(|fault| {
                fault.with_fix(format!("Set {PASSWORD_VARIABLE} or give --password-file."))
            })?,
        };
        Ok(Some(Login::Password { user, password }))
    }
}

fn variable(name: &str) -> Result<Option<String>, Fault> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Fault::new(Code::CONFIG_INVALID, format!("variable {name}"), "it is not UTF-8 text"))
        }
    }
}

fn is_loopback(uri: &str) -> bool {
    let authority = uri.split_once("://").map_or(uri, |(_, authority)| authority);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_loopback() {
        for uri in ["grpc://127.0.0.1:1", "grpc://[::1]:1", "grpc://localhost:1"] {
            assert!(is_loopback(uri), "{uri}");
        }
        for uri in ["grpc://10.0.0.1:1", "grpc://[fe80::1]:1", "grpc://localhost.example:1", "grpc://:1"] {
            assert!(!is_loopback(uri), "{uri}");
        }
    }
}
