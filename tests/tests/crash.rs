//! kill -9 at any time: skep resumes, and ends equal to its source.
//!
//! 5 kills of each kind; `SKEP_LONG=1 cargo test -p skep-tests --test crash` makes it 100.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use skep_sample::{Churn, Content, Generation, SampleServer, SampleSpec, ServerOptions};
use skep_tests::harness::canonical::{Node, decode};
use skep_tests::harness::live::open_catalog;
use skep_tests::harness::{Skep, eventually};

fn kills() -> usize {
    if std::env::var_os("SKEP_LONG").is_some() { 100 } else { 5 }
}

fn server(tables: u32, partitions_per_table: u32) -> SampleServer {
    let content = Content::Bench { tables, partitions_per_table, columns: 8 };
    SampleServer::start(&SampleSpec::new("dc1", Generation::V3_1, content), ServerOptions::default()).unwrap()
}

/// Few requests at once, so that a mirror has many steps to be killed between; one look a moment;
/// no complete pass beside the events, which would mend what they had lost.
fn config(server: &SampleServer) -> String {
    format!(
        "[[metastore]]\nname = \"dc1\"\nuris = [\"{}\"]\nevents_interval_ms = 10\nrefresh_interval_ms = 0\nrequests_in_flight_max = 2\n",
        server.uri()
    )
}

/// Everything in the mirror: every field of databases, tables and partitions, by place.
fn contents(skep: &Skep) -> BTreeMap<String, Node> {
    let catalog = open_catalog(&skep.data_folder());
    let snapshot = catalog.snapshot();
    let mut all = BTreeMap::new();
    for database in snapshot.metastore("dc1").unwrap().databases() {
        let place = format!("{}.{}", database.catalog_name, database.name);
        all.insert(place.clone(), decode(&database.raw).unwrap());
        for (id, item) in snapshot.load_tables(database).unwrap() {
            let table = database.tables.iter().find(|table| table.id == id).unwrap();
            let place = format!("{place}.{}", table.name);
            let mut count = 0;
            for index in 0..snapshot.chunk_summaries(table).len() {
                for (name, partition) in snapshot.load_partitions(table, index).unwrap() {
                    all.insert(format!("{place}.{name}"), decode(&partition.raw).unwrap());
                    count += 1;
                }
            }
            assert_eq!(table.totals.partition_count, count, "{place}");
            all.insert(place, decode(&item.raw).unwrap());
        }
    }
    all
}

/// The mirror equals a fresh one, and both have what the source counts.
fn equals_source(server: &SampleServer, skep: &Skep) {
    let fresh = Skep::with_config(&config(server));
    fresh.sync();
    let (found, expected) = (contents(skep), contents(&fresh));
    let counts = server.with(|metastore| metastore.object_counts());
    assert_eq!(expected.len(), counts.databases + counts.tables + counts.partitions);
    let differing: Vec<&String> = expected
        .keys()
        .chain(found.keys())
        .filter(|place| expected.get(*place) != found.get(*place))
        .take(10)
        .collect();
    assert!(
        differing.is_empty(),
        "{} objects, expected {}; differing {differing:?}",
        found.len(),
        expected.len()
    );
    let again = skep.run("sync", &[], Duration::from_secs(120));
    assert_eq!(again.code, Some(0), "{again:?}");
}

/// Follows by events alone until none is waiting.
fn follow_to_the_end(server: &SampleServer, skep: &Skep) {
    let head = server.with(|metastore| metastore.head_event_id());
    eventually("every event is applied", Duration::from_secs(120), || {
        let mut process = skep.serve();
        std::thread::sleep(Duration::from_secs(2));
        process.terminate();
        assert_eq!(process.wait(Duration::from_secs(30)).and_then(|s| s.code()), Some(0), "{}", skep.log());
        let rows = skep.rows("SELECT last_event_id FROM sync.status");
        if rows[0]["last_event_id"].as_i64() == Some(head) {
            Ok(())
        } else {
            Err(format!("{rows:?}, not {head}"))
        }
    });
}

#[test]
fn killed_first_mirror_resumes_and_equals_source() {
    // Three databases: those that are done are not read again after a kill.
    let server = server(300, 60);
    let mut random = StdRng::seed_from_u64(1);
    let whole = Skep::with_config(&config(&server));
    let begin = Instant::now();
    whole.sync();
    let mut usual = begin.elapsed();
    let of_whole = partition_calls(&server);
    let mut fewest = of_whole;

    let mut killed = 0;
    while killed < kills() {
        let skep = Skep::with_config(&config(&server));
        // Killed again and again until one run is quicker than its killer.
        for run in 0.. {
            server.forget_calls();
            let mut process = skep.start("sync");
            let patience = usual.mul_f64(random.random_range(0.05..1.0));
            let begin = Instant::now();
            while begin.elapsed() < patience && process.ended().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            if let Some(status) = process.ended() {
                assert_eq!(status.code(), Some(0), "{}", skep.log());
                if run == 0 {
                    // The machine has less to do than before: the killer has to keep up.
                    usual = begin.elapsed();
                }
                break;
            }
            process.kill();
            killed += 1;
            if kills() <= killed {
                server.forget_calls();
                skep.sync();
                break;
            }
        }
        fewest = fewest.min(partition_calls(&server));
        equals_source(&server, &skep);
    }
    assert!(fewest < of_whole, "every run began anew: {fewest} calls for partitions, {of_whole} for all");
}

/// How often partitions were asked for.
fn partition_calls(server: &SampleServer) -> u64 {
    let calls = server.calls();
    calls.iter().filter(|(method, _)| method.starts_with("get_partitions")).map(|(_, count)| *count).sum()
}

#[test]
fn killed_while_applying_events_resumes_and_equals_source() {
    let server = server(40, 100);
    let skep = Skep::with_config(&config(&server));
    skep.sync();
    let mut random = StdRng::seed_from_u64(2);
    let mut churn = server.with(|metastore| Churn::new(metastore, 7, 40));
    for _ in 0..kills() {
        let mut process = skep.serve();
        // It follows before it is killed, else nothing is under way.
        eventually("serve follows", Duration::from_secs(60), || {
            server.with(|metastore| churn.run(metastore, 20));
            assert!(process.ended().is_none(), "{}", skep.log());
            if server.calls().get("get_next_notification").is_some_and(|count| 1 < *count) {
                Ok(())
            } else {
                Err(skep.log())
            }
        });
        let patience = Duration::from_millis(random.random_range(5..700));
        let begin = Instant::now();
        while begin.elapsed() < patience {
            server.with(|metastore| churn.run(metastore, 50));
            std::thread::sleep(Duration::from_millis(5));
        }
        process.kill();
        server.forget_calls();
    }
    follow_to_the_end(&server, &skep);
    equals_source(&server, &skep);
}
