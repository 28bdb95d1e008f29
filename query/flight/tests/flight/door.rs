//! Coming in and going.

use std::time::Duration;

use futures::StreamExt;

use crate::fixture::{Served, rows, ticket};

#[tokio::test]
async fn closing_waits_for_calls_under_way_and_lets_nobody_in() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let sql = "SELECT a.comment AS c FROM docs.columns a, docs.columns b";
    let expected = rows(&mut client, &format!("SELECT count(*) FROM ({sql})")).await.unwrap()[0][0].clone();
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let messages = client.inner_mut().do_get(ticket(&info)).await.unwrap().into_inner();
    let address = served.door.address();
    let closing = tokio::spawn(served.door.close(Duration::from_secs(60)));
    let messages = messages.map(|message| Ok(message.unwrap()));
    let batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    let count = batches.map(|batch| batch.unwrap().num_rows()).fold(0, async |a, b| a + b).await;
    assert_eq!(count.to_string(), expected);
    drop(client);
    assert!(closing.await.unwrap());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn closing_cuts_off_what_does_not_end() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let info = client.execute(crate::fixture::ENDLESS.to_owned(), None).await.unwrap();
    let mut stream = client.inner_mut().do_get(ticket(&info)).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let engine = std::sync::Arc::clone(&served.engine);
    assert!(!served.door.close(Duration::from_millis(200)).await);
    while let Ok(message) = stream.message().await {
        assert!(message.is_some(), "rows that were cut off are no whole answer");
    }
    crate::fixture::eventually("the end of its statement", async || engine.statements_under_way() == 0).await;
}

#[tokio::test]
async fn more_connections_than_allowed_are_closed_and_the_others_go_on() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut kept = Vec::new();
    for _ in 1..skep_flight::limits::CONNECTIONS_MAX {
        kept.push(tokio::net::TcpStream::connect(served.door.address()).await.unwrap());
    }
    let mut refused = tokio::net::TcpStream::connect(served.door.address()).await.unwrap();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut refused, &mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(rows(&mut client, "SELECT 1").await.unwrap(), [["1"]]);
    drop(kept);
    crate::fixture::eventually("a place", async || {
        let channel = tonic::transport::Channel::from_shared(format!("http://{}", served.door.address()));
        match channel.unwrap().connect().await {
            Ok(channel) => {
                let mut client = arrow_flight::sql::client::FlightSqlServiceClient::new(channel);
                client.get_catalogs().await.is_ok()
            }
            Err(_) => false,
        }
    })
    .await;
}
