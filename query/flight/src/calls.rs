//! Every RPC of Flight. Most go to [`Service`] by the protocol's own dispatch, whose errors become
//! ours; what that does not let one answer is answered here.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    PollInfo, SchemaResult, Ticket,
};
use futures::stream;
use skep_catalog::fault::Fault;
use tonic::{Request, Response, Status, Streaming};

use crate::actions::{action_types, command};
use crate::asker::Asker;
use crate::execution::{Executor, schema_bytes};
use crate::service::Service;
use crate::status::{from_protocol, not_supported, status};

/// Answers calls.
pub struct Calls {
    executor: Arc<Executor>,
    service: Service,
}

impl Calls {
    /// With this to run statements.
    pub fn new(executor: Executor) -> Self {
        let executor = Arc::new(executor);
        Self { service: Service(Arc::clone(&executor)), executor }
    }

    /// The schema of a statement that is not run: `None` for metadata.
    async fn schema(&self, request: &Request<FlightDescriptor>) -> Result<Option<SchemaResult>, Fault> {
        let asker = Asker::of(request)?;
        let handle = match command(&request.get_ref().cmd)? {
            Command::CommandStatementQuery(command) => self.executor.text(command.query, &asker)?,
            Command::CommandPreparedStatementQuery(command) => self.executor.prepared(&command, &asker)?,
            _ => return Ok(None),
        };
        let schema = schema_bytes(&self.executor.typed(&handle, &asker).await?.schema)?;
        Ok(Some(SchemaResult { schema }))
    }
}

#[tonic::async_trait]
impl FlightService for Calls {
    type HandshakeStream = <Service as FlightService>::HandshakeStream;
    type ListFlightsStream = <Service as FlightService>::ListFlightsStream;
    type DoGetStream = <Service as FlightService>::DoGetStream;
    type DoPutStream = <Service as FlightService>::DoPutStream;
    type DoActionStream = <Service as FlightService>::DoActionStream;
    type ListActionsStream = <Service as FlightService>::ListActionsStream;
    type DoExchangeStream = <Service as FlightService>::DoExchangeStream;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.service.handshake(request).await.map_err(from_protocol)
    }

    /// None: rows come from commands.
    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Ok(Response::new(Box::pin(stream::empty())))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        command(&request.get_ref().cmd).map_err(status)?;
        self.service.get_flight_info(request).await.map_err(from_protocol)
    }

    /// Everything is planned at once, and run when it is fetched (a CALL is done): the first answer is
    /// the last.
    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let info = self.get_flight_info(request).await?;
        Ok(info.map(|info| {
            let expiration_time = info.endpoint.first().and_then(|endpoint| endpoint.expiration_time);
            PollInfo { info: Some(info), progress: Some(1.0), expiration_time, flight_descriptor: None }
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        match self.schema(&request).await.map_err(status)? {
            Some(schema) => Ok(Response::new(schema)),
            None => {
                let info = self.get_flight_info(request).await?;
                Ok(info.map(|info| SchemaResult { schema: info.schema }))
            }
        }
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        command(&request.get_ref().ticket).map_err(status)?;
        self.service.do_get(request).await.map_err(from_protocol)
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        self.service.do_put(request).await.map_err(from_protocol)
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        self.service.do_action(request).await.map_err(from_protocol)
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let types: Vec<Result<ActionType, Status>> = action_types().map(Ok).collect();
        Ok(Response::new(Box::pin(stream::iter(types))))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(status(not_supported("DoExchange")))
    }
}
