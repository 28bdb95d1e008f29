//! Statements: typed when they are prepared and planned, run when their rows are fetched, on the
//! snapshot of when they were planned.
//!
//! A CALL is done while it is planned, and fetching shows its answer again: clients plan once, and
//! fetch never, once or twice.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::sql::{
    ActionCreatePreparedStatementResult, CommandPreparedStatementQuery, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket as WireTicket,
};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use futures::stream;
use prost::Message;
use prost_types::Timestamp;
use skep_catalog::fault::{Code, Fault};
use skep_query::{Called, Engine, LEASE, Prepared, QueryResult, Statement};
use tonic::metadata::MetadataMap;

use crate::asker::Asker;
use crate::limits::ANSWER_LEASE;
use crate::metadata::Facts;
use crate::rows::{self, Rows};
use crate::running::{Fetch, Running};
use crate::seal::{Key, Purpose};
use crate::session::schema_named;
use crate::ticket::{CallTicket, Handle, Session, Ticket};
use crate::{parameters, plain};

/// Runs what clients ask. A statement of Flight SQL is a [`Handle`].
pub struct Executor {
    pub engine: Arc<Engine>,
    pub key: Key,
    pub facts: Facts,
    running: Arc<Running>,
    /// Number of this process: snapshots of others are not here.
    instance: u64,
}

impl Executor {
    /// On this engine, signing with this key.
    ///
    /// Errors: `INTERNAL`.
    pub fn new(engine: Arc<Engine>, key: Key) -> Result<Self, Fault> {
        let (facts, instance) = (Facts::new()?, key.number()?);
        Ok(Self { engine, key, facts, running: Arc::default(), instance })
    }

    /// A statement as the engine takes it.
    fn statement(&self, handle: &Handle, asker: &Asker) -> Statement {
        Statement {
            schema: schema_named(&handle.schema).unwrap_or_else(|| Session::default().default_schema()),
            timeout_ms: timeout_ms(&asker.headers),
            caller: asker.caller.clone(),
            ..Statement::new(handle.sql.clone())
        }
    }

    /// What a statement gives and takes; its values need not be bound.
    pub async fn typed(&self, handle: &Handle, asker: &Asker) -> Result<Prepared, Fault> {
        let mut prepared = self.engine.prepare(self.statement(handle, asker)).await?;
        prepared.schema = plain::schema(&prepared.schema);
        prepared.parameters = plain::schema(&prepared.parameters);
        Ok(prepared)
    }

    /// Prepares a statement for later executions.
    pub async fn prepare(
        &self,
        sql: String,
        asker: &Asker,
    ) -> Result<ActionCreatePreparedStatementResult, Fault> {
        let handle = self.text(sql, asker)?;
        let Prepared { schema, parameters, .. } = self.typed(&handle, asker).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.key.seal(Purpose::Handle, &handle).into(),
            dataset_schema: schema_bytes(&schema)?,
            parameter_schema: schema_bytes(&parameters)?,
        })
    }

    /// A text, to be run in the session of the call.
    pub fn text(&self, sql: String, asker: &Asker) -> Result<Handle, Fault> {
        let schema = Session::of(asker, &self.key)?.default_schema().to_owned();
        let principal = asker.caller.principal.to_string();
        Ok(Handle { sql, schema, parameters: Vec::new(), principal })
    }

    /// The prepared statement of a command.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn prepared(&self, command: &CommandPreparedStatementQuery, asker: &Asker) -> Result<Handle, Fault> {
        self.handle(&command.prepared_statement_handle, asker)
    }

    /// The prepared statement of a handle.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn handle(&self, sealed: &[u8], asker: &Asker) -> Result<Handle, Fault> {
        self.key.open_for(asker, Purpose::Handle, sealed)
    }

    /// Plans an execution. Its snapshot is kept until its rows are fetched, or too late.
    pub async fn plan(
        &self,
        statement: Handle,
        asker: &Asker,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Fault> {
        let snapshot = self.engine.lease();
        let planned = Statement {
            snapshot: Some(Arc::clone(&snapshot)),
            parameters: Some(parameters::kept(&statement.parameters)?),
            ..self.statement(&statement, asker)
        };
        let prepared = self.engine.prepare(planned.clone()).await?;
        let schema = plain::schema(&prepared.schema);
        let ticket = match prepared.is_call {
            true => {
                let Called { call_id, is_replay, .. } = self.engine.call(planned).await?;
                Ticket {
                    execution: self.key.number()?,
                    expires_at: self.micros_after(ANSWER_LEASE),
                    call: Some(CallTicket { call_id, is_replay }),
                    statement: Handle { principal: statement.principal, ..Handle::default() },
                    ..Ticket::default()
                }
            }
            false => Ticket {
                statement,
                snapshot_id: snapshot.id,
                instance: self.instance,
                execution: self.key.number()?,
                expires_at: self.micros_after(LEASE),
                call: None,
            },
        };
        info(&schema, self.endpoint(&ticket), descriptor)
    }

    /// Does a statement that a client sent as an update, which only a CALL can be; tells how many
    /// objects it was about.
    ///
    /// Errors: `SQL_READ_ONLY` for anything else.
    pub async fn update(&self, handle: Handle, asker: &Asker) -> Result<i64, Fault> {
        let called = Statement {
            parameters: Some(parameters::kept(&handle.parameters)?),
            ..self.statement(&handle, asker)
        };
        if !self.engine.prepare(called.clone()).await?.is_call {
            let why = "a query was sent as an update, and the tables of skep cannot be changed";
            return Err(Fault::new(Code::SQL_READ_ONLY, "update refused", why)
                .with_fix("Run queries as queries; only a CALL changes something."));
        }
        let called = self.engine.call(called).await?;
        Ok(i64::try_from(called.object_count).unwrap_or(i64::MAX))
    }

    /// So long from now, in microseconds since 1970.
    fn micros_after(&self, time: Duration) -> i64 {
        self.engine.catalog().clock().now_micros() + i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
    }

    fn endpoint(&self, ticket: &Ticket) -> FlightEndpoint {
        let sealed = TicketStatementQuery { statement_handle: self.key.seal(Purpose::Ticket, ticket).into() };
        let micros = ticket.expires_at;
        let expiration = Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
        };
        FlightEndpoint::new()
            .with_ticket(WireTicket::new(sealed.as_any().encode_to_vec()))
            .with_expiration_time(expiration)
    }

    /// Runs what was planned; the same ticket can be fetched again while its snapshot is kept.
    ///
    /// Errors: `TICKET_INVALID`, `SNAPSHOT_GONE`, `SQL_*`.
    pub async fn fetch(&self, ticket: &TicketStatementQuery, asker: &Asker) -> Result<Rows, Fault> {
        let ticket: Ticket = self.key.open_for(asker, Purpose::Ticket, &ticket.statement_handle)?;
        self.check_lease(&ticket)?;
        if let Some(call) = &ticket.call {
            return self.answer(call);
        }
        let run = Statement {
            snapshot: Some(self.engine.leased(ticket.snapshot_id)?),
            parameters: Some(parameters::kept(&ticket.statement.parameters)?),
            ..self.statement(&ticket.statement, asker)
        };
        let mut fetch = self.running.begin(ticket.execution)?;
        let result = fetch.unless_cancelled(self.engine.run(run)).await??;
        let schema = plain::schema(&result.schema);
        let state = Fetched { result, fetch, schema: Arc::clone(&schema) };
        let batches = stream::try_unfold(state, |mut state| async move {
            Ok::<_, Fault>(state.next().await?.map(|batch| (batch, state)))
        });
        Ok(rows::messages(&schema, batches))
    }

    /// The answer of a call, once more.
    fn answer(&self, call: &CallTicket) -> Result<Rows, Fault> {
        let called = self.engine.called(&call.call_id, call.is_replay)?;
        let schema = plain::schema(&called.rows.schema());
        let rows = plain::batch(&called.rows, &schema);
        Ok(rows::messages(&schema, stream::iter([rows])))
    }

    fn check_lease(&self, ticket: &Ticket) -> Result<(), Fault> {
        let gone = |why: &str| Fault::new(Code::SNAPSHOT_GONE, "rows asked for too late", why);
        if ticket.call.is_none() && ticket.instance != self.instance {
            return Err(gone("the service was restarted since, or another instance planned it"));
        }
        if ticket.expires_at < self.engine.catalog().clock().now_micros() {
            let lease = if ticket.call.is_some() { ANSWER_LEASE } else { LEASE };
            return Err(gone(&format!("its ticket was good for {} s", lease.as_secs())));
        }
        Ok(())
    }

    /// Ends an execution: rows under way end with an error, rows to come are refused.
    ///
    /// Errors: `TICKET_INVALID`.
    pub fn cancel(&self, asker: &Asker, ticket: &TicketStatementQuery) -> Result<(), Fault> {
        let ticket: Ticket = self.key.open_for(asker, Purpose::Ticket, &ticket.statement_handle)?;
        self.running.cancel(ticket.execution);
        Ok(())
    }

    /// Keeps the snapshot of a ticket for longer.
    ///
    /// Errors: `TICKET_INVALID`, `SNAPSHOT_GONE`.
    pub fn renew(&self, asker: &Asker, ticket: &TicketStatementQuery) -> Result<FlightEndpoint, Fault> {
        let mut ticket: Ticket = self.key.open_for(asker, Purpose::Ticket, &ticket.statement_handle)?;
        self.check_lease(&ticket)?;
        ticket.expires_at = match ticket.call {
            Some(_) => self.micros_after(ANSWER_LEASE),
            None => {
                self.engine.renew_lease(ticket.snapshot_id)?;
                self.micros_after(LEASE)
            }
        };
        Ok(self.endpoint(&ticket))
    }
}

/// Rows under way. Dropping it ends the statement.
struct Fetched {
    result: QueryResult,
    fetch: Fetch,
    schema: Arc<Schema>,
}

impl Fetched {
    async fn next(&mut self) -> Result<Option<RecordBatch>, Fault> {
        let Self { result, fetch, schema } = self;
        match fetch.unless_cancelled(result.next()).await? {
            Some(batch) => plain::batch(&batch?, schema).map(Some),
            None => Ok(None),
        }
    }
}

/// What is told of rows that can be fetched from one place, of a number that is not known yet.
pub fn info(
    schema: &Schema,
    endpoint: FlightEndpoint,
    descriptor: FlightDescriptor,
) -> Result<FlightInfo, Fault> {
    Ok(FlightInfo {
        schema: schema_bytes(schema)?,
        flight_descriptor: Some(descriptor),
        endpoint: vec![endpoint],
        total_records: -1,
        total_bytes: -1,
        ..FlightInfo::default()
    })
}

/// A schema as a message of its own.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes, Fault> {
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()));
    message.map(|message| message.0).map_err(|e| Fault::internal("schema cannot be sent", e.to_string()))
}

/// The time that the caller gives the whole call, in ms: the header `grpc-timeout`, at most eight
/// digits and a unit. What cannot be read is no limit, as everywhere in gRPC.
fn timeout_ms(headers: &MetadataMap) -> Option<u64> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = Some(digits).filter(|digits| digits.len() <= 8)?.parse::<u64>().ok()?;
    let duration = match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    u64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_callers_are_read() {
        let read = |text: &str| {
            let mut headers = MetadataMap::new();
            if let Ok(value) = text.parse() {
                headers.insert("grpc-timeout", value);
            }
            timeout_ms(&headers)
        };
        for (text, expected) in [
            ("1500m", Some(1_500)),
            ("2S", Some(2_000)),
            ("3M", Some(180_000)),
            ("1H", Some(3_600_000)),
            ("99999999H", Some(99_999_999 * 3_600_000)),
            ("2500u", Some(2)),
            ("7000000n", Some(7)),
            ("", None),
            ("S", None),
            ("5", None),
            ("5x", None),
            ("123456789m", None),
            ("-5m", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(timeout_ms(&MetadataMap::new()), None);
    }
}
