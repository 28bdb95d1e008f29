//! Benchmark `events`: how fast events are applied, and how long it takes from an event to the
//! row that everybody sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_catalog::mirror::MirrorOptions;
use skep_catalog::ports::{Clock, SystemClock};
use skep_catalog::store::{Catalog, MAINTENANCE_INTERVAL, StoreOptions};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::sample::{Sample, Written};
use super::usage::measure;
use super::{Outcome, percentile, print_header};

const TABLES: u32 = 1_000;
const PARTITIONS_PER_TABLE: u32 = 200;
/// Events of the burst.
const BURST: usize = 100_000;
/// Between looks at what is visible.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Nothing takes longer than this.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs it: the arguments are events per second and seconds of the steady stream, by default
/// 10,000 and 20.
pub fn run(arguments: &[String]) -> Outcome {
    print_header("events", arguments);
    let number = |at: usize, or: usize| arguments.get(at).map_or(Ok(or), |text| text.parse());
    let (per_second, seconds) = (number(0, 10_000)?, number(1, 20)?);
    let mut sample = Sample::start(TABLES, PARTITIONS_PER_TABLE)?;
    println!(
        "source: sample metastore, {TABLES} tables of {PARTITIONS_PER_TABLE} partitions; of its changes 59% add"
    );
    println!("1 to 5 partitions, 29% alter one, 12% drop one, over all tables");

    let folder = tempfile::tempdir()?;
    let decoder = Arc::new(skep_hms::HmsDecoder);
    let path = folder.path().join("store");
    let (catalog, _) = Catalog::open(&path, StoreOptions::default(), decoder, Arc::new(SystemClock))?;
    let runtime = Runtime::new()?;
    let (stop, stopped) = watch::channel(false);
    let follower = follow(&runtime, &catalog, sample.uri(), stopped)?;
    let begin = Instant::now();
    while position(&catalog).is_none() {
        if TIMEOUT < begin.elapsed() {
            return Err("the first mirror does not end".into());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    let fresh = catalog.facts().size_on_disk_bytes;

    let server = sample.id();
    sample.change(BURST, 0)?;
    let written = sample.written()?;
    let head = written.last().map(|last| last.event_id).ok_or("no changes")?;
    let waiting = head - position(&catalog).unwrap_or_default();
    println!(
        "burst: {BURST} events written in {:.1} s; {waiting} of them waited then",
        seconds_between(&written)
    );
    let (reached, spent) = measure(server, || seen(&catalog, head));
    reached?;
    println!(
        "burst: applied at {:.0} events/s, {:.1} us of own processor time each, {:.1} us of the server's",
        waiting as f64 / spent.wall_s,
        spent.own_cpu_s * 1e6 / waiting as f64,
        spent.server_cpu_s * 1e6 / waiting as f64
    );

    sample.change(per_second * seconds, per_second)?;
    let is_written = AtomicBool::new(false);
    let ((written, positions), spent) = measure(server, || {
        std::thread::scope(|scope| {
            let watching = scope.spawn(|| watch_positions(&catalog, &is_written));
            let written = sample.written();
            let last = written.as_ref().ok().and_then(|all| all.last()).map_or(0, |last| last.event_id);
            let reached = seen(&catalog, last);
            is_written.store(true, Ordering::Relaxed);
            (reached.and(written), watching.join())
        })
    });
    let (written, positions) = (written?, positions.map_err(|_| "watching panicked")?);
    let delays = delays_ms(&written, &positions);
    let made = per_second * seconds;
    println!(
        "stream: {made} events written at {:.0} events/s, seen after {:.1} s",
        made as f64 / seconds_between(&written),
        spent.wall_s
    );
    println!(
        "stream: from event to visible row p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms (looked for every {} ms at most)",
        percentile(&delays, 0.5),
        percentile(&delays, 0.99),
        percentile(&delays, 1.0),
        MirrorOptions::default().events_interval_ms
    );
    println!(
        "stream: {:.1} us of own processor time per event, {:.1} us of the server's",
        spent.own_cpu_s * 1e6 / made as f64,
        spent.server_cpu_s * 1e6 / made as f64
    );
    let after = catalog.facts();
    println!(
        "disk: {fresh} bytes after the first mirror, {} after the changes ({:.1} times), {} of them live",
        after.size_on_disk_bytes,
        after.size_on_disk_bytes as f64 / fresh as f64,
        after.live_bytes
    );
    if let Some(last) = &after.last_rebuild {
        println!(
            "disk: rebuilt meanwhile, last from {} to {} bytes in {} ms, {} ms of them without writes",
            last.before_bytes, last.after_bytes, last.elapsed_ms, last.blocked_ms
        );
    }
    let rebuild = catalog.rebuild()?;
    println!("disk: {} bytes when rebuilt after all", rebuild.after_bytes);
    // The follower may be gone already.
    let _ = stop.send(true);
    runtime.block_on(follower)?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

fn follow(
    runtime: &Runtime,
    catalog: &Arc<Catalog>,
    uri: &str,
    stopped: watch::Receiver<bool>,
) -> Outcome<tokio::task::JoinHandle<()>> {
    let mirror = super::mirror(catalog, uri)?;
    let maintained = Arc::clone(catalog);
    runtime.spawn(async move {
        loop {
            tokio::time::sleep(MAINTENANCE_INTERVAL).await;
            let maintained = Arc::clone(&maintained);
            if let Ok(done) = tokio::task::spawn_blocking(move || maintained.maintain()).await {
                done.faults.iter().for_each(|fault| println!("maintenance failed: {fault}"));
            }
        }
    });
    Ok(runtime.spawn(async move { mirror.run(stopped).await }))
}

fn position(catalog: &Catalog) -> Option<i64> {
    let snapshot = catalog.snapshot();
    snapshot.metastores.first().filter(|metastore| metastore.mirrored_at.is_some())?.position
}

/// Waits until the rows of this event are visible.
fn seen(catalog: &Catalog, event_id: i64) -> Outcome {
    let begin = Instant::now();
    while position(catalog).unwrap_or_default() < event_id {
        if TIMEOUT < begin.elapsed() {
            return Err("the events are not applied in time".into());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// Every position that was published and when it was seen first, until told to end.
fn watch_positions(catalog: &Catalog, is_ended: &AtomicBool) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    loop {
        let is_last = is_ended.load(Ordering::Relaxed);
        let event_id = position(catalog).unwrap_or_default();
        if all.last().is_none_or(|last| last.event_id < event_id) {
            all.push(Written { event_id, at: SystemClock.now_micros() });
        }
        if is_last {
            return all;
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// From each portion of events to the first position that includes it, sorted.
fn delays_ms(written: &[Written], seen: &[Written]) -> Vec<f64> {
    let first_with = |event_id: i64| seen.get(seen.partition_point(|seen| seen.event_id < event_id));
    let mut delays: Vec<f64> = written
        .iter()
        .filter_map(|written| Some((first_with(written.event_id)?.at - written.at) as f64 / 1e3))
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

fn seconds_between(written: &[Written]) -> f64 {
    match (written.first(), written.last()) {
        (Some(first), Some(last)) => (last.at - first.at) as f64 / 1e6,
        _ => 0.0,
    }
}
