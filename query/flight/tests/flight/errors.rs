//! Mistakes of users are told as what they are, and bytes that nobody should send break nothing.

use arrow_flight::sql::{ActionBeginTransactionRequest, Any, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use skep_query::EngineOptions;
use tonic::{Code, Status};

use crate::fixture::{Client, ENDLESS, Served, act, code, descriptor, fetch, rows, status};

#[tokio::test]
async fn mistakes_of_users_have_a_code_a_reason_and_advice() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for (sql, expected, words) in [
        ("SELEC 1", "SQL_SYNTAX", "SELEC"),
        ("", "SQL_SYNTAX", "empty"),
        ("SELECT 1; SELECT 2", "SQL_SYNTAX", "one statement at a time"),
        ("SELECT * FROM catalog.tabels", "SQL_INVALID", "Did you mean catalog.tables?"),
        ("SELECT table_nam FROM catalog.tables", "SQL_INVALID", "table_name"),
        ("CALL ops.refresh()", "CALL_INVALID", "no procedure ops.refresh"),
        ("SELECT * FROM generate_series(1, 10)", "SQL_FORBIDDEN", "generate_series"),
        ("SELECT 1 FROM docs.tables WHERE table_name = ?", "SQL_INVALID", "1 parameter"),
    ] {
        let error = status(client.execute(sql.to_owned(), None).await.unwrap_err());
        assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, expected), "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    let error = status(client.execute(long, None).await.unwrap_err());
    assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "SQL_TOO_LONG"));
    let failing = "SELECT CAST(table_name AS BIGINT) FROM docs.tables";
    let error = rows(&mut client, failing).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "SQL_FAILED"));
}

#[tokio::test]
async fn limits_of_the_engine_have_codes_of_their_own() {
    let options = EngineOptions {
        threads: 2,
        statement_timeout_ms: 1_500,
        result_rows_max: 10,
        statements_max: 1,
        ..EngineOptions::default()
    };
    let served = Served::start_with(options).await;
    let mut client = served.client().await;
    let error = rows(&mut client, "SELECT * FROM docs.columns").await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::ResourceExhausted, "SQL_TOO_MANY_ROWS"));
    crate::fixture::eventually("a free place", async || served.engine.statements_under_way() == 0).await;
    let slow = format!("SELECT max(c) FROM ({ENDLESS})");
    let info = client.execute(slow, None).await.unwrap();
    let (mut first, mut second) = (client.clone(), client.clone());
    let busy = async {
        crate::fixture::eventually("the first statement", async || served.engine.statements_under_way() == 1)
            .await;
        status(second.execute("SELECT 1".to_owned(), None).await.unwrap_err())
    };
    let (slow, busy) = tokio::join!(fetch(&mut first, &info), busy);
    assert_eq!((busy.code(), code(&busy).as_str()), (Code::ResourceExhausted, "SQL_BUSY"));
    let slow = slow.unwrap_err();
    assert_eq!((slow.code(), code(&slow).as_str()), (Code::DeadlineExceeded, "SQL_TIMEOUT"));
}

#[tokio::test]
async fn what_skep_does_not_have_is_unimplemented() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut errors = vec![act(&mut client, "NoSuchAction", Vec::new(), None).await.unwrap_err()];
    errors.push(status(client.begin_transaction().await.unwrap_err()));
    let body = ActionBeginTransactionRequest {}.as_any().encode_to_vec();
    errors.push(act(&mut client, "BeginTransaction", body, None).await.unwrap_err());
    let exchange = client.inner_mut().do_exchange(stream::iter([FlightData::default()])).await;
    errors.push(exchange.unwrap_err());
    errors.push(status(client.execute("SELECT 1".to_owned(), Some("t".into())).await.unwrap_err()));
    for error in errors {
        assert_eq!((error.code(), code(&error).as_str()), (Code::Unimplemented, "NOT_SUPPORTED"), "{error}");
    }
    let none = client.inner_mut().list_flights(Criteria::default()).await.unwrap().into_inner();
    assert_eq!(none.count().await, 0);
}

#[tokio::test]
async fn actions_that_are_listed_are_answered() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let list = client.inner_mut().list_actions(Empty {}).await.unwrap().into_inner();
    let list: Vec<_> = list.try_collect().await.unwrap();
    assert_eq!(list.len(), 8);
    for action in list {
        if let Err(error) = act(&mut client, &action.r#type, Vec::new(), None).await {
            assert_eq!(error.code(), Code::InvalidArgument, "{}: {error}", action.r#type);
            code(&error);
        }
    }
}

async fn all_ways(client: &mut Client, bytes: &[u8]) -> Vec<Result<(), Status>> {
    let inner = client.inner_mut();
    let descriptor = || FlightDescriptor::new_cmd(bytes.to_vec());
    let put = FlightData::new().with_descriptor(descriptor());
    let mut results = vec![
        inner.get_flight_info(descriptor()).await.map(drop),
        inner.poll_flight_info(descriptor()).await.map(drop),
        inner.get_schema(descriptor()).await.map(drop),
        inner.do_get(Ticket::new(bytes.to_vec())).await.map(drop),
        inner.do_put(stream::iter([put])).await.map(drop),
    ];
    for action in ["CreatePreparedStatement", "CancelQuery", "CancelFlightInfo", "RenewFlightEndpoint"] {
        results.push(inner.do_action(Action::new(action, bytes.to_vec())).await.map(drop));
    }
    results
}

#[tokio::test]
async fn bytes_that_are_no_requests_are_the_callers_mistake() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let good = CommandStatementQuery { query: "SELECT 1".to_owned(), transaction_id: None }.as_any();
    let unknown =
        Any { type_url: "type.googleapis.com/no.such.Command".to_owned(), value: good.value.clone() };
    let broken = Any { type_url: good.type_url.clone(), value: vec![0xff; 40].into() };
    let info = client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap().ticket.to_vec();
    let mut inputs = vec![
        Vec::new(),
        b"SELECT 1".to_vec(),
        vec![0xff; 100],
        unknown.encode_to_vec(),
        broken.encode_to_vec(),
        ticket[..ticket.len() - 1].to_vec(),
    ];
    for at in (0..ticket.len()).step_by(7) {
        let mut changed = ticket.clone();
        changed[at] ^= 0x41;
        inputs.push(changed);
    }
    for input in inputs {
        // Whatever else such bytes may mean, they are the ticket of nothing.
        client.inner_mut().do_get(Ticket::new(input.clone())).await.map(drop).unwrap_err();
        for result in all_ways(&mut client, &input).await {
            if let Err(error) = result {
                let is_mistake = matches!(error.code(), Code::InvalidArgument | Code::Unimplemented);
                assert!(is_mistake, "{input:?}: {error:?}");
                code(&error);
            }
        }
    }
    let path = FlightDescriptor::new_path(vec!["a".to_owned()]);
    let error = client.inner_mut().get_flight_info(path).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::InvalidArgument, "REQUEST_INVALID"));
    let none = client.inner_mut().do_put(stream::iter(Vec::<FlightData>::new())).await.unwrap_err();
    assert_eq!((none.code(), code(&none).as_str()), (Code::InvalidArgument, "REQUEST_INVALID"));
    assert!(client.inner_mut().get_flight_info(descriptor(&good)).await.is_ok());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let large = "x".repeat(skep_flight::limits::MESSAGE_BYTES_MAX + 1);
    let error = status(client.execute(large, None).await.unwrap_err());
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
    assert_eq!(rows(&mut client, "SELECT 1").await.unwrap(), [["1"]]);
}
