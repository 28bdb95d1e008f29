//! ADBC's Flight SQL driver for Python: what pandas, polars and Power BI use.

use std::time::Duration;

use skep_sample::{Content, Generation, SampleServer, SampleSpec, ServerOptions};
use skep_tests::harness::{Skep, python};

pub const TABLES: u32 = 40;

/// Metastore `dc1` with [`TABLES`] tables.
pub fn small_server() -> SampleServer {
    let content = Content::Bench { tables: TABLES, partitions_per_table: 3, columns: 5 };
    SampleServer::start(&SampleSpec::new("dc1", Generation::V3_1, content), ServerOptions::default()).unwrap()
}

#[test]
fn adbc_asks_binds_lists_cancels_and_is_told_its_mistakes() {
    let server = small_server();
    let skep = Skep::of(&[("dc1", server.uri())]);
    let mut service = skep.serve();
    let uri = skep.sql_door();
    skep.wait_until_mirrored();
    let done = python::adbc("adbc.py", &[&uri, &TABLES.to_string()]);
    for what in [
        "queries",
        "parameters",
        "schemas before rows",
        "metadata",
        "current catalog and schema",
        "schema of a session",
        "mistakes",
        "large results",
        "partitions",
        "cancel",
        "time limit",
        "names and passwords",
    ] {
        assert!(done.iter().any(|line| line == what), "{what} is not in {done:?}");
    }
    service.terminate();
    let ended = service.wait(Duration::from_secs(20)).and_then(|status| status.code());
    assert_eq!(ended, Some(0), "{}", skep.log());
}
