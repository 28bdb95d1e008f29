//! Bounds of the catalog, with unit and reason.

/// Partitions (or other items) of one stored segment: large enough to compress well, small
/// enough to rewrite in a few milliseconds.
pub const SEGMENT_ITEMS_MAX: usize = 1_000;

/// Uncompressed bytes of one stored segment; an item larger than this has a segment of its own.
pub const SEGMENT_BYTES_MAX: usize = 4 << 20;

/// Changed items of one collection before they are merged into its segments.
pub const DELTA_ITEMS_MAX: usize = 256;

/// Rows kept per metastore in `sync.events`, in `sync.runs`, in `sync.errors` and in
/// `catalog.dropped_tables`: sled never gives space back to a log that grows, so these are rings.
pub const EVENTS_KEPT_MAX: usize = 10_000;
/// See [`EVENTS_KEPT_MAX`].
pub const RUNS_KEPT_MAX: usize = 1_000;
/// See [`EVENTS_KEPT_MAX`].
pub const ERRORS_KEPT_MAX: usize = 10_000;
/// See [`EVENTS_KEPT_MAX`].
pub const DROPPED_TABLES_KEPT_MAX: usize = 10_000;

/// Free space below which nothing is written any more: sled can hang on a full disk.
pub const DISK_FREE_BYTES_MIN: u64 = 512 << 20;
