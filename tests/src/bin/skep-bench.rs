//! Benchmarks: `cargo run --release -p skep-tests --bin skep-bench -- BENCHMARK [ARGUMENTS]`.
//! docs/measured.md has the command and the last output of each.

use std::process::ExitCode;

use skep_tests::bench::{Outcome, events, first_mirror, partitions_sql, restart, sample};

/// The same as in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: skep-bench BENCHMARK, one of
  partitions-sql [PARTITIONS] [PER_TABLE] [FOLDER]
                                      six questions about 10,000,000 partitions, beside DuckDB
  first-mirror [PARTITIONS]           1,000,000 from the sample metastore, beside a bare client
  first-mirror-real [PARTITIONS]      20,000 from a real metastore 3.1.3, beside a bare client
  events [PER_SECOND] [SECONDS]       10,000 per second for 20 s, and a burst";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, arguments) = match arguments.split_first() {
        Some((verb, arguments)) => (verb.as_str(), arguments),
        None => ("", &[][..]),
    };
    let benchmark: fn(&[String]) -> Outcome = match verb {
        "partitions-sql" => partitions_sql::run,
        "first-mirror" => first_mirror::run,
        "first-mirror-real" => first_mirror::run_real,
        "events" => events::run,
        restart::VERB => restart::run,
        sample::VERB => sample::serve,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match benchmark(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("skep-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
