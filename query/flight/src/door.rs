//! The door itself: listens, bounds connections, answers calls, stops gracefully.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use skep_catalog::fault::{Code, Fault};
use skep_query::Engine;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Server;

use crate::auth::Auth;
use crate::auth::gate::GateLayer;
use crate::auth::users::User;
use crate::calls::Calls;
use crate::connection::connections;
use crate::execution::Executor;
use crate::limits::{
    CERTIFICATES_INTERVAL, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    STREAMS_PER_CONNECTION_MAX,
};
use crate::seal::Key;
use crate::tls::{Tls, TlsFiles};

/// Key of the config that opens the door without protection.
pub const INSECURE_KEY: &str = "insecure_listen_without_tls_or_users";

/// Time for connections that were cut off to be gone.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// The address to listen on, when it is one that may be: others than those of loopback need TLS and
/// users, unless that is waived.
///
/// Errors: why not, and what to do.
pub fn check_listen(
    listen: &str,
    is_protected: bool,
    is_waived: bool,
) -> Result<SocketAddr, (String, String)> {
    let address: SocketAddr = listen.parse().map_err(|_| {
        let fix = "Write an IP address and a port, such as 127.0.0.1:32010 or [::1]:32010.";
        (format!("\"{listen}\" is no address to listen on"), fix.to_owned())
    })?;
    if !address.ip().is_loopback() && !is_protected && !is_waived {
        let why = format!(
            "\"{listen}\" can be reached from other machines, and TLS and users are not both configured"
        );
        let fix = format!(
            "Add [flight.tls] and [[flight.user]], or listen on 127.0.0.1; {INSECURE_KEY} = true listens all the \
             same, and lets everybody who reaches it do everything when there are no users."
        );
        return Err((why, fix));
    }
    Ok(address)
}

/// How the door is protected.
#[derive(Clone, Debug)]
pub struct Protection {
    /// TLS; `None` for plain connections.
    pub tls: Option<TlsFiles>,
    /// Who may come in; everybody when there are none.
    pub users: Vec<User>,
    /// How long a bearer token is good, in ms.
    pub bearer_lifetime_ms: u64,
}

impl Default for Protection {
    fn default() -> Self {
        Self { tls: None, users: Vec::new(), bearer_lifetime_ms: 12 * 3_600_000 }
    }
}

impl Protection {
    /// Whether its certificates can be used, before anything depends on it.
    ///
    /// Errors: `CONFIG_UNREADABLE`, `CONFIG_INVALID`.
    pub fn check(&self) -> Result<(), Fault> {
        self.tls.clone().map(Tls::new).transpose().map(drop)
    }
}

/// A door that listens and lets nobody in yet: who connects waits.
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

/// A door that is open.
pub struct OpenDoor {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Cuts every connection off.
    cut: watch::Sender<bool>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    auth: Arc<Auth>,
    tls: Option<Arc<Tls>>,
    watching: Option<JoinHandle<()>>,
}

impl Door {
    /// Listens.
    ///
    /// Errors: `PORT_TAKEN`, also for an address that cannot be listened on for another reason.
    pub async fn listen(address: SocketAddr) -> Result<Self, Fault> {
        let refused = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => "another process listens there already".to_owned(),
                _ => error.to_string(),
            };
            Fault::new(Code::PORT_TAKEN, format!("SQL door on {address}"), why)
                .with_fix("Stop what listens there, or change flight.listen in the config.")
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it listens: with the port that was found when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls from now on, on the runtime of the caller.
    ///
    /// Errors: `CONFIG_UNREADABLE` and `CONFIG_INVALID` for certificates, `INTERNAL`.
    pub fn open(self, engine: Arc<Engine>, key: Key, protection: Protection) -> Result<OpenDoor, Fault> {
        let Protection { tls, users, bearer_lifetime_ms } = protection;
        let tls = tls.map(Tls::new).transpose()?.map(Arc::new);
        let clock = Arc::clone(engine.catalog().clock());
        let auth = Arc::new(Auth::new(users, bearer_lifetime_ms, key.clone(), clock)?);
        let calls = Calls::new(Executor::new(engine, key)?);
        let service = FlightServiceServer::new(calls)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let (stop, stopped) = oneshot::channel::<()>();
        let (cut, is_cut) = watch::channel(false);
        let serving = Server::builder()
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .layer(GateLayer(Arc::clone(&auth)))
            .add_service(service)
            .serve_with_incoming_shutdown(connections(self.listener, tls.clone(), is_cut), async {
                // Dropping the door stops it too.
                let _ = stopped.await;
            });
        let watching = tls.clone().map(|tls| tokio::spawn(watch(tls)));
        let serving = tokio::spawn(serving);
        Ok(OpenDoor { address: self.address, stop, cut, serving, auth, tls, watching })
    }
}

impl OpenDoor {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How clients write its scheme.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "grpc+tls" } else { "grpc" }
    }

    /// From now on these users. Calls under way go on; bearer tokens of who is not there any more, or
    /// has another password, are good no more.
    pub fn set_users(&self, users: Vec<User>) {
        self.auth.set_users(users);
    }

    /// Reads certificates again, without waiting until it is time to. Blocks for a moment.
    pub fn reload_certificates(&self) {
        if let Some(tls) = &self.tls {
            reload(tls);
        }
    }

    /// Lets nobody in any more, and ends when the last call has ended, at the latest after `grace`;
    /// `false` when connections were cut off then, and the calls on them.
    pub async fn close(mut self, grace: Duration) -> bool {
        // An error means that it ended already.
        let _ = self.stop.send(());
        let is_over = tokio::time::timeout(grace, &mut self.serving).await.is_ok();
        self.cut.send_replace(true);
        if !is_over && tokio::time::timeout(CUT_TIMEOUT, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
        if let Some(watching) = self.watching {
            watching.abort();
        }
        is_over
    }
}

/// Reads certificates again and again: who renews them need not tell.
async fn watch(tls: Arc<Tls>) {
    loop {
        tokio::time::sleep(CERTIFICATES_INTERVAL).await;
        let tls = Arc::clone(&tls);
        // A read that hangs holds up nobody.
        let _ = tokio::task::spawn_blocking(move || reload(&tls)).await;
    }
}

fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(true) => tracing::info!("certificates read again, new connections get them"),
        Ok(false) => {}
        Err(fault) => tracing::error!(%fault, "certificates not read again, the old ones stay in effect"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_loopback_is_listened_on_without_protection() {
        for listen in ["127.0.0.1:0", "[::1]:32010", "127.8.9.1:1"] {
            check_listen(listen, false, false).unwrap();
        }
        for listen in ["0.0.0.0:32010", "[::]:32010", "10.0.0.1:32010", "[fe80::1]:1"] {
            let (why, fix) = check_listen(listen, false, false).unwrap_err();
            assert!(why.contains("TLS") && fix.contains(INSECURE_KEY), "{listen}");
            check_listen(listen, true, false).unwrap();
            check_listen(listen, false, true).unwrap();
        }
        for listen in ["", "32010", "localhost:32010", "127.0.0.1", "127.0.0.1:99999", "grpc://127.0.0.1:1"] {
            assert!(check_listen(listen, true, true).unwrap_err().0.contains("no address"), "{listen}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_one_sentence() {
        let first = Door::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let fault = Door::listen(first.address()).await.err().unwrap();
        assert_eq!(fault.code, Code::PORT_TAKEN);
        assert!(fault.to_string().contains(&first.address().to_string()), "{fault}");
    }
}
