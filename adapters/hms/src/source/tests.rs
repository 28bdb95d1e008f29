#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use skep_catalog::model::{Column, ConstraintKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::objects::{encode_partition, encode_table};
use crate::thrift::{
    ApplicationException, ExceptionKind, Limits, MessageDecoder, MessageType, Writer, encode_message,
};

/// Answers by method: a result body, or an exception type. Methods not named are unknown.
type Script = Arc<dyn Fn(&str, &Bytes) -> Option<std::result::Result<Bytes, i32>> + Send + Sync>;

/// Numbers that are no exception type: the server closes the connection, answers something that is
/// not Thrift, or does not answer.
const CLOSES: i32 = -1;
const GARBAGE: i32 = -2;
const HANGS: i32 = -3;

async fn serve(script: Script) -> (Arc<HmsSource>, Arc<Mutex<BTreeMap<String, usize>>>) {
    serve_to(ClientOptions::default(), script).await
}

async fn serve_to(
    options: ClientOptions,
    script: Script,
) -> (Arc<HmsSource>, Arc<Mutex<BTreeMap<String, usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("thrift://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let calls = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = calls.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (script, counted) = (script.clone(), counted.clone());
            tokio::spawn(async move {
                let mut decoder = MessageDecoder::detecting(Limits::REQUEST);
                loop {
                    while let Some(message) = decoder.next().unwrap() {
                        *counted.lock().entry(message.name.clone()).or_default() += 1;
                        let answer = script(&message.name, &message.body).unwrap_or(Err(1));
                        let (kind, body) = match answer {
                            Ok(body) => (MessageType::Reply, body),
                            Err(CLOSES) => return,
                            Err(HANGS) => std::future::pending().await,
                            Err(GARBAGE) => {
                                stream.write_all(b"no Thrift at all").await.unwrap();
                                continue;
                            }
                            Err(number) => {
                                let kind = ExceptionKind::from_i32(number);
                                (
                                    MessageType::Exception,
                                    ApplicationException::new(kind, "as scripted").encode(),
                                )
                            }
                        };
                        let bytes =
                            encode_message(message.wire, &message.name, kind, message.sequence_id, &body)
                                .unwrap();
                        stream.write_all(&bytes).await.unwrap();
                    }
                    if stream.read_buf(decoder.buffer()).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
            });
        }
    });
    (HmsSource::new("dc1", ClientOptions { uris: vec![uri], ..options }).unwrap(), calls)
}

fn result(body: impl FnOnce(&mut Writer)) -> Option<std::result::Result<Bytes, i32>> {
    let mut writer = Writer::new();
    body(&mut writer);
    Some(Ok(writer.finish_struct()))
}

/// A declared exception in field `id`.
fn declared(id: i16) -> Option<std::result::Result<Bytes, i32>> {
    result(|writer| writer.field_struct(id, |writer| writer.field_string(1, "as declared")))
}

fn table(name: &str) -> Bytes {
    encode_table(None, "db", &Table { name: name.to_owned(), ..Table::default() })
}

/// A table whose comment is not UTF-8.
fn bad_table() -> Bytes {
    let mut writer = Writer::new();
    writer.field_string(1, "bad");
    writer.field_binary(3, &[0xff]);
    writer.finish_struct()
}

fn database() -> DatabaseName {
    DatabaseName::new("hive", "db")
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn old_and_new_methods_are_found_by_asking_once() {
    let script: Script = Arc::new(|method, _| match method {
        "get_table_objects_by_name" => result(|w| w.field_raw_structs(0, &[table("a")])),
        _ => None,
    });
    let (source, calls) = serve(script).await;
    for _ in 0..3 {
        let batch = source.tables(&database(), &names(&["a"])).await.unwrap();
        assert_eq!(batch.items[0].0, "a");
        assert_eq!(batch.items[0].1.raw, table("a"));
    }
    let calls = calls.lock();
    assert_eq!(calls["get_table_objects_by_name_req"], 1);
    assert_eq!(calls["get_table_objects_by_name"], 3);
    assert_eq!(calls["get_catalogs"], 1);
}

#[tokio::test]
async fn a_failed_bulk_read_is_done_one_by_one() {
    let script: Script = Arc::new(|method, body| match method {
        "get_table_objects_by_name_req" => Some(Err(6)),
        "get_table_req" => {
            let text = String::from_utf8_lossy(body).into_owned();
            match () {
                () if text.contains("gone") => declared(2),
                () if text.contains("broken") => declared(1),
                () => result(|w| w.field_struct(0, |w| w.field_raw_struct(1, &table("a")))),
            }
        }
        _ => None,
    });
    let (source, _) = serve(script).await;
    let batch = source.tables(&database(), &names(&["a", "broken", "gone"])).await.unwrap();
    assert_eq!(batch.items.len(), 1);
    assert_eq!(batch.failed.len(), 1);
    assert_eq!((batch.failed[0].0.as_str(), batch.failed[0].1.code), ("broken", Code::METASTORE_ERROR));
}

#[tokio::test]
async fn a_bulk_read_that_is_too_large_is_halved() {
    let script: Script = Arc::new(|method, body| match method {
        "get_partitions_by_names" => {
            let asked: Vec<_> =
                (0..40).filter(|i| String::from_utf8_lossy(body).contains(&format!("k=v{i:02}"))).collect();
            if asked.len() > 10 {
                return declared(1);
            }
            let partition = |i: i32| {
                let partition = Partition { values: vec![format!("v{i:02}")], ..Partition::default() };
                encode_partition(None, "db", "t", &partition)
            };
            let structs: Vec<_> = asked.into_iter().map(partition).collect();
            result(|w| w.field_raw_structs(0, &structs))
        }
        _ => None,
    });
    let (source, calls) = serve(script).await;
    let asked: Vec<_> = (0..40).map(|i| format!("k=v{i:02}")).collect();
    let batch = source.partitions(&database().table("t"), &names(&["k"]), &asked).await.unwrap();
    assert_eq!(batch.items.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), asked);
    assert_eq!(calls.lock()["get_partitions_by_names"], 7);
    assert!(!calls.lock().contains_key("get_partition_by_name"));
}

#[tokio::test]
async fn one_unreadable_object_does_not_spoil_the_others() {
    let script: Script = Arc::new(|method, _| match method {
        "get_table_objects_by_name_req" => result(|w| {
            w.field_struct(0, |w| w.field_raw_structs(1, &[table("a"), bad_table(), table("b")]));
        }),
        "get_table_req" => result(|w| w.field_struct(0, |w| w.field_raw_struct(1, &bad_table()))),
        _ => None,
    });
    let (source, calls) = serve(script).await;
    let batch = source.tables(&database(), &names(&["a", "b", "bad"])).await.unwrap();
    assert_eq!(batch.items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(batch.failed.len(), 1);
    assert_eq!((batch.failed[0].0.as_str(), batch.failed[0].1.code), ("bad", Code::METASTORE_MALFORMED));
    assert_eq!(calls.lock()["get_table_req"], 1);
}

#[tokio::test]
async fn partitions_of_a_missing_table_are_none_even_on_hive_2_3() {
    let script: Script = Arc::new(|method, _| match method {
        "get_partition_names" => Some(Err(6)),
        "get_table_req" => declared(2),
        _ => None,
    });
    let (source, _) = serve(script).await;
    assert_eq!(source.partition_names(&database().table("t")).await.unwrap(), names(&[]));
    let script: Script = Arc::new(|method, _| match method {
        "get_partition_names" => Some(Err(6)),
        "get_table_req" => result(|w| w.field_struct(0, |w| w.field_raw_struct(1, &table("t")))),
        _ => None,
    });
    let (source, _) = serve(script).await;
    assert_eq!(source.partition_names(&database().table("t")).await.unwrap_err().code, Code::METASTORE_ERROR);
}

#[tokio::test]
async fn partitions_get_the_names_they_were_asked_by() {
    let script: Script = Arc::new(|method, _| match method {
        "get_partitions_by_names" => {
            let partition = |value: &str| {
                let partition = Partition { values: vec![value.to_owned()], ..Partition::default() };
                encode_partition(None, "db", "t", &partition)
            };
            result(|w| w.field_raw_structs(0, &["a", "é!", "b:"].map(partition)))
        }
        _ => None,
    });
    let (source, _) = serve(script).await;
    // The second was escaped by a metastore that escapes more than Hive does today.
    let asked = names(&["k=a", "k=b%3A", "k=%C3%A9%21"]);
    let batch = source.partitions(&database().table("t"), &names(&["k"]), &asked).await.unwrap();
    let got: Vec<_> = batch.items.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(got, ["k=a", "k=%C3%A9%21", "k=b%3A"]);
}

#[tokio::test]
async fn missing_constraint_methods_are_named_and_asked_once() {
    let script: Script = Arc::new(|method, _| match method {
        "get_primary_keys" | "get_foreign_keys" => {
            result(|w| w.field_struct(0, |w| w.field_list(1, Kind::Struct, 0)))
        }
        "get_table_statistics_req" => declared(1),
        "getVersion" => result(|w| w.field_string(0, "3.0")),
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, 0))),
        "get_databases" => result(|w| w.field_strings(0, &["default", "other"])),
        _ => None,
    });
    let (source, calls) = serve(script).await;
    let facts = source.probe().await.unwrap();
    assert_eq!(facts.hive_version, "2.3");
    assert!(!facts.has_catalogs);
    // No listener: id 0 although there is more than the default database.
    assert_eq!(facts.head_event_id, None);
    for kind in
        [ConstraintKind::Unique, ConstraintKind::NotNull, ConstraintKind::Default, ConstraintKind::Check]
    {
        assert!(facts.missing_methods.iter().any(|method| method == details::method(kind)));
    }
    assert!(!facts.missing_methods.iter().any(|method| method == "get_primary_keys"));
    for _ in 0..3 {
        let details = source.table_details(&database().table("t"), &names(&["c"])).await.unwrap();
        assert_eq!(details, TableDetails::default());
    }
    assert_eq!(calls.lock()["get_unique_constraints"], 1);
    let fault = source.functions(&database()).await.unwrap_err();
    assert_eq!(fault.code, Code::METASTORE_METHOD_MISSING);
}

#[tokio::test]
async fn one_function_that_fails_does_not_hide_the_others() {
    let script: Script = Arc::new(|method, body| match method {
        "get_functions" => result(|w| w.field_strings(0, &["good", "broken", "gone", "bare"])),
        "get_function" => {
            let text = String::from_utf8_lossy(body).into_owned();
            match () {
                () if text.contains("gone") => declared(2),
                () if text.contains("broken") => declared(1),
                () if text.contains("bare") => result(|w| w.field_struct(0, |_| {})),
                () => result(|w| w.field_struct(0, |w| w.field_string(1, "good"))),
            }
        }
        _ => None,
    });
    let (source, _) = serve(script).await;
    let batch = source.functions(&database()).await.unwrap();
    assert_eq!(batch.items.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["good"]);
    let failed: Vec<_> = batch.failed.iter().map(|(name, fault)| (name.as_str(), fault.code)).collect();
    assert_eq!(failed, [("bare", Code::METASTORE_MALFORMED), ("broken", Code::METASTORE_ERROR)]);
}

/// The names that a bulk read of tables asks for.
fn asked(body: &Bytes) -> Vec<String> {
    let mut reader = Reader::new(body);
    reader.field().unwrap();
    while let Some((kind, id)) = reader.field().unwrap() {
        if id == 2 {
            let count = reader.list_of(Kind::String).unwrap();
            return (0..count).map(|_| reader.string().unwrap().to_owned()).collect();
        }
        reader.skip(kind).unwrap();
    }
    panic!("no names in the request");
}

fn tables_of(names: &[String]) -> Option<std::result::Result<Bytes, i32>> {
    let structs: Vec<_> = names.iter().map(|name| table(name)).collect();
    result(|w| w.field_struct(0, |w| w.field_raw_structs(1, &structs)))
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("t{i:04}")).collect()
}

#[tokio::test]
async fn a_refused_bulk_read_is_not_done_again_in_parts() {
    let script: Script = Arc::new(|method, _| match method {
        "get_table_objects_by_name_req" => {
            result(|w| w.field_struct(1, |w| w.field_string(1, "Permission denied: user=skep")))
        }
        _ => None,
    });
    let (source, calls) = serve(script).await;
    let batch = source.tables(&database(), &many(40)).await.unwrap();
    assert_eq!(batch.failed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), many(40));
    assert!(batch.failed.iter().all(|(_, fault)| fault.code == Code::METASTORE_REFUSED));
    assert_eq!(calls.lock()["get_table_objects_by_name_req"], 1);
    assert!(!calls.lock().contains_key("get_table_req"));
}

#[tokio::test]
async fn a_server_that_fails_at_everything_is_asked_a_few_times_only() {
    for how in [6, GARBAGE] {
        let script: Script = Arc::new(move |method, _| match method {
            "get_table_objects_by_name_req" | "get_table_req" => Some(Err(how)),
            _ => None,
        });
        let (source, calls) = serve(script).await;
        let batch = source.tables(&database(), &many(1_000)).await.unwrap();
        assert!(batch.items.is_empty());
        let mut failed: Vec<_> = batch.failed.iter().map(|(name, _)| name.clone()).collect();
        failed.sort_unstable();
        assert_eq!(failed, many(1_000));
        let calls = calls.lock();
        assert_eq!(calls["get_table_objects_by_name_req"] + calls["get_table_req"], 16, "{how}");
    }
}

#[tokio::test]
async fn a_reply_larger_than_accepted_is_asked_for_in_parts() {
    let script: Script = Arc::new(|method, body| match method {
        "get_table_objects_by_name_req" => tables_of(&asked(body)),
        _ => None,
    });
    let options = ClientOptions { reply_bytes_max: 4_000, ..ClientOptions::default() };
    let (source, calls) = serve_to(options, script).await;
    let batch = source.tables(&database(), &many(100)).await.unwrap();
    assert_eq!(batch.items.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), many(100));
    assert!(batch.failed.is_empty());
    assert!(calls.lock()["get_table_objects_by_name_req"] > 1);
}

#[tokio::test]
async fn a_server_that_closes_on_a_large_read_is_asked_in_halves_once() {
    let closing_above = |limit: usize| -> Script {
        Arc::new(move |method, body| match method {
            "get_table_objects_by_name_req" if asked(body).len() > limit => Some(Err(CLOSES)),
            "get_table_objects_by_name_req" => tables_of(&asked(body)),
            _ => None,
        })
    };
    let (source, _) = serve(closing_above(50)).await;
    let batch = source.tables(&database(), &many(100)).await.unwrap();
    assert_eq!(batch.items.len(), 100);
    let (source, _) = serve(closing_above(0)).await;
    assert_eq!(source.tables(&database(), &many(100)).await.unwrap_err().code, Code::METASTORE_CLOSED);
}

#[tokio::test]
async fn more_objects_than_were_asked_for_are_refused() {
    let script: Script = Arc::new(|method, _| match method {
        "get_table_objects_by_name_req" => tables_of(&many(2)),
        "get_table_req" => declared(1),
        _ => None,
    });
    let (source, _) = serve(script).await;
    let batch = source.tables(&database(), &many(1)).await.unwrap();
    assert!(batch.items.is_empty());
    assert_eq!(batch.failed.len(), 1);
}

#[tokio::test]
async fn a_slow_optional_method_is_taken_to_be_there() {
    let script: Script = Arc::new(|method, body| match method {
        "list_privileges" if String::from_utf8_lossy(body).contains("skep_probe") => Some(Err(HANGS)),
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, 3))),
        _ => None,
    });
    let options = ClientOptions { request_timeout_ms: 500, ..ClientOptions::default() };
    let (source, _) = serve_to(options, script).await;
    let facts = source.probe().await.unwrap();
    assert!(!facts.missing_methods.iter().any(|method| method == "list_privileges"));
    assert!(facts.missing_methods.iter().any(|method| method == "get_functions"));
}

#[tokio::test]
async fn a_server_whose_optional_methods_hang_costs_one_deadline() {
    let script: Script = Arc::new(|method, _| match method {
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, 3))),
        "get_catalogs" | "getVersion" => None,
        _ => Some(Err(HANGS)),
    });
    let options = ClientOptions { request_timeout_ms: 200, ..ClientOptions::default() };
    let (source, calls) = serve_to(options, script).await;
    let facts = source.probe().await.unwrap();
    assert_eq!((facts.head_event_id, facts.missing_methods.len()), (Some(3), 0));
    let calls = calls.lock();
    let answered = ["get_current_notificationEventId", "get_catalogs", "getVersion"];
    let hung = calls.iter().filter(|(method, _)| !answered.contains(&method.as_str()));
    assert_eq!(hung.map(|(_, count)| count).sum::<usize>(), 1, "{calls:?}");
}

/// After which id, and at most how many events a request asks for.
fn page_asked(body: &Bytes) -> (i64, i64) {
    let mut reader = Reader::new(body);
    reader.field().unwrap();
    reader.field().unwrap();
    let after = reader.i64().unwrap();
    reader.field().unwrap();
    (after, i64::from(reader.i32().unwrap()))
}

/// Events of these ids; one of id 0 is without its id.
fn events_of(ids: impl Iterator<Item = i64>) -> Option<std::result::Result<Bytes, i32>> {
    let ids: Vec<_> = ids.collect();
    result(|w| {
        w.field_struct(0, |w| {
            w.field_list(1, Kind::Struct, ids.len());
            for id in ids {
                if id != 0 {
                    w.field_i64(1, id);
                }
                w.field_i32(2, 1_700_000_000);
                w.field_string(3, "CREATE_DATABASE");
                w.field_string(4, "db");
                w.field_string(6, "{}");
                w.stop();
            }
        })
    })
}

#[tokio::test]
async fn an_unreadable_event_is_a_gap_and_small_pages_are_remembered() {
    let script: Script = Arc::new(|method, body| match method {
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, 90))),
        "get_next_notification" => {
            let (after, max) = page_asked(body);
            events_of((after + 1..=90).take(max as usize).map(|id| if id == 7 { 0 } else { id }))
        }
        _ => None,
    });
    let (source, calls) = serve(script).await;
    let page = source.events(6, 64).await.unwrap();
    assert_eq!(page, EventPage { events: Vec::new(), is_gap: true });
    assert_eq!(calls.lock()["get_next_notification"], 3);
    let page = source.events(7, 64).await.unwrap();
    assert_eq!((page.events.len(), page.is_gap), (1, false));
    for _ in 0..40 {
        source.events(10, 64).await.unwrap();
    }
    assert_eq!(source.events(10, 64).await.unwrap().events.len(), 64);
}

#[tokio::test]
async fn a_page_that_closes_the_connection_makes_the_next_one_smaller() {
    let script: Script = Arc::new(|method, body| match method {
        "get_next_notification" => match page_asked(body) {
            (_, 9..) => Some(Err(CLOSES)),
            (after, max) => events_of(after + 1..=after + max),
        },
        _ => None,
    });
    let (source, _) = serve(script).await;
    assert_eq!(source.events(0, 64).await.unwrap_err().code, Code::METASTORE_CLOSED);
    assert_eq!(source.events(0, 64).await.unwrap().events.len(), 8);
}

#[tokio::test]
async fn more_events_than_were_asked_for_are_refused() {
    let script: Script = Arc::new(|method, _| match method {
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, 90))),
        "get_next_notification" => events_of(1..=65),
        _ => None,
    });
    let (source, _) = serve(script).await;
    assert!(source.events(0, 64).await.unwrap().is_gap);
}

/// A log that holds the events `first..=head`.
async fn log(first: i64, head: i64) -> Arc<HmsSource> {
    let script: Script = Arc::new(move |method, body| match method {
        "get_current_notificationEventId" => result(|w| w.field_struct(0, |w| w.field_i64(1, head))),
        "get_next_notification" => {
            let (after, max) = page_asked(body);
            events_of((first.max(after.saturating_add(1))..=head).take(max as usize))
        }
        _ => None,
    });
    serve(script).await.0
}

#[tokio::test]
async fn a_trimmed_or_restored_log_is_a_gap() {
    let page = |source: Arc<HmsSource>, after| async move {
        let page = source.events(after, 3).await.unwrap();
        (page.events.iter().map(|event| event.event_id).collect::<Vec<_>>(), page.is_gap)
    };
    assert_eq!(page(log(1, 9).await, 4).await, (vec![5, 6, 7], false));
    assert_eq!(page(log(1, 9).await, 9).await, (vec![], false));
    assert_eq!(page(log(7, 9).await, 4).await, (vec![7, 8, 9], true));
    assert_eq!(page(log(7, 9).await, 6).await, (vec![7, 8, 9], false));
    assert_eq!(page(log(10, 9).await, 4).await, (vec![], true));
    assert_eq!(page(log(1, 9).await, 12).await, (vec![], true));
}

#[tokio::test]
async fn a_call_that_fails_as_a_whole_is_no_empty_answer() {
    let (source, _) = serve(Arc::new(|method, _| match method {
        "get_all_tables" => declared(1),
        _ => None,
    }))
    .await;
    assert_eq!(source.table_names(&database()).await.unwrap_err().code, Code::METASTORE_ERROR);
    let column = Column { name: "c".to_owned(), ..Column::default() };
    assert_eq!(
        source.tables(&database(), &[column.name]).await.unwrap_err().code,
        Code::METASTORE_METHOD_MISSING
    );
}

/// A server whose log and database answer, or fail as Hive's do when they cannot be reached.
fn answering(log_answers: Arc<AtomicBool>, database_answers: Arc<AtomicBool>) -> Script {
    let is_set = |flag: &AtomicBool| flag.load(std::sync::atomic::Ordering::Relaxed);
    Arc::new(move |method, _| match method {
        "get_current_notificationEventId" if is_set(&log_answers) => {
            result(|w| w.field_struct(0, |w| w.field_i64(1, 3)))
        }
        "get_databases" if is_set(&database_answers) => result(|w| w.field_strings(0, &["default"])),
        "get_current_notificationEventId" => Some(Err(6)),
        "get_databases" => declared(1),
        _ => None,
    })
}

#[tokio::test]
async fn a_database_that_is_down_is_no_missing_log() {
    let flag = |is_set| Arc::new(AtomicBool::new(is_set));
    let (source, _) = serve(answering(flag(false), flag(false))).await;
    assert_eq!(source.probe().await.unwrap_err().code, Code::METASTORE_ERROR);

    let (source, _) = serve(answering(flag(false), flag(true))).await;
    let facts = source.probe().await.unwrap();
    assert_eq!(facts.head_event_id, None, "kept from us");
    assert_eq!(facts.log_fault.unwrap().code, Code::METASTORE_ERROR, "or failing");

    let log = flag(true);
    let (source, _) = serve(answering(log.clone(), flag(true))).await;
    assert_eq!(source.probe().await.unwrap().head_event_id, Some(3));
    log.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(source.probe().await.unwrap_err().code, Code::METASTORE_ERROR, "it was open before");
}

#[tokio::test]
async fn a_server_that_failed_when_asked_for_catalogs_is_asked_again() {
    let is_down = Arc::new(AtomicBool::new(true));
    let is_up = is_down.clone();
    let script: Script = Arc::new(move |method, body| match method {
        _ if is_down.load(std::sync::atomic::Ordering::Relaxed) => Some(Err(6)),
        "get_databases" if body.windows(6).any(|bytes| bytes == b"@hive#") => {
            result(|w| w.field_strings(0, &[""; 0]))
        }
        "get_databases" => result(|w| w.field_strings(0, &["default", "sales"])),
        _ => None,
    });
    let (source, _) = serve(script).await;
    assert_eq!(source.probe().await.unwrap_err().code, Code::METASTORE_ERROR);
    is_up.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(source.database_names("hive").await.unwrap(), ["default", "sales"]);
}

#[tokio::test]
async fn tables_are_found_however_their_names_are_spelled() {
    let script: Script = Arc::new(|method, _| match method {
        "get_table_objects_by_name_req" => tables_of(&names(&["Orders"])),
        _ => None,
    });
    let (source, _) = serve(script).await;
    let batch = source.tables(&database(), &names(&["orders"])).await.unwrap();
    assert_eq!(batch.items[0].0, "orders");
}
