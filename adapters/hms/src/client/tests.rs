#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::thrift::{Limits, Message, MessageDecoder, MessageType, Wire, encode_message};

/// What the server of a test does with a message: bytes to send, one chunk at a time, with a
/// pause between chunks; then the connection stays open, or is closed.
struct Answer {
    chunks: Vec<Vec<u8>>,
    pause: Duration,
    closes: bool,
}

impl Answer {
    fn now(bytes: Vec<u8>) -> Self {
        Self { chunks: vec![bytes], pause: Duration::ZERO, closes: false }
    }
}

/// The well-behaved answer.
fn echo(message: &Message, sequence_id: i32) -> Vec<u8> {
    encode_message(message.wire, &message.name, MessageType::Reply, sequence_id, &message.body)
        .unwrap()
        .to_vec()
}

fn good(message: &Message) -> Answer {
    Answer::now(echo(message, message.sequence_id))
}

async fn serve_connection<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: impl Fn(&Message) -> Answer,
) {
    let mut decoder = MessageDecoder::detecting(Limits::REQUEST);
    loop {
        while let Some(message) = decoder.next().unwrap() {
            let answer = answer(&message);
            for chunk in answer.chunks {
                if stream.write_all(&chunk).await.is_err() {
                    return;
                }
                tokio::time::sleep(answer.pause).await;
            }
            if answer.closes {
                return;
            }
        }
        if stream.read_buf(decoder.buffer()).await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// Serves on a free port; gives the URI.
async fn serve<F: Fn(&Message) -> Answer + Clone + Send + 'static>(answer: F) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(serve_connection(stream, answer));
        }
    });
    uri
}

fn options(uris: &[&str]) -> ClientOptions {
    ClientOptions {
        uris: uris.iter().map(|&uri| uri.to_owned()).collect(),
        request_timeout_ms: 300,
        ..ClientOptions::default()
    }
}

fn client(uri: &str) -> Client {
    Client::new("dc1", options(&[uri])).unwrap()
}

async fn fault_of(client: &Client) -> Fault {
    let error = client.call("get_table", &[0]).await.unwrap_err();
    client.fault("get_table", error)
}

/// A port that nobody listens on.
async fn closed_uri() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port())
}

#[tokio::test]
async fn every_wire_form_is_spoken() {
    let uri = serve(good).await;
    for (framed, compact) in [(false, false), (true, false), (false, true), (true, true)] {
        let client = Client::new("dc1", ClientOptions { framed, compact, ..options(&[&uri]) }).unwrap();
        let mut writer = crate::thrift::Writer::new();
        writer.field_string(1, "hello");
        let body = writer.finish_struct();
        assert_eq!(**client.call("get_table", &body).await.unwrap(), *body);
        assert_eq!(**client.call("get_table", &body).await.unwrap(), *body);
    }
}

#[tokio::test]
async fn a_hanging_metastore_is_cut_at_the_deadline() {
    let uri = serve(|_| Answer { chunks: vec![], pause: Duration::ZERO, closes: false }).await;
    let fault = fault_of(&client(&uri)).await;
    assert_eq!(fault.code, Code::METASTORE_SLOW);
    assert!(
        fault.to_string().contains("metastore dc1: get_table") && fault.why.contains("300 ms"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_trickling_metastore_is_cut_at_the_deadline() {
    let uri = serve(|message| {
        let chunks = echo(message, message.sequence_id).into_iter().map(|byte| vec![byte]).collect();
        Answer { chunks, pause: Duration::from_millis(50), closes: false }
    })
    .await;
    let fault = fault_of(&client(&uri)).await;
    assert_eq!(fault.code, Code::METASTORE_SLOW);
    assert!(fault.why.contains("bytes came"), "{fault}");
}

#[tokio::test]
async fn giving_up_asks_a_late_metastore_once() {
    let uri = serve(|_| Answer { chunks: vec![], pause: Duration::ZERO, closes: false }).await;
    let client = client(&uri);
    client.give_up_after_deadline(true);
    let calls = (0..200).map(|_| fault_of(&client));
    // 200 calls at 8 at once would take 25 deadlines.
    let faults =
        tokio::time::timeout(Duration::from_secs(5), futures::future::join_all(calls)).await.unwrap();
    assert!(faults.iter().all(|fault| fault.code == Code::METASTORE_SLOW));
    assert!(faults.iter().any(|fault| fault.why.contains("not asked again")));
    client.give_up_after_deadline(false);
    assert!(!fault_of(&client).await.why.contains("not asked again"));
}

#[tokio::test]
async fn a_reply_cut_off_is_an_error_that_says_where() {
    let uri = serve(|message| {
        let mut bytes = echo(message, message.sequence_id);
        bytes.pop();
        Answer { closes: true, ..Answer::now(bytes) }
    })
    .await;
    let fault = fault_of(&client(&uri)).await;
    assert_eq!(fault.code, Code::METASTORE_CLOSED);
    assert!(fault.why.contains("bytes of the reply"), "{fault}");
}

#[tokio::test]
async fn malformed_replies_name_metastore_method_and_reason() {
    let reply = |body: &[u8]| {
        encode_message(Wire::default(), "get_table", MessageType::Reply, 1, body).unwrap().to_vec()
    };
    let with = |kind: u8, count: i32| [&[kind, 0, 0, 12][..], &count.to_be_bytes()].concat();
    let cases = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "HTTP"),
        (reply(&with(15, i32::MAX)), "2147483647"),
        (reply(&with(15, -1)), "negative"),
        (reply(&[99, 0, 0]), "99 is not a Thrift type"),
        (reply(&[12, 0, 1].repeat(70)), "nesting depth"),
        (
            encode_message(Wire::default(), "other", MessageType::Reply, 1, &[0]).unwrap().to_vec(),
            "\"other\"",
        ),
        (
            encode_message(Wire::default(), "get_table", MessageType::Reply, 9, &[0]).unwrap().to_vec(),
            "sequence id 9",
        ),
        (encode_message(Wire::default(), "get_table", MessageType::Call, 1, &[0]).unwrap().to_vec(), "Call"),
    ];
    for (bytes, reason) in cases {
        let uri = serve(move |_| Answer::now(bytes.clone())).await;
        let fault = fault_of(&client(&uri)).await;
        assert_eq!(fault.code, Code::METASTORE_MALFORMED, "{fault}");
        assert!(fault.what.contains("dc1") && fault.what.contains("get_table"), "{fault}");
        assert!(fault.why.contains(reason), "{fault}");
    }
}

#[tokio::test]
async fn calls_go_to_the_endpoint_that_works() {
    let (dead, cut) = (closed_uri().await, serve(|_| Answer { closes: true, ..Answer::now(vec![]) }).await);
    let live = serve(good).await;
    let client = Client::new("dc1", options(&[&dead, &cut, &live])).unwrap();
    assert_eq!(**client.call("get_table", &[0]).await.unwrap(), [0]);
    let states: Vec<_> = client.endpoints().iter().map(|endpoint| endpoint.state).collect();
    assert_eq!(states, ["error", "error", "ok"]);
    assert_eq!(client.endpoint_uri(), live);
    let fault = fault_of(&Client::new("dc1", options(&[&dead])).unwrap()).await;
    assert_eq!(fault.code, Code::METASTORE_UNREACHABLE);
    assert!(fault.why.contains(&dead), "{fault}");
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let uri = serve(|message| Answer { closes: true, ..good(message) }).await;
    let client = client(&uri);
    for _ in 0..5 {
        assert_eq!(**client.call("get_table", &[0]).await.unwrap(), [0]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let uri = serve(good).await;
    let client = Client::new("dc1", ClientOptions { idle_timeout_ms: 50, ..options(&[&uri]) }).unwrap();
    client.call("get_table", &[0]).await.unwrap();
    assert_eq!(client.inner.idle.lock().len(), 1);
    tokio::time::timeout(Duration::from_secs(5), async {
        while !client.inner.idle.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_user_is_claimed_before_the_first_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let uri = serve(move |message| {
        log.lock().push(message.name.clone());
        Answer::now(
            encode_message(message.wire, &message.name, MessageType::Reply, message.sequence_id, &[0])
                .unwrap()
                .to_vec(),
        )
    })
    .await;
    let client =
        Client::new("dc1", ClientOptions { user: Some("skep".to_owned()), ..options(&[&uri]) }).unwrap();
    client.call("get_table", &[0]).await.unwrap();
    client.call("get_table", &[0]).await.unwrap();
    assert_eq!(*seen.lock(), ["set_ugi", "get_table", "get_table"]);
}

#[tokio::test]
async fn exceptions_keep_the_connection() {
    let uri = serve(|message| {
        let body = ApplicationException::new(ExceptionKind::UnknownMethod, "Invalid method name").encode();
        Answer::now(
            encode_message(message.wire, &message.name, MessageType::Exception, message.sequence_id, &body)
                .unwrap()
                .to_vec(),
        )
    })
    .await;
    let client = client(&uri);
    assert_eq!(fault_of(&client).await.code, Code::METASTORE_METHOD_MISSING);
    assert_eq!(client.inner.idle.lock().len(), 1);
}

#[tokio::test]
async fn tls_checks_the_certificate_and_its_name() {
    let key = rcgen::generate_simple_self_signed(vec!["hms.example".to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("skep-hms-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let ca_file = folder.join("ca.pem");
    std::fs::write(&ca_file, key.cert.pem()).unwrap();

    let server =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()).into(),
            )
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve_connection(stream, good).await;
                }
            });
        }
    });
    let with =
        |tls: TlsOptions| Client::new("dc1", ClientOptions { tls: Some(tls), ..options(&[&uri]) }).unwrap();
    let named = |name: &str| TlsOptions {
        ca_file: Some(ca_file.clone()),
        server_name: Some(name.to_owned()),
        ..TlsOptions::default()
    };
    assert_eq!(**with(named("hms.example")).call("get_table", &[0]).await.unwrap(), [0]);
    let wrong_name = fault_of(&with(named("other.example"))).await;
    assert_eq!(wrong_name.code, Code::METASTORE_UNREACHABLE);
    assert!(wrong_name.why.contains("TLS"), "{wrong_name}");
    let plain = fault_of(&client(&uri)).await;
    assert!(matches!(plain.code, Code::METASTORE_MALFORMED | Code::METASTORE_CLOSED), "{plain}");
    let missing = TlsOptions { ca_file: Some(folder.join("none.pem")), ..TlsOptions::default() };
    let fault = Client::new("dc1", ClientOptions { tls: Some(missing), ..options(&[&uri]) }).err().unwrap();
    assert_eq!(fault.code, Code::CONFIG_UNREADABLE);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A reply of as many MiB to a first call.
fn large_reply(wire: Wire, method: &str, mebibytes: usize) -> Vec<u8> {
    let mut writer = crate::thrift::Writer::new();
    writer.field_list(0, crate::thrift::Kind::String, mebibytes);
    let text = "x".repeat(1 << 20);
    (0..mebibytes).for_each(|_| writer.string(&text));
    encode_message(wire, method, MessageType::Reply, 1, &writer.finish_struct()).unwrap().to_vec()
}

/// What a [`Stalling`] server sends: far more than sockets hold (32 MiB where Linux is generous)
/// beside what is read without a turn.
const STALLED_MEBIBYTES: usize = 64;

/// A server that keeps the last byte of its large replies to itself; `get_table` it just answers.
struct Stalling {
    uri: String,
    /// Replies that are sent but for their last byte, so that nearly all of them was read.
    begun: Arc<AtomicUsize>,
    /// Whether the last bytes may go out.
    ends: tokio::sync::watch::Sender<bool>,
}

impl Stalling {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let reply = Arc::new(large_reply(Wire::default(), "get_tables", STALLED_MEBIBYTES));
        let begun = Arc::new(AtomicUsize::new(0));
        let (ends, ended) = tokio::sync::watch::channel(false);
        let counter = begun.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (reply, counter, mut ended) = (reply.clone(), counter.clone(), ended.clone());
                tokio::spawn(async move {
                    let mut decoder = MessageDecoder::detecting(Limits::REQUEST);
                    let message = loop {
                        match decoder.next().unwrap() {
                            Some(message) => break message,
                            None => stream.read_buf(decoder.buffer()).await.unwrap(),
                        };
                    };
                    if message.name == "get_table" {
                        stream.write_all(&echo(&message, message.sequence_id)).await.unwrap();
                        return;
                    }
                    let (start, last) = reply.split_at(reply.len() - 1);
                    if stream.write_all(start).await.is_err() {
                        return;
                    }
                    counter.fetch_add(1, Ordering::Relaxed);
                    if ended.wait_for(|is_ended| *is_ended).await.is_ok() {
                        let _ = stream.write_all(last).await;
                    }
                });
            }
        });
        Self { uri, begun, ends }
    }

    /// Waits for the first reply to begin, and lets all others go as far as they can.
    async fn settle(&self) {
        while self.begun.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        // Everything runs on this thread, so that this gives thousands of reads and writes their time.
        for _ in 0..100_000 {
            tokio::task::yield_now().await;
        }
    }
}

/// Eight calls at once for large replies.
fn eight_calls(uri: &str) -> (Client, tokio::task::JoinSet<usize>) {
    let options = ClientOptions {
        request_timeout_ms: 120_000,
        // Half of them are under way at first.
        requests_in_flight_max: 20,
        ..options(&[uri])
    };
    let client = Client::new("dc1", options).unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let client = client.clone();
        calls.spawn(async move { client.call("get_tables", &[0]).await.unwrap().len() });
    }
    (client, calls)
}

#[tokio::test]
async fn large_replies_of_a_metastore_come_one_at_a_time() {
    let server = Stalling::start().await;
    let (client, mut calls) = eight_calls(&server.uri);
    server.settle().await;
    assert_eq!(server.begun.load(Ordering::Relaxed), 1);
    // A small one has no need of a turn.
    assert_eq!(**client.call("get_table", &[0]).await.unwrap(), [0]);
    server.ends.send(true).unwrap();
    while let Some(bytes) = calls.join_next().await {
        assert!(STALLED_MEBIBYTES << 20 < bytes.unwrap());
    }
    assert_eq!(server.begun.load(Ordering::Relaxed), 8);
    assert_eq!(client.inner.opener.turns.available_permits(), 1, "every turn was given back");
}

#[tokio::test]
async fn a_metastore_whose_large_replies_do_not_end_holds_up_no_other() {
    let bad = Stalling::start().await;
    let (_, _calls) = eight_calls(&bad.uri);
    bad.settle().await;
    let uri = serve(|message| Answer::now(large_reply(message.wire, &message.name, 20))).await;
    let good = Client::new("dc2", ClientOptions { request_timeout_ms: 20_000, ..options(&[&uri]) }).unwrap();
    assert!(20 << 20 < good.call("get_tables", &[0]).await.unwrap().len());
}

#[tokio::test]
async fn a_large_reply_without_a_turn_is_told_so() {
    let server = Stalling::start().await;
    let options = ClientOptions { request_timeout_ms: 5_000, ..options(&[&server.uri]) };
    let client = Client::new("dc1", options).unwrap();
    let turn = client.inner.opener.turns.clone().acquire_owned().await.unwrap();
    assert_eq!(**client.call("get_table", &[0]).await.unwrap(), [0]);
    let fault = client.fault("get_tables", client.call("get_tables", &[0]).await.unwrap_err());
    assert_eq!(fault.code, Code::METASTORE_SLOW);
    assert!(fault.why.contains("no turn for the rest of a large reply within 5000 ms"), "{fault}");
    assert!(fault.fix().contains("requests_in_flight_max"), "{fault}");
    drop(turn);
}
