//! What a restart takes, until the first answer and in memory: measured in a process that has done
//! nothing before, because one that has filled the store takes up what it freed. It is this binary
//! again, with [`VERB`] as its first argument.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::Outcome;
use super::partitions_sql::{ask, engine, open, texts};
use super::usage::Resident;

/// First argument of the binary when it is that process.
pub const VERB: &str = "restart";
/// Needs no hot columns.
pub(super) const FIRST: &str =
    "SELECT metastore_name, count(*) FROM catalog.partitions GROUP BY metastore_name";
/// Brings all of them into memory, where they are kept together.
pub(super) const ALL: &str = "SELECT max(location), max(row_count) FROM catalog.partitions";

/// Measures the store in a folder, which holds so many partitions, and prints it.
pub fn measure(path: &Path, partitions: usize) -> Outcome {
    let mut command = Command::new(std::env::current_exe()?);
    let ended = command.arg(VERB).arg(path).arg(partitions.to_string()).status()?;
    if ended.success() { Ok(()) } else { Err(format!("the restarted process ended with {ended}").into()) }
}

/// The other side: measures itself.
pub fn run(arguments: &[String]) -> Outcome {
    let [path, partitions] = arguments else { return Err("a folder and its partitions are needed".into()) };
    let partitions: f64 = partitions.parse()?;
    let runtime = Runtime::new()?;
    let before = Resident::now();
    let begin = Instant::now();
    let catalog = open(Path::new(path))?;
    let engine = engine(&catalog)?;
    ask(&runtime, &engine, FIRST)?;
    println!("restart to first answer: {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
    let opened = Resident::now();
    let (_, all_ms) = ask(&runtime, &engine, ALL)?;
    println!("reading every partition once from the store: {:.1} s", all_ms / 1e3);
    let read = Resident::now();
    let (kept, _) = ask(&runtime, &engine, "SELECT cache_bytes FROM runtime.store")?;
    let kept: f64 = texts(&kept)?.concat().concat().parse()?;
    let moments = [("before", before), ("store open", opened), ("hot columns in memory", read)];
    for (moment, Resident { total_bytes, allocated_bytes }) in moments {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "resident memory, {moment}: {:.1} MiB, {:.1} MiB of them without the binary",
            mib(total_bytes),
            mib(allocated_bytes)
        );
    }
    let per = |from: Resident, to: Resident| {
        to.allocated_bytes.saturating_sub(from.allocated_bytes) as f64 / partitions
    };
    println!(
        "resident bytes per partition, without the binary: {:.1} with the store open, {:.1} more with all hot \
         columns in memory",
        per(before, opened),
        per(opened, read)
    );
    println!("hot columns by skep's own account: {:.1} bytes per partition", kept / partitions);
    Ok(())
}
