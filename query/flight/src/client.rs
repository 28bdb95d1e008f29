//! A client of the door: statements to rows, statuses back to faults.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, HandshakeRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use prost::Message;
use skep_catalog::fault::{Code, Fault};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::actions::SET_SESSION_OPTIONS;
use crate::limits::ROW_BYTES_MAX;
use crate::session::{OPTION_SCHEMA, Options};
use crate::status::CODE_HEADER;

/// For one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a message of rows, with what is around them.
const MESSAGE_BYTES_MAX: usize = ROW_BYTES_MAX + (1 << 20);

/// How a service is asked for the first time.
#[derive(Debug, Default)]
pub struct ConnectOptions {
    /// Certificates of the authorities to trust with `grpc+tls`, PEM; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// Certificate chain to show and its private key, PEM.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Who asks; `None` for who needs not tell, or shows a certificate.
    pub login: Option<Login>,
}

/// How somebody tells who they are.
#[derive(Clone)]
pub enum Login {
    /// A name and a password.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// A token.
    Token(String),
}

/// Secrets are not shown.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token(***)"),
        }
    }
}

/// A connection to a service.
#[derive(Clone)]
pub struct Client {
    client: FlightSqlServiceClient<Channel>,
    uri: String,
    login: Option<Arc<Login>>,
    /// What later calls say: the token of the login, or what a handshake gave for a password.
    token: Arc<Mutex<Option<String>>>,
    /// The cookie with the options of the session.
    session: Arc<Mutex<Option<String>>>,
}

/// The rows of a statement, as they come. Dropping it cancels the statement.
pub struct Answer {
    schema: SchemaRef,
    rows: FlightRecordBatchStream,
    uri: String,
}

impl Client {
    /// Connects to `grpc://HOST:PORT` or `grpc+tls://HOST:PORT`, and logs in.
    ///
    /// Errors: `CONFIG_INVALID` for what is no such address, `CONFIG_UNREADABLE` for certificates,
    /// `SERVICE_UNREACHABLE`, `UNAUTHENTICATED`, `LOGIN_BUSY`.
    pub async fn connect(uri: &str, options: &ConnectOptions) -> Result<Self, Fault> {
        let invalid = || {
            Fault::new(Code::CONFIG_INVALID, format!("address {uri}"), "it is no address of a service")
                .with_fix("Write it as grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS.")
        };
        let (scheme, authority) = uri.split_once("://").ok_or_else(invalid)?;
        let scheme = match scheme {
            "grpc" => "http",
            "grpc+tls" => "https",
            _ => return Err(invalid()),
        };
        if authority.is_empty() {
            return Err(invalid());
        }
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{authority}")).map_err(|_| invalid())?;
        if scheme == "https" {
            endpoint = endpoint.tls_config(tls(options)?).map_err(|error| unreachable(uri, &error))?;
        }
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .connect()
            .await
            .map_err(|error| unreachable(uri, &error))?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let client = FlightSqlServiceClient::new_from_inner(client);
        let login = options.login.clone().map(Arc::new);
        let client =
            Self { client, uri: uri.to_owned(), login, token: Arc::default(), session: Arc::default() };
        if let Some(login) = &client.login {
            client.log_in(login).await?;
        }
        Ok(client)
    }

    /// Gets a token for name and password, so that these are seldom sent.
    async fn log_in(&self, login: &Login) -> Result<(), Fault> {
        let (user, password) = match login {
            Login::Token(token) => {
                *self.token.lock() = Some(token.clone());
                return Ok(());
            }
            Login::Password { user, password } => (user, password),
        };
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let mut basic: MetadataValue<_> =
            basic.parse().map_err(|_| Fault::internal("logging in", "no header can hold it"))?;
        basic.set_sensitive(true);
        request.metadata_mut().insert("authorization", basic);
        let answer = self.client.clone().inner_mut().handshake(request).await;
        let answer = answer.map_err(|status| of_status(&self.uri, &status))?;
        let header = answer.metadata().get("authorization").and_then(|value| value.to_str().ok());
        // A service without users gives a token too.
        let token = header.and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| wrong(&self.uri, "it gave no token"))?;
        *self.token.lock() = Some(token.to_owned());
        Ok(())
    }

    /// Where it is connected to.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Tables that are named without a schema are in this one from now on.
    ///
    /// Errors: those of the service, and `SERVICE_UNREACHABLE`.
    pub async fn use_schema(&self, schema: &str) -> Result<(), Fault> {
        let body = Options::text(OPTION_SCHEMA, schema).encode_to_vec();
        let mut request = Request::new(Action::new(SET_SESSION_OPTIONS, body));
        let failed = || Fault::internal("setting the session", "no header can hold it");
        if let Some(token) = self.token.lock().clone() {
            let mut token: MetadataValue<_> = format!("Bearer {token}").parse().map_err(|_| failed())?;
            token.set_sensitive(true);
            request.metadata_mut().insert("authorization", token);
        }
        if let Some(cookie) = self.session.lock().clone() {
            request.metadata_mut().insert("cookie", cookie.parse().map_err(|_| failed())?);
        }
        let told = |status: Status| of_status(&self.uri, &status);
        let answer = self.client.clone().inner_mut().do_action(request).await.map_err(told)?;
        let cookie = answer.metadata().get("set-cookie").and_then(|value| value.to_str().ok());
        let cookie = cookie.ok_or_else(|| wrong(&self.uri, "it gave no session"))?;
        *self.session.lock() = Some(cookie.to_owned());
        Ok(())
    }

    /// Runs a statement.
    ///
    /// Errors: those of the service, as they were there, and `SERVICE_UNREACHABLE`.
    pub async fn query(&self, sql: &str) -> Result<Answer, Fault> {
        // Each by itself: what was done while it was planned is not to be done again.
        let info = self.logged_in(async |client| client.execute(sql.to_owned(), None).await).await?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
        let ticket = ticket.ok_or_else(|| wrong(&self.uri, "it gave no ticket"))?;
        let schema: Schema = info.try_decode_schema().map_err(|e| wrong(&self.uri, &e.to_string()))?;
        let rows = self.logged_in(async |client| client.do_get(ticket.clone()).await).await?;
        Ok(Answer { schema: schema.into(), rows, uri: self.uri.clone() })
    }

    /// A call; once more after another login, because the token that a password was given for is
    /// good for a time.
    async fn logged_in<T>(
        &self,
        call: impl AsyncFn(&mut FlightSqlServiceClient<Channel>) -> Result<T, FlightError>,
    ) -> Result<T, Fault> {
        let told = |error| fault(&self.uri, error);
        match (call(&mut self.with_headers()).await.map_err(told), &self.login) {
            (Err(fault), Some(login))
                if fault.code == Code::UNAUTHENTICATED && matches!(**login, Login::Password { .. }) =>
            {
                self.log_in(login).await?;
                call(&mut self.with_headers()).await.map_err(told)
            }
            (answer, _) => answer,
        }
    }

    fn with_headers(&self) -> FlightSqlServiceClient<Channel> {
        let mut client = self.client.clone();
        if let Some(token) = self.token.lock().clone() {
            client.set_token(token);
        }
        if let Some(cookie) = self.session.lock().clone() {
            client.set_header("cookie", cookie);
        }
        client
    }
}

impl Answer {
    /// Columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` after the last. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        let next = self.rows.next().await?;
        Some(next.map_err(|error| fault(&self.uri, error)))
    }
}

/// Whom a client trusts, and what it shows.
fn tls(options: &ConnectOptions) -> Result<ClientTlsConfig, Fault> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Fault::new(Code::CONFIG_UNREADABLE, format!("file {}", path.display()), error.to_string())
                .with_fix("Check the path, the permissions, and that the file is PEM.")
        })
    };
    let mut tls = ClientTlsConfig::new();
    tls = match &options.ca_file {
        Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
        None => tls.with_native_roots(),
    };
    if let Some((certificate, key)) = &options.client_certificate {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(tls)
}

/// Every cause, the innermost last.
fn unreachable(uri: &str, error: &dyn std::error::Error) -> Fault {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let told = inner.to_string();
        // Some causes tell their own causes already.
        if !why.ends_with(&told) {
            why = format!("{why}: {told}");
        }
        cause = inner.source();
    }
    let is_distrust = why.contains("certificate");
    let fault = Fault::new(Code::SERVICE_UNREACHABLE, format!("service at {uri}"), why);
    match is_distrust {
        true => fault.with_fix(
            "Name the authority of the service's certificate with --ca-file, and the host as it is in the \
             certificate.",
        ),
        false => fault,
    }
}

fn wrong(uri: &str, why: &str) -> Fault {
    Fault::new(Code::SERVICE_UNREACHABLE, format!("service at {uri}"), why)
        .with_fix("Check that skep of this version listens there.")
}

fn fault(uri: &str, error: FlightError) -> Fault {
    match error {
        FlightError::Tonic(status) => of_status(uri, &status),
        other => wrong(uri, &other.to_string()),
    }
}

/// The fault that [`crate::status::status`] made a status of.
fn of_status(uri: &str, status: &Status) -> Fault {
    let header = status.metadata().get(CODE_HEADER).and_then(|value| value.to_str().ok());
    let code = header.and_then(|name| Code::ALL.iter().find(|code| code.as_str() == name));
    let Some(code) = code else { return unreachable(uri, status) };
    let text = status.message();
    let text = text.strip_prefix(code.as_str()).and_then(|text| text.strip_prefix(": ")).unwrap_or(text);
    let (text, fix) = match text.rsplit_once(" Fix: ") {
        // A reason that ends in a sign of its own has no dot.
        Some((text, fix)) => (text.strip_suffix('.').unwrap_or(text), Some(fix.to_owned())),
        None => (text, None),
    };
    let (what, why) = text.split_once(": ").unwrap_or((text, ""));
    Fault { code: *code, what: what.to_owned(), why: why.to_owned(), fix }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::status;

    #[test]
    fn a_fault_comes_back_as_it_was() {
        for fault in [
            Fault::new(Code::SQL_INVALID, "statement cannot be planned", "no table is named a.b: really")
                .with_fix("Did you mean c.d?"),
            Fault::new(Code::SQL_INVALID, "statement cannot be planned", "no function. Did you mean floor?")
                .with_fix("Look it up."),
            Fault::new(Code::SQL_SYNTAX, "statement is empty", "there is nothing to do. Nothing"),
        ] {
            let again = of_status("grpc://h:1", &status(fault.clone()));
            assert_eq!(again.to_string(), fault.to_string());
            assert_eq!((again.code, again.what, again.why), (fault.code, fault.what, fault.why));
        }
        let other = of_status("grpc://h:1", &Status::unavailable("gone"));
        assert_eq!(other.code, Code::SERVICE_UNREACHABLE);
        assert!(other.to_string().contains("grpc://h:1") && other.to_string().contains("gone"), "{other}");
    }
}
