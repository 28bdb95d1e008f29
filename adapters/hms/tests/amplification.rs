//! Replies made to become much larger in memory than on the wire, one for each call that answers a
//! list and each list inside an object.
//!
//! What is asserted: after a source took in such a reply of 8 MiB, the peak memory of this process
//! (`VmHWM` of Linux) lies no more than [`GROWTH_MAX`] times the reply above what the process held
//! before. That includes making the reply and both ends of the connection, several times its bytes,
//! so it is a coarse bound: it tells a proportion of 10 from one of 100.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use skep_catalog::fault::Code;
use skep_catalog::model::DatabaseName;
use skep_catalog::ports::Source;
use skep_hms::thrift::{
    ApplicationException, ExceptionKind, Kind, Limits, MessageDecoder, MessageType, encode_message,
};
use skep_hms::{ClientOptions, HmsSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const REPLY_BYTES: usize = 8 << 20;

/// Decoded values may take some 12 times their bytes (a column of 8 bytes takes 72 and its text),
/// the copies of the reply the rest.
const GROWTH_MAX: u64 = 16;

/// A number of bytes in this process's status.
fn memory_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn field(kind: Kind, id: u8, value: &[u8]) -> Vec<u8> {
    [&[kind as u8, 0, id], value].concat()
}

fn structure(fields: &[Vec<u8>]) -> Vec<u8> {
    [fields.concat(), vec![0]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
}

/// As many of `element` as make a reply of [`REPLY_BYTES`].
fn list_of(kind: Kind, element: &[u8]) -> Vec<u8> {
    let count = REPLY_BYTES / element.len();
    [&[kind as u8], &(count as u32).to_be_bytes()[..], &element.repeat(count)].concat()
}

fn empty_structs() -> Vec<u8> {
    list_of(Kind::Struct, &[0])
}

/// A result whose answer is this.
fn result(kind: Kind, value: &[u8]) -> Bytes {
    structure(&[field(kind, 0, value)]).into()
}

/// A result whose answer is wrapped into the struct of a `_req` method.
fn wrapped(kind: Kind, value: &[u8]) -> Bytes {
    result(Kind::Struct, &structure(&[field(kind, 1, value)]))
}

fn table(storage: Vec<u8>) -> Bytes {
    let table = structure(&[field(Kind::String, 1, &text("t")), field(Kind::Struct, 7, &storage)]);
    wrapped(Kind::List, &[&[Kind::Struct as u8, 0, 0, 0, 1], table.as_slice()].concat())
}

/// A source of a server that answers these methods so; it has no others.
async fn serve(answers: BTreeMap<&'static str, Bytes>) -> Arc<HmsSource> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let answers = Arc::new(answers);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answers = answers.clone();
            tokio::spawn(async move {
                let mut decoder = MessageDecoder::detecting(Limits::REQUEST);
                loop {
                    while let Some(call) = decoder.next().unwrap() {
                        let unknown = ApplicationException::new(ExceptionKind::UnknownMethod, "unknown");
                        let (kind, body) = match answers.get(call.name.as_str()) {
                            Some(body) => (MessageType::Reply, body.clone()),
                            None => (MessageType::Exception, unknown.encode()),
                        };
                        let reply =
                            encode_message(call.wire, &call.name, kind, call.sequence_id, &body).unwrap();
                        if stream.write_all(&reply).await.is_err() {
                            return;
                        }
                    }
                    if stream.read_buf(decoder.buffer()).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
            });
        }
    });
    let options = ClientOptions { uris: vec![uri], request_timeout_ms: 300_000, ..ClientOptions::default() };
    HmsSource::new("dc1", options).unwrap()
}

async fn serve_one(method: &'static str, answer: Bytes) -> Arc<HmsSource> {
    serve([(method, answer)].into()).await
}

#[tokio::test]
async fn no_reply_becomes_much_larger_in_memory() {
    let mut before = memory_bytes("VmRSS:");
    let mut check = |case: &str| {
        let grown = memory_bytes("VmHWM:").saturating_sub(before);
        println!("{case}: {:.1} times the reply", grown as f64 / REPLY_BYTES as f64);
        let limit = GROWTH_MAX * REPLY_BYTES as u64;
        assert!(grown <= limit, "{case}: memory grew by {grown} bytes, the limit is {limit}");
        before = memory_bytes("VmRSS:");
    };
    let database = DatabaseName::new("hive", "db");
    let table_name = database.table("t");
    let names = ["t".to_owned()];

    // Lists of empty structs where objects belong: refused.
    let source = serve(
        [
            ("get_table_objects_by_name_req", wrapped(Kind::List, &empty_structs())),
            ("get_table_req", wrapped(Kind::Struct, &[0])),
        ]
        .into(),
    )
    .await;
    let batch = source.tables(&database, &names).await.unwrap();
    assert_eq!(batch.failed[0].1.code, Code::METASTORE_MALFORMED);
    check("tables");
    let source = serve(
        [
            ("get_partitions_by_names", result(Kind::List, &empty_structs())),
            ("get_partition_by_name", result(Kind::Struct, &[0])),
        ]
        .into(),
    )
    .await;
    let batch = source.partitions(&table_name, &names, &names).await.unwrap();
    assert_eq!(batch.failed[0].1.code, Code::METASTORE_MALFORMED);
    check("partitions");
    let source = serve_one("list_privileges", result(Kind::List, &empty_structs())).await;
    assert_eq!(source.privileges().await.unwrap_err().code, Code::METASTORE_MALFORMED);
    check("privileges");
    let source = serve_one("get_primary_keys", wrapped(Kind::List, &empty_structs())).await;
    let fault = source.table_details(&table_name, &names).await.unwrap_err();
    assert_eq!(fault.code, Code::METASTORE_MALFORMED);
    check("constraints");
    let source = serve_one("get_table_statistics_req", wrapped(Kind::List, &empty_structs())).await;
    let fault = source.table_details(&table_name, &names).await.unwrap_err();
    assert_eq!(fault.code, Code::METASTORE_MALFORMED);
    check("column statistics");
    let all = structure(&[field(Kind::List, 1, &empty_structs())]);
    let source = serve(
        [
            ("get_catalogs", wrapped(Kind::List, &[Kind::String as u8, 0, 0, 0, 0])),
            ("get_all_table_constraints", wrapped(Kind::Struct, &all)),
        ]
        .into(),
    )
    .await;
    let fault = source.table_details(&table_name, &names).await.unwrap_err();
    assert_eq!(fault.code, Code::METASTORE_MALFORMED);
    check("all constraints");
    let source = serve(
        [
            ("get_next_notification", wrapped(Kind::List, &empty_structs())),
            ("get_current_notificationEventId", wrapped(Kind::I64, &9i64.to_be_bytes())),
        ]
        .into(),
    )
    .await;
    assert!(source.events(1, 1_000).await.unwrap().is_gap);
    check("events");

    // Lists of empty structs inside an object: it is refused, the call goes on.
    let function = structure(&[field(Kind::String, 1, &text("f")), field(Kind::List, 8, &empty_structs())]);
    let one_name = [&[Kind::String as u8, 0, 0, 0, 1], text("f").as_slice()].concat();
    let source = serve(
        [("get_functions", result(Kind::List, &one_name)), ("get_function", result(Kind::Struct, &function))]
            .into(),
    )
    .await;
    let batch = source.functions(&database).await.unwrap();
    assert_eq!(batch.failed[0].1.code, Code::METASTORE_MALFORMED);
    check("resources of a function");
    for (case, id) in [("columns", 1), ("sort columns", 9)] {
        let answer = table(structure(&[field(Kind::List, id, &empty_structs())]));
        let source = serve(
            [("get_table_objects_by_name_req", answer), ("get_table_req", wrapped(Kind::Struct, &[0]))]
                .into(),
        )
        .await;
        let batch = source.tables(&database, &names).await.unwrap();
        assert_eq!(batch.failed[0].1.code, Code::METASTORE_MALFORMED);
        check(case);
    }

    // The smallest that are accepted: so many that what they become is the most there can be.
    let column = structure(&[field(Kind::String, 1, &text(""))]);
    let answer = table(structure(&[field(Kind::List, 1, &list_of(Kind::Struct, &column))]));
    let source = serve_one("get_table_objects_by_name_req", answer).await;
    let batch = source.tables(&database, &names).await.unwrap();
    assert_eq!(batch.items[0].1.value.storage.columns.len(), REPLY_BYTES / 8);
    drop(batch);
    check("smallest columns");
    let source = serve_one("get_all_tables", result(Kind::List, &list_of(Kind::String, &text("")))).await;
    assert_eq!(source.table_names(&database).await.unwrap().len(), REPLY_BYTES / 4);
    check("smallest names");
}
