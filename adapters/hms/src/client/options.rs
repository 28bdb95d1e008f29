//! How a metastore is reached.

use std::path::PathBuf;

use crate::thrift::{Limits, Protocol, Transport, Wire};

/// How a metastore is reached.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `thrift://host:port`, tried in order; IPv6 as `thrift://[::1]:9083`; port 9083 when left
    /// out.
    pub uris: Vec<String>,
    /// Longest time for opening a TCP connection (and TLS), per endpoint.
    pub connect_timeout_ms: u64,
    /// Longest time from the first byte of a request to the last byte of its reply, connecting
    /// included.
    pub request_timeout_ms: u64,
    /// Unused connections are closed after this time: each holds a thread of the metastore.
    pub idle_timeout_ms: u64,
    /// Most calls under way at once; fewer while the metastore answers slower than it can.
    pub requests_in_flight_max: usize,
    /// Most calls begun per second, 0 for no limit.
    pub requests_per_second_max: u32,
    /// Framed transport (`hive.metastore.thrift.framed.transport.enabled`).
    pub framed: bool,
    /// Compact protocol (`hive.metastore.thrift.compact.protocol.enabled`).
    pub compact: bool,
    /// TLS (`hive.metastore.use.SSL`); `None` for plain TCP.
    pub tls: Option<TlsOptions>,
    /// User name claimed with `set_ugi` on each new connection; `None` claims nothing.
    pub user: Option<String>,
    /// Groups claimed with it.
    pub groups: Vec<String>,
    /// Bytes of one reply that are accepted. Of the replies under way one is read up to there at a
    /// time, of the others 8 MiB.
    pub reply_bytes_max: usize,
    /// Bytes of one string in a reply that are accepted.
    pub string_bytes_max: usize,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            uris: Vec::new(),
            connect_timeout_ms: 1_000,
            request_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            requests_in_flight_max: 8,
            requests_per_second_max: 0,
            framed: false,
            compact: false,
            tls: None,
            user: None,
            groups: Vec::new(),
            reply_bytes_max: Limits::REPLY.message_bytes_max,
            string_bytes_max: Limits::REPLY.string_bytes_max,
        }
    }
}

impl ClientOptions {
    /// The wire form to speak.
    pub(super) fn wire(&self) -> Wire {
        Wire {
            protocol: if self.compact { Protocol::Compact } else { Protocol::Binary },
            transport: if self.framed { Transport::Framed } else { Transport::Unframed },
        }
    }

    /// What is accepted.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            message_bytes_max: self.reply_bytes_max,
            string_bytes_max: self.string_bytes_max,
            ..Limits::REPLY
        }
    }
}

/// TLS towards a metastore. The server's certificate is always checked.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust; `None` trusts those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// PEM file of a client certificate (chain), with `client_key_file`.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its private key.
    pub client_key_file: Option<PathBuf>,
    /// Name that the server's certificate must carry; `None` takes the host of the URI.
    pub server_name: Option<String>,
}
