//! Actions of Flight itself, beside those of Flight SQL: cancelling, renewing, sessions.

use arrow_flight::sql::{Any, Command, TicketStatementQuery};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest, Result as ActionResult, Ticket as WireTicket,
};
use prost::Message;
use skep_catalog::fault::Fault;

use crate::asker::Asker;
use crate::execution::Executor;
use crate::limits::METADATA_COMMAND_BYTES_MAX;
use crate::session::{CloseResult, Options};
use crate::status::{not_supported, unreadable};
use crate::ticket::Session;

const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";
pub const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// Every action that is answered: name, message and answer.
const ACTIONS: [(&str, &str, &str); 8] = [
    (
        "CreatePreparedStatement",
        "ActionCreatePreparedStatementRequest",
        "ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "ActionClosePreparedStatementRequest", "nothing"),
    ("CancelQuery", "ActionCancelQueryRequest", "ActionCancelQueryResult"),
    (CANCEL_FLIGHT_INFO, "CancelFlightInfoRequest", "CancelFlightInfoResult"),
    (RENEW_FLIGHT_ENDPOINT, "RenewFlightEndpointRequest", "FlightEndpoint"),
    (SET_SESSION_OPTIONS, "SetSessionOptionsRequest", "SetSessionOptionsResult"),
    (GET_SESSION_OPTIONS, "GetSessionOptionsRequest", "GetSessionOptionsResult"),
    (CLOSE_SESSION, "CloseSessionRequest", "CloseSessionResult"),
];

/// Every action that is answered.
pub fn action_types() -> impl Iterator<Item = ActionType> {
    ACTIONS.into_iter().map(|(name, request, answer)| ActionType {
        r#type: name.to_owned(),
        description: format!("Takes {request}, gives {answer}."),
    })
}

/// What an action gives, and the cookie that it sets.
pub struct Answer {
    /// The only result.
    pub result: ActionResult,
    /// Value of the header `set-cookie`.
    pub cookie: Option<String>,
}

fn answer(message: &impl Message) -> Answer {
    Answer { result: ActionResult::new(message.encode_to_vec()), cookie: None }
}

fn read<M: Message + Default>(action: &Action) -> Result<M, Fault> {
    M::decode(&*action.body).map_err(|e| unreadable(&action.r#type, &e.to_string()))
}

/// Does an action.
///
/// Errors: `NOT_SUPPORTED`, `REQUEST_INVALID`, `TICKET_INVALID`, `SNAPSHOT_GONE`.
pub fn act(executor: &Executor, action: &Action, asker: &Asker) -> Result<Answer, Fault> {
    let key = &executor.key;
    match action.r#type.as_str() {
        CANCEL_FLIGHT_INFO => {
            let request: CancelFlightInfoRequest = read(action)?;
            let info = request.info.ok_or_else(|| unreadable(CANCEL_FLIGHT_INFO, "it has no FlightInfo"))?;
            let status = match cancel(executor, asker, &info)? {
                true => CancelStatus::Cancelled,
                false => CancelStatus::NotCancellable,
            };
            Ok(answer(&CancelFlightInfoResult::new(status)))
        }
        RENEW_FLIGHT_ENDPOINT => {
            let request: RenewFlightEndpointRequest = read(action)?;
            let endpoint =
                request.endpoint.ok_or_else(|| unreadable(RENEW_FLIGHT_ENDPOINT, "it has no endpoint"))?;
            match endpoint.ticket.as_ref().map(statement_ticket).transpose()?.flatten() {
                Some(ticket) => Ok(answer(&executor.renew(asker, &ticket)?)),
                // Other rows never go away.
                None => Ok(answer(&endpoint)),
            }
        }
        SET_SESSION_OPTIONS => {
            let mut session = Session::of(asker, key)?;
            let result = session.set(read::<Options>(action)?);
            Ok(Answer { cookie: Some(session.cookie(key)), ..answer(&result) })
        }
        GET_SESSION_OPTIONS => Ok(answer(&Session::of(asker, key)?.options())),
        CLOSE_SESSION => Ok(Answer { cookie: Some(Session::no_cookie()), ..answer(&CloseResult::CLOSED) }),
        other => Err(not_supported(&format!("action {other}"))),
    }
}

/// Ends the executions behind an info; `false` when there is nothing in it that could be ended.
///
/// Errors: `REQUEST_INVALID`, `TICKET_INVALID`.
pub fn cancel(executor: &Executor, asker: &Asker, info: &FlightInfo) -> Result<bool, Fault> {
    let mut is_any = false;
    for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
        if let Some(ticket) = statement_ticket(ticket)? {
            executor.cancel(asker, &ticket)?;
            is_any = true;
        }
    }
    Ok(is_any)
}

/// The ticket of an execution; `None` for one of metadata.
fn statement_ticket(ticket: &WireTicket) -> Result<Option<TicketStatementQuery>, Fault> {
    match command(&ticket.ticket)? {
        Command::TicketStatementQuery(ticket) => Ok(Some(ticket)),
        _ => Ok(None),
    }
}

/// The command in a descriptor or ticket.
///
/// Errors: `REQUEST_INVALID`.
pub fn command(bytes: &[u8]) -> Result<Command, Fault> {
    if bytes.is_empty() {
        return Err(unreadable("command", "there is none: rows come from commands, not from paths"));
    }
    let any = Any::decode(bytes).map_err(|e| unreadable("command", &e.to_string()))?;
    let command = Command::try_from(any).map_err(|e| unreadable("command", &e.to_string()))?;
    let has_statement = matches!(
        command,
        Command::CommandStatementQuery(_)
            | Command::CommandPreparedStatementQuery(_)
            | Command::TicketStatementQuery(_)
    );
    if !has_statement && METADATA_COMMAND_BYTES_MAX < bytes.len() {
        let why = format!("it has {} bytes, more than {METADATA_COMMAND_BYTES_MAX}", bytes.len());
        return Err(unreadable("command", &why));
    }
    Ok(command)
}
