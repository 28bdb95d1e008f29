//! Gets and starts the real parts that the scenarios run against.
//!
//! Everything comes from Maven Central and PyPI through `mvn` and `pip`, once, into a folder
//! shared by all test processes: `SKEP_PARTS_DIR`, by default `skep-parts` in the user's cache
//! folder (about 900 MB with Spark). Nothing here is ever skipped: what is missing on the machine
//! fails the test with one sentence that names it and how to get it.

pub mod canonical;
pub mod clients;
pub mod libraries;
pub mod live;
pub mod machine;
pub mod metastore;
pub mod parts;
pub mod process;
pub mod python;
pub mod skep;
pub mod spark;

pub use clients::{Ddl, Dumped};
pub use live::{Followed, Live};
pub use metastore::{Metastore, MetastoreOptions, Release};
pub use skep::Skep;

use std::time::{Duration, Instant};

/// Waits until `check` gives a value, looking 5 times a second; panics with `what` and the last
/// reason after `timeout`.
pub fn eventually<T>(what: &str, timeout: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(why) if timeout < begin.elapsed() => panic!("{what}: not within {timeout:?}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
