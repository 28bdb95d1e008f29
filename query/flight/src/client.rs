//! A client of the door: statements to rows, statuses back to faults.

use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::StreamExt;
use skep_catalog::fault::{Code, Fault};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::limits::ROW_BYTES_MAX;
use crate::status::CODE_HEADER;

/// For one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a message of rows, with what is around them.
const MESSAGE_BYTES_MAX: usize = ROW_BYTES_MAX + (1 << 20);

/// A connection to a service.
#[derive(Clone)]
pub struct Client {
    client: FlightSqlServiceClient<Channel>,
    uri: String,
}

/// The rows of a statement, as they come. Dropping it cancels the statement.
pub struct Answer {
    schema: SchemaRef,
    rows: FlightRecordBatchStream,
    uri: String,
}

impl Client {
    /// Connects to `grpc://HOST:PORT`.
    ///
    /// Errors: `CONFIG_INVALID` for what is no such address, `SERVICE_UNREACHABLE`.
    pub async fn connect(uri: &str) -> Result<Self, Fault> {
        let invalid = || {
            Fault::new(Code::CONFIG_INVALID, format!("address {uri}"), "it is no address of a service")
                .with_fix("Write it as grpc://HOST:PORT, such as grpc://127.0.0.1:32010.")
        };
        let authority = uri.strip_prefix("grpc://").filter(|rest| !rest.is_empty()).ok_or_else(invalid)?;
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|_| invalid())?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .connect()
            .await
            .map_err(|error| unreachable(uri, &error))?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { client: FlightSqlServiceClient::new_from_inner(client), uri: uri.to_owned() })
    }

    /// Where it is connected to.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Runs a statement.
    ///
    /// Errors: those of the service, as they were there, and `SERVICE_UNREACHABLE`.
    pub async fn query(&self, sql: &str) -> Result<Answer, Fault> {
        let mut client = self.client.clone();
        let told = |error| fault(&self.uri, error);
        let info = client.execute(sql.to_owned(), None).await.map_err(told)?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
        let ticket = ticket.ok_or_else(|| wrong(&self.uri, "it gave no ticket"))?;
        let schema: Schema = info.try_decode_schema().map_err(|e| wrong(&self.uri, &e.to_string()))?;
        let rows = client.do_get(ticket).await.map_err(told)?;
        Ok(Answer { schema: schema.into(), rows, uri: self.uri.clone() })
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

/// Every cause, the innermost last.
fn unreachable(uri: &str, error: &dyn std::error::Error) -> Fault {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        why = format!("{why}: {inner}");
        cause = inner.source();
    }
    Fault::new(Code::SERVICE_UNREACHABLE, format!("service at {uri}"), why)
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
    let (text, fix) = match text.rsplit_once(". Fix: ") {
        Some((text, fix)) => (text, Some(fix.to_owned())),
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
