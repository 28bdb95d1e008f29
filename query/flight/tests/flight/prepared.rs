//! Prepared statements and their parameters.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Schema};
use arrow_flight::sql::client::PreparedStatement;
use arrow_flight::sql::{CommandPreparedStatementQuery, ProstMessageExt};
use arrow_flight::utils::batches_to_flight_data;
use arrow_flight::{FlightData, PutResult};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use futures::{TryStreamExt, stream};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::fixture::{Client, Served, client, code, descriptor, fetch, schema, status, texts};

/// A row of values, called as some clients call them.
fn row(values: Vec<ArrayRef>) -> RecordBatch {
    let named = values.into_iter().enumerate().map(|(index, value)| (index.to_string(), value));
    RecordBatch::try_from_iter_with_nullable(named.map(|(name, value)| (name, value, true))).unwrap()
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

fn int(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

async fn run(
    client: &mut Client,
    statement: &mut PreparedStatement<Channel>,
    values: Vec<ArrayRef>,
) -> Result<Vec<Vec<String>>, Status> {
    statement.set_parameters(row(values)).unwrap();
    let info = statement.execute().await.map_err(status)?;
    let declared = schema(&info.schema);
    assert_eq!(declared, *statement.dataset_schema().unwrap());
    let (fetched, batches) = fetch(client, &info).await?;
    assert_eq!(*fetched, declared);
    Ok(texts(&batches))
}

fn types(schema: &Schema) -> Vec<(&str, DataType, bool)> {
    schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone(), f.is_nullable())).collect()
}

#[tokio::test]
async fn parameters_are_typed_by_what_they_are_compared_with_and_bound_by_position() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for sql in [
        "SELECT table_name FROM docs.tables WHERE schema_name = ? AND table_name LIKE ? ORDER BY 1 LIMIT ?",
        "SELECT table_name FROM docs.tables WHERE schema_name = $1 AND table_name LIKE $2 ORDER BY 1 LIMIT $3",
    ] {
        let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
        let expected =
            [("$1", DataType::Utf8, true), ("$2", DataType::Utf8, true), ("$3", DataType::Int64, true)];
        assert_eq!(types(statement.parameter_schema().unwrap()), expected);
        let values = vec![text("sync"), text("%s"), int(2)];
        let found = run(&mut client, &mut statement, values).await.unwrap();
        assert_eq!(found.len(), 2);
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let again = run(&mut client, &mut statement, vec![text("sync"), text("%s"), narrow]).await.unwrap();
        assert_eq!(again, found[..1]);
        statement.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_parameter_that_nothing_types_is_a_text_that_may_be_null() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut statement = client.prepare("SELECT ? AS a, ? AS b".to_owned(), None).await.unwrap();
    let nullable = |name| (name, DataType::Utf8, true);
    assert_eq!(types(statement.dataset_schema().unwrap()), [nullable("a"), nullable("b")]);
    assert_eq!(types(statement.parameter_schema().unwrap()), [nullable("$1"), nullable("$2")]);
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    assert_eq!(run(&mut client, &mut statement, vec![int(5), float]).await.unwrap(), [["5", "1.5"]]);
    let null: ArrayRef = Arc::new(NullArray::new(1));
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    assert_eq!(run(&mut client, &mut statement, vec![null, truth]).await.unwrap(), [["-", "true"]]);
}

#[tokio::test]
async fn columns_stay_the_same_whatever_the_values_are() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for (sql, value) in [
        ("SELECT CAST(? AS BIGINT) + 1 AS n", int(1)),
        ("SELECT table_name, ? || table_name AS t FROM docs.tables", text("x")),
        ("SELECT * FROM (VALUES (1, ?), (2, 'b')) AS t", text("a")),
        ("SELECT count(*), ? AS p FROM docs.tables GROUP BY p", text("a")),
        ("SELECT CASE WHEN ? = 'x' THEN 1 ELSE 2.5 END AS n", text("x")),
        ("SELECT 1 AS a WHERE ? IN (SELECT table_name FROM docs.tables)", text("tables")),
        ("SELECT coalesce(?, 'none') AS a UNION ALL SELECT NULL", text("x")),
        ("EXPLAIN SELECT * FROM docs.tables WHERE table_name = ?", text("tables")),
    ] {
        let prepared = client.prepare(sql.to_owned(), None).await;
        let mut statement = prepared.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = run(&mut client, &mut statement, vec![value]).await;
        assert_ne!(found.unwrap_or_else(|error| panic!("{sql}: {error}")).len(), 0, "{sql}");
        let null: ArrayRef = Arc::new(NullArray::new(1));
        run(&mut client, &mut statement, vec![null]).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn the_tenth_parameter_comes_after_the_ninth() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let numbers: Vec<String> = (1..=12).map(|n| format!("${n} AS c{n}")).collect();
    let sql = format!("SELECT {}", numbers.join(", "));
    let mut statement = client.prepare(sql, None).await.unwrap();
    let names: Vec<_> = types(statement.parameter_schema().unwrap()).iter().map(|t| t.0.to_owned()).collect();
    assert_eq!(names, (1..=12).map(|n| format!("${n}")).collect::<Vec<_>>());
    let found = run(&mut client, &mut statement, (1..=12).map(int).collect()).await.unwrap();
    assert_eq!(found[0], (1..=12).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn values_that_do_not_fit_are_the_callers_mistake() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let sql = "SELECT table_name FROM docs.tables WHERE schema_name = ? LIMIT ?";
    let mut statement = client.prepare(sql.to_owned(), None).await.unwrap();
    let unbound = status(statement.execute().await.unwrap_err());
    let mut errors = vec![unbound];
    for values in [vec![text("a")], vec![text("a"), int(1), int(2)], vec![text("a"), text("many")]] {
        errors.push(run(&mut client, &mut statement, values).await.unwrap_err());
    }
    let two: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let twice: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    errors.push(run(&mut client, &mut statement, vec![two, twice]).await.unwrap_err());
    let large = text(&"x".repeat(skep_flight::limits::PARAMETERS_BYTES_MAX));
    errors.push(run(&mut client, &mut statement, vec![large, int(1)]).await.unwrap_err());
    for error in &errors {
        assert_eq!((error.code(), code(error).as_str()), (Code::InvalidArgument, "SQL_INVALID"), "{error}");
    }
    assert!(errors[0].message().contains("2 parameters, and 0 were given"), "{}", errors[0]);
    assert!(errors[3].message().contains("parameter 2 is no Int64"), "{}", errors[3]);
    run(&mut client, &mut statement, vec![text("docs"), int(1)]).await.unwrap();
}

#[tokio::test]
async fn wrong_parameters_are_told_when_the_statement_is_prepared() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let many = format!("SELECT ?{}", ", ?".repeat(1_000));
    for sql in ["SELECT ?, $1", "SELECT $name", "SELECT :name", "SELECT $0", "SELECT $70000", &many] {
        let error = status(client.prepare(sql.to_owned(), None).await.unwrap_err());
        let code = code(&error);
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(["SQL_INVALID", "SQL_SYNTAX"].contains(&code.as_str()), "{error}");
    }
}

#[tokio::test]
async fn a_handle_is_good_at_every_instance_and_always_sees_what_is_new() {
    let served = Served::start().await;
    served.declare(&["dc1"]);
    let mut first = served.client().await;
    let sql = "SELECT count(*) AS n FROM federation.metastores WHERE metastore_name <> ?";
    let mut statement = first.prepare(sql.to_owned(), None).await.unwrap();
    assert_eq!(run(&mut first, &mut statement, vec![text("x")]).await.unwrap(), [["1"]]);
    served.declare(&["dc1", "dc2"]);
    assert_eq!(run(&mut first, &mut statement, vec![text("x")]).await.unwrap(), [["2"]]);

    // The same bytes, sent to another instance.
    let request = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: "SELECT 3 AS three".to_owned(),
        transaction_id: None,
    };
    use prost::Message;
    let body = request.as_any().encode_to_vec();
    let (result, _) = crate::fixture::act(&mut first, "CreatePreparedStatement", body, None).await.unwrap();
    let result = arrow_flight::sql::Any::decode(result.unwrap()).unwrap();
    let result: arrow_flight::sql::ActionCreatePreparedStatementResult = result.unpack().unwrap().unwrap();
    let another = served.another().await;
    let mut second = client(&another).await;
    let execute = async |client: &mut Client, handle: bytes::Bytes| {
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
        client.inner_mut().get_flight_info(descriptor(&command.as_any())).await
    };
    let handle = result.prepared_statement_handle;
    let info = execute(&mut second, handle.clone()).await.unwrap().into_inner();
    assert_eq!(texts(&fetch(&mut second, &info).await.unwrap().1), [["3"]]);
    let mut changed = handle.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let error = execute(&mut second, changed.into()).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "TICKET_INVALID"));
}

/// Sends messages as the values of a statement.
async fn bind(client: &mut Client, messages: Vec<FlightData>) -> Result<Vec<PutResult>, Status> {
    let request = arrow_flight::sql::ActionCreatePreparedStatementRequest {
        query: "SELECT ?".to_owned(),
        transaction_id: None,
    };
    use prost::Message;
    let body = request.as_any().encode_to_vec();
    let (result, _) = crate::fixture::act(client, "CreatePreparedStatement", body, None).await.unwrap();
    let result = arrow_flight::sql::Any::decode(result.unwrap()).unwrap();
    let result: arrow_flight::sql::ActionCreatePreparedStatementResult = result.unpack().unwrap().unwrap();
    let command =
        CommandPreparedStatementQuery { prepared_statement_handle: result.prepared_statement_handle };
    let mut messages = messages;
    messages[0].flight_descriptor = Some(descriptor(&command.as_any()));
    client.inner_mut().do_put(stream::iter(messages)).await?.into_inner().try_collect().await
}

#[tokio::test]
async fn values_that_unpack_to_more_than_arrives_are_refused() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let batch = row(vec![text(&"x".repeat(100_000))]);
    let plain = batches_to_flight_data(&batch.schema(), vec![batch.clone()]).unwrap();
    assert_eq!(bind(&mut client, plain.clone()).await.unwrap().len(), 1);
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut dictionaries = DictionaryTracker::new(false);
    let (_, packed) = IpcDataGenerator::default()
        .encode(&batch, &mut dictionaries, &options, &mut Default::default())
        .unwrap();
    let packed = vec![plain[0].clone(), packed.into()];
    let error = bind(&mut client, packed).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "SQL_INVALID"));
    assert!(error.message().contains("compressed"), "{error}");
}

#[tokio::test]
async fn values_that_are_no_batches_are_refused_and_break_nothing() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let batch = row(vec![text("some text"), int(5)]);
    let plain = batches_to_flight_data(&batch.schema(), vec![batch]).unwrap();
    // A small generator of its own: the same bytes are broken in every run.
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for _ in 0..300 {
        let mut messages = plain.clone();
        for _ in 0..=random(4) {
            let message = random(messages.len());
            let mut header = messages[message].data_header.to_vec();
            let at = random(header.len());
            match random(3) {
                0 => header[at] = u8::try_from(random(256)).unwrap(),
                1 => header.truncate(at),
                _ => header[at] ^= 0x80,
            }
            messages[message].data_header = header.into();
            let body = messages[message].data_body.len();
            if random(3) == 0 {
                messages[message].data_body.truncate(random(body));
            }
        }
        if let Err(error) = bind(&mut client, messages).await {
            assert_eq!(error.code(), Code::InvalidArgument, "{error}");
            code(&error);
        }
    }
    assert_eq!(crate::fixture::rows(&mut client, "SELECT 1").await.unwrap(), [["1"]]);
}
