//! One address of a metastore, and how it did.

use std::time::Duration;

use parking_lot::Mutex;
use skep_catalog::change::EndpointStatus;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::ports::{Clock, SystemClock};

const PORT_DEFAULT: u16 = 9083;

pub(super) struct Endpoint {
    pub(super) uri: String,
    pub(super) host: String,
    pub(super) port: u16,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    latency: Option<Duration>,
    last_ok_at: Option<i64>,
    error: Option<String>,
}

impl Endpoint {
    /// Notes how long connecting took.
    pub(super) fn connected(&self, latency: Duration) {
        self.seen.lock().latency = Some(latency);
    }

    pub(super) fn worked(&self) {
        let mut seen = self.seen.lock();
        seen.last_ok_at = Some(SystemClock.now_micros());
        seen.error = None;
    }

    pub(super) fn failed(&self, message: &str) {
        self.seen.lock().error = Some(message.to_owned());
    }

    pub(super) fn status(&self) -> EndpointStatus {
        let seen = self.seen.lock();
        EndpointStatus {
            uri: self.uri.clone(),
            state: match (&seen.error, seen.last_ok_at) {
                (Some(_), _) => "error",
                (None, Some(_)) => "ok",
                (None, None) => "unknown",
            },
            latency_ms: seen.latency.map(|latency| latency.as_secs_f64() * 1e3),
            last_ok_at: seen.last_ok_at,
            error_message: seen.error.clone(),
            found_by: "config",
        }
    }
}

/// Reads the URIs of a metastore.
pub(super) fn parse_all(uris: &[String]) -> Result<Vec<Endpoint>, Fault> {
    if uris.is_empty() {
        return Err(Fault::new(Code::CONFIG_INVALID, "uris", "the list is empty")
            .with_fix("Name at least one endpoint, such as thrift://host:9083."));
    }
    uris.iter().map(|uri| parse(uri)).collect()
}

fn parse(uri: &str) -> Result<Endpoint, Fault> {
    let bad = |why: &str| {
        Err(Fault::new(Code::CONFIG_INVALID, format!("uri {uri:?}"), why)
            .with_fix("Write it as thrift://host:port, IPv6 addresses as thrift://[::1]:9083."))
    };
    let Some(authority) = uri.strip_prefix("thrift://") else {
        return bad("it does not begin with thrift://");
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) => match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => return bad("after ] only :port may follow"),
            },
            None => return bad("the address has no closing ]"),
        },
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return bad("an IPv6 address must stand in [ ]"),
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#', ' ', ',']) {
        return bad("the host is not a name or address");
    }
    let port = match port.map_or(Ok(PORT_DEFAULT), str::parse) {
        Ok(0) | Err(_) => return bad("the port is not a number from 1 to 65535"),
        Ok(port) => port,
    };
    Ok(Endpoint { uri: uri.to_owned(), host: host.to_owned(), port, seen: Mutex::default() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn uris_are_read_with_ports_and_ipv6() {
        let read = |uri: &str| parse(uri).map(|e| (e.host, e.port)).unwrap();
        assert_eq!(read("thrift://hms1.example:9084"), ("hms1.example".to_owned(), 9084));
        assert_eq!(read("thrift://hms1/"), ("hms1".to_owned(), 9083));
        assert_eq!(read("thrift://[::1]:1"), ("::1".to_owned(), 1));
        assert_eq!(read("thrift://[fe80::1]"), ("fe80::1".to_owned(), 9083));
    }

    #[test]
    fn bad_uris_are_named() {
        for uri in [
            "",
            "http://a:1",
            "thrift://",
            "thrift://:1",
            "thrift://a:0",
            "thrift://a:70000",
            "thrift://a:b",
            "thrift://::1:9083",
            "thrift://[::1",
            "thrift://[::1]9",
            "thrift://a:1,thrift://b:2",
        ] {
            let fault = parse(uri).err().unwrap();
            assert_eq!(fault.code, Code::CONFIG_INVALID, "{uri}");
            assert!(fault.what.contains(uri), "{fault}");
        }
    }
}
