//! One tree of sealed records. This file and `tree/` are the only ones that name sled.
//!
//! Invariants: every record carries its version and an xxh3 checksum over version, key and payload, so that
//! a damaged or misplaced one is never taken for true; a [`Batch`] is written wholly or not at
//! all; nothing is written when the volume has less free space than asked for (sled can hang on a
//! full disk); no panic leaves this file.
//!
//! What survives a loss of power, with sled 0.34.7 and its files:
//! - `db`, the log: sled's own flush is `sync_file_range`, which leaves out the length of the file, so
//!   that [`Tree::sync`] syncs it;
//! - `blobs/*`, a large record each: sled never syncs them nor their folder, so [`Tree::sync`] does;
//! - `conf`, what sled was opened with: written once, with a new tree, and not synced by sled. Half
//!   of it would be damage, so [`Tree::open`] syncs it;
//! - `snap.*`, what opening read: sled syncs it before it gives it its name. Without the name, or with
//!   that of the one before, opening reads more of the log;
//! - the entries of the folder: all but blobs are made while sled opens, so [`Tree::open`] syncs the
//!   folder, and the one above for the folder's own entry.

mod blobs;
mod copy;

use std::collections::BTreeSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

use self::blobs::Blobs;
use super::StoreOptions;
use crate::fault::{Code, Fault};

/// Version of the seal around every record.
const SEAL_VERSION: u8 = 1;
const SEAL_BYTES: usize = 9;

/// Writes that go together.
#[derive(Default)]
pub(crate) struct Batch {
    inner: sled::Batch,
    keys: Vec<sled::IVec>,
    /// How many bytes of keys and records it writes.
    bytes: u64,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Writes a record.
    pub fn put(&mut self, key: &[u8], payload: &[u8]) {
        let mut sealed = Vec::with_capacity(SEAL_BYTES + payload.len());
        sealed.push(SEAL_VERSION);
        sealed.extend(checksum(SEAL_VERSION, key, payload).to_le_bytes());
        sealed.extend_from_slice(payload);
        self.put_sealed(key.into(), sealed.into());
    }

    /// Writes a record that is sealed already.
    fn put_sealed(&mut self, key: sled::IVec, sealed: sled::IVec) {
        self.bytes += (key.len() + sealed.len()) as u64;
        self.keys.push(key.clone());
        self.inner.insert(key, sealed);
    }

    /// Removes a record, if there.
    pub fn remove(&mut self, key: &[u8]) {
        let key = sled::IVec::from(key);
        self.keys.push(key.clone());
        self.inner.remove(key);
    }
}

/// A record whose seal was checked.
pub(crate) struct Unsealed(sled::IVec);

impl std::ops::Deref for Unsealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[SEAL_BYTES..]
    }
}

/// Why the tree could not be opened.
pub(crate) enum Refusal {
    /// Another process holds it.
    Locked,
    /// What is there cannot be read; why.
    Damaged(String),
    /// Anything else.
    Fault(Fault),
}

/// A tree of sealed records.
pub(crate) struct Tree {
    db: sled::Db,
    file: File,
    path: PathBuf,
    disk_free_bytes_min: u64,
    /// Keys that were written since somebody wants to know them.
    written: Mutex<Option<BTreeSet<sled::IVec>>>,
    /// A write or a sync failed: sled may show what is not on the disk.
    is_broken: AtomicBool,
    /// Something was written since the last sync.
    is_unsynced: AtomicBool,
    blobs: Mutex<Blobs>,
}

impl Tree {
    /// Opens or creates the tree in a folder.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, Refusal> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(options.cache_bytes)
            .use_compression(false)
            .flush_every_ms(Some(500));
        let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(sled::Error::Io(error))) if is_lock(&error) => return Err(Refusal::Locked),
            Ok(Err(sled::Error::Io(error))) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(Refusal::Damaged(error.to_string()));
            }
            Ok(Err(sled::Error::Io(error))) => {
                return Err(Refusal::Fault(io_fault(path, "open", &error)));
            }
            Ok(Err(error)) => return Err(Refusal::Damaged(error.to_string())),
            Err(_) => return Err(Refusal::Damaged("sled panicked while it opened".to_owned())),
        };
        let sync = || {
            File::open(path.join("conf"))?.sync_all()?;
            File::open(path)?.sync_all()?;
            if let Some(parent) = path.parent() {
                File::open(parent)?.sync_all()?;
            }
            File::open(path.join("db"))
        };
        let file = sync().map_err(|error| Refusal::Fault(io_fault(path, "open", &error)))?;
        Ok(Self {
            db,
            file,
            path: path.to_owned(),
            disk_free_bytes_min: options.disk_free_bytes_min,
            written: Mutex::default(),
            is_broken: AtomicBool::new(false),
            // By a former process, perhaps.
            is_unsynced: AtomicBool::new(true),
            blobs: Mutex::new(Blobs::of_tree(path)),
        })
    }

    /// The record of a key, not copied.
    pub fn get(&self, key: &[u8]) -> Result<Option<Unsealed>, Fault> {
        let Some(value) = self.guard("read", || self.db.get(key))? else { return Ok(None) };
        unseal(key, &value)?;
        Ok(Some(Unsealed(value)))
    }

    /// Calls `visit` with key and record, in order of key, for every key with this prefix. A record
    /// whose seal is broken is an `Err` in its place; an error of `visit` ends the scan.
    pub fn scan(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], Result<&[u8], Fault>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut records = self.db.scan_prefix(prefix);
        while let Some((key, value)) = self.guard("read", || records.next().transpose())? {
            visit(&key, unseal(&key, &value))?;
        }
        Ok(())
    }

    /// Keys and record lengths below a prefix.
    pub fn lengths(&self, prefix: &[u8]) -> Result<(u64, u64), Fault> {
        let (mut count, mut bytes) = (0, 0);
        let mut records = self.db.scan_prefix(prefix);
        while let Some((key, value)) = self.guard("read", || records.next().transpose())? {
            count += 1;
            bytes += (key.len() + value.len()) as u64;
        }
        Ok((count, bytes))
    }

    /// The version byte of the newest format that a key is of.
    pub fn newest_format(&self) -> Result<Option<u8>, Fault> {
        let last = self.guard("read", || self.db.last())?;
        Ok(last.and_then(|(key, _)| key.first().copied()))
    }

    /// Writes a batch wholly or not at all; it survives a kill of the process from then on.
    pub fn write(&self, batch: Batch) -> Result<(), Fault> {
        if batch.is_empty() {
            return Ok(());
        }
        self.check_free()?;
        if let Some(written) = self.written.lock().as_mut() {
            written.extend(batch.keys);
        }
        let outcome = self.guard("write", || {
            self.db.apply_batch(batch.inner)?;
            self.db.flush()
        });
        self.is_unsynced.store(true, Ordering::Relaxed);
        self.is_broken.fetch_or(outcome.is_err(), Ordering::Relaxed);
        outcome.map(|_| ())
    }

    /// Errors: `STORE_FULL` when so little space is free that nothing is to be written.
    fn check_free(&self) -> Result<(), Fault> {
        let free = self.disk_free_bytes()?;
        if free < self.disk_free_bytes_min {
            return Err(Fault::new(
                Code::STORE_FULL,
                format!("store {}: write", self.path.display()),
                format!(
                    "the volume has {} MiB free, fewer than the {} MiB that are kept free",
                    free >> 20,
                    self.disk_free_bytes_min >> 20
                ),
            ));
        }
        Ok(())
    }

    /// Everything written so far survives a loss of power.
    pub fn sync(&self) -> Result<(), Fault> {
        self.guard("flush", || self.db.flush())?;
        let sync = || {
            self.blobs.lock().sync()?;
            self.file.sync_data()
        };
        sync().map_err(|error| {
            // The next one would succeed, and tell nothing about what this one left out.
            self.is_broken.store(true, Ordering::Relaxed);
            io_fault(&self.path, "flush", &error)
        })
    }

    /// [`Tree::sync`], when something was written since the last time.
    pub fn sync_written(&self) -> Result<(), Fault> {
        if !self.is_unsynced.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let synced = self.sync();
        self.is_unsynced.fetch_or(synced.is_err(), Ordering::Relaxed);
        synced
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that the folder takes.
    pub fn size_on_disk_bytes(&self) -> Result<u64, Fault> {
        self.guard("measure", || self.db.size_on_disk())
    }

    /// Free bytes on the volume.
    pub fn disk_free_bytes(&self) -> Result<u64, Fault> {
        let stat = rustix::fs::statvfs(&self.path)
            .map_err(|error| io_fault(&self.path, "measure free space", &error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Breaks the seal of the first record below a prefix; whether there was one.
    #[cfg(test)]
    pub fn break_first(&self, prefix: &[u8]) -> bool {
        let first = self.db.scan_prefix(prefix).next().and_then(Result::ok);
        first.is_some_and(|(key, value)| {
            let mut broken = value.to_vec();
            let last = broken.len() - 1;
            broken[last] ^= 1;
            self.db.insert(key, broken).is_ok() && self.db.flush().is_ok()
        })
    }

    fn guard<T>(&self, what: &str, call: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(sled::Error::Io(error))) => Err(io_fault(&self.path, what, &error)),
            Ok(Err(error)) => Err(damaged(&self.path, what, error.to_string())),
            Err(_) => Err(damaged(&self.path, what, "sled panicked on damaged data".to_owned())),
        }
    }
}

fn is_lock(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn damaged(path: &Path, what: &str, why: String) -> Fault {
    Fault::new(Code::STORE_DAMAGED, format!("store {}: {what}", path.display()), why)
}

pub(crate) fn io_fault(path: &Path, what: &str, error: &std::io::Error) -> Fault {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::STORE_FULL,
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => Code::STORE_DAMAGED,
        _ => Code::STORE_IO,
    };
    let fault = Fault::new(code, format!("store {}: {what}", path.display()), error.to_string());
    // Unlike too little free space, which is asked for before: sled 0.34.7 keeps an error of a
    // write and answers every later one with it.
    match code {
        Code::STORE_FULL => fault.with_fix("Free space on the volume of data_dir, then restart skep."),
        Code::STORE_IO => fault.with_fix("Check the volume of data_dir, then restart skep."),
        _ => fault,
    }
}

fn checksum(version: u8, key: &[u8], payload: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[version]);
    hasher.update(key);
    hasher.update(payload);
    hasher.digest()
}

fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], Fault> {
    let broken = |why: &str| Fault::new(Code::STORE_DAMAGED, "store: read a record", why);
    let (head, payload) = sealed.split_at_checked(SEAL_BYTES).ok_or_else(|| broken("it is too short"))?;
    // The checksum first: it is in the same place in every version, and a version that damage made
    // up is no reason to refuse the store.
    if head[1..] != checksum(head[0], key, payload).to_le_bytes() {
        return Err(broken("its checksum is wrong"));
    }
    if SEAL_VERSION < head[0] {
        return Err(Fault::new(
            Code::STORE_FORMAT,
            "store: read a record",
            format!("it has version {}, this skep reads versions up to {SEAL_VERSION}", head[0]),
        ));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn any_damaged_byte_of_a_record_is_told_as_damage() {
        let mut sealed = vec![SEAL_VERSION];
        sealed.extend(checksum(SEAL_VERSION, b"key", b"payload").to_le_bytes());
        sealed.extend(b"payload");
        assert_eq!(unseal(b"key", &sealed).unwrap(), b"payload");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                sealed[at] ^= 1 << bit;
                assert_eq!(unseal(b"key", &sealed).unwrap_err().code, Code::STORE_DAMAGED, "{at} {bit}");
                sealed[at] ^= 1 << bit;
            }
        }
        assert_eq!(unseal(b"yek", &sealed).unwrap_err().code, Code::STORE_DAMAGED);
    }

    #[test]
    fn record_of_a_newer_version_is_refused_and_not_healed() {
        let mut sealed = vec![SEAL_VERSION + 1];
        sealed.extend(checksum(SEAL_VERSION + 1, b"key", b"payload").to_le_bytes());
        sealed.extend(b"payload");
        assert_eq!(unseal(b"key", &sealed).unwrap_err().code, Code::STORE_FORMAT);
    }
}
