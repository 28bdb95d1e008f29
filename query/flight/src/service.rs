//! Every command of Flight SQL.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{DoPutError, FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest, ActionEndSavepointRequest,
    ActionEndTransactionRequest, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas,
    CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse,
    Ticket as WireTicket,
};
use bytes::Bytes;
use futures::stream;
use prost::Message;
use skep_catalog::fault::{Code, Fault};
use tonic::{Request, Response, Status, Streaming};

use crate::actions::{self, act};
use crate::asker::Asker;
use crate::auth::gate::Issued;
use crate::execution::{Executor, info};
use crate::rows::{Rows, messages};
use crate::seal::Purpose;
use crate::status::{not_supported, status, unreadable};
use crate::ticket::Handle;
use crate::{metadata, parameters};

/// Answers commands.
pub struct Service(pub Arc<Executor>);

type Call<T> = Result<Response<T>, Status>;

/// Metadata that is fetched with the very command that asks for it.
fn metadata_info(
    command: &impl ProstMessageExt,
    rows: Result<RecordBatch, Fault>,
    descriptor: FlightDescriptor,
) -> Call<FlightInfo> {
    let rows = rows.map_err(status)?;
    let ticket = WireTicket::new(command.as_any().encode_to_vec());
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    info(&rows.schema(), endpoint, descriptor).map(Response::new).map_err(status)
}

fn metadata_rows(rows: Result<RecordBatch, Fault>) -> Call<Rows> {
    let rows = rows.map_err(status)?;
    Ok(Response::new(messages(&rows.schema(), stream::iter([Ok(rows)]))))
}

fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(_) => Err(status(not_supported("transaction: statements change nothing"))),
        None => Ok(()),
    }
}

fn read_only(what: &str) -> Status {
    let why = format!("{what}, and the tables of skep cannot be changed");
    status(Fault::new(Code::SQL_READ_ONLY, "update refused", why).with_fix("Run queries as queries."))
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Self;

    /// Who makes it was found out before; here the token for later calls is handed over.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Call<std::pin::Pin<Box<dyn futures::Stream<Item = Result<HandshakeResponse, Status>> + Send>>> {
        let mut response: Response<
            std::pin::Pin<Box<dyn futures::Stream<Item = Result<HandshakeResponse, Status>> + Send>>,
        > = Response::new(Box::pin(stream::iter([Ok(HandshakeResponse::default())])));
        let issued = request.extensions().get::<Issued>();
        if let Some(bearer) = issued.and_then(|Issued(token)| format!("Bearer {token}").parse().ok()) {
            response.metadata_mut().insert("authorization", bearer);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        no_transaction(command.transaction_id.as_ref())?;
        let asker = Asker::of(&request).map_err(status)?;
        let text = self.0.text(command.query, &asker).map_err(status)?;
        self.0.plan(text, &asker, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let asker = Asker::of(&request).map_err(status)?;
        let handle = self.0.prepared(&command, &asker).map_err(status)?;
        self.0.plan(handle, &asker, request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<WireTicket>,
    ) -> Call<Rows> {
        let asker = Asker::of(&request).map_err(status)?;
        self.0.fetch(&ticket, &asker).await.map(Response::new).map_err(status)
    }

    async fn do_get_prepared_statement(
        &self,
        _: CommandPreparedStatementQuery,
        _: Request<WireTicket>,
    ) -> Call<Rows> {
        Err(status(unreadable("ticket", "it is a command: GetFlightInfo gives the ticket for its rows")))
    }

    async fn get_flight_info_catalogs(
        &self,
        command: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = metadata::catalogs(command);
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_catalogs(&self, command: CommandGetCatalogs, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(metadata::catalogs(command))
    }

    async fn get_flight_info_schemas(
        &self,
        command: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = metadata::schemas(command.clone());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_schemas(&self, command: CommandGetDbSchemas, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(metadata::schemas(command))
    }

    async fn get_flight_info_tables(
        &self,
        command: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = metadata::tables(command.clone());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_tables(&self, command: CommandGetTables, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(metadata::tables(command))
    }

    async fn get_flight_info_table_types(
        &self,
        command: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = metadata::table_types(command);
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_table_types(&self, command: CommandGetTableTypes, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(metadata::table_types(command))
    }

    async fn get_flight_info_sql_info(
        &self,
        command: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = metadata::sql_info(command.clone(), &self.0.engine.options());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_sql_info(&self, command: CommandGetSqlInfo, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(metadata::sql_info(command, &self.0.engine.options()))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = self.0.facts.types(command);
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        _: Request<WireTicket>,
    ) -> Call<Rows> {
        metadata_rows(self.0.facts.types(command))
    }

    async fn get_flight_info_primary_keys(
        &self,
        command: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = Ok(metadata::primary_keys());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(Ok(metadata::primary_keys()))
    }

    async fn get_flight_info_exported_keys(
        &self,
        command: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = Ok(metadata::cross_reference());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(Ok(metadata::cross_reference()))
    }

    async fn get_flight_info_imported_keys(
        &self,
        command: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = Ok(metadata::cross_reference());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<WireTicket>) -> Call<Rows> {
        metadata_rows(Ok(metadata::cross_reference()))
    }

    async fn get_flight_info_cross_reference(
        &self,
        command: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Call<FlightInfo> {
        let rows = Ok(metadata::cross_reference());
        metadata_info(&command, rows, request.into_inner())
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        _: Request<WireTicket>,
    ) -> Call<Rows> {
        metadata_rows(Ok(metadata::cross_reference()))
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let asker = Asker::of(&request).map_err(status)?;
        let handle = self.0.prepared(&command, &asker).map_err(status)?;
        let parameters = parameters::receive(request.into_inner()).await?;
        let handle = self.0.key.seal(Purpose::Handle, &Handle { parameters, ..handle });
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle.into()) })
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        no_transaction(command.transaction_id.as_ref())?;
        let asker = Asker::of(&request).map_err(status)?;
        let handle = self.0.text(command.query, &asker).map_err(status)?;
        self.0.update(handle, &asker).await.map_err(status)
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let asker = Asker::of(&request).map_err(status)?;
        let handle = self.0.handle(&command.prepared_statement_handle, &asker).map_err(status)?;
        let sent = parameters::receive(request.into_inner()).await?;
        // Bound before, or sent along.
        let parameters = if sent.is_empty() { handle.parameters.clone() } else { sent };
        self.0.update(Handle { parameters, ..handle }, &asker).await.map_err(status)
    }

    async fn do_put_statement_ingest(
        &self,
        _: CommandStatementIngest,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(read_only("rows were sent to be stored"))
    }

    async fn do_put_error_callback(
        &self,
        _: Request<PeekableFlightDataStream>,
        error: DoPutError,
    ) -> Call<<Self as FlightService>::DoPutStream> {
        Err(status(unreadable("call", &error.to_string())))
    }

    async fn do_action_create_prepared_statement(
        &self,
        command: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        no_transaction(command.transaction_id.as_ref())?;
        let asker = Asker::of(&request).map_err(status)?;
        self.0.prepare(command.query, &asker).await.map_err(status)
    }

    /// There is nothing to close: the client has all of it.
    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn do_action_cancel_query(
        &self,
        command: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let asker = Asker::of(&request).map_err(status)?;
        let info = FlightInfo::decode(command.info)
            .map_err(|e| status(unreadable("CancelQuery", &e.to_string())))?;
        let result = match actions::cancel(&self.0, &asker, &info).map_err(status)? {
            true => CancelStatus::Cancelled,
            false => CancelStatus::NotCancellable,
        };
        // Both lists of outcomes have the same numbers.
        Ok(ActionCancelQueryResult { result: result.into() })
    }

    async fn do_action_create_prepared_substrait_plan(
        &self,
        _: ActionCreatePreparedSubstraitPlanRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        Err(status(not_supported("Substrait: send SQL")))
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(status(not_supported("transaction: statements change nothing")))
    }

    async fn do_action_end_transaction(
        &self,
        _: ActionEndTransactionRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Err(status(not_supported("transaction: statements change nothing")))
    }

    async fn do_action_begin_savepoint(
        &self,
        _: ActionBeginSavepointRequest,
        _: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        Err(status(not_supported("transaction: statements change nothing")))
    }

    async fn do_action_end_savepoint(
        &self,
        _: ActionEndSavepointRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Err(status(not_supported("transaction: statements change nothing")))
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Call<<Self as FlightService>::DoActionStream> {
        let asker = Asker::of(&request).map_err(status)?;
        let answer = act(&self.0, request.get_ref(), &asker).map_err(status)?;
        let mut response: Response<<Self as FlightService>::DoActionStream> =
            Response::new(Box::pin(stream::iter([Ok(answer.result)])));
        if let Some(cookie) = answer.cookie.and_then(|cookie| cookie.parse().ok()) {
            response.metadata_mut().insert("set-cookie", cookie);
        }
        Ok(response)
    }

    /// Facts are told by `metadata`; the protocol's code calls this nowhere.
    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
