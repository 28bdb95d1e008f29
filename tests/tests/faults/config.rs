//! Wrong configs and a machine that is in the way: one sentence, the right exit code.

use std::time::Duration;

use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions};
use skep_tests::harness::metastore::free_port;
use skep_tests::harness::skep::Outcome;
use skep_tests::harness::{Skep, eventually};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Exit code, and one line that holds all of `words`: on standard error, or in the report that
/// `check` prints.
fn says(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    let has_all = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(
        outcome.stderr.lines().chain(outcome.stdout.lines()).any(has_all),
        "no line with {words:?} in {outcome:?}"
    );
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

pub fn small_server() -> SampleServer {
    let content = Content::Bench { tables: 5, partitions_per_table: 10, columns: 3 };
    SampleServer::start(&SampleSpec::new("dc1", Generation::V3_1, content), ServerOptions::default()).unwrap()
}

#[test]
fn unknown_key_names_the_nearest_one() {
    let skep = Skep::with_config(
        "[[metastore]]\nname = \"dc1\"\nuris = [\"thrift://127.0.0.1:9083\"]\nrequest_timout_ms = 5\n",
    );
    for verb in ["check", "sync", "serve", "sql"] {
        says(&skep.run(verb, &[], TIMEOUT), 64, &["request_timout_ms", "request_timeout_ms"]);
    }
}

#[test]
fn bad_uri_is_named() {
    let skep = Skep::of(&[("dc1", "http://127.0.0.1:9083".to_owned())]);
    says(&skep.run("check", &[], TIMEOUT), 64, &["http://127.0.0.1:9083"]);
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let skep = Skep::with_config("[[metastore]\n");
    says(&skep.run("check", &[], TIMEOUT), 64, &["skep.toml", "line 2"]);
}

#[test]
fn missing_config_file_is_named() {
    let outcome = skep_tests::harness::skep::run(&["check", "--config", "/nowhere/skep.toml"], TIMEOUT);
    says(&outcome, 64, &["/nowhere/skep.toml"]);
}

#[test]
fn unreachable_metastore_is_named_and_the_other_is_mirrored() {
    let server = small_server();
    let closed = format!("thrift://127.0.0.1:{}", free_port());
    let skep = Skep::of(&[("dc1", server.uri()), ("away", closed)]);
    says(&skep.run("check", &[], TIMEOUT), 2, &["away"]);
    says(&skep.run("sync", &[], TIMEOUT), 2, &["away"]);
    let rows = skep.rows("SELECT count(*) AS n FROM catalog.partitions WHERE metastore_name = 'dc1'");
    assert_eq!(rows[0]["n"], 50);
}

#[test]
fn store_locked_by_another_process_is_said() {
    let server = small_server();
    let skep = Skep::of(&[("dc1", server.uri())]);
    let mut service = skep.serve();
    eventually("serve makes its store", TIMEOUT, || {
        if skep.data_folder().join("conf").exists()
            || std::fs::read_dir(skep.data_folder()).is_ok_and(|mut d| d.next().is_some())
        {
            Ok(())
        } else {
            Err(skep.log())
        }
    });
    assert!(service.ended().is_none(), "{}", skep.log());
    says(&skep.run("sync", &[], TIMEOUT), 2, &["STORE_LOCKED"]);
    service.terminate();
    let status = service.wait(Duration::from_secs(10));
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", skep.log());
    skep.sync();
}

/// The floor of free space is set above what any disk has.
#[test]
fn full_disk_is_said() {
    let server = small_server();
    let text = format!(
        "[store]\ndisk_free_bytes_min = {}\n[[metastore]]\nname = \"dc1\"\nuris = [\"{}\"]\n",
        1_u64 << 50,
        server.uri()
    );
    says(&Skep::with_config(&text).run("sync", &[], TIMEOUT), 2, &["STORE_FULL"]);
}
