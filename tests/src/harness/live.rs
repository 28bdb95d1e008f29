//! skep in this process, as `serve` wires it: mirrors that follow their metastores, and SQL over
//! them at the same time, which no second process could ask while a first one holds the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skep_catalog::mirror::{Mirror, MirrorOptions, Progress};
use skep_catalog::ports::{Source, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_hms::client::ClientOptions;
use skep_query::{Engine, EngineOptions};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::eventually;

/// A metastore to follow.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Name.
    pub name: String,
    /// How it is reached.
    pub client: ClientOptions,
    /// How it is mirrored.
    pub mirror: MirrorOptions,
}

impl Followed {
    /// With short pauses, so that tests need not wait long, and without the passes that would
    /// find by comparison what the events failed to tell.
    pub fn new(name: &str, uri: String) -> Self {
        Self {
            name: name.to_owned(),
            client: ClientOptions { uris: vec![uri], ..ClientOptions::default() },
            mirror: MirrorOptions {
                events_interval_ms: 100,
                poll_interval_ms: 500,
                refresh_interval_ms: 0,
                ..MirrorOptions::default()
            },
        }
    }
}

/// Mirrors under way and an SQL engine over them.
pub struct Live {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    engine: Option<Engine>,
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Opens the catalog in a data folder.
pub fn open_catalog(folder: &Path) -> Arc<Catalog> {
    let decoder = Arc::new(skep_hms::HmsDecoder);
    let opened = Catalog::open(folder, StoreOptions::default(), decoder, Arc::new(SystemClock));
    opened.unwrap_or_else(|fault| panic!("{fault}")).0
}

impl Live {
    /// Follows these metastores into the data folder.
    pub fn follow(folder: &Path, metastores: &[Followed]) -> Self {
        let runtime = Runtime::new().expect("threads can be started");
        let catalog = open_catalog(folder);
        let settings: Vec<MetastoreSettings> = metastores
            .iter()
            .map(|followed| MetastoreSettings {
                name: followed.name.clone(),
                uris: followed.client.uris.clone(),
                follow: "auto".to_owned(),
                origin: "config",
            })
            .collect();
        let ids = catalog.declare(&settings).unwrap_or_else(|fault| panic!("{fault}"));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        for (metastore, followed) in ids.into_iter().zip(metastores) {
            let _inside = runtime.enter();
            let source = skep_hms::HmsSource::new(&followed.name, followed.client.clone());
            let source: Arc<dyn Source> = source.unwrap_or_else(|fault| panic!("{fault}"));
            let mirror = Mirror {
                metastore,
                source,
                catalog: Arc::clone(&catalog),
                options: followed.mirror.clone(),
                progress: Arc::new(Progress::default()),
                asked: Arc::default(),
            };
            let stopped = stopped.clone();
            tasks.push(runtime.spawn(async move { mirror.run(stopped).await }));
        }
        let engine = Engine::new(Arc::clone(&catalog), EngineOptions::default());
        let engine = engine.unwrap_or_else(|fault| panic!("{fault}"));
        Self { catalog, engine: Some(engine), runtime: Some(runtime), stop, tasks }
    }

    /// Rows of a question, as JSON objects without their NULLs.
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        let engine = self.engine.as_ref().expect("the engine lives as long as this value");
        let runtime = self.runtime.as_ref().expect("the runtime lives as long as this value");
        let batches = runtime
            .block_on(async { engine.query(sql).await?.collect().await })
            .unwrap_or_else(|fault| panic!("{sql}: {fault}"));
        let mut writer = skep_query::arrow::json::LineDelimitedWriter::new(Vec::new());
        for batch in &batches {
            writer.write(batch).expect("rows can be written as JSON");
        }
        writer.finish().expect("rows can be written as JSON");
        let text = String::from_utf8(writer.into_inner()).expect("JSON is UTF-8");
        super::skep::json_rows(&text)
    }

    /// The one value of a question that has one.
    pub fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql);
        let first = rows.first().and_then(Value::as_object).and_then(|row| row.values().next());
        first.cloned().unwrap_or(Value::Null)
    }

    /// Waits until a question has exactly one row with this one value.
    pub fn becomes(&self, sql: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        eventually(sql, Duration::from_secs(60), || {
            let value = self.value(sql);
            if value == expected { Ok(()) } else { Err(format!("{value}, not {expected}; {}", self.state())) }
        });
    }

    /// How the mirrors are doing, for the message of a failure.
    fn state(&self) -> String {
        let status = self.rows("SELECT * FROM sync.status");
        let runs = self.rows(
            "SELECT metastore_name, kind, state, error_message FROM sync.runs ORDER BY run_id DESC LIMIT 5",
        );
        let events = self.rows(
            "SELECT event_id, event_type, database_name, table_name FROM sync.events ORDER BY applied_at DESC LIMIT 20",
        );
        format!("status {status:?}; runs {runs:?}; events {events:?}")
    }

    /// Waits until every metastore is followed and nothing waits to be applied.
    pub fn settles(&self) {
        let sql =
            "SELECT count(*) FROM sync.status WHERE state <> 'following' OR coalesce(lag_events, 0) <> 0";
        self.becomes(sql, 0);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Nobody listens when the tasks ended already.
        let _ = self.stop.send(true);
        self.engine = None;
        if let Some(runtime) = self.runtime.take() {
            for task in self.tasks.drain(..) {
                let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), task).await });
            }
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}
