//! Benchmarks: what the binary `skep-bench` runs. Each prints the machine, the commit and every
//! figure it measured; the commands and the last output are in docs/measured.md.
//!
//! Absolute figures are of one machine; what counts are ratios within one run.

pub mod duckdb;
pub mod events;
pub mod first_mirror;
pub mod partitions_sql;
pub mod restart;
pub mod sample;
pub mod tap;
pub mod usage;
mod warehouse;

use std::error::Error;
use std::process::Command;
use std::sync::Arc;

use skep_catalog::mirror::{Mirror, MirrorOptions, Progress};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::Catalog;
use skep_hms::client::ClientOptions;

/// What a benchmark comes to.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// The mirror of the metastore at `uri`, with the options that skep has when nothing is set.
fn mirror(catalog: &Arc<Catalog>, uri: &str) -> Outcome<Mirror> {
    let settings = MetastoreSettings {
        name: "bench".to_owned(),
        uris: vec![uri.to_owned()],
        follow: "auto".to_owned(),
        origin: "config",
    };
    let metastore = catalog.declare(&[settings])?.first().copied().ok_or("no metastore")?;
    let client = ClientOptions { uris: vec![uri.to_owned()], ..ClientOptions::default() };
    Ok(Mirror {
        metastore,
        source: skep_hms::HmsSource::new("bench", client)?,
        catalog: Arc::clone(catalog),
        options: MirrorOptions::default(),
        progress: Arc::new(Progress::default()),
        asked: Arc::default(),
    })
}

/// The lines that every report begins with.
pub fn print_header(benchmark: &str, arguments: &[String]) {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let model = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory_kib = field("/proc/meminfo", "MemTotal").and_then(|text| first_number(&text)).unwrap_or(0);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("benchmark: {benchmark} {}", arguments.join(" "));
    println!(
        "machine: {processors} cores ({model}), {:.1} GiB memory, load before {}",
        memory_kib as f64 / (1 << 20) as f64,
        load.split(' ').next().unwrap_or_default()
    );
    println!("commit: {}, {} build", commit(), if cfg!(debug_assertions) { "DEBUG" } else { "release" });
}

/// The commit of the working folder, and whether it was changed since.
fn commit() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("git").args(["-C", folder, "describe", "--always", "--dirty"]).output();
    output.map_or_else(|_| "unknown".to_owned(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

/// The value of a line `KEY: VALUE` of a file.
fn field(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The value below which the share `part` of the sorted values lies.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The middle of some values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    percentile(&values, 0.5)
}
