//! A CALL takes effect exactly once: while it is planned, or in an update; whatever the client does
//! with the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, ProstMessageExt};
use futures::future::join_all;
use parking_lot::Mutex;
use skep_catalog::control::{Control, MetastoreOptions, State};
use skep_catalog::fault::Fault;
use skep_catalog::journal::Folder;
use skep_catalog::ports::SystemClock;
use skep_flight::Protection;
use skep_query::procedures::{Effect, Host, KnownSetting};
use skep_query::{EngineOptions, Procedures};
use tonic::Request;

use crate::fixture::{Served, client, code, descriptor, fetch, rows, schema, status};

/// One setting that takes any value, and how often the process was to be settled.
#[derive(Default)]
struct TestHost {
    settled: Mutex<usize>,
}

#[async_trait::async_trait]
impl Host for TestHost {
    fn setting(&self, name: &str) -> Result<KnownSetting, Fault> {
        Ok(KnownSetting { name: name.to_owned(), value: None, origin: "default" })
    }
    fn check_setting(&self, _: &str, value: &str) -> Result<String, Fault> {
        Ok(value.to_owned())
    }
    fn configured(&self) -> Vec<String> {
        Vec::new()
    }
    fn check_metastore(&self, _: &str, _: &MetastoreOptions, _: &State) -> Result<(), Fault> {
        Ok(())
    }
    fn check_backup(&self, path: &str) -> Result<String, Fault> {
        Ok(path.to_owned())
    }
    fn follows(&self) -> bool {
        false
    }
    async fn perform(self: Arc<Self>, _: Effect) -> Result<String, Fault> {
        *self.settled.lock() += 1;
        Ok(String::new())
    }
}

struct Called {
    served: Served,
    host: Arc<TestHost>,
}

impl Called {
    async fn start() -> Self {
        let served = Served::start().await;
        let host = take_calls(&served);
        Self { served, host }
    }

    fn effects(&self) -> usize {
        *self.host.settled.lock()
    }
}

fn take_calls(served: &Served) -> Arc<TestHost> {
    let salt = AtomicU64::new(1);
    let disk = Box::new(Folder::open(served.folder.path().join("journal")).unwrap());
    let control = Control::open(disk, move || salt.fetch_add(1, Ordering::Relaxed)).unwrap().0;
    let host = Arc::new(TestHost::default());
    let of_engine = Arc::clone(&host);
    served.engine.set_procedures(Procedures { control: Arc::new(control), host: of_engine });
    host
}

fn set(value: &str) -> String {
    format!("CALL ops.set_setting(name => 'x', value => '{value}')")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_one_effect_however_its_answer_is_fetched() {
    let called = Called::start().await;
    let mut client = called.served.client().await;
    let told = client.execute(set("1"), None).await.unwrap();
    assert_eq!(called.effects(), 1, "it is done although nobody fetches");
    let (schema_of_rows, first) = fetch(&mut client, &told).await.unwrap();
    assert_eq!(*schema_of_rows, schema(&told.schema));
    let (_, second) = fetch(&mut client, &told).await.unwrap();
    assert_eq!(first, second);
    // A client that plans and leaves.
    client.execute(set("2"), None).await.unwrap();
    drop(client);
    assert_eq!(called.effects(), 2);
    let mut client = called.served.client().await;
    let audit = rows(&mut client, "SELECT status FROM runtime.audit_log").await.unwrap();
    assert_eq!(audit, [["applied"], ["applied"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn preparing_and_asking_for_the_schema_do_nothing() {
    let called = Called::start().await;
    let mut client = called.served.client().await;
    let mut prepared = client.prepare(set("?").replace("'?'", "?"), None).await.unwrap();
    let columns = prepared.dataset_schema().unwrap().clone();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 1);
    let command = CommandStatementQuery { query: set("1"), transaction_id: None };
    let asked = client.inner_mut().get_schema(Request::new(descriptor(&command.as_any()))).await.unwrap();
    assert_eq!(schema(&asked.into_inner().schema), columns);
    let explain = format!("EXPLAIN {}", set("1"));
    let explained = rows(&mut client, &explain).await.unwrap();
    assert!(explained.iter().any(|row| row[0] == "status" && row[1] == "applied"), "{explained:?}");
    assert_eq!(called.effects(), 0);
    let value = Arc::new(StringArray::from(vec!["7"])) as ArrayRef;
    prepared.set_parameters(RecordBatch::try_from_iter([("0", value)]).unwrap()).unwrap();
    let told = prepared.execute().await.unwrap();
    assert_eq!((called.effects(), schema(&told.schema)), (1, columns));
    let (_, answer) = fetch(&mut client, &told).await.unwrap();
    assert_eq!(answer[0].num_rows(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sent_as_an_update_tells_how_many_objects_it_was_about() {
    let called = Called::start().await;
    let mut client = called.served.client().await;
    assert_eq!(client.execute_update(set("1"), None).await.unwrap(), 1);
    let mut prepared = client.prepare("CALL ops.set_setting('x', ?)".to_owned(), None).await.unwrap();
    let value = Arc::new(StringArray::from(vec!["2"])) as ArrayRef;
    prepared.set_parameters(RecordBatch::try_from_iter([("0", value)]).unwrap()).unwrap();
    assert_eq!(prepared.execute_update().await.unwrap(), 1);
    assert_eq!(called.effects(), 2);
    let refused = status(client.execute_update("SELECT 1".to_owned(), None).await.unwrap_err());
    assert_eq!(code(&refused), "SQL_READ_ONLY");
    let command = CommandStatementUpdate { query: set("3"), transaction_id: Some("t".into()) };
    let sent = arrow_flight::FlightData::new().with_descriptor(descriptor(&command.as_any()));
    let refused = client.inner_mut().do_put(Request::new(futures::stream::iter([sent]))).await.err().unwrap();
    assert_eq!((code(&refused), called.effects()), ("NOT_SUPPORTED".to_owned(), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_from_eight_clients_is_one_effect() {
    let called = Called::start().await;
    let sql = "CALL ops.set_setting(name => 'x', value => '1', idempotency_key => 'k')";
    let calls = (0..8).map(|_| async {
        let mut client = called.served.client().await;
        let row = rows(&mut client, sql).await.unwrap().remove(0);
        (row[0].clone(), row[2].clone())
    });
    let answers = join_all(calls).await;
    assert_eq!(called.effects(), 1);
    assert!(answers.iter().all(|(call_id, _)| *call_id == answers[0].0), "{answers:?}");
    assert_eq!(answers.iter().filter(|(_, status)| status == "applied").count(), 1);
    assert_eq!(answers.iter().filter(|(_, status)| status == "replayed").count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_there_after_a_restart_too() {
    let called = Called::start().await;
    let mut before = called.served.client().await;
    let told = before.execute(set("1"), None).await.unwrap();
    let (_, answer) = fetch(&mut before, &told).await.unwrap();
    drop(before);
    let Served { engine, catalog, door, folder } = called.served;
    assert!(door.close(std::time::Duration::from_secs(60)).await);
    drop((engine, catalog, called.host));
    // Another process with the same folder.
    let (options, clock) = (EngineOptions::default(), Arc::new(SystemClock));
    let again = Served::start_in(folder, options, Protection::default(), clock).await;
    let host = take_calls(&again);
    let mut after = client(&again.door).await;
    assert_eq!(fetch(&mut after, &told).await.unwrap().1, answer);
    assert_eq!(*host.settled.lock(), 0);
    let audit = rows(&mut after, "SELECT status FROM runtime.audit_log").await.unwrap();
    assert_eq!(audit, [["applied"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_refused_has_no_ticket_and_a_code() {
    let called = Called::start().await;
    let mut client = called.served.client().await;
    for (sql, expected) in [
        ("CALL ops.nothing()", "CALL_INVALID"),
        ("CALL ops.set_setting(name => 'x')", "CALL_INVALID"),
        ("CALL ops.remove_metastore('x')", "METASTORE_UNKNOWN"),
        ("CALL ops.set_setting(name => 'x', value => '1', expected_version => 4)", "CALL_CONFLICT"),
        ("CALL ops.refresh_metastore('x')", "METASTORE_UNKNOWN"),
    ] {
        let refused = status(client.execute(sql.to_owned(), None).await.unwrap_err());
        assert_eq!(code(&refused), expected, "{sql}");
    }
    assert_eq!(called.effects(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_leaves_one_effect_or_none() {
    let called = Called::start().await;
    for number in 0..20_u64 {
        let mut client = called.served.client().await;
        let sql = set(&number.to_string());
        let leaves = std::time::Duration::from_micros(number * 700);
        // Whether it gets an answer is not the question.
        let _ = tokio::time::timeout(leaves, client.execute(sql, None)).await;
    }
    // What is under way is ended: nothing of it is half done.
    crate::fixture::eventually("the end of all calls", async || {
        called.served.engine.statements_under_way() == 0
    })
    .await;
    let mut client = called.served.client().await;
    let sql =
        "SELECT count(*), count(DISTINCT arguments['value']) FROM runtime.audit_log WHERE status = 'applied'";
    let counted = rows(&mut client, sql).await.unwrap();
    assert_eq!(counted[0][0], counted[0][1]);
    assert_eq!(counted[0][0], called.effects().to_string());
}
