//! Decoded rows kept between statements, bounded by bytes; the least recently used go first.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use skep_catalog::fault::Fault;

/// What rows are of: object id, generation and place in the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Database or table.
    pub id: u64,
    /// Its generation when the rows were made.
    pub generation: u64,
    /// Chunk within the object.
    pub index: usize,
}

/// Rows as they are kept. Each family of tables keeps a type of its own.
pub trait Kept: Any + Send + Sync {
    /// All memory that they take.
    fn bytes(&self) -> usize;
}

/// Bytes of a boxed slice on the heap, the allocator's own included.
pub fn boxed_bytes<T>(slice: &[T]) -> usize {
    if slice.is_empty() { 0 } else { size_of_val(slice).next_multiple_of(16) + 16 }
}

/// What an entry costs beside its rows: places in both maps, their free places, and counters.
const ENTRY_BYTES: usize = 320;

/// Keys of different kinds of rows may be equal.
type FullKey = (TypeId, Key);

struct Entry {
    rows: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<FullKey, Entry>,
    by_use: BTreeMap<u64, FullKey>,
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
    pub fn get<T: Kept>(&self, key: Key) -> Option<Arc<T>> {
        let key = (TypeId::of::<T>(), key);
        let mut entries = self.entries.lock();
        let Entries { by_key, by_use, tick, .. } = &mut *entries;
        let entry = by_key.get_mut(&key)?;
        by_use.remove(&entry.used);
        *tick += 1;
        entry.used = *tick;
        by_use.insert(*tick, key);
        Arc::clone(&entry.rows).downcast().ok()
    }

    /// The rows of this key, made by `make` when not held. Two callers at once may both make them.
    pub fn get_or_make<T: Kept>(
        &self,
        key: Key,
        make: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<Arc<T>, Fault> {
        if let Some(rows) = self.get(key) {
            return Ok(rows);
        }
        let rows = Arc::new(make()?);
        let bytes = rows.bytes() + ENTRY_BYTES;
        // What alone would push out everything else is not worth keeping.
        if bytes <= self.bytes_max / 4 {
            let kept: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&rows);
            self.entries.lock().insert((TypeId::of::<T>(), key), kept, bytes, self.bytes_max);
        }
        Ok(rows)
    }
}

impl Entries {
    fn insert(&mut self, key: FullKey, rows: Arc<dyn Any + Send + Sync>, bytes: usize, bytes_max: usize) {
        self.tick += 1;
        self.bytes += bytes;
        let entry = Entry { rows, bytes, used: self.tick };
        if let Some(old) = self.by_key.insert(key, entry) {
            self.bytes -= old.bytes;
            self.by_use.remove(&old.used);
        }
        self.by_use.insert(self.tick, key);
        while bytes_max < self.bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some(entry) = self.by_key.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Numbers(Box<[i64]>);
    #[derive(Debug, PartialEq)]
    struct Letter(char);

    impl Kept for Numbers {
        fn bytes(&self) -> usize {
            boxed_bytes(&self.0)
        }
    }
    impl Kept for Letter {
        fn bytes(&self) -> usize {
            0
        }
    }

    fn numbers(count: usize) -> Result<Numbers, Fault> {
        Ok(Numbers(vec![7; count].into()))
    }

    fn key(index: usize) -> Key {
        Key { id: 1, generation: 1, index }
    }

    #[test]
    fn cache_stays_within_its_bytes_and_keeps_the_recently_used() {
        let cache = Cache::new(64 << 10);
        for index in 0..100 {
            cache.get_or_make(key(index), || numbers(500)).unwrap();
            assert!(cache.get::<Numbers>(key(0)).is_some());
            assert!(cache.bytes() <= cache.bytes_max());
        }
        assert!(cache.get::<Numbers>(key(99)).is_some());
        assert!(cache.get::<Numbers>(key(1)).is_none());
        cache.get_or_make(key(200), || numbers(100_000)).unwrap();
        assert!(cache.get::<Numbers>(key(200)).is_none());
    }

    #[test]
    fn rows_of_different_kinds_share_no_key() {
        let cache = Cache::new(64 << 10);
        cache.get_or_make(key(1), || numbers(1)).unwrap();
        cache.get_or_make(key(1), || Ok(Letter('a'))).unwrap();
        assert_eq!(cache.get(key(1)).as_deref(), Some(&Letter('a')));
        assert_eq!(cache.get(key(1)), Some(Arc::new(numbers(1).unwrap())));
    }
}
