//! A relay between a client and a server that notes what went through, and a client that sends
//! the same requests again and throws away the replies: what reading them costs at least.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Outcome;

const BUFFER_BYTES: usize = 256 << 10;
/// A reply that takes longer than this is not the one that was noted.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request and the length of its reply, of a connection.
#[derive(Clone, Debug, Default)]
struct Turn {
    request: Vec<u8>,
    reply_bytes: usize,
}

type Conversations = Arc<Mutex<Vec<Arc<Mutex<Vec<Turn>>>>>>;

/// The relay.
pub struct Tap {
    port: u16,
    server: String,
    conversations: Conversations,
    is_stopped: Arc<AtomicBool>,
}

impl Tap {
    /// Relays to `uri` (`thrift://HOST:PORT`).
    pub fn start(uri: &str) -> Outcome<Self> {
        let server = uri.trim_start_matches("thrift://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let tap = Self { port, server, conversations: Arc::default(), is_stopped: Arc::default() };
        let (server, conversations) = (tap.server.clone(), Arc::clone(&tap.conversations));
        let is_stopped = Arc::clone(&tap.is_stopped);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let turns = Arc::new(Mutex::new(Vec::new()));
                if let (Ok(server), Ok(mut all)) = (TcpStream::connect(&server), conversations.lock()) {
                    all.push(Arc::clone(&turns));
                    // An error is the end of a connection, on either side.
                    std::thread::spawn(move || relay(client, server, &turns));
                }
            }
        });
        Ok(tap)
    }

    /// Where it listens.
    pub fn uri(&self) -> String {
        format!("thrift://127.0.0.1:{}", self.port)
    }

    /// Ends the relay; what it noted can be replayed.
    pub fn stop(self) -> Outcome<Replay> {
        self.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the listener up.
        drop(TcpStream::connect(("127.0.0.1", self.port))?);
        let all = self.conversations.lock().map_err(|_| "the relay panicked")?;
        let mut conversations = Vec::new();
        for turns in all.iter() {
            conversations.push(turns.lock().map_err(|_| "the relay panicked")?.clone());
        }
        conversations.retain(|turns| !turns.is_empty());
        Ok(Replay { server: self.server, conversations })
    }
}

/// Both directions in one thread: a Thrift client asks again only when it has its answer.
fn relay(mut client: TcpStream, mut server: TcpStream, turns: &Mutex<Vec<Turn>>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                if let Ok(mut turns) = turns.lock() {
                    if turns.last().is_none_or(|turn| turn.reply_bytes != 0) {
                        turns.push(Turn::default());
                    }
                    if let Some(turn) = turns.last_mut() {
                        turn.request.extend_from_slice(&buffer[..count]);
                    }
                }
                if to_server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // Nobody may be there any more.
            let _ = to_server.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = server.read(&mut buffer) {
            if let Some(turn) = turns.lock().ok().as_mut().and_then(|turns| turns.last_mut()) {
                turn.reply_bytes += count;
            }
            if client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
    Ok(())
}

/// What went through a relay.
pub struct Replay {
    server: String,
    conversations: Vec<Vec<Turn>>,
}

impl Replay {
    /// Requests noted.
    pub fn requests(&self) -> usize {
        self.conversations.iter().map(Vec::len).sum()
    }

    /// Connections noted.
    pub fn connections(&self) -> usize {
        self.conversations.len()
    }

    /// Sends every request again, on as many connections as there were, each next one when its
    /// reply is there; gives the bytes thrown away.
    pub fn run(&self) -> Outcome<u64> {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                self.conversations.iter().map(|turns| scope.spawn(|| self.converse(turns))).collect();
            let mut total = 0;
            for thread in threads {
                total += thread.join().map_err(|_| "a connection panicked")??;
            }
            Ok(total)
        })
    }

    fn converse(&self, turns: &[Turn]) -> Outcome<u64> {
        let mut stream = TcpStream::connect(&self.server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut total = 0;
        for turn in turns {
            stream.write_all(&turn.request)?;
            let mut left = turn.reply_bytes;
            while left != 0 {
                let room = left.min(buffer.len());
                match stream.read(&mut buffer[..room]) {
                    Ok(0) => return Err("the server closed the connection".into()),
                    Ok(count) => left -= count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            total += turn.reply_bytes as u64;
        }
        Ok(total)
    }
}
