//! Reads chunks: leaves out those that fail a test, makes rows only where a column that is no
//! constant is asked for, and has what is left tested row by row.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PhysicalExpr,
    PlanProperties, ReplaceChildrenOptions,
};
use futures::stream;
use skep_catalog::fault::Fault;

use super::{Chunk, Test, Tests};
use crate::rows::{batch, projected_schema};
use crate::session::BATCH_ROWS;
use crate::spec::TableSpec;

/// Rows that are worth a partition of their own.
const PARTITION_ROWS_MIN: usize = 16_384;

/// A chunk that is left after pruning, with the tests that its rows must still pass.
struct Piece {
    chunk: Chunk,
    residual: Vec<(usize, Test)>,
}

/// What every partition shares.
struct Work {
    spec: &'static TableSpec,
    schema: SchemaRef,
    projection: Vec<usize>,
    pieces: Vec<Piece>,
}

/// Reads the chunks of one table.
pub struct ChunkExec {
    work: Arc<Work>,
    /// Partitions as ranges of pieces.
    ranges: Vec<std::ops::Range<usize>>,
    row_count: Option<usize>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ChunkExec {
    /// Prunes by constants and bounds, and spreads what is left over at most `partitions_max`
    /// partitions.
    pub fn new(
        spec: &'static TableSpec,
        chunks: Vec<Chunk>,
        tests: Tests,
        projection: Vec<usize>,
        limit: Option<usize>,
        partitions_max: usize,
    ) -> Self {
        let pieces: Vec<Piece> = chunks.into_iter().filter_map(|chunk| prune(chunk, &tests)).collect();
        let row_count = pieces
            .iter()
            .map(|p| if p.residual.is_empty() { p.chunk.row_count } else { None })
            .sum::<Option<usize>>();
        let ranges = spread(&pieces, if limit.is_some() { 1 } else { partitions_max });
        let schema = projected_schema(spec, &projection);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(ranges.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let work = Work { spec, schema, projection, pieces };
        Self { work: Arc::new(work), ranges, row_count, limit, properties: Arc::new(properties) }
    }
}

fn prune(chunk: Chunk, tests: &Tests) -> Option<Piece> {
    let mut residual = Vec::new();
    for (column, test) in &tests.list {
        if let Some((_, value)) = chunk.constants.iter().find(|(c, _)| c == column) {
            if !test.admits(value) {
                return None;
            }
        } else if let Some(bounds) = chunk.bounds.iter().find(|b| b.column == *column) {
            if !test.may_admit(&bounds.min, &bounds.max) {
                return None;
            }
            if !test.must_admit(&bounds.min, &bounds.max) {
                residual.push((*column, test.clone()));
            }
        } else {
            residual.push((*column, test.clone()));
        }
    }
    Some(Piece { chunk, residual })
}

/// Neighbouring pieces, in as many even shares as are worth it; at least one.
fn spread(pieces: &[Piece], partitions_max: usize) -> Vec<std::ops::Range<usize>> {
    let weight = |piece: &Piece| piece.chunk.row_count.unwrap_or(1_000) + 1;
    let total: usize = pieces.iter().map(weight).sum();
    let partitions = (total / PARTITION_ROWS_MIN + 1).min(partitions_max.max(1)).min(pieces.len().max(1));
    let share = total / partitions + 1;
    let mut ranges = Vec::with_capacity(partitions);
    let (mut begin, mut sum) = (0, 0);
    for (index, piece) in pieces.iter().enumerate() {
        sum += weight(piece);
        if share <= sum && ranges.len() + 1 < partitions {
            ranges.push(begin..index + 1);
            (begin, sum) = (index + 1, 0);
        }
    }
    ranges.push(begin..pieces.len());
    ranges
}

impl Work {
    /// The projected rows of a piece.
    fn read(&self, piece: &Piece) -> Result<RecordBatch, Fault> {
        let chunk = &piece.chunk;
        let is_constant = |column: &usize| chunk.constants.iter().any(|(c, _)| c == column);
        let wanted: Vec<usize> = self.projection.iter().copied().filter(|c| !is_constant(c)).collect();
        let loaded = match chunk.row_count.filter(|_| wanted.is_empty() && piece.residual.is_empty()) {
            Some(rows) => batch(projected_schema(self.spec, &[]), Vec::new(), rows)?,
            None => (chunk.load)(&wanted, &piece.residual)?,
        };
        let rows = loaded.num_rows();
        let columns = self.projection.iter().map(|column| {
            if let Some((_, value)) = chunk.constants.iter().find(|(c, _)| c == column) {
                return Ok(repeated(value, rows));
            }
            let place = wanted.iter().position(|w| w == column);
            place
                .and_then(|p| loaded.columns().get(p).cloned())
                .ok_or_else(|| Fault::internal("reading a chunk", "a column is missing"))
        });
        batch(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?, rows)
    }
}

fn repeated(value: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows)))
}

impl fmt::Debug for ChunkExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkExec({}, {} chunks)", self.work.spec.full_name(), self.work.pieces.len())
    }
}

impl DisplayAs for ChunkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> =
            self.work.projection.iter().map(|c| self.work.spec.columns[*c].name).collect();
        let filtered = self.work.pieces.iter().filter(|p| !p.residual.is_empty()).count();
        write!(
            f,
            "ChunkExec: table={}, chunks={}, filtered_chunks={filtered}, columns=[{}]",
            self.work.spec.full_name(),
            self.work.pieces.len(),
            columns.join(", ")
        )
    }
}

impl ExecutionPlan for ChunkExec {
    fn name(&self) -> &str {
        "ChunkExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a chunk scan has no children") }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(range) = self.ranges.get(partition).cloned() else {
            return internal_err!("no partition {partition}");
        };
        let work = Arc::clone(&self.work);
        let left = self.limit.unwrap_or(usize::MAX);
        let batches =
            stream::try_unfold((range, left, None::<RecordBatch>), move |(mut range, mut left, mut rest)| {
                let work = Arc::clone(&work);
                async move {
                    loop {
                        if left == 0 {
                            return Ok(None);
                        }
                        // Lets a deadline or a cancellation through between chunks.
                        tokio::task::consume_budget().await;
                        let loaded = match rest.take() {
                            Some(batch) => batch,
                            None => match range.next() {
                                Some(index) => work
                                    .read(&work.pieces[index])
                                    .map_err(|f| DataFusionError::External(Box::new(f)))?,
                                None => return Ok(None),
                            },
                        };
                        let rows = loaded.num_rows().min(left).min(BATCH_ROWS);
                        if rows == 0 {
                            continue;
                        }
                        if rows < loaded.num_rows() {
                            rest = Some(loaded.slice(rows, loaded.num_rows() - rows));
                        }
                        left -= rows;
                        return Ok(Some((loaded.slice(0, rows), (range, left, rest))));
                    }
                }
            });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.work.schema), batches)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &datafusion::physical_plan::StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.work.schema);
        if let (None, None, Some(rows)) = (args.partition(), self.limit, self.row_count) {
            statistics.num_rows = Precision::Exact(rows);
        }
        Ok(Arc::new(statistics))
    }
}
