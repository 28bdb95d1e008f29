//! A sample metastore in a process of its own, so that its processor time is told apart: this
//! binary again, with [`VERB`] as its first argument, told what to do on its standard input.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use skep_catalog::ports::{Clock, SystemClock};
use skep_sample::{Churn, SampleServer, ServerOptions, bench_spec};

use super::Outcome;
use crate::harness::process::Guarded;

/// First argument of the binary when it is the server.
pub const VERB: &str = "sample-server";
/// Between two portions of a steady stream of changes.
const TICK: Duration = Duration::from_millis(10);
/// Columns of a table.
const COLUMNS: u32 = 10;

/// A server that is running.
pub struct Sample {
    process: Guarded,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    uri: String,
}

/// When the event of this id (and, since the line before, those before it) was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Newest event.
    pub event_id: i64,
    /// Microseconds since 1970.
    pub at: i64,
}

impl Sample {
    /// Starts one with so many tables of so many partitions.
    pub fn start(tables: u32, partitions: u32) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([VERB, &tables.to_string(), &partitions.to_string()]);
        let mut process = Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = process.child().stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.child().stdout.take().ok_or("no standard output")?);
        let mut sample = Self { process, input, output, uri: String::new() };
        sample.uri = sample.line()?;
        Ok(sample)
    }

    /// Where it listens.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Has it make so many changes, so many per second (0: as fast as it can), over its tables.
    /// They are under way when this returns: [`Sample::written`] says when each was made.
    pub fn change(&mut self, events: usize, per_second: usize) -> Outcome {
        writeln!(self.input, "{events} {per_second}")?;
        Ok(())
    }

    /// What was written when, until the last one.
    pub fn written(&mut self) -> Outcome<Vec<Written>> {
        let mut all = Vec::new();
        loop {
            let line = self.line()?;
            let Some((event_id, at)) = line.split_once(' ') else { return Ok(all) };
            all.push(Written { event_id: event_id.parse()?, at: at.parse()? });
        }
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err("the sample server ended".into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

/// The other side: serves until its input ends.
pub fn serve(arguments: &[String]) -> Outcome {
    let [tables, partitions] = arguments else { return Err("tables and partitions are needed".into()) };
    let spec = bench_spec(tables.parse()?, partitions.parse()?, COLUMNS);
    let server = SampleServer::start(&spec, ServerOptions::default())?;
    let mut churn = server.with(|metastore| Churn::new(metastore, 1, usize::MAX)).partitions_only();
    println!("{}", server.uri());
    for line in std::io::stdin().lines() {
        let line = line?;
        let (events, per_second) = line.split_once(' ').ok_or("events and events per second are needed")?;
        let (events, per_second): (usize, usize) = (events.parse()?, per_second.parse()?);
        let (begin, mut made) = (Instant::now(), 0);
        let mut all = Vec::new();
        while made < events {
            let due = match per_second {
                0 => events,
                // A tick ahead: the pause comes after.
                _ => ((begin.elapsed() + TICK).as_secs_f64() * per_second as f64) as usize,
            };
            let portion = due.min(events).saturating_sub(made).min(1_000);
            if portion != 0 {
                let event_id = server.with(|metastore| {
                    made += churn.run(metastore, portion);
                    metastore.head_event_id()
                });
                all.push(Written { event_id, at: SystemClock.now_micros() });
            }
            if per_second != 0 && due <= made {
                std::thread::sleep(TICK);
            }
        }
        let lines: String =
            all.iter().map(|written| format!("{} {}\n", written.event_id, written.at)).collect();
        println!("{lines}.");
    }
    Ok(())
}
