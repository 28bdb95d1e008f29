//! Real parts (metastores, clients, Spark), faults and the binary under test, for the scenarios
//! in `tests/`, and the benchmarks of `skep-bench`.

pub mod bench;
pub mod harness;
