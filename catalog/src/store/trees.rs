//! The trees of a store: the one in use, and how another takes its place.
//!
//! The folder of a store holds `tree-<n>`, a tree each, and `CURRENT`, which names the one in use.
//! A rebuild copies that one to the next number, names the copy, and lets the old one go.
//!
//! Invariants: `CURRENT` names a whole tree at any time, because a copy is on the disk before it
//! is named and the old tree is removed after; what it does not name is left over and is removed
//! at opening; nobody waits for a tree to be let go (sled can hang then).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use xxhash_rust::xxh3::xxh3_64;

use super::StoreOptions;
use super::keys::{self, Record};
use super::tree::{Refusal, Tree, io_fault};
use crate::fault::{Code, Fault};

const CURRENT: &str = "CURRENT";
const PREFIX: &str = "tree-";
/// Between looks whether a reader is still in a tree that is to be let go.
const RELEASE_PAUSE: Duration = Duration::from_millis(5);

/// Points of a rebuild, for whoever watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// All records are copied, but for those written meanwhile.
    Copied,
    /// `CURRENT` names the copy, readers use the old tree still.
    Named,
    /// The old tree is let go, its folder is there still.
    Released,
}

/// The trees of a store.
pub(crate) struct Trees {
    root: PathBuf,
    options: StoreOptions,
    current: ArcSwap<Tree>,
    /// Number of the next tree; none is given twice, as an old one may be let go late.
    next: AtomicU64,
    /// The name of the tree in use may be lost with the power.
    is_name_unsynced: AtomicBool,
}

impl Trees {
    /// With this tree, opened at [`folder`] of this number, in use.
    pub fn new(root: &Path, options: &StoreOptions, tree: Tree, number: u64) -> Self {
        Self {
            root: root.to_owned(),
            options: options.clone(),
            current: ArcSwap::from_pointee(tree),
            next: AtomicU64::new(number + 1),
            is_name_unsynced: AtomicBool::new(false),
        }
    }

    /// The tree in use; to be held for one call only, because it is let go when nobody holds it.
    pub fn current(&self) -> Arc<Tree> {
        self.current.load_full()
    }

    /// Everything written so far, and which tree it is in, survives a loss of power.
    pub fn sync(&self) -> Result<(), Fault> {
        self.sync_name()?;
        self.current().sync()
    }

    /// [`Trees::sync`], when something was written since the last time.
    pub fn sync_written(&self) -> Result<(), Fault> {
        self.sync_name()?;
        self.current().sync_written()
    }

    fn sync_name(&self) -> Result<(), Fault> {
        if self.is_name_unsynced.load(Ordering::Relaxed) {
            sync(&self.root).map_err(|error| io_fault(&self.root, "name the tree in use", &error))?;
            self.is_name_unsynced.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Free space below which nothing is written.
    pub fn disk_free_bytes_min(&self) -> u64 {
        self.options.disk_free_bytes_min
    }

    /// Whether there is a tree that is not in use: it is not let go yet, or could not be removed.
    pub fn has_others(&self) -> Result<bool, Fault> {
        let numbers = numbers(&self.root).map_err(|error| io_fault(&self.root, "list trees", &error))?;
        Ok(1 < numbers.len())
    }

    /// A new empty tree that may take the place of the one in use. One at a time.
    pub fn successor(&self) -> Result<Successor<'_>, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.copy_at(&self.root, number)
    }

    /// A new empty tree that may become a store of its own in another folder. One at a time.
    pub fn copy_to(&self, root: &Path) -> Result<Successor<'_>, Fault> {
        self.copy_at(root, 0)
    }

    fn copy_at(&self, root: &Path, number: u64) -> Result<Successor<'_>, Fault> {
        let path = folder(root, number);
        let tree = match Tree::open(&path, &self.options) {
            Ok(tree) => tree,
            Err(Refusal::Fault(fault)) => return Err(fault),
            Err(Refusal::Damaged(why)) => return Err(Fault::new(Code::STORE_IO, opening(&path), why)),
            Err(Refusal::Locked) => {
                return Err(Fault::new(Code::STORE_LOCKED, opening(&path), "another process holds it"));
            }
        };
        Ok(Successor { trees: self, root: root.to_owned(), old: self.current(), tree: Some(tree), number })
    }
}

/// Moves all trees, and what names one, to another folder; what else is in the folder is not the
/// store's. An older skep had nothing else in it.
pub(crate) fn move_all(root: &Path, aside: &Path) -> io::Result<()> {
    let is_older = is_older(root);
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if is_older || text.starts_with(CURRENT) || text.starts_with(PREFIX) {
            names.push(name);
        }
    }
    names.sort();
    names.iter().try_for_each(|name| fs::rename(root.join(name), aside.join(name)))?;
    sync(aside)?;
    sync(root)
}

fn opening(path: &Path) -> String {
    format!("store {}: open", path.display())
}

/// A tree that becomes a copy of the one in use. It is removed when it is dropped before that.
pub(crate) struct Successor<'a> {
    trees: &'a Trees,
    /// The store that it is of.
    root: PathBuf,
    old: Arc<Tree>,
    /// Until it is in use.
    tree: Option<Tree>,
    number: u64,
}

impl Successor<'_> {
    fn tree(&self) -> Result<&Tree, Fault> {
        self.tree.as_ref().ok_or_else(|| Fault::internal("store: rebuild", "the copy is gone"))
    }

    /// What is written from now on is part of the copy. Nobody may write meanwhile.
    pub fn begin(&self) {
        self.old.note_written(true);
    }

    /// Copies what is there, beside readers and the writer.
    pub fn copy(&self) -> Result<(), Fault> {
        let tree = self.tree()?;
        // Large records first: sled fills its log with those of one kind, and does not move them
        // for the garbage that many small ones leave among them.
        let (hot, delta) = (keys::all(Record::Hot), keys::all(Record::Delta));
        let (hot, delta) = (hot.as_slice(), delta.as_slice());
        self.old.copy_range(tree, hot..delta)?;
        self.old.copy_range(tree, ..hot)?;
        self.old.copy_range(tree, delta..)?;
        // For what this syncs the writer does not wait.
        tree.sync()
    }

    /// Copies what was written meanwhile and makes the copy a store of its own. Nobody may write
    /// meanwhile.
    pub fn finish(mut self) -> Result<(), Fault> {
        let tree = self.tree()?;
        self.old.copy_written(tree)?;
        tree.sync()?;
        let named = name(&self.root, self.number).and_then(|()| sync(&self.root));
        named.map_err(|error| io_fault(&self.root, "name the tree in use", &error))?;
        if let Some(tree) = self.tree.take() {
            release(Arc::new(tree), false, |_| {});
        }
        Ok(())
    }

    /// Copies what was written meanwhile and makes the copy the tree in use. Nobody may write
    /// meanwhile.
    pub fn take_over(mut self, step: fn(Step)) -> Result<(), Fault> {
        let trees = self.trees;
        let tree = self.tree()?;
        self.old.copy_written(tree)?;
        // The rest of the copy, before it is named.
        tree.sync()?;
        let failed = |error: io::Error| io_fault(&trees.root, "name the tree in use", &error);
        name(&trees.root, self.number).map_err(failed)?;
        step(Step::Named);
        // From here on the name counts, whatever else fails.
        if let Some(tree) = self.tree.take() {
            trees.current.store(Arc::new(tree));
        }
        // The name, before the old tree is removed.
        let synced = sync(&trees.root);
        if let Err(error) = &synced {
            // After a loss of power the old name may be back: its tree stays until the next start,
            // and nothing counts as synced until the name is.
            trees.is_name_unsynced.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "the folder of the store is not written to the disk");
        }
        release(self.old.clone(), synced.is_ok(), step);
        Ok(())
    }
}

impl Drop for Successor<'_> {
    fn drop(&mut self) {
        self.old.note_written(false);
        if let Some(tree) = self.tree.take() {
            release(Arc::new(tree), true, |_| {});
        }
    }
}

/// Lets a tree that is not in use go, on a thread of its own, and removes its folder.
fn release(tree: Arc<Tree>, is_removed: bool, step: fn(Step)) {
    let kept = tree.clone();
    let work = move || {
        let path = tree.path().to_owned();
        let mut tree = tree;
        // Readers are in it for one call only.
        while let Err(held) = Arc::try_unwrap(tree) {
            tree = held;
            std::thread::sleep(RELEASE_PAUSE);
        }
        step(Step::Released);
        if is_removed && let Err(error) = remove(&path) {
            tracing::warn!(folder = %path.display(), %error, "old tree not removed, the next start does it");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("skep-store-release".to_owned()).spawn(work) {
        tracing::warn!(%error, "no thread to let an old tree go, the next start removes it");
        // Nobody is to wait for it, so it stays open.
        std::mem::forget(kept);
    }
}

/// Removes the folder of a tree, if it is there: another thread, or the former process at its end,
/// may be removing it too.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder of a tree.
pub(crate) fn folder(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{PREFIX}{number}"))
}

/// Whether there is a store, whole or damaged.
pub(crate) fn is_at(root: &Path) -> bool {
    root.join(CURRENT).exists() || is_older(root) || numbers(root).is_ok_and(|numbers| !numbers.is_empty())
}

/// A tree without a folder of its own: skep once kept it so.
fn is_older(root: &Path) -> bool {
    root.join("db").exists()
}

/// Numbers of all trees that are there, in order.
fn numbers(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(number_of));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Which tree is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InUse {
    pub number: u64,
    /// Whether `CURRENT` says so.
    pub is_named: bool,
}

/// The tree in use: that which `CURRENT` names, or the only one that is there (of a new store, or
/// when `CURRENT` is damaged), or number 0 where there is none yet.
///
/// Errors: `STORE_DAMAGED` when nothing says which one it is; `STORE_IO`.
pub(crate) fn in_use(root: &Path) -> Result<InUse, Fault> {
    let failed = |error: io::Error| io_fault(root, "open", &error);
    let unclear = |why: &str| Err(Fault::new(Code::STORE_DAMAGED, opening(root), why));
    let numbers = numbers(root).map_err(failed)?;
    let named = match fs::read(root.join(CURRENT)) {
        Ok(bytes) => read_name(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    match (named, numbers.as_slice()) {
        (Some(number), numbers) if numbers.contains(&number) => Ok(InUse { number, is_named: true }),
        (None, [number]) => Ok(InUse { number: *number, is_named: false }),
        (None, []) if is_older(root) => unclear("it has the layout of an older skep"),
        (None, []) => Ok(InUse { number: 0, is_named: false }),
        (None, _) => unclear("CURRENT does not say which of its trees is in use"),
        (Some(_), _) => unclear("the tree that CURRENT names is missing"),
    }
}

/// Removes all trees but this one; returns the names of those that were there.
pub(crate) fn remove_others(root: &Path, number: u64) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for other in numbers(root)?.into_iter().filter(|other| *other != number) {
        remove(&folder(root, other))?;
        removed.push(format!("{PREFIX}{other}"));
    }
    Ok(removed)
}

/// What `CURRENT` holds: a name, and a checksum over it.
fn named(number: u64) -> String {
    let name = format!("{PREFIX}{number}");
    format!("{name} {:016x}\n", xxh3_64(name.as_bytes()))
}

fn read_name(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number = number_of(text.split(' ').next()?)?;
    (text == named(number)).then_some(number)
}

/// Names the tree in use, wholly or not at all. It survives a loss of power after [`sync`].
pub(crate) fn name(root: &Path, number: u64) -> io::Result<()> {
    let new = root.join("CURRENT.new");
    let mut file = File::create(&new)?;
    file.write_all(named(number).as_bytes())?;
    // Before it takes the place of the one before: a name without bytes names nothing.
    file.sync_all()?;
    fs::rename(&new, root.join(CURRENT))
}

/// Writes the entries of a folder to the disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn with_trees(numbers: &[u64]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        numbers.iter().for_each(|number| fs::create_dir(folder(root.path(), *number)).unwrap());
        root
    }

    #[test]
    fn tree_in_use_is_the_named_one_or_the_only_one() {
        assert_eq!(in_use(with_trees(&[]).path()).unwrap(), InUse { number: 0, is_named: false });
        assert_eq!(in_use(with_trees(&[7]).path()).unwrap(), InUse { number: 7, is_named: false });
        let root = with_trees(&[7, 8]);
        assert_eq!(in_use(root.path()).unwrap_err().code, Code::STORE_DAMAGED);
        for number in [7, 8] {
            name(root.path(), number).unwrap();
            assert_eq!(in_use(root.path()).unwrap(), InUse { number, is_named: true });
        }
        assert_eq!(remove_others(root.path(), 8).unwrap(), ["tree-7"]);
        assert_eq!(in_use(root.path()).unwrap().number, 8);
        fs::remove_dir(folder(root.path(), 8)).unwrap();
        assert_eq!(in_use(root.path()).unwrap_err().code, Code::STORE_DAMAGED);
    }

    #[test]
    fn trees_that_somebody_else_removes_are_no_error() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..50 {
            for number in 0..20 {
                fs::create_dir_all(folder(root.path(), number).join("blobs")).unwrap();
            }
            std::thread::scope(|scope| {
                let removing = [(); 3].map(|()| scope.spawn(|| remove_others(root.path(), 0)));
                removing.into_iter().for_each(|one| drop(one.join().unwrap().unwrap()));
            });
            assert_eq!(numbers(root.path()).unwrap(), [0]);
        }
    }

    #[test]
    fn damaged_name_names_nothing() {
        let bytes = named(12).into_bytes();
        assert_eq!(read_name(&bytes), Some(12));
        for at in 0..bytes.len() {
            assert_eq!(read_name(&bytes[..at]), None);
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(read_name(&damaged), None);
            }
        }
    }
}
