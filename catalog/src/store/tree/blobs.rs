//! The files of large records: sled keeps each in one of its own, below `blobs`, and never syncs it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Which of them are on the disk.
pub(super) struct Blobs {
    folder: PathBuf,
    /// Length of each when it was synced: a file is written once, from its begin to its end.
    synced: BTreeMap<OsString, u64>,
}

impl Blobs {
    /// Those of the tree in a folder; none counts as synced.
    pub fn of_tree(path: &Path) -> Self {
        Self { folder: path.join("blobs"), synced: BTreeMap::new() }
    }

    /// Writes all that are not there yet to the disk; returns how many.
    pub fn sync(&mut self) -> io::Result<usize> {
        let mut synced = BTreeMap::new();
        let mut count = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            // The length first: what is written later is synced the next time.
            let length = entry.metadata().and_then(|metadata| {
                if self.synced.get(&name) != Some(&metadata.len()) {
                    File::open(&path)?.sync_all()?;
                    count += 1;
                }
                Ok(metadata.len())
            });
            match length {
                Ok(length) => drop(synced.insert(name, length)),
                // sled removes what it does not need at any time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if count != 0 {
            File::open(&self.folder)?.sync_all()?;
        }
        self.synced = synced;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_are_synced_until_they_are_whole_and_not_again() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("blobs");
        fs::create_dir(&folder).unwrap();
        let mut blobs = Blobs::of_tree(tree.path());
        fs::write(folder.join("1"), "whole").unwrap();
        fs::write(folder.join("2"), "begun").unwrap();
        assert_eq!(blobs.sync().unwrap(), 2);
        assert_eq!(blobs.sync().unwrap(), 0);
        fs::write(folder.join("2"), "begun and whole").unwrap();
        fs::write(folder.join("3"), "new").unwrap();
        fs::remove_file(folder.join("1")).unwrap();
        assert_eq!(blobs.sync().unwrap(), 2);
        assert_eq!(blobs.synced.len(), 2);
    }
}
