//! Statements end when their clients want it, or go.

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};
use futures::StreamExt;
use prost::Message;
use tonic::Code;

use crate::fixture::{ENDLESS, Served, act, code, eventually, fetch, rows, ticket};

#[tokio::test]
async fn a_client_that_goes_ends_its_statement() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut stream = client.inner_mut().do_get(ticket(&info)).await.unwrap().into_inner();
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    assert_eq!(served.engine.statements_under_way(), 1);
    drop(stream);
    eventually("the end of the statement", async || served.engine.statements_under_way() == 0).await;
    let sql = "SELECT state, error_code FROM runtime.query_history WHERE row_count > 0";
    assert_eq!(rows(&mut client, sql).await.unwrap(), [["cancelled", "SQL_CANCELLED"]]);
}

#[tokio::test]
async fn cancelling_ends_rows_under_way_with_an_error_and_refuses_those_to_come() {
    let served = Served::start().await;
    let (mut client, mut other) = (served.client().await, served.client().await);
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    let mut stream = client.inner_mut().do_get(ticket(&info)).await.unwrap().into_inner();
    for _ in 0..3 {
        stream.message().await.unwrap().unwrap();
    }
    let request = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let (result, _) = act(&mut other, "CancelFlightInfo", request, None).await.unwrap();
    let result = CancelFlightInfoResult::decode(result.unwrap()).unwrap();
    assert_eq!(result.status(), CancelStatus::Cancelled);
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("cancelled rows look complete"),
        }
    };
    assert_eq!((error.code(), code(&error).as_str()), (Code::Cancelled, "SQL_CANCELLED"));
    eventually("the end of the statement", async || served.engine.statements_under_way() == 0).await;
    let error = fetch(&mut client, &info).await.unwrap_err();
    assert_eq!((error.code(), code(&error).as_str()), (Code::Cancelled, "SQL_CANCELLED"));
}

#[tokio::test]
async fn the_older_way_to_cancel_does_the_same() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.execute("SELECT 1".to_owned(), None).await.unwrap();
    let request = ActionCancelQueryRequest { info: info.encode_to_vec().into() };
    let body = request.as_any().encode_to_vec();
    let (result, _) = act(&mut client, "CancelQuery", body, None).await.unwrap();
    let result: ActionCancelQueryResult = Any::decode(result.unwrap()).unwrap().unpack().unwrap().unwrap();
    assert_eq!(result.result, i32::from(CancelStatus::Cancelled));
    let error = fetch(&mut client, &info).await.unwrap_err();
    assert_eq!(code(&error), "SQL_CANCELLED");
}

#[tokio::test]
async fn the_callers_time_limit_ends_the_statement() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.execute(ENDLESS.to_owned(), None).await.unwrap();
    // Without a time limit of the client's own, so that it is the server that ends.
    let mut request = tonic::Request::new(ticket(&info));
    request.metadata_mut().insert("grpc-timeout", "700m".parse().unwrap());
    let mut stream = client.inner_mut().do_get(request).await.unwrap().into_inner();
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("rows that were cut off look complete"),
        }
    };
    assert_eq!((error.code(), code(&error).as_str()), (Code::DeadlineExceeded, "SQL_TIMEOUT"));
    assert!(error.message().contains("the caller gave it no more"), "{error}");
    eventually("the end of the statement", async || served.engine.statements_under_way() == 0).await;
}
