//! The Flight SQL JDBC driver: what DBeaver and other Java tools use.

use skep_tests::harness::{Skep, parts};

use crate::adbc::{TABLES, small_server};

#[test]
fn jdbc_asks_binds_cancels_and_is_told_everything_about_the_service_and_its_tables() {
    let server = small_server();
    let skep = Skep::of(&[("dc1", server.uri())]);
    let _service = skep.serve();
    let address = skep.sql_door().replace("grpc://", "");
    skep.wait_until_mirrored();
    let url = format!("jdbc:arrow-flight-sql://{address}/?useEncryption=false");
    let done = parts::jdbc(&[&url, &TABLES.to_string()]);
    for what in ["queries", "parameters", "facts", "objects", "mistakes", "cancel", "names and passwords"] {
        assert!(done.iter().any(|line| line == what), "{what} is not in {done:?}");
    }
}
