//! Opens the store and heals what it can.
//!
//! The order of opening:
//! 1. take the lock (a file beside the folder, so that it stays when the folder is moved);
//!    another process that holds it is waited for 5 s;
//! 2. remove the trees that are not in use: a rebuild that was interrupted left them;
//! 3. remove `snap.*.generating`: sled refuses to open when a crash left one behind;
//! 4. open sled, panics caught; when it finds damage, move its `snap.*` aside (it rebuilds them
//!    from its log) and open again;
//! 5. when that fails too, or nothing says which tree is in use, or a record above the metastores
//!    is damaged: move the trees aside (`<folder>.damaged-<n>`, at most 2 are kept) and begin anew;
//!    what else is in the folder, the journal above all, stays;
//! 6. read the small records (what graves name is passed over; the next change removes it); a
//!    metastore with a damaged one is emptied, so that it is mirrored again; one with damaged
//!    bookkeeping keeps its objects and is read again. Segments are not read: their seals are
//!    checked when they are loaded, and [`super::Catalog`] empties a collection that fails then.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::read::{self, Loaded};
use super::tree::{Refusal, Tree, io_fault};
use super::trees::{self, InUse, Trees};
use super::{OpenReport, StoreOptions, keys};
use crate::fault::{Code, Fault};
use crate::ports::Decoder;

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Damaged folders kept for whoever wants to look into them.
const DAMAGED_KEPT_MAX: usize = 2;

/// What opening gives.
pub(super) struct Opened {
    pub trees: Trees,
    pub lock: File,
    pub loaded: Loaded,
    pub report: OpenReport,
}

pub(super) fn open(path: &Path, options: &StoreOptions, decoder: &dyn Decoder) -> Result<Opened, Fault> {
    let mut report = OpenReport::default();
    let failed = |error: std::io::Error| io_fault(path, "open", &error);
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => failed(error)
            .with_fix("A file stands where the folder has to be: change data_dir, or move the file."),
        _ => failed(error),
    })?;
    let lock = lock(path)?;
    // Twice at most: an empty folder holds nothing that could be damaged.
    for _ in 0..2 {
        match open_folder(path, options, decoder, &mut report) {
            Ok((trees, loaded)) => return Ok(Opened { trees, lock, loaded, report }),
            Err(fault) if fault.code == Code::STORE_DAMAGED => {
                let aside = move_aside(path).map_err(failed)?;
                report.healed.push(format!(
                    "moved the damaged store to {} and began a new one: {}",
                    aside.display(),
                    fault.message()
                ));
                report.is_moved_aside = true;
            }
            Err(fault) => return Err(fault),
        }
    }
    Err(Fault::new(
        Code::STORE_IO,
        format!("store {}: open", path.display()),
        "a new store cannot be read either",
    ))
}

/// One try on the folder as it is; `STORE_DAMAGED` means that it has to go.
fn open_folder(
    root: &Path,
    options: &StoreOptions,
    decoder: &dyn Decoder,
    report: &mut OpenReport,
) -> Result<(Trees, Loaded), Fault> {
    let number = tree_in_use(root, report)?;
    let path = &trees::folder(root, number);
    let failed = |error: std::io::Error| io_fault(path, "open", &error);
    let leftovers = snapshot_files(path, true).map_err(failed)?;
    for leftover in &leftovers {
        fs::remove_file(leftover).map_err(failed)?;
    }
    if !leftovers.is_empty() {
        report.healed.push(format!("removed {} leftover snapshot file(s)", leftovers.len()));
    }
    let tree = match open_tree(path, options) {
        Err(Refusal::Damaged(why)) => {
            tracing::debug!(why, "store damaged, trying without its snapshot");
            for snapshot in snapshot_files(path, false).map_err(failed)? {
                let name = snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned();
                fs::rename(&snapshot, path.join(format!("aside.{name}"))).map_err(failed)?;
                report.healed.push(format!("moved {name} aside"));
            }
            open_tree(path, options)
        }
        other => other,
    };
    let tree = match tree {
        Ok(tree) => tree,
        Err(Refusal::Damaged(why)) => return Err(Fault::new(Code::STORE_DAMAGED, "store: open", why)),
        Err(Refusal::Locked) => return Err(locked(root)),
        Err(Refusal::Fault(fault)) => return Err(fault),
    };
    if let Some(format) = tree.newest_format()?
        && keys::FORMAT_VERSION < format
    {
        return Err(Fault::new(
            Code::STORE_FORMAT,
            format!("store {}: open", root.display()),
            format!("it has format {format}, this skep reads formats up to {}", keys::FORMAT_VERSION),
        ));
    }
    let loaded = read::all(&tree, decoder, report)?;
    Ok((Trees::new(root, options, tree, number), loaded))
}

/// The number of the tree in use, whose folder is there and named then, and no other.
fn tree_in_use(root: &Path, report: &mut OpenReport) -> Result<u64, Fault> {
    let failed = |error: std::io::Error| io_fault(root, "open", &error);
    let InUse { number, is_named } = trees::in_use(root)?;
    for name in trees::remove_others(root, number).map_err(failed)? {
        report.healed.push(format!("removed {name}, left over from a rebuild"));
    }
    if !is_named {
        fs::create_dir_all(trees::folder(root, number)).map_err(failed)?;
        trees::name(root, number).map_err(failed)?;
        // The entries of the name and of the store.
        trees::sync(root).map_err(failed)?;
        trees::sync(parent_of(root)).map_err(failed)?;
    }
    Ok(number)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// sled's own lock may outlive a killed process for a moment.
fn open_tree(path: &Path, options: &StoreOptions) -> Result<Tree, Refusal> {
    let begin = Instant::now();
    loop {
        match Tree::open(path, options) {
            Err(Refusal::Locked) if begin.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
}

/// `<folder><suffix>`, beside the folder.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn lock(path: &Path) -> Result<File, Fault> {
    let lock_path = beside(path, ".lock");
    let failed = |error: std::io::Error| io_fault(path, "lock", &error);
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => return Err(locked(path)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

fn locked(path: &Path) -> Fault {
    Fault::new(
        Code::STORE_LOCKED,
        format!("store {}: open", path.display()),
        format!("another process holds it ({} s waited)", LOCK_TIMEOUT.as_secs()),
    )
}

/// sled's snapshot files: those left half-written, or those that are whole.
fn snapshot_files(path: &Path, is_generating: bool) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") == is_generating {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// Moves the trees to the next free `<folder>.damaged-<n>`, and lets the oldest of those go.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".damaged-";
    let parent = parent_of(path);
    let mut kept = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let number =
            entry.file_name().to_string_lossy().strip_prefix(&name).and_then(|n| n.parse::<u64>().ok());
        kept.extend(number.map(|number| (number, entry.path())));
    }
    kept.sort();
    let next = kept.last().map_or(1, |(number, _)| number + 1);
    while DAMAGED_KEPT_MAX <= kept.len() {
        fs::remove_dir_all(kept.remove(0).1)?;
    }
    let aside = beside(path, &format!(".damaged-{next}"));
    fs::create_dir_all(&aside)?;
    trees::move_all(path, &aside)?;
    Ok(aside)
}
