//! The columns of partitions that are kept in memory: decoded once per chunk and generation, and
//! made into Arrow arrays, of the rows and columns that a statement wants, whenever one asks.
//!
//! What the rows of a chunk share is kept once: the directory that they lie in, the moment when
//! they were read. Numbers take as many bytes as their range needs.
//!
//! Invariant: what a column gives does not depend on how it is kept.

mod locations;
mod numbers;
mod texts;

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use skep_catalog::change::Stamp;
use skep_catalog::snapshot::PartitionChunk;

use crate::cache::Kept;
use crate::chunk::Test;
use locations::Locations;
use numbers::Numbers;
use texts::Texts;

/// Hot columns that hold text, and can be tested as they are kept.
pub const TEXTS: [&str; 2] = ["partition_name", "location"];
const MICROS: i64 = 1_000_000;

/// Rows of a chunk, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Picked {
    /// So many, all.
    All(usize),
    /// These.
    Some(Vec<u32>),
}

impl Picked {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::All(count) => *count,
            Self::Some(rows) => rows.len(),
        }
    }

    /// Calls `visit` with each.
    pub fn each(&self, mut visit: impl FnMut(usize)) {
        match self {
            Self::All(count) => (0..*count).for_each(visit),
            Self::Some(rows) => rows.iter().for_each(|row| visit(*row as usize)),
        }
    }

    /// A value for each.
    pub fn map<T>(&self, value: impl Fn(usize) -> T) -> Vec<T> {
        match self {
            Self::All(count) => (0..*count).map(value).collect(),
            Self::Some(rows) => rows.iter().map(|row| value(*row as usize)).collect(),
        }
    }

    /// Those that pass.
    pub fn keep(self, passes: impl Fn(usize) -> bool) -> Self {
        match self {
            // A chunk has far fewer rows than a u32 counts.
            Self::All(count) => Self::Some((0..count as u32).filter(|row| passes(*row as usize)).collect()),
            Self::Some(mut rows) => {
                rows.retain(|row| passes(*row as usize));
                Self::Some(rows)
            }
        }
    }
}

/// The hot columns of one chunk.
pub struct Hot {
    names: Texts,
    locations: Locations,
    row_counts: Numbers,
    total_size_bytes: Numbers,
    file_counts: Numbers,
    /// Seconds since 1970.
    created: Numbers,
    /// Seconds since 1970.
    last_ddl: Numbers,
    synced_at: Numbers,
    source_event_ids: Numbers,
}

impl Hot {
    /// Packs a chunk.
    pub fn new(chunk: &PartitionChunk) -> Self {
        // 0 and less mean "never recorded".
        let recorded = |seconds: &i64| Some(*seconds).filter(|seconds| 0 < *seconds);
        Self {
            names: Texts::new(chunk.names.iter().map(AsRef::as_ref)),
            locations: Locations::new(&chunk.locations, &chunk.names),
            row_counts: Numbers::new(chunk.row_counts.iter().copied()),
            total_size_bytes: Numbers::new(chunk.total_size_bytes.iter().copied()),
            file_counts: Numbers::new(chunk.file_counts.iter().copied()),
            created: Numbers::new(chunk.create_times.iter().map(recorded)),
            last_ddl: Numbers::new(
                chunk.last_ddl_times.iter().map(|seconds| seconds.as_ref().and_then(recorded)),
            ),
            synced_at: Numbers::new(chunk.stamps.iter().map(|stamp| Some(stamp.synced_at))),
            source_event_ids: Numbers::new(chunk.stamps.iter().map(|stamp| stamp.source_event_id)),
        }
    }

    /// All rows.
    pub fn all(&self) -> Picked {
        Picked::All(self.names.len())
    }

    /// The name of a partition.
    pub fn name(&self, row: usize) -> &str {
        self.names.get(row)
    }

    /// Its address.
    pub fn location(&self, row: usize) -> Option<String> {
        self.locations.get(&self.names, row)
    }

    /// Whether it has one.
    pub fn has_location(&self, row: usize) -> bool {
        self.locations.is_known(row)
    }

    /// Calls `visit` with addresses that begin, up to the path, like those of so many partitions.
    pub fn each_origin(&self, visit: impl FnMut(&str, usize)) {
        self.locations.each_origin(&self.names, visit);
    }

    /// A part of what the addresses of the picked rows begin with, up to the path.
    pub fn origins(&self, picked: &Picked, part: impl for<'a> Fn(&'a str) -> Option<&'a str>) -> ArrayRef {
        Arc::new(self.locations.origins(&self.names, picked, part))
    }

    /// When it was read.
    pub fn stamp(&self, row: usize) -> Stamp {
        Stamp {
            synced_at: self.synced_at.get(row).unwrap_or_default(),
            source_event_id: self.source_event_ids.get(row),
        }
    }

    /// Keeps the rows that pass a test of one of the [`TEXTS`].
    pub fn pick(&self, column: &str, test: &Test, picked: Picked) -> Picked {
        match column {
            "partition_name" => picked.keep(|row| test.admits(self.names.get(row))),
            "location" => self.locations.pick(&self.names, test, picked),
            _ => picked,
        }
    }

    /// A column by its name in `catalog.partitions`; `None` when it is not a hot one.
    pub fn column(&self, name: &str, picked: &Picked) -> Option<ArrayRef> {
        let numbers = |numbers: &Numbers| Arc::new(numbers.array(picked, 1)) as ArrayRef;
        let times = |numbers: &Numbers, factor: i64| {
            let times: TimestampMicrosecondArray =
                numbers.array(picked, factor).reinterpret_cast::<TimestampMicrosecondType>();
            Arc::new(times.with_timezone("UTC")) as ArrayRef
        };
        Some(match name {
            "partition_name" => Arc::new(self.names.array(picked)),
            "location" => Arc::new(self.locations.array(&self.names, picked)),
            "row_count" => numbers(&self.row_counts),
            "total_size_bytes" => numbers(&self.total_size_bytes),
            "file_count" => numbers(&self.file_counts),
            "source_created_at" => times(&self.created, MICROS),
            "source_last_ddl_at" => times(&self.last_ddl, MICROS),
            "synced_at" => times(&self.synced_at, 1),
            "source_event_id" => numbers(&self.source_event_ids),
            _ => return None,
        })
    }
}

impl Kept for Hot {
    fn bytes(&self) -> usize {
        let numbers = [
            &self.row_counts,
            &self.total_size_bytes,
            &self.file_counts,
            &self.created,
            &self.last_ddl,
            &self.synced_at,
            &self.source_event_ids,
        ];
        let numbers: usize = numbers.into_iter().map(Numbers::bytes).sum();
        size_of::<Self>() + self.names.bytes() + self.locations.bytes() + numbers
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn chunk(locations: &[Option<&str>]) -> PartitionChunk {
        let rows = locations.len();
        let stamp = |row: usize| Stamp { synced_at: 1 << 50, source_event_id: (row != 0).then_some(7) };
        PartitionChunk {
            names: (0..rows).map(|row| format!("ds={row}").into()).collect(),
            locations: locations.iter().map(|location| location.map(Into::into)).collect(),
            create_times: (0..rows as i64).collect(),
            last_ddl_times: vec![None; rows],
            row_counts: (0..rows).map(|row| Some(row as i64)).collect(),
            total_size_bytes: vec![Some(-1); rows],
            file_counts: vec![Some(1); rows],
            stamps: (0..rows).map(stamp).collect(),
        }
    }

    const LOCATIONS: [Option<&str>; 6] = [
        Some("s3://b/t/ds=0"),
        Some("s3://b/t/ds=1"),
        None,
        Some("s3://elsewhere"),
        Some("hdfs://old/t/ds=4"),
        Some("s3://b/t/ds=9"),
    ];

    #[test]
    fn columns_are_what_was_packed() {
        let chunk = chunk(&LOCATIONS);
        let hot = Hot::new(&chunk);
        let all = hot.all();
        let locations = hot.column("location", &all).unwrap();
        assert_eq!(locations.as_string::<i32>().iter().collect::<Vec<_>>(), LOCATIONS);
        assert_eq!(hot.location(3).unwrap(), "s3://elsewhere");
        let some = Picked::Some(vec![1, 2, 4]);
        let locations = hot.column("location", &some).unwrap();
        assert_eq!(
            locations.as_string::<i32>().iter().collect::<Vec<_>>(),
            [LOCATIONS[1], LOCATIONS[2], LOCATIONS[4]]
        );
        let created = hot.column("source_created_at", &some).unwrap();
        let created = created.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(created.values(), &[1_000_000, 2_000_000, 4_000_000]);
        assert_eq!(created.timezone(), Some("UTC"));
        assert!(hot.column("source_created_at", &all).unwrap().is_null(0));
        assert_eq!(hot.column("source_last_ddl_at", &all).unwrap().null_count(), 6);
        let sizes = hot.column("total_size_bytes", &some).unwrap();
        assert_eq!(sizes.as_primitive::<Int64Type>().values(), &[-1, -1, -1]);
        assert_eq!((0..6).map(|row| hot.stamp(row)).collect::<Vec<_>>(), chunk.stamps);
        assert!(hot.column("partition_values", &all).is_none());
    }

    #[test]
    fn picked_rows_are_those_that_pass_one_by_one() {
        let hot = Hot::new(&chunk(&LOCATIONS));
        let text = str::to_owned;
        for test in [
            Test::Prefix(text("s3://b/t/")),
            Test::Prefix(text("s3://b/t/ds=1")),
            Test::Prefix(text("s3://")),
            Test::Prefix(text("x")),
            Test::In(vec![text("hdfs://old/t/ds=4"), text("s3://elsewhere")]),
            Test::Not(text("s3://b/t/ds=0")),
            Test::Above(text("s3://b/t/ds=1"), true),
            Test::Below(text("s3://b/t/ds=1"), false),
        ] {
            let passing =
                (0..6_u32).filter(|row| LOCATIONS[*row as usize].is_some_and(|text| test.admits(text)));
            let picked = hot.pick("location", &test, hot.all());
            assert_eq!(picked, Picked::Some(passing.collect()), "{test:?}");
        }
        let named = hot.pick("partition_name", &Test::In(vec![text("ds=4")]), hot.all());
        assert_eq!(named, Picked::Some(vec![4]));
    }

    #[test]
    fn addresses_that_follow_no_rule_cost_little_more_than_their_text() {
        let texts: Vec<String> = (0..1_000).map(|row| format!("s3://bucket/{:032x}", row * 7_919)).collect();
        let locations: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        let per_row = Hot::new(&chunk(&locations)).bytes() / 1_000;
        assert!(per_row < 100, "{per_row}");
    }
}
