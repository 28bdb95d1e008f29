//! `skep sync`: one full mirror of every metastore, all at once.

use std::cell::Cell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use skep_catalog::fault::Fault;
use skep_catalog::mirror::{Mirror, PassReport, Progress};
use skep_hms::HmsSource;
use tracing::Instrument;

use super::runtime;
use crate::config::{Config, MetastoreConfig};
use crate::exit::Exit;
use crate::output::grouped;
use crate::process::metastores;
use crate::{console, follow, logging, wire};

const SHOW_INTERVAL: Duration = Duration::from_millis(200);
/// Without a terminal a line now and then is enough.
const SHOW_LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the command: `Failed` when any metastore could not be mirrored wholly; what could be is
/// kept.
pub fn run(config: &Config) -> Result<Exit, Fault> {
    logging::start("error", &config.log.format);
    let runtime = runtime()?;
    let catalog = wire::open_catalog(config)?;
    let state = wire::open_control(config)?.state();
    let metastores = metastores(config, &state);
    let sources: Vec<Arc<HmsSource>> = metastores.iter().map(wire::source).collect::<Result<_, _>>()?;
    let ids = wire::declare(&catalog, &metastores)?;
    let is_paused = |metastore: &MetastoreConfig| state.paused.contains_key(&metastore.options.name);
    for metastore in metastores.iter().filter(|metastore| is_paused(metastore)) {
        console::print(format!("{}: paused by a call, not read\n", metastore.options.name))?;
    }
    let display = Display::new();
    let outcomes = runtime.block_on(async {
        let all = metastores.iter().zip(ids).zip(&sources);
        let asked = all.filter(|((metastore, _), _)| !is_paused(metastore));
        let runs = asked.map(|((metastore, id), source)| {
            source.client().give_up_after_deadline(true);
            let mirror = wire::mirror(&catalog, metastore, id, source);
            let line = display.line(&metastore.options.name);
            let catalog = Arc::clone(&catalog);
            async move {
                let started = Instant::now();
                let span = tracing::error_span!("sync", metastore = %metastore.options.name);
                let outcome = sync_one(&mirror, &line).instrument(span).await;
                catalog.set_endpoints(id, source.client().endpoints());
                line.end();
                let (text, is_whole) = told(&metastore.options.name, outcome, started.elapsed());
                console::print(text).map(|()| is_whole)
            }
        });
        futures::future::join_all(runs).await
    });
    follow::maintain(&catalog);
    // Also what failed is to be seen by `skep sql`.
    catalog.flush()?;
    runtime.shutdown_background();
    let are_whole = outcomes.into_iter().collect::<Result<Vec<bool>, Fault>>()?;
    Ok(if are_whole.contains(&false) { Exit::Failed } else { Exit::Done })
}

async fn sync_one(mirror: &Mirror, line: &Line) -> Result<PassReport, Fault> {
    let run = mirror.sync_once();
    tokio::pin!(run);
    loop {
        tokio::select! {
            outcome = &mut run => return outcome,
            () = tokio::time::sleep(line.interval) => line.show(&mirror.progress),
        }
    }
}

/// What a metastore's run came to, and whether it is mirrored wholly.
fn told(name: &str, outcome: Result<PassReport, Fault>, elapsed: Duration) -> (String, bool) {
    let pass = match outcome {
        Ok(pass) => pass,
        Err(fault) => return (format!("{name}: not mirrored: {fault}\n"), false),
    };
    let events = match pass.events_applied {
        0 => String::new(),
        events => format!("{} applied, ", counted_events(events)),
    };
    let mut text = format!(
        "{name}: {events}{} objects read, {} new or different, in {:.1} s\n",
        grouped(pass.objects_read),
        grouped(pass.objects_changed),
        elapsed.as_secs_f64()
    );
    for line in &pass.missing {
        text.push_str(&format!("{name}: missing: {line}\n"));
    }
    if pass.objects_failed != 0 {
        let count = grouped(pass.objects_failed);
        text.push_str(&format!("{name}: {count} objects could not be read; sync.errors names each\n"));
    }
    (text, pass.missing.is_empty() && pass.objects_failed == 0)
}

fn counted_events(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "event" } else { "events" })
}

/// Progress on standard error.
struct Display {
    bars: Option<MultiProgress>,
}

impl Display {
    fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    fn line(&self, name: &str) -> Line {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(0));
            // The template is a constant: that it parses is seen at the first run.
            if let Ok(style) = ProgressStyle::with_template("{prefix:12} {bar:10} {wide_msg}") {
                bar.set_style(style);
            }
            bar.with_prefix(name.to_owned())
        });
        let interval = if bar.is_some() { SHOW_INTERVAL } else { SHOW_LINE_INTERVAL };
        Line { name: name.to_owned(), bar, interval, phase: Cell::new((Phase::Objects, Instant::now())) }
    }
}

/// The progress of one metastore.
struct Line {
    name: String,
    bar: Option<ProgressBar>,
    interval: Duration,
    /// What is under way, and since when: rates are those of now.
    phase: Cell<(Phase, Instant)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Events that waited are applied.
    Events,
    /// Everything is read.
    Objects,
}

impl Line {
    fn show(&self, progress: &Progress) {
        let load = |(found, read): &(AtomicU64, AtomicU64)| {
            (found.load(Ordering::Relaxed), read.load(Ordering::Relaxed))
        };
        let counts = [load(&progress.databases), load(&progress.tables), load(&progress.partitions)];
        let events = load(&progress.events);
        let phase = if events.1 < events.0 { Phase::Events } else { Phase::Objects };
        if self.phase.get().0 != phase {
            self.phase.set((phase, Instant::now()));
        }
        let elapsed = self.phase.get().1.elapsed();
        let (text, sums) = match phase {
            Phase::Events => (events_text(events, elapsed), events),
            Phase::Objects => (
                progress_text(counts, progress.failed.load(Ordering::Relaxed), elapsed),
                counts.iter().fold((0, 0), |sums, (found, read)| (sums.0 + found, sums.1 + read)),
            ),
        };
        match &self.bar {
            Some(bar) => {
                // Nothing known yet is nothing done, not all.
                bar.set_length(sums.0.max(1));
                bar.set_position(sums.1);
                bar.set_message(text);
            }
            None => console::note(format_args!("{}: {text}\n", self.name)),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Events applied of those that wait, the rate, and the time that the rest takes at this rate.
fn events_text((waiting, applied): (u64, u64), elapsed: Duration) -> String {
    let rate = applied as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!(
        "{} of {} applied, {} events/s",
        grouped(applied),
        counted_events(waiting),
        grouped(rate as u64)
    );
    if 0.0 < rate {
        text.push_str(&format!(", {:.0} s to go", (waiting.saturating_sub(applied) as f64 / rate).ceil()));
    }
    text
}

/// The rate, the time that the rest takes at this rate (more objects are found while databases are
/// read, so it is a lower bound until then), and objects read of those found so far. What is
/// behind the edge of a narrow terminal is what one can do without.
fn progress_text(counts: [(u64, u64); 3], failed: u64, elapsed: Duration) -> String {
    let [databases, tables, partitions] = counts;
    let found: u64 = counts.iter().map(|(found, _)| found).sum();
    let read: u64 = counts.iter().map(|(_, read)| read).sum();
    let rate = read as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!("{} objects/s", grouped(rate as u64));
    if 0.0 < rate && read < found {
        let sign = if databases.1 < databases.0 { "at least " } else { "" };
        text.push_str(&format!(", {sign}{:.0} s to go", ((found - read) as f64 / rate).ceil()));
    }
    if failed != 0 {
        text.push_str(&format!(", {} failed", grouped(failed)));
    }
    for ((found, read), name) in [(partitions, "partitions"), (tables, "tables"), (databases, "databases")] {
        text.push_str(&format!(", {} of {} {name}", grouped(read), grouped(found)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_of_events_tells_counts_rate_and_time_to_go() {
        assert_eq!(
            events_text((30_000, 10_000), Duration::from_secs(2)),
            "10,000 of 30,000 events applied, 5,000 events/s, 4 s to go"
        );
        assert_eq!(events_text((1, 0), Duration::from_secs(1)), "0 of 1 event applied, 0 events/s");
    }

    #[test]
    fn what_events_changed_is_told() {
        let pass = PassReport {
            events_applied: 1_200,
            objects_read: 50,
            objects_changed: 7,
            ..PassReport::default()
        };
        let (text, is_whole) = told("dc1", Ok(pass), Duration::from_secs(1));
        assert_eq!(text, "dc1: 1,200 events applied, 50 objects read, 7 new or different, in 1.0 s\n");
        assert!(is_whole);
    }

    #[test]
    fn progress_tells_counts_rate_and_time_to_go() {
        let counts = [(10, 5), (1_000, 500), (100_000, 1_495)];
        assert_eq!(
            progress_text(counts, 2, Duration::from_secs(2)),
            "1,000 objects/s, at least 100 s to go, 2 failed, 1,495 of 100,000 partitions, \
             500 of 1,000 tables, 5 of 10 databases"
        );
        assert_eq!(
            progress_text([(1, 1), (2, 2), (0, 0)], 0, Duration::from_secs(1)),
            "3 objects/s, 0 of 0 partitions, 2 of 2 tables, 1 of 1 databases"
        );
    }
}
