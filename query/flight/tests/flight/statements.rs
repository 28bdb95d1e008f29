//! Statements, planned and then fetched.

use arrow::datatypes::{DataType, Schema};
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, FlightEndpoint, RenewFlightEndpointRequest};
use futures::TryStreamExt;
use prost::Message;
use skep_query::spec::TABLES;
use skep_query::spec::examples::EXAMPLES;
use tonic::Code;

use crate::fixture::{Client, Served, act, client, code, descriptor, fetch, rows, schema, status, ticket};

/// Expressions of every type that there is.
const TYPES: &[&str] = &[
    "SELECT 1, 1.5, 'a', true, NULL, X'00', DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00'",
    "SELECT TIME '01:02:03', INTERVAL '1 day', CAST(1 AS DECIMAL(38, 10)), CAST(1 AS SMALLINT), 1.5::real",
    "SELECT [1, 2], ['a', NULL], 1 IS NULL, now(), current_date, CAST(1 AS INT UNSIGNED)",
    "SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t(n, text) ORDER BY n",
    "SELECT 1 AS a UNION ALL SELECT 2.5",
    "SELECT CASE WHEN table_name = 'x' THEN 1 ELSE 2.5 END AS n, count(*), max(comment) FROM docs.tables GROUP BY 1",
    "SELECT count(*) FROM catalog.partitions",
    "SELECT metastore_name, count(*), sum(row_count) FROM catalog.partitions GROUP BY metastore_name",
    "SELECT array_agg(table_name), string_agg(table_name, ','), first_value(table_name) FROM docs.tables",
    "SELECT table_name, row_number() OVER (ORDER BY table_name) AS n FROM docs.tables LIMIT 3",
    "SELECT a.table_name, b.comment FROM docs.tables a LEFT JOIN docs.tables b ON a.table_name = b.comment",
    "SELECT table_name FROM docs.tables WHERE 1 = 0",
    "EXPLAIN SELECT 1",
    "SHOW TABLES",
    "DESCRIBE catalog.tables",
];

fn assert_plain(data_type: &DataType, sql: &str) {
    let shown = data_type.to_string();
    for word in ["View", "Dictionary", "Large", "RunEnd"] {
        assert!(!shown.contains(word), "{sql}: {shown}");
    }
}

#[tokio::test]
async fn columns_are_the_same_in_every_phase() {
    let served = Served::start().await;
    served.declare(&["dc1", "dc2"]);
    let mut client = served.client().await;
    let tables = TABLES.iter().map(|table| format!("SELECT * FROM {}", table.full_name()));
    let examples = EXAMPLES.iter().map(|example| example.statement.to_owned());
    for sql in tables.chain(examples).chain(TYPES.iter().map(|sql| (*sql).to_owned())) {
        let command = CommandStatementQuery { query: sql.clone(), transaction_id: None };
        let told = client.inner_mut().get_schema(descriptor(&command.as_any())).await;
        let told = schema(&told.unwrap_or_else(|error| panic!("{sql}: {error}")).into_inner().schema);
        let prepared = client.prepare(sql.clone(), None).await.unwrap().dataset_schema().unwrap().clone();
        assert_eq!(prepared, told, "{sql}");
        let info = client.execute(sql.clone(), None).await.unwrap();
        assert_eq!(schema(&info.schema), told, "{sql}");
        let (fetched, batches) =
            fetch(&mut client, &info).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(*fetched, told, "{sql}");
        for batch in batches {
            assert_eq!(*batch.schema(), told, "{sql}");
        }
        for field in told.fields() {
            assert_plain(field.data_type(), &sql);
            assert!(field.metadata().is_empty(), "{sql}: {field}");
        }
    }
}

#[tokio::test]
async fn columns_that_are_never_null_say_so() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.execute("SELECT table_name, error_code FROM sync.errors".to_owned(), None).await;
    let Schema { fields, .. } = schema(&info.unwrap().schema);
    assert_eq!(fields.iter().map(|f| f.is_nullable()).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn rows_are_of_the_snapshot_that_was_planned_however_often_they_are_fetched() {
    let served = Served::start().await;
    served.declare(&["dc1"]);
    let mut client = served.client().await;
    let sql = "SELECT metastore_name FROM federation.metastores ORDER BY 1";
    let before = client.execute(sql.to_owned(), None).await.unwrap();
    served.declare(&["dc1", "dc2"]);
    let after = client.execute(sql.to_owned(), None).await.unwrap();
    for _ in 0..2 {
        let of =
            async |client: &mut Client, info| crate::fixture::texts(&fetch(client, info).await.unwrap().1);
        assert_eq!(of(&mut client, &before).await, [["dc1"]]);
        assert_eq!(of(&mut client, &after).await, [["dc1"], ["dc2"]]);
    }
}

#[tokio::test]
async fn a_ticket_of_another_instance_says_that_its_snapshot_is_gone() {
    let served = Served::start().await;
    let info = served.client().await.execute("SELECT 1".to_owned(), None).await.unwrap();
    let another = served.another().await;
    let error = fetch(&mut client(&another).await, &info).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::Aborted, "SNAPSHOT_GONE"));
}

#[tokio::test]
async fn the_endpoint_tells_when_it_expires_and_can_be_renewed() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut info = client.execute("SELECT 7".to_owned(), None).await.unwrap();
    let old = info.endpoint[0].clone();
    let now = served.catalog.clock().now_micros() / 1_000_000;
    let lease = i64::try_from(skep_query::LEASE.as_secs()).unwrap();
    assert!((now..=now + lease).contains(&old.expiration_time.unwrap().seconds));
    let request = RenewFlightEndpointRequest::new(old.clone()).encode_to_vec();
    let (result, _) = act(&mut client, "RenewFlightEndpoint", request, None).await.unwrap();
    let renewed = FlightEndpoint::decode(result.unwrap()).unwrap();
    let time =
        |endpoint: &FlightEndpoint| endpoint.expiration_time.map(|time| (time.seconds, time.nanos)).unwrap();
    assert!(time(&old) < time(&renewed));
    info.endpoint = vec![renewed];
    assert_eq!(crate::fixture::texts(&fetch(&mut client, &info).await.unwrap().1), [["7"]]);
}

#[tokio::test]
async fn large_results_come_in_small_messages_and_are_complete() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let sql = "SELECT a.comment || b.comment AS c, a.column_name FROM docs.columns a, docs.columns b";
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let stream = client.inner_mut().do_get(ticket(&info)).await.unwrap().into_inner();
    let messages: Vec<_> = stream.try_collect().await.unwrap();
    let largest = messages.iter().map(|m| m.data_header.len() + m.data_body.len()).max().unwrap();
    assert!(largest <= skep_flight::limits::BATCH_BYTES_MAX, "{largest}");
    let total: usize = messages.iter().map(|m| m.data_body.len()).sum();
    assert!(2 * skep_flight::limits::BATCH_BYTES_MAX < total, "{total}");
    let count = rows(&mut client, &format!("SELECT count(*) FROM ({sql})")).await.unwrap();
    let (_, batches) = fetch(&mut client, &info).await.unwrap();
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>().to_string(), count[0][0]);
}

#[tokio::test]
async fn polling_gives_the_whole_answer_at_once() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let command = CommandStatementQuery { query: "SELECT 5".to_owned(), transaction_id: None };
    let polled =
        client.inner_mut().poll_flight_info(descriptor(&command.as_any())).await.unwrap().into_inner();
    assert_eq!((polled.flight_descriptor, polled.progress), (None, Some(1.0)));
    let (_, batches) = fetch(&mut client, &polled.info.unwrap()).await.unwrap();
    assert_eq!(crate::fixture::texts(&batches), [["5"]]);
}

#[tokio::test]
async fn what_would_change_something_is_refused_in_every_way() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let update = "DELETE FROM catalog.tables";
    let errors = [
        status(client.execute(update.to_owned(), None).await.unwrap_err()),
        status(client.execute_update(update.to_owned(), None).await.unwrap_err()),
        status(client.execute_update("SELECT 1".to_owned(), None).await.unwrap_err()),
        status(client.prepare(update.to_owned(), None).await.unwrap_err()),
        status(
            client.prepare("SELECT 1".to_owned(), None).await.unwrap().execute_update().await.unwrap_err(),
        ),
    ];
    for error in errors {
        assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "SQL_READ_ONLY"));
    }
}

#[tokio::test]
async fn metadata_has_nothing_to_cancel() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.get_catalogs().await.unwrap();
    let request = CancelFlightInfoRequest::new(info).encode_to_vec();
    let (result, _) = act(&mut client, "CancelFlightInfo", request, None).await.unwrap();
    let result = arrow_flight::CancelFlightInfoResult::decode(result.unwrap()).unwrap();
    assert_eq!(result.status(), arrow_flight::CancelStatus::NotCancellable);
}
