//! The few paths there are, and what they answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::metrics;
use crate::phase::{Phase, Watched};

const TEXT: &str = "text/plain; charset=utf-8";
/// Of OpenMetrics, which Prometheus reads since 2.5.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PATHS: &str = "/metrics  meters, in the text form of OpenMetrics
/livez    200 while the process answers
/readyz   200 when every door is open and every metastore was mirrored once or is in error, else 503
";

/// Answers one request. What is in its body is not read.
pub async fn answer<B>(watched: &Watched, request: &Request<B>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => text(StatusCode::OK, PATHS.to_owned()),
        "/livez" => text(StatusCode::OK, "alive\n".to_owned()),
        "/readyz" => ready(watched),
        "/metrics" => meters(watched).await,
        _ => text(StatusCode::NOT_FOUND, PATHS.to_owned()),
    }
}

fn ready(watched: &Watched) -> Response<Full<Bytes>> {
    match watched.waits_for() {
        waits_for if waits_for.is_empty() => text(StatusCode::OK, "ready\n".to_owned()),
        waits_for => text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", waits_for.join("\n"))),
    }
}

/// On a thread that may block: the size of the store is counted.
async fn meters(watched: &Watched) -> Response<Full<Bytes>> {
    let engine = match watched.phase() {
        Phase::Serving(engine) => Some(engine),
        Phase::Starting | Phase::Ending => None,
    };
    match tokio::task::spawn_blocking(move || metrics::text(engine.as_deref())).await {
        Ok(Ok(meters)) => response(StatusCode::OK, METRICS, meters),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("meters not written: {error}\n")),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("meters not read: {error}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    response(status, TEXT, body)
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
