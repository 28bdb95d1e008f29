//! The layer in front of all calls: whatever their path is, nothing of their bodies is read before
//! it is known who makes them.

use std::sync::Arc;
use std::task::{Context, Poll};

use skep_catalog::fault::Fault;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tower_layer::Layer;

use super::{Admitted, Auth};
use crate::connection::Peer;
use crate::status::status;

const HANDSHAKE: &str = "/arrow.flight.protocol.FlightService/Handshake";

/// The bearer token that a handshake gives.
#[derive(Clone)]
pub struct Issued(pub String);

/// Puts a [`Gate`] in front of a service.
#[derive(Clone)]
pub struct GateLayer(pub Arc<Auth>);

/// See the head of this file.
#[derive(Clone)]
pub struct Gate<S> {
    auth: Arc<Auth>,
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { auth: Arc::clone(&self.0), inner }
    }
}

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<Response<Body>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let auth = Arc::clone(&self.auth);
        // The one that is ready is used, its clone may not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            match admit(&auth, &mut request).await {
                Ok(()) => inner.call(request).await,
                Err(fault) => Ok(status(fault).into_http()),
            }
        })
    }
}

/// Puts who makes a call where [`crate::asker::Asker`] looks, and removes what proves it.
async fn admit(auth: &Auth, request: &mut Request<Body>) -> Result<(), Fault> {
    let peer = request.extensions().get::<Peer>().cloned();
    let peer = peer.ok_or_else(|| Fault::internal("call refused", "nobody knows where it comes from"))?;
    let is_handshake = request.uri().path() == HANDSHAKE;
    let Admitted { caller, bearer } = auth.admit(request.headers(), &peer, is_handshake).await?;
    request.headers_mut().remove(AUTHORIZATION);
    request.extensions_mut().insert(caller);
    if let Some(bearer) = bearer {
        request.extensions_mut().insert(Issued(bearer));
    }
    Ok(())
}
