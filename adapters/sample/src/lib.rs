//! The sample metastore: a Thrift server on loopback that behaves as a Hive Metastore of a chosen
//! generation, with its data in memory.
//!
//! It serves `skep demo`, the faults of the tests and the load of the benchmarks; it is on no
//! production path. Data flows: `generate` fills a [`Metastore`], the server answers `methods`
//! from it, `mutate` and the tests change it, every change lands in its notification log.
//!
//! Invariant: the same [`SampleSpec`] gives the same data, whenever and wherever.

mod dates;
mod encode;
mod generate;
mod generation;
mod log;
mod message;
mod metastore;
mod methods;
mod mutate;
mod partitions;
mod random;
mod raw;
mod refusal;
mod server;
mod trouble;

pub use generate::{Content, SampleSpec, bench_spec, demo_metastores};
pub use generation::Generation;
pub use metastore::{Metastore, ObjectCounts};
pub use mutate::Churn;
pub use refusal::{Exception, Outcome, Refusal};
pub use server::{SampleServer, ServerOptions};
pub use trouble::{Garbage, Trouble, TroubleRule};
