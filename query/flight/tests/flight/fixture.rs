//! A door on an engine on a catalog of its own, and clients.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::Any;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{Action, FlightDescriptor, FlightInfo, IpcMessage, Ticket};
use futures::TryStreamExt;
use prost::Message;
use skep_catalog::ports::{Clock, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_flight::{Door, Key, OpenDoor, Protection};
use skep_hms::HmsDecoder;
use skep_query::{Engine, EngineOptions};
use tonic::Status;
use tonic::transport::Channel;

pub type Client = FlightSqlServiceClient<Channel>;

/// Rows without end, as far as a test is concerned.
pub const ENDLESS: &str =
    "SELECT a.comment || b.comment AS c FROM docs.columns a, docs.columns b, docs.columns c";

pub struct Served {
    pub engine: Arc<Engine>,
    pub catalog: Arc<Catalog>,
    pub door: OpenDoor,
    pub folder: tempfile::TempDir,
}

impl Served {
    pub async fn start() -> Self {
        Self::start_with(EngineOptions { threads: 2, ..EngineOptions::default() }).await
    }

    pub async fn start_with(options: EngineOptions) -> Self {
        Self::start_as(options, Protection::default(), Arc::new(SystemClock)).await
    }

    pub async fn start_as(options: EngineOptions, protection: Protection, clock: Arc<dyn Clock>) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options, protection, clock).await
    }

    /// On what is in a folder already.
    pub async fn start_in(
        folder: tempfile::TempDir,
        options: EngineOptions,
        protection: Protection,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (store, decoder) = (StoreOptions::default(), Arc::new(HmsDecoder));
        let (catalog, _) = Catalog::open(&folder.path().join("data"), store, decoder, clock).unwrap();
        let engine = Arc::new(Engine::new(Arc::clone(&catalog), options).unwrap());
        let door = open(&engine, folder.path(), protection).await;
        Self { engine, catalog, door, folder }
    }

    /// Another instance on the same engine, with the same key.
    pub async fn another(&self) -> OpenDoor {
        open(&self.engine, self.folder.path(), Protection::default()).await
    }

    /// Makes these the metastores of the catalog: what `federation.metastores` shows.
    pub fn declare(&self, names: &[&str]) {
        let settings = names.iter().map(|name| MetastoreSettings {
            name: (*name).to_owned(),
            uris: vec![format!("thrift://{name}:9083")],
            follow: "auto".to_owned(),
            origin: "config",
        });
        self.catalog.declare(&settings.collect::<Vec<_>>()).unwrap();
    }

    pub async fn client(&self) -> Client {
        client(&self.door).await
    }
}

async fn open(engine: &Arc<Engine>, folder: &std::path::Path, protection: Protection) -> OpenDoor {
    let door = Door::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let key = Key::in_file(&folder.join("key")).unwrap();
    door.open(Arc::clone(engine), key, protection).unwrap()
}

pub async fn client(door: &OpenDoor) -> Client {
    let channel = Channel::from_shared(format!("http://{}", door.address())).unwrap();
    FlightSqlServiceClient::new(channel.connect().await.unwrap())
}

pub fn ticket(info: &FlightInfo) -> Ticket {
    assert_eq!(info.endpoint.len(), 1);
    assert!(info.endpoint[0].location.is_empty());
    info.endpoint[0].ticket.clone().unwrap()
}

/// Schema and rows behind an info.
pub async fn fetch(client: &mut Client, info: &FlightInfo) -> Result<(SchemaRef, Vec<RecordBatch>), Status> {
    let mut stream: FlightRecordBatchStream = client.do_get(ticket(info)).await.map_err(status)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await.map_err(status)? {
        assert_ne!(batch.num_rows(), 0, "an empty batch ends the rows for older JDBC drivers");
        batches.push(batch);
    }
    Ok((stream.schema().cloned().unwrap(), batches))
}

/// Rows of a statement as texts, NULL as `-`.
pub async fn rows(client: &mut Client, sql: &str) -> Result<Vec<Vec<String>>, Status> {
    let info = client.execute(sql.to_owned(), None).await.map_err(status)?;
    Ok(texts(&fetch(client, &info).await?.1))
}

pub fn texts(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect());
        }
    }
    rows
}

pub fn status(error: impl Into<FlightError>) -> Status {
    match error.into() {
        FlightError::Tonic(status) => *status,
        other => panic!("not a status: {other}"),
    }
}

/// The stable code of an error, which its text begins with.
pub fn code(status: &Status) -> String {
    let code = status.metadata().get("skep-code").unwrap_or_else(|| panic!("no code: {status:?}"));
    let code = code.to_str().unwrap().to_owned();
    assert!(status.message().starts_with(&format!("{code}: ")), "{status:?}");
    assert!(status.message().contains(". Fix: "), "{status:?}");
    code
}

pub fn schema(bytes: &bytes::Bytes) -> Schema {
    IpcMessage(bytes.clone()).try_into().unwrap()
}

pub fn descriptor(any: &Any) -> FlightDescriptor {
    FlightDescriptor::new_cmd(any.encode_to_vec())
}

/// The first result of an action, and the cookie that it sets.
pub async fn act(
    client: &mut Client,
    name: &str,
    body: Vec<u8>,
    cookie: Option<&str>,
) -> Result<(Option<bytes::Bytes>, Option<String>), Status> {
    let mut request = tonic::Request::new(Action::new(name, body));
    if let Some(cookie) = cookie {
        request.metadata_mut().insert("cookie", cookie.parse().unwrap());
    }
    let response = client.inner_mut().do_action(request).await?;
    let cookie = response.metadata().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
    let result = response.into_inner().message().await?;
    Ok((result.map(|result| result.body), cookie))
}

/// Waits until a condition holds; the test fails when it does not within a minute.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..6_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}
