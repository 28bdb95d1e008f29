//! One metastore misbehaves while two others are well.

use std::time::Duration;

use serde_json::Value;
use skep_catalog::model::{DatabaseName, TableName};
use skep_hms::thrift::Limits;
use skep_sample::{
    Content, Garbage, Generation, SampleServer, SampleSpec, ServerOptions, Trouble, TroubleRule,
};
use skep_tests::harness::{Followed, Live, Skep};

fn server(name: &str, generation: Generation) -> SampleServer {
    SampleServer::start(&SampleSpec::new(name, generation, Content::Company), ServerOptions::default())
        .unwrap()
}

/// Two that are well and one that is not yet ill.
fn three() -> [SampleServer; 3] {
    [server("dc1", Generation::V2_3), server("ill-one", Generation::V3_1), server("lake", Generation::V4_2)]
}

fn some_table(server: &SampleServer) -> TableName {
    server.with(|metastore| metastore.table_names().into_iter().next().unwrap())
}

fn follow(servers: &[SampleServer], skep: &Skep) -> Live {
    let followed: Vec<Followed> = servers
        .iter()
        .map(|server| {
            let mut followed = Followed::new(server.name(), server.uri());
            followed.client.request_timeout_ms = 1_000;
            followed
        })
        .collect();
    Live::follow(&skep.data_folder(), &followed)
}

/// A change at each of the well ones becomes visible.
fn others_are_followed(servers: &[SampleServer; 3], live: &Live, mark: &str) {
    for server in [&servers[0], &servers[2]] {
        let table = some_table(server);
        server.with(|metastore| metastore.set_table_parameter(&table, "mark", mark)).unwrap();
        live.becomes(
            &format!(
                "SELECT property_value FROM catalog.table_properties WHERE metastore_name = '{}' AND property_key = 'mark'",
                server.name()
            ),
            mark,
        );
    }
}

/// From well to ill while it is followed, and back: its rows stay, the reason shows, and it
/// catches up.
fn ill_for_a_while(name: &str, trouble: Trouble, code: &str) {
    let servers = three();
    let skep = Skep::of(&[]);
    let live = follow(&servers, &skep);
    live.settles();
    let tables = live.value("SELECT count(*) FROM catalog.tables WHERE metastore_name = 'ill-one'");
    assert!(tables.as_i64() > Some(0));

    servers[1].trouble(TroubleRule::always(trouble));
    live.becomes("SELECT error_code FROM federation.metastores WHERE metastore_name = 'ill-one'", code);
    others_are_followed(&servers, &live, name);
    let row = &live
        .rows("SELECT state, error_message FROM federation.metastores WHERE metastore_name = 'ill-one'")[0];
    assert_eq!(row["state"], "error");
    assert!(row["error_message"].as_str().unwrap().contains("metastore ill-one"), "{row}");
    assert_eq!(live.value("SELECT count(*) FROM catalog.tables WHERE metastore_name = 'ill-one'"), tables);
    let others = live.rows("SELECT metastore_name FROM federation.metastores WHERE error_code IS NOT NULL");
    assert_eq!(others.len(), 1, "{others:?}");

    servers[1].calm();
    let table = some_table(&servers[1]);
    servers[1].with(|metastore| metastore.set_table_parameter(&table, "mark", name)).unwrap();
    live.becomes(
        "SELECT property_value FROM catalog.table_properties WHERE metastore_name = 'ill-one' AND property_key = 'mark'",
        name,
    );
    live.becomes("SELECT count(*) FROM federation.metastores WHERE error_code IS NOT NULL", 0);
}

#[test]
fn metastore_that_hangs_harms_only_itself() {
    ill_for_a_while("hang", Trouble::Hang, "METASTORE_SLOW");
}

#[test]
fn metastore_that_trickles_one_byte_a_second_harms_only_itself() {
    ill_for_a_while("trickle", Trouble::Trickle { byte_interval_ms: 1_000 }, "METASTORE_SLOW");
}

#[test]
fn metastore_that_resets_harms_only_itself() {
    ill_for_a_while("reset", Trouble::Reset, "METASTORE_CLOSED");
}

#[test]
fn metastore_that_closes_in_the_middle_of_answers_harms_only_itself() {
    ill_for_a_while("close", Trouble::Close, "METASTORE_CLOSED");
}

#[test]
fn metastore_that_closes_without_an_answer_harms_only_itself() {
    ill_for_a_while("hangup", Trouble::Hangup, "METASTORE_CLOSED");
}

#[test]
fn metastore_that_fails_undeclared_harms_only_itself() {
    ill_for_a_while("fail", Trouble::Fail { message: "broken".to_owned() }, "METASTORE_ERROR");
}

#[test]
fn metastore_whose_database_fails_harms_only_itself() {
    ill_for_a_while("meta", Trouble::Meta { message: "no connection".to_owned() }, "METASTORE_ERROR");
}

#[test]
fn metastore_that_answers_garbage_while_it_is_followed_harms_only_itself() {
    for (garbage, code) in [
        (Garbage::HugeCount, "METASTORE_MALFORMED"),
        (Garbage::WrongType, "METASTORE_MALFORMED"),
        (Garbage::HttpText, "METASTORE_MALFORMED"),
        (Garbage::CountBeyondRest, "METASTORE_CLOSED"),
    ] {
        ill_for_a_while(&format!("{garbage:?}"), Trouble::Garbage(garbage), code);
    }
}

/// The log or the objects that its events touched cannot be read for a while: the change shows in
/// the end, and nothing is lost meanwhile.
#[test]
fn methods_that_fail_while_events_wait_lose_nothing() {
    let troubles = [
        Trouble::Fail { message: "broken".to_owned() },
        Trouble::Meta { message: "no connection".to_owned() },
        Trouble::Close,
        Trouble::Garbage(Garbage::WrongType),
    ];
    let server = server("dc1", Generation::V3_1);
    let skep = Skep::of(&[]);
    let live = follow(std::slice::from_ref(&server), &skep);
    live.settles();
    let tables = live.value("SELECT count(*) FROM catalog.tables");
    let table = some_table(&server);
    for (at, trouble) in troubles.into_iter().enumerate() {
        for method in ["get_table_objects_by_name_req", "get_next_notification"] {
            let mark = format!("{at} {method}");
            server.trouble(TroubleRule::on_method(method, trouble.clone()).times(2));
            server.with(|metastore| metastore.set_table_parameter(&table, "mark", &mark)).unwrap();
            live.becomes(
                "SELECT property_value FROM catalog.table_properties WHERE property_key = 'mark'",
                mark.as_str(),
            );
            assert_eq!(live.value("SELECT count(*) FROM catalog.tables"), tables, "{mark}");
            server.calm();
        }
    }
    live.becomes("SELECT count(*) FROM federation.metastores WHERE error_code IS NOT NULL", 0);
    live.becomes("SELECT count(*) FROM sync.errors", 0);
}

/// `skep sync` over three metastores of which one answers garbage of every kind: exit code 2, the
/// ill one named, the others whole, and no more memory than the limits allow.
#[test]
fn garbage_of_every_kind_harms_only_its_metastore() {
    let servers = three();
    let config = |uri: &str| {
        let mut text = String::new();
        for server in &servers {
            let uri = if server.name() == "ill-one" { uri.to_owned() } else { server.uri() };
            text += &format!(
                "[[metastore]]\nname = \"{}\"\nuris = [\"{uri}\"]\nrequest_timeout_ms = 2000\n",
                server.name()
            );
        }
        text
    };
    let (base_bytes, base) = sync_measured(&Skep::with_config(&config(&servers[1].uri())));
    assert_eq!(base, Some(0), "all are well");
    for garbage in Garbage::ALL {
        servers[1].calm();
        servers[1].trouble(TroubleRule::always(Trouble::Garbage(garbage)));
        let skep = Skep::with_config(&config(&servers[1].uri()));
        let (bytes, code) = sync_measured(&skep);
        let log = skep.log();
        assert_eq!(code, Some(2), "{garbage:?}: {log}");
        assert!(log.contains("metastore ill-one"), "{garbage:?}: {log}");
        assert!(!log.contains("panicked"), "{garbage:?}: {log}");
        // A reply up to its limit, and as much again that the allocator keeps for a while.
        assert!(
            bytes <= base_bytes + 2 * Limits::REPLY.message_bytes_max as u64,
            "{garbage:?}: {bytes} bytes, {base_bytes} when all are well"
        );
        let counts = skep
            .rows("SELECT metastore_name, table_count FROM federation.metastores ORDER BY metastore_name");
        let count = |at: usize| counts[at]["table_count"].as_i64().unwrap();
        for (at, server) in servers.iter().enumerate().filter(|(at, _)| *at != 1) {
            assert_eq!(count(at), server.with(|m| m.object_counts().tables) as i64, "{garbage:?}");
        }
    }
}

/// Most resident bytes and exit code of a sync.
fn sync_measured(skep: &Skep) -> (u64, Option<i32>) {
    let mut process = skep.start("sync");
    let mut most = 0;
    let begin = std::time::Instant::now();
    loop {
        most = most.max(process.peak_bytes());
        if let Some(status) = process.ended() {
            return (most, status.code());
        }
        assert!(begin.elapsed() < Duration::from_secs(180), "sync does not end: {}", skep.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One table whose calls fail is a row of `sync.errors`; everything else is mirrored.
#[test]
fn object_that_cannot_be_read_is_named_and_the_rest_is_mirrored() {
    let server = server("dc1", Generation::V3_1);
    let table = some_table(&server);
    server.trouble(TroubleRule::on_argument(
        table.table.clone(),
        Trouble::Fail { message: "broken".to_owned() },
    ));
    let skep = Skep::of(&[("dc1", server.uri())]);
    let outcome = skep.run("sync", &[], Duration::from_secs(120));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let errors = skep.rows("SELECT table_name, error_message FROM sync.errors");
    assert!(errors.iter().any(|row| row["table_name"] == table.table.as_str()), "{errors:?}");
    let others =
        skep.rows(&format!("SELECT count(*) AS n FROM catalog.tables WHERE table_name <> '{}'", table.table));
    let same_name = server.with(|m| m.table_names().iter().filter(|name| name.table == table.table).count());
    assert_eq!(others[0]["n"], (server.with(|m| m.object_counts().tables) - same_name) as i64);
}

/// A field that skep does not know is kept as it came.
#[test]
fn unknown_field_survives_byte_for_byte() {
    let server = server("dc1", Generation::V3_1);
    let table = some_table(&server);
    let value = "what a later Hive will say: é";
    server.with(|metastore| metastore.set_unknown_table_field(&table, 999, value)).unwrap();
    let skep = Skep::of(&[("dc1", server.uri())]);
    skep.sync();
    let catalog = skep_tests::harness::live::open_catalog(&skep.data_folder());
    let snapshot = catalog.snapshot();
    let name = DatabaseName::new("hive", table.database.database.clone());
    let database = snapshot.metastore("dc1").unwrap().database(&name.catalog, &name.database).unwrap();
    let view = database.table(&table.table).unwrap();
    let item = snapshot.load_table(database, view).unwrap();
    // A string field: kind 11, id 999, length, bytes.
    let mut field = vec![11];
    field.extend(999_i16.to_be_bytes());
    field.extend((value.len() as u32).to_be_bytes());
    field.extend(value.as_bytes());
    assert!(item.raw.windows(field.len()).any(|window| window == field));
    assert_ne!(item.value.unknown_hash, 0);
}

/// Trimmed behind its back while it is followed: the sample server's log.
#[test]
fn trimmed_log_is_noticed_and_repaired() {
    let server = server("dc1", Generation::V4_2);
    let skep = Skep::of(&[("dc1", server.uri())]);
    skep.sync();
    let tables = server.with(|metastore| metastore.table_names());
    server.with(|metastore| {
        metastore.set_table_parameter(&tables[0], "mark", "unseen").unwrap();
        metastore.drop_table(&tables[1]).unwrap();
        let head = metastore.head_event_id();
        metastore.trim_events(head);
    });
    let live = follow(std::slice::from_ref(&server), &skep);
    live.becomes("SELECT property_value FROM catalog.table_properties WHERE property_key = 'mark'", "unseen");
    live.becomes("SELECT count(*) FROM sync.events WHERE event_type = 'FOUND_DROPPED'", 1);
    live.settles();
    let missing = live.rows("SELECT * FROM sync.coverage WHERE missing_count <> 0");
    assert_eq!(missing, Vec::<Value>::new());
}
