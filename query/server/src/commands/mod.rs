//! One file per command.

pub mod check;
pub mod demo;
pub mod secrets;
pub mod serve;
pub mod sql;
pub mod sync;

use skep_catalog::fault::Fault;
use tokio::runtime::Runtime;

/// Threads for waiting on metastores. SQL has its own.
fn runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("skep")
        .enable_all()
        .build()
        .map_err(|error| Fault::internal("starting threads", error.to_string()))
}

/// `1 table`, `2 tables`.
fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", crate::output::grouped(count as u64), if count == 1 { one } else { many })
}
