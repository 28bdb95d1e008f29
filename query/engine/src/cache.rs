//! Decoded rows kept between statements, bounded by bytes; the least recently used go first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use skep_catalog::fault::Fault;

/// What rows are of: kind, object id, generation and place in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which kind of rows.
    pub kind: &'static str,
    /// Database or table.
    pub id: u64,
    /// Its generation when the rows were made.
    pub generation: u64,
    /// Chunk within the object.
    pub index: usize,
}

/// Rows in runs: each run belongs to one object.
#[derive(Debug)]
pub struct Cached {
    /// Rows.
    pub batch: RecordBatch,
    /// Object and number of its rows, in order; empty when all belong to one.
    pub runs: Vec<(u64, usize)>,
}

impl Cached {
    fn bytes(&self) -> usize {
        // An entry costs its keys and nodes too.
        self.batch.get_array_memory_size() + self.runs.len() * size_of::<(u64, usize)>() + 512
    }
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<Key, (Arc<Cached>, usize, u64)>,
    by_use: BTreeMap<u64, Key>,
    bytes: usize,
    tick: u64,
}

/// The cache.
pub struct Cache {
    entries: Mutex<Entries>,
    bytes_max: usize,
}

impl Cache {
    /// An empty cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { entries: Mutex::default(), bytes_max }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.entries.lock().bytes
    }

    /// Limit of the same.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The rows of this key, if held.
    pub fn get(&self, key: &Key) -> Option<Arc<Cached>> {
        let mut entries = self.entries.lock();
        let Entries { by_key, by_use, tick, .. } = &mut *entries;
        let (cached, _, used) = by_key.get_mut(key)?;
        by_use.remove(used);
        *tick += 1;
        *used = *tick;
        by_use.insert(*tick, *key);
        Some(Arc::clone(cached))
    }

    /// The rows of this key, made by `make` when not held. Two callers at once may both make them.
    pub fn get_or_make(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<Cached, Fault>,
    ) -> Result<Arc<Cached>, Fault> {
        if let Some(cached) = self.get(&key) {
            return Ok(cached);
        }
        let cached = Arc::new(make()?);
        let bytes = cached.bytes();
        // What alone would push out everything else is not worth keeping.
        if bytes <= self.bytes_max / 4 {
            self.entries.lock().insert(key, &cached, bytes, self.bytes_max);
        }
        Ok(cached)
    }
}

impl Entries {
    fn insert(&mut self, key: Key, cached: &Arc<Cached>, bytes: usize, bytes_max: usize) {
        self.tick += 1;
        self.bytes += bytes;
        if let Some((_, old_bytes, old_use)) = self.by_key.insert(key, (Arc::clone(cached), bytes, self.tick))
        {
            self.bytes -= old_bytes;
            self.by_use.remove(&old_use);
        }
        self.by_use.insert(self.tick, key);
        while bytes_max < self.bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((_, bytes, _)) = self.by_key.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};

    fn cached(rows: usize) -> Result<Cached, Fault> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![7; rows]));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        Ok(Cached { batch, runs: Vec::new() })
    }

    #[test]
    fn cache_stays_within_its_bytes_and_keeps_the_recently_used() {
        let cache = Cache::new(64 << 10);
        let key = |index| Key { kind: "t", id: 1, generation: 1, index };
        for index in 0..100 {
            cache.get_or_make(key(index), || cached(500)).unwrap();
            assert!(cache.get(&key(0)).is_some());
            assert!(cache.bytes() <= cache.bytes_max());
        }
        assert!(cache.get(&key(99)).is_some());
        assert!(cache.get(&key(1)).is_none());
        cache.get_or_make(key(200), || cached(100_000)).unwrap();
        assert!(cache.get(&key(200)).is_none());
    }
}
