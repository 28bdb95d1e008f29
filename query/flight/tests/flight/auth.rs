//! Nobody is answered who is not known, whatever they call, and nobody gets what was made for
//! somebody else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{
    CancelFlightInfoRequest, Empty, FlightData, FlightInfo, HandshakeRequest, RenewFlightEndpointRequest,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use skep_catalog::ports::Clock;
use skep_flight::client::{ConnectOptions, Login};
use skep_flight::{Protection, TokenHash, User};
use skep_query::{EngineOptions, Role, Scope};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::fixture::{Client, Served, act, client, code, descriptor, fetch, rows, schema, status};

/// PBKDF2 of `pferd` and of `kuh`, with as few iterations as are allowed.
pub const PFERD: &str =
    "$pbkdf2-sha256$i=10000$BwcHBwcHBwcHBwcHBwcHBw$tVyCeLvUvZMDz2D7cS12Efm6WKosmOi3HZD9HFULdBg";
const KUH: &str = "$pbkdf2-sha256$i=10000$BwcHBwcHBwcHBwcHBwcHBw$/a4E4h8rccC2lariYaei+jqCiRtk4FaaVE812N8rdKw";

pub fn user(name: &str, role: Role) -> User {
    User {
        name: name.to_owned(),
        role,
        scope: Scope::everything(),
        password: None,
        tokens: vec![TokenHash::new(&format!("{name}-token"))],
        certificate_names: Vec::new(),
    }
}

fn users() -> Vec<User> {
    let ann = User { password: Some(PFERD.parse().unwrap()), ..user("ann", Role::Reader) };
    vec![ann, user("bob", Role::Reader), user("carl", Role::Operator)]
}

/// A clock that only the test moves.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Guarded {
    served: Served,
    clock: Arc<Hands>,
}

const LIFETIME_MS: u64 = 60_000;

async fn guarded() -> Guarded {
    let clock = Arc::new(Hands(AtomicI64::new(1_700_000_000_000_000)));
    let protection = Protection { users: users(), bearer_lifetime_ms: LIFETIME_MS, ..Protection::default() };
    let options = EngineOptions { threads: 2, ..EngineOptions::default() };
    Guarded { served: Served::start_as(options, protection, Arc::clone(&clock) as _).await, clock }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

impl Guarded {
    async fn channel(&self) -> Channel {
        let channel = Channel::from_shared(format!("http://{}", self.served.door.address())).unwrap();
        channel.connect().await.unwrap()
    }

    async fn client(&self, token: &str) -> Client {
        let mut client = client(&self.served.door).await;
        client.set_token(token.to_owned());
        client
    }

    /// The bearer token that a handshake gives.
    async fn handshake(&self, authorization: &str) -> Result<Option<String>, Status> {
        let mut client = client(&self.served.door).await;
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
        let answer = client.inner_mut().handshake(request).await?;
        let header = answer.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        Ok(header.map(|text| text.strip_prefix("Bearer ").unwrap().to_owned()))
    }

    /// Values of `authorization` that nobody is to be let in with.
    async fn refused_headers(&self) -> Vec<Option<String>> {
        let bearer = self.handshake(&basic("ann", "pferd")).await.unwrap().unwrap();
        self.clock.0.fetch_add(LIFETIME_MS as i64 * 1_000, Ordering::Relaxed);
        let other = guarded().await;
        let foreign = other.handshake("Bearer ann-token").await.unwrap().unwrap();
        vec![
            None,
            Some("Bearer nonsense".to_owned()),
            Some(format!("Bearer {bearer}")),
            Some(format!("Bearer {foreign}")),
            Some(format!("Bearer {}", TokenHash::new("ann-token"))),
            Some("Bearer anonymous".to_owned()),
            Some(basic("ann", "wrong")),
            Some(basic("nobody", "pferd")),
            Some("Digest ann".to_owned()),
        ]
    }
}

/// The gRPC status that a call of this path without a message has at once; `None` when it is let in.
async fn refusal(channel: &mut Channel, path: &str, authorization: Option<&str>) -> Option<String> {
    let mut request = http::Request::post(format!("http://skep{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let response = channel.call(request.body(Body::empty()).unwrap()).await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    header("grpc-status").inspect(|status| {
        if status == "16" {
            assert_eq!(header("skep-code").as_deref(), Some("UNAUTHENTICATED"));
        }
    })
}

/// The path of every RPC, as the code has it that is generated from the protocol's description.
fn rpcs() -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata = String::from_utf8(metadata.stdout).unwrap();
    let manifest = metadata
        .split('"')
        .find(|text| text.contains("/arrow-flight-") && text.ends_with("/Cargo.toml"))
        .expect("arrow-flight is a dependency");
    let folder = std::path::Path::new(manifest).parent().unwrap();
    let generated = std::fs::read_to_string(folder.join("src/arrow.flight.protocol.rs")).unwrap();
    let paths = generated.split('"').filter(|text| text.starts_with("/arrow.flight.protocol.FlightService/"));
    paths.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_rpc_refuses_everybody_who_is_not_known() {
    let guarded = guarded().await;
    let mut paths = rpcs();
    assert!(10 <= paths.len() && paths.contains("/arrow.flight.protocol.FlightService/DoPut"), "{paths:?}");
    // What there is not is not told either.
    paths.insert("/arrow.flight.protocol.FlightService/NoSuchCall".to_owned());
    paths.insert("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned());
    paths.insert("/".to_owned());
    let mut channel = guarded.channel().await;
    for authorization in guarded.refused_headers().await {
        for path in &paths {
            let refusal = refusal(&mut channel, path, authorization.as_deref()).await;
            assert_eq!(refusal.as_deref(), Some("16"), "{path} {authorization:?}");
        }
    }
    for path in &paths {
        for authorization in ["Bearer bob-token", &basic("ann", "pferd"), &basic("bob", "bob-token")] {
            let refusal = refusal(&mut channel, path, Some(authorization)).await;
            assert_ne!(refusal.as_deref(), Some("16"), "{path} {authorization}");
        }
    }
}

#[tokio::test]
async fn every_action_refuses_everybody_who_is_not_known() {
    let guarded = guarded().await;
    let mut known = guarded.client("bob-token").await;
    let mut request = Request::new(Empty {});
    request.metadata_mut().insert("authorization", "Bearer bob-token".parse().unwrap());
    let listed = known.inner_mut().list_actions(request).await.unwrap().into_inner();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let mut actions: Vec<String> = listed.into_iter().map(|action| action.r#type).collect();
    assert!(actions.contains(&"CreatePreparedStatement".to_owned()));
    // Those of the protocol that skep does not have.
    let others = ["BeginTransaction", "EndTransaction", "BeginSavepoint", "EndSavepoint", "NoSuchAction"];
    actions.extend(others.map(str::to_owned));
    for authorization in guarded.refused_headers().await {
        let mut client = client(&guarded.served.door).await;
        if let Some(value) = &authorization {
            client.set_header("authorization", value);
        }
        for action in &actions {
            let mut request = Request::new(arrow_flight::Action::new(action.as_str(), Vec::new()));
            if let Some(value) = &authorization {
                request.metadata_mut().insert("authorization", value.parse().unwrap());
            }
            let error = client.inner_mut().do_action(request).await.unwrap_err();
            assert_eq!((error.code(), code(&error).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
        }
    }
    for action in &actions {
        if let Err(error) = act_as("bob-token", &mut known, action, Vec::new(), None).await {
            assert_ne!(error.code(), Code::Unauthenticated, "{action}");
        }
    }
}

async fn act_as(
    token: &str,
    client: &mut Client,
    action: &str,
    body: Vec<u8>,
    cookie: Option<&str>,
) -> Result<bytes::Bytes, Status> {
    let mut request = Request::new(arrow_flight::Action::new(action, body));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    if let Some(cookie) = cookie {
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
    }
    let mut results = client.inner_mut().do_action(request).await?.into_inner();
    Ok(results.message().await?.map(|result| result.body).unwrap_or_default())
}

fn is_refused(error: &Status, what: &str) {
    assert_eq!((error.code(), code(error).as_str()), (Code::InvalidArgument, "TICKET_INVALID"), "{what}");
    assert!(error.message().contains("somebody else"), "{what}: {error}");
}

#[tokio::test]
async fn tickets_handles_and_sessions_are_good_for_who_they_were_made_for() {
    let guarded = guarded().await;
    let mut ann = guarded.client("ann-token").await;
    let info = ann.execute("SELECT 1".to_owned(), None).await.unwrap();
    let create = ActionCreatePreparedStatementRequest { query: "SELECT 1".to_owned(), transaction_id: None };
    let body = create.as_any().encode_to_vec();
    let made = act_as("ann-token", &mut ann, "CreatePreparedStatement", body, None).await.unwrap();
    let made: ActionCreatePreparedStatementResult = Any::decode(made).unwrap().unpack().unwrap().unwrap();
    let handle = CommandPreparedStatementQuery { prepared_statement_handle: made.prepared_statement_handle };
    let command = descriptor(&handle.as_any());
    let mut request = Request::new(arrow_flight::Action::new("SetSessionOptions", Vec::new()));
    request.metadata_mut().insert("authorization", "Bearer ann-token".parse().unwrap());
    let answer = ann.inner_mut().do_action(request).await.unwrap();
    let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();

    // An operator is somebody else too.
    for other in ["bob", "carl"] {
        let token = format!("{other}-token");
        let mut client = guarded.client(&token).await;
        is_refused(&fetch(&mut client, &info).await.unwrap_err(), "DoGet");
        let bearer = format!("Bearer {token}");
        let as_other = |message| {
            let mut request = Request::new(message);
            request.metadata_mut().insert("authorization", bearer.parse().unwrap());
            request
        };
        let inner = client.inner_mut();
        is_refused(&inner.get_flight_info(as_other(command.clone())).await.unwrap_err(), "GetFlightInfo");
        is_refused(&inner.poll_flight_info(as_other(command.clone())).await.unwrap_err(), "PollFlightInfo");
        is_refused(&inner.get_schema(as_other(command.clone())).await.unwrap_err(), "GetSchema");
        let put = FlightData::new().with_descriptor(command.clone());
        let mut request = Request::new(stream::iter([put]));
        request.metadata_mut().insert("authorization", bearer.parse().unwrap());
        is_refused(&inner.do_put(request).await.unwrap_err(), "DoPut");
        let renew = RenewFlightEndpointRequest::new(info.endpoint[0].clone()).encode_to_vec();
        let cancel = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
        let older = ActionCancelQueryRequest { info: info.encode_to_vec().into() }.as_any().encode_to_vec();
        let bodies = [("RenewFlightEndpoint", renew), ("CancelFlightInfo", cancel), ("CancelQuery", older)];
        for (action, body) in bodies {
            is_refused(&act_as(&token, &mut client, action, body, None).await.unwrap_err(), action);
        }
        let with_cookie = act_as(&token, &mut client, "GetSessionOptions", Vec::new(), Some(&cookie)).await;
        is_refused(&with_cookie.unwrap_err(), "session");
        client.set_header("cookie", &cookie);
        is_refused(&status(client.execute("SELECT 1".to_owned(), None).await.unwrap_err()), "session");
    }
    // Nothing of that took anything from her.
    assert_eq!(fetch(&mut ann, &info).await.unwrap().1[0].num_rows(), 1);
    act_as("ann-token", &mut ann, "GetSessionOptions", Vec::new(), Some(&cookie)).await.unwrap();
}

#[tokio::test]
async fn a_handshake_gives_a_token_that_is_good_for_a_time_and_while_its_password_is() {
    let guarded = guarded().await;
    let bearer = guarded.handshake(&basic("ann", "pferd")).await.unwrap().unwrap();
    let mut client = guarded.client(&bearer).await;
    let who = "SELECT principal FROM runtime.queries";
    assert_eq!(rows(&mut client, who).await.unwrap(), [["ann"]]);
    assert_eq!(guarded.handshake(&format!("Bearer {bearer}")).await.unwrap(), None);
    let changed = User { password: Some(KUH.parse().unwrap()), ..users().remove(0) };
    guarded.served.door.set_users(vec![changed]);
    assert_eq!(rows(&mut client, who).await.unwrap_err().code(), Code::Unauthenticated);
    let refused = guarded.handshake(&basic("ann", "pferd")).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    let bearer = guarded.handshake(&basic("ann", "kuh")).await.unwrap().unwrap();
    let mut client = guarded.client(&bearer).await;
    assert_eq!(rows(&mut client, who).await.unwrap(), [["ann"]]);
    // The shell logs in again by itself when its token is good no more.
    let login = Login::Password { user: "ann".to_owned(), password: "kuh".to_owned() };
    let options = ConnectOptions { login: Some(login), ..ConnectOptions::default() };
    let uri = format!("grpc://{}", guarded.served.door.address());
    let shell = skep_flight::client::Client::connect(&uri, &options).await.unwrap();
    for _ in 0..3 {
        assert!(shell.query(who).await.unwrap().next().await.unwrap().is_ok());
        guarded.clock.0.fetch_add(LIFETIME_MS as i64 * 1_000, Ordering::Relaxed);
    }
    assert_eq!(rows(&mut client, who).await.unwrap_err().code(), Code::Unauthenticated);
    // Those who left the config are gone at once, and nobody is let in without being asked.
    guarded.served.door.set_users(Vec::new());
    assert_eq!(shell.query(who).await.err().unwrap().code, skep_catalog::fault::Code::UNAUTHENTICATED);
    let mut nobody = client_without(&guarded).await;
    assert_eq!(rows(&mut nobody, who).await.unwrap_err().code(), Code::Unauthenticated);
}

async fn client_without(guarded: &Guarded) -> Client {
    client(&guarded.served.door).await
}

#[tokio::test]
async fn what_a_user_may_see_is_what_its_statements_give_in_every_phase() {
    let west = Scope::new(Some(vec!["we*".to_owned()]), None);
    let ann = User { scope: Arc::new(west), ..user("ann", Role::Reader) };
    let protection = Protection { users: vec![ann, user("bob", Role::Reader)], ..Protection::default() };
    let options = EngineOptions { threads: 2, ..EngineOptions::default() };
    let clock = Arc::new(skep_catalog::ports::SystemClock);
    let served = Served::start_as(options, protection, clock).await;
    served.declare(&["east", "west"]);
    let sql = "SELECT metastore_name FROM federation.metastores ORDER BY 1";
    for (name, expected) in [("ann", vec![["west"]]), ("bob", vec![["east"], ["west"]])] {
        let mut client = served.client().await;
        client.set_token(format!("{name}-token"));
        assert_eq!(rows(&mut client, sql).await.unwrap(), expected);
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(crate::fixture::texts(&fetch(&mut client, &info).await.unwrap().1), expected);
        assert_eq!(schema(&info.schema), *prepared.dataset_schema().unwrap());
    }
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_holds_up_nobody_with_a_token() {
    let guarded = guarded().await;
    let flood = stream::iter(0..200).map(|number| {
        let guarded = &guarded;
        async move { guarded.handshake(&basic("ann", &format!("wrong {number}"))).await.unwrap_err() }
    });
    let flood = flood.buffer_unordered(40).collect::<Vec<_>>();
    let mut bob = guarded.client("bob-token").await;
    let (errors, answered) = tokio::join!(flood, rows(&mut bob, "SELECT 1"));
    assert_eq!(answered.unwrap(), [["1"]]);
    let mut codes = BTreeSet::new();
    for error in &errors {
        codes.insert(code(error));
        let is_one = matches!(error.code(), Code::Unauthenticated | Code::ResourceExhausted);
        assert!(is_one, "{error}");
    }
    assert!(codes.contains("UNAUTHENTICATED"), "{codes:?}");
    assert!(guarded.handshake(&basic("ann", "pferd")).await.is_ok());
}

#[tokio::test]
async fn errors_and_tables_never_show_what_proves_who_asks() {
    let guarded = guarded().await;
    let secrets = ["planted-password", "planted-token", "pferd", "ann-token"];
    let mut told = Vec::new();
    let wrong = [
        basic("ann", "planted-password"),
        basic("planted-password", "x"),
        "Bearer planted-token".to_owned(),
        "planted-token".to_owned(),
    ];
    for authorization in &wrong {
        told.push(format!("{:?}", guarded.handshake(authorization).await.unwrap_err()));
    }
    let bearer = guarded.handshake(&basic("ann", "pferd")).await.unwrap().unwrap();
    let mut admin = guarded.client("carl-token").await;
    let mut ann = guarded.client(&bearer).await;
    let query = CommandStatementQuery { query: "SELEC".to_owned(), transaction_id: None };
    let mut request = Request::new(descriptor(&query.as_any()));
    request.metadata_mut().insert("authorization", basic("ann", "pferd").parse().unwrap());
    told.push(format!("{:?}", ann.inner_mut().get_flight_info(request).await.unwrap_err()));
    rows(&mut ann, "SELECT 1").await.unwrap();
    for table in skep_query::spec::TABLES.iter().filter(|table| table.schema != "docs") {
        let sql = format!("SELECT * FROM {}", table.full_name());
        told.extend(rows(&mut admin, &sql).await.unwrap().concat());
    }
    for secret in secrets.iter().copied().chain([bearer.as_str()]) {
        let found: Vec<_> = told.iter().filter(|text| text.contains(secret)).collect();
        assert!(found.is_empty(), "{secret}: {found:?}");
    }
    let info: FlightInfo = ann.execute("SELECT 1".to_owned(), None).await.unwrap();
    assert!(!String::from_utf8_lossy(&info.encode_to_vec()).contains(&bearer));
}

#[tokio::test]
async fn without_users_everybody_is_anonymous() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let who = "SELECT principal, client FROM runtime.queries";
    let found = rows(&mut client, who).await.unwrap();
    assert_eq!(found[0][0], "anonymous");
    assert!(found[0][1].starts_with("127.0.0.1:"), "{found:?}");
    act(&mut client, "GetSessionOptions", Vec::new(), None).await.unwrap();
}
