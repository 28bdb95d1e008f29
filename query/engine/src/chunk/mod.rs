//! Tables as lists of chunks: runs of rows with constant key columns and known bounds, made only
//! when a statement needs them.

mod exec;
mod filter;
mod provider;
mod test;

use std::sync::Arc;

use arrow::array::RecordBatch;
use skep_catalog::fault::Fault;

use crate::pinned::Pinned;
use crate::spec::TableSpec;

pub use filter::{tested, tested_later};
pub use provider::ChunkTable;
pub use test::{Test, Tests, as_test};

/// Makes the rows of a chunk that pass all tests, of the columns at these places of the spec
/// (never constants). Tests are of columns that are no constants.
pub type Load = Arc<dyn Fn(&[usize], &[(usize, Test)]) -> Result<RecordBatch, Fault> + Send + Sync>;

/// Smallest and largest value of a column in a chunk that has no NULL in it.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Place of the column.
    pub column: usize,
    /// Smallest.
    pub min: Box<str>,
    /// Largest.
    pub max: Box<str>,
}

/// Some rows of a table.
#[derive(Clone)]
pub struct Chunk {
    /// Columns that are the same in every row: place and value.
    pub constants: Vec<(usize, Arc<str>)>,
    /// Bounds of other columns.
    pub bounds: Vec<Bounds>,
    /// How many rows, when known without loading.
    pub row_count: Option<usize>,
    /// Makes them, or some.
    pub load: Load,
}

/// A table of skep: its description and how its chunks are found.
#[derive(Clone, Copy)]
pub struct SystemTable {
    /// Description.
    pub spec: &'static TableSpec,
    /// Its chunks at one snapshot. Tests may be used to leave out what fails them; what is left in
    /// is tested again.
    pub chunks: fn(&'static TableSpec, &Arc<Pinned>, &Tests) -> Vec<Chunk>,
}

impl Chunk {
    /// All rows of a small table, made at once.
    pub fn single(
        pinned: &Arc<Pinned>,
        build: impl Fn(&Pinned, &[usize]) -> Result<RecordBatch, Fault> + Send + Sync + 'static,
    ) -> Vec<Self> {
        let pinned = Arc::clone(pinned);
        let load = tested_later(move |wanted| build(&pinned, wanted));
        vec![Self { constants: Vec::new(), bounds: Vec::new(), row_count: None, load }]
    }
}
