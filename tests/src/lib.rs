//! Real parts (metastores, clients, Spark), faults and the binary under test, for the scenarios
//! in `tests/`.

pub mod harness;
