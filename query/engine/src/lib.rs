//! SQL over snapshots of the catalog.
//!
//! Map of the crate, in the direction that a statement goes:
//! - [`engine`]: takes statements, gives batches;
//! - [`statement`]: what a statement is, beside its text;
//! - [`caller`]: who asks, and what they may;
//! - [`parameters`]: `?` and `$1`, their types and values;
//! - [`leases`]: snapshots kept for rows that are asked for later;
//! - [`supervise`]: sees one statement through, within bounds of time, memory and rows;
//! - [`counts`]: how statements ended and how long they took, for those who watch;
//! - [`threads`]: threads of its own for every statement;
//! - [`stop`]: how a statement is made to end;
//! - [`guard`]: refuses before planning what could not be planned or ended in bounds;
//! - [`session`]: DataFusion set up for one statement on one pinned snapshot;
//! - [`spec`]: every table and column described once;
//! - [`procedures`]: what a CALL may say, and how it takes effect once;
//! - [`jobs`]: work that calls began and that goes on after their answers;
//! - [`tables`]: one file per family of tables;
//! - [`chunk`]: how a table is read: pruned, only what is asked for, filtered exactly;
//! - [`hot`]: the columns of partitions that stay in memory, and how small they are kept;
//! - [`window`]: memory of window functions, which do not ask for it themselves;
//! - [`repeated`]: memory of joins and unnesting, which do not either;
//! - [`aliased`]: memory of columns that a projection gives several times;
//! - [`coalesced`]: memory of repartitions and filters, which do not ask for all of it;
//! - [`single_stage`]: aggregates that hold all their values hold them in one place;
//! - [`pool`]: the memory of all statements, whose bound can change;
//! - [`bytes`]: how many bytes the values of arrays take, for all that count them;
//! - [`wrapper`]: operators around another one, which those above and [`stop`] are made of;
//! - [`rollup`]: sums over partitions answered from per-table sums;
//! - [`errors`]: every error as a [`skep_catalog::fault::Fault`] with a stable code.
//!
//! Deliberately absent: sockets, files, writing of any kind.

mod aliased;
mod bytes;
mod cache;
mod caller;
mod chunk;
mod coalesced;
mod counts;
pub mod describe;
pub mod engine;
mod errors;
mod guard;
mod hot;
mod jobs;
mod leases;
mod memory;
mod parameters;
mod pinned;
mod pool;
pub mod procedures;
mod queries;
mod repeated;
mod rollup;
mod rows;
mod session;
mod single_stage;
pub mod spec;
mod statement;
mod stop;
mod supervise;
mod tables;
mod threads;
mod version;
mod window;
mod wrapper;

pub use arrow;
pub use caller::{Caller, Role};
pub use counts::{DURATION_BOUNDS_S, StatementCounts};
pub use engine::{Engine, EngineOptions, Meters, QueryResult};
pub use guard::TEXT_BYTES_MAX;
pub use leases::LEASE;
pub use parameters::PARAMETERS_MAX;
pub use pinned::{Node, Setting, Subject};
pub use procedures::{Called, Procedures};
pub use skep_catalog::scope::Scope;
pub use statement::{Prepared, Statement};
