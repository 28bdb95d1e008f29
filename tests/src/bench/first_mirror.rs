//! Benchmarks `first-mirror` and `first-mirror-real`: how fast everything is read for the first
//! time, beside a bare client that sends the same requests and throws the replies away.

use std::path::Path;
use std::sync::Arc;

use skep_catalog::ports::SystemClock;
use skep_catalog::store::{Catalog, StoreOptions};
use tokio::runtime::Runtime;

use super::sample::Sample;
use super::tap::Tap;
use super::usage::{Spent, measure};
use super::{Outcome, median, print_header};
use crate::harness::{Metastore, Release};

/// Partitions of a table of the sample metastore.
const PARTITIONS_PER_TABLE: u32 = 1_000;
/// How often each is measured, in turns.
const ROUNDS: usize = 3;

/// From the sample metastore: the argument is the number of partitions, by default 1,000,000.
pub fn run(arguments: &[String]) -> Outcome {
    print_header("first-mirror", arguments);
    let partitions: u32 = arguments.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let tables = (partitions / PARTITIONS_PER_TABLE).max(1);
    let sample = Sample::start(tables, PARTITIONS_PER_TABLE)?;
    println!("source: sample metastore, {tables} tables of {PARTITIONS_PER_TABLE} partitions");
    compare(sample.uri(), sample.id())
}

/// From a real metastore 3.1.3: the argument is the number of partitions of its one large table,
/// by default 20,000.
pub fn run_real(arguments: &[String]) -> Outcome {
    print_header("first-mirror-real", arguments);
    let partitions = arguments.first().map_or(Ok(20_000), |text| text.parse())?;
    let metastore = Metastore::start(Release::V3_1_3);
    metastore.fill(partitions);
    println!("source: Hive Metastore {} on Derby", metastore.release);
    let process = metastore.process_id().ok_or("the metastore is not running")?;
    compare(&metastore.uri(), process)
}

fn compare(uri: &str, server: u32) -> Outcome {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir()?;
    let tap = Tap::start(uri)?;
    let (counted, _) = measure(server, || mirror(&runtime, &folder.path().join("noted"), &tap.uri()));
    let (partitions, objects) = counted?;
    let replay = tap.stop()?;
    println!(
        "{objects} objects, {partitions} of them partitions, in {} replies on {} connections",
        replay.requests(),
        replay.connections()
    );
    let (mut mirrors, mut bares, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let (thrown, spent) = measure(server, || replay.run());
        bytes = thrown?;
        bares.push(spent);
        let (mirrored, spent) =
            measure(server, || mirror(&runtime, &folder.path().join(format!("{round}")), uri));
        if mirrored? != (partitions, objects) {
            return Err("a mirror read something else than the one before".into());
        }
        mirrors.push(spent);
    }
    let (bare, skep) = (middle(&bares), middle(&mirrors));
    let rate = |spent: &Spent| partitions as f64 / spent.wall_s;
    let each = |seconds: f64| seconds * 1e6 / partitions as f64;
    println!(
        "bytes read: {:.0} MB, {:.0} per partition",
        bytes as f64 / 1e6,
        bytes as f64 / partitions as f64
    );
    println!();
    println!("| client | partitions/s | seconds | own us of processor time per partition | the server's |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, spent) in [("bare", bare), ("skep", skep)] {
        println!(
            "| {name} | {:.0} | {:.2} | {:.2} | {:.2} |",
            rate(&spent),
            spent.wall_s,
            each(spent.own_cpu_s),
            each(spent.server_cpu_s)
        );
    }
    println!();
    println!(
        "skep is {:.0}% as fast as the bare client (medians of {ROUNDS} runs each, in turns; client and server share the cores)",
        100.0 * bare.wall_s / skep.wall_s
    );
    Ok(())
}

fn middle(all: &[Spent]) -> Spent {
    let of = |value: fn(&Spent) -> f64| median(all.iter().map(value).collect());
    Spent {
        wall_s: of(|spent| spent.wall_s),
        own_cpu_s: of(|spent| spent.own_cpu_s),
        server_cpu_s: of(|spent| spent.server_cpu_s),
    }
}

/// Mirrors everything once into a new store; gives partitions and objects.
fn mirror(runtime: &Runtime, path: &Path, uri: &str) -> Outcome<(u64, u64)> {
    let decoder = Arc::new(skep_hms::HmsDecoder);
    let (catalog, _) = Catalog::open(path, StoreOptions::default(), decoder, Arc::new(SystemClock))?;
    let mirror = super::mirror(&catalog, uri)?;
    let report = runtime.block_on(mirror.sync_once())?;
    if let Some(what) = report.missing.first() {
        return Err(format!("not mirrored wholly: {what}").into());
    }
    let snapshot = catalog.snapshot();
    let databases = snapshot.metastores.iter().flat_map(|metastore| metastore.databases());
    let partitions = databases.map(|database| database.totals.partition_count).sum();
    Ok((partitions, report.objects_read))
}
