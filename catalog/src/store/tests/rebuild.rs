//! Rebuilding in place: nothing is lost, nobody is disturbed, garbage goes.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::crash::{FOLDER, changes, child, filled, model_at, try_open};
use super::model::shown;
use crate::change::Change;
use crate::fault::Code;
use crate::model::*;
use crate::ports::Clock;
use crate::store::testing::*;
use crate::store::trees::Step;
use crate::store::{Catalog, Maintenance, StoreOptions};

/// Says to the re-executed test binary at which step it is to wait for its end.
const STEP: &str = "SKEP_TEST_STEP";

/// Names in the folder of a store, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Old trees are removed by a thread of its own.
fn wait_for_names(folder: &Path, wanted: &[&str]) {
    let begin = Instant::now();
    while names(folder) != wanted {
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?} instead of {wanted:?}", names(folder));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn halt(step: Step) {
    if std::env::var(STEP).is_ok_and(|wanted| wanted == format!("{step:?}")) {
        println!("\nreached {step:?}");
        loop {
            std::thread::park();
        }
    }
}

#[test]
fn rebuild_killed_at_any_step_leaves_the_same_content() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let store = open(Path::new(&folder));
        store.rebuild_watched(halt).unwrap();
        // What is left to do is done by another thread.
        loop {
            std::thread::park();
        }
    }
    let test = "store::tests::rebuild::rebuild_killed_at_any_step_leaves_the_same_content";
    for (step, left, kept) in [
        (Step::Copied, "tree-1", "tree-0"),
        (Step::Named, "tree-0", "tree-1"),
        (Step::Released, "tree-0", "tree-1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("store");
        let position = filled(&folder);
        let mut child = child(&folder, test, &[(STEP, &format!("{step:?}"))]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        lines.find(|line| *line == format!("reached {step:?}")).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(names(&folder), ["CURRENT", "tree-0", "tree-1"]);
        let (store, report) = try_open(&folder).unwrap();
        assert_eq!(report.healed, [format!("removed {left}, left over from a rebuild")], "{step:?}");
        assert_eq!(names(&folder), ["CURRENT", kept]);
        assert_eq!(shown(&store.snapshot()), model_at(position), "{step:?}");
        let id = store.snapshot().metastore("dc1").unwrap().id;
        for number in position + 1..position + 5 {
            store.apply(origin(id, number), changes(number)).unwrap();
            store.rebuild().unwrap();
        }
        drop(store);
        assert_eq!(shown(&try_open(&folder).unwrap().0.snapshot()), model_at(position + 4), "{step:?}");
    }
}

#[test]
fn readers_of_older_snapshots_and_the_writer_go_on_during_rebuilds() {
    const REBUILDS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let begin = filled(&folder);
    let store = open(&folder);
    let id = store.snapshot().metastore("dc1").unwrap().id;
    let (oldest, is_done) = (store.snapshot(), AtomicBool::new(false));
    let (reads, end) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::Relaxed) {
                assert_eq!(shown(&oldest), model_at(begin));
                let newest = store.snapshot();
                assert_eq!(shown(&newest), model_at(newest.metastore("dc1").unwrap().position.unwrap()));
                reads += 1;
            }
            reads
        });
        let writing = scope.spawn(|| {
            let mut number = begin;
            while !is_done.load(Ordering::Relaxed) {
                number += 1;
                store.apply(origin(id, number), changes(number)).unwrap();
            }
            number
        });
        let rebuilt: Vec<_> = (0..REBUILDS).map(|_| store.rebuild()).collect();
        is_done.store(true, Ordering::Relaxed);
        rebuilt.into_iter().for_each(|rebuild| assert_ne!(rebuild.unwrap().after_bytes, 0));
        (reading.join().unwrap(), writing.join().unwrap())
    });
    assert!(0 < reads && begin < end);
    assert_eq!(shown(&oldest), model_at(begin));
    assert_eq!(shown(&store.snapshot()), model_at(end));
    wait_for_names(&folder, &["CURRENT", &format!("tree-{REBUILDS}")]);
    drop((oldest, store));
    let (store, report) = try_open(&folder).unwrap();
    assert_eq!(report.healed, Vec::<String>::new());
    assert_eq!(shown(&store.snapshot()), model_at(end));
}

/// A table whose stored record does not get smaller by compression.
fn large_table(version: u64) -> Item<Table> {
    let mut state = version;
    let text: String = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + ((state >> 33) % 90) as u8)
        })
        .collect();
    table(&text, 0, false)
}

#[test]
fn store_that_has_grown_is_rebuilt_by_its_maintenance() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = store.declare(&[settings("dc1")]).unwrap()[0];
    let first =
        vec![Change::PutCatalog(catalog(DEFAULT_CATALOG)), Change::PutDatabase(db("d"), database("d", ""))];
    store.apply(origin(id, 1), first).unwrap();
    let mut version = 0;
    while store.facts().size_on_disk_bytes < 40 << 20 {
        version += 1;
        store.apply(origin(id, 1), vec![Change::PutTable(db("d").table("t"), large_table(version))]).unwrap();
        store.merge().unwrap();
    }
    let before = shown(&store.snapshot());
    // As if sled could not let go of what a former rebuild replaced.
    std::fs::create_dir(folder.path().join("tree-7")).unwrap();
    let fault = store.maintain().faults.remove(0);
    assert_eq!(fault.code, Code::STORE_IO);
    assert!(fault.why.contains("still there") && fault.fix().contains("Restart"), "{fault}");
    assert_eq!(names(folder.path()), ["CURRENT", "tree-0", "tree-7"]);
    assert_eq!(store.maintain(), Maintenance::default(), "not told at every look");
    let facts = store.facts();
    assert_eq!((facts.last_rebuild, facts.rebuild_error), (None, Some((fault, Stopped.now_micros()))));
    drop(store);
    let store = open(folder.path());
    let rebuild = store.maintain().rebuild.unwrap();
    assert_eq!(store.facts().last_rebuild.unwrap(), rebuild);
    assert!(rebuild.after_bytes < rebuild.before_bytes / 8, "{rebuild:?}");
    assert_eq!(shown(&store.snapshot()), before);
    assert_eq!(store.maintain(), Maintenance::default(), "not at once again");
    wait_for_names(folder.path(), &["CURRENT", "tree-1"]);
}

/// Root of the store, and the thread that let its old tree go.
static UNSYNCABLE: Mutex<Option<PathBuf>> = Mutex::new(None);
static RELEASED_BY: Mutex<Option<ThreadId>> = Mutex::new(None);

#[test]
fn old_tree_is_let_go_by_another_thread_when_its_end_cannot_be_made_durable() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    let store = open(&folder);
    *UNSYNCABLE.lock().unwrap() = Some(folder.clone());
    store
        .rebuild_watched(|step| match step {
            Step::Copied => {}
            // A folder that is not where it was cannot be synced.
            Step::Named => {
                let folder = UNSYNCABLE.lock().unwrap().clone().unwrap();
                std::fs::rename(&folder, folder.with_extension("away")).unwrap();
            }
            Step::Released => *RELEASED_BY.lock().unwrap() = Some(std::thread::current().id()),
        })
        .unwrap();
    std::fs::rename(folder.with_extension("away"), &folder).unwrap();
    let begin = Instant::now();
    while RELEASED_BY.lock().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(60), "nobody else let it go");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_ne!(*RELEASED_BY.lock().unwrap(), Some(std::thread::current().id()));
    assert_eq!(shown(&store.snapshot()), model_at(position));
    drop(store);
    // Not removed: after a loss of power it might be the one that is named.
    assert_eq!(names(&folder), ["CURRENT", "tree-0", "tree-1"]);
    assert_eq!(shown(&try_open(&folder).unwrap().0.snapshot()), model_at(position));
}

#[test]
fn store_is_not_rebuilt_without_room_for_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    let options = StoreOptions { disk_free_bytes_min: u64::MAX, ..StoreOptions::default() };
    let (store, _) = Catalog::open(&folder, options, Arc::new(Wire), Arc::new(Stopped)).unwrap();
    let fault = store.rebuild().unwrap_err();
    assert_eq!(fault.code, Code::STORE_FULL);
    assert_eq!(names(&folder), ["CURRENT", "tree-0"]);
    assert_eq!(shown(&store.snapshot()), model_at(position));
}

#[test]
fn store_without_a_name_of_its_tree_is_opened_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    let current = folder.join("CURRENT");
    let name = std::fs::read(&current).unwrap();
    for damage in [None, Some(&b""[..]), Some(b"tree-1 0123456789abcdef\n")] {
        match damage {
            None => std::fs::remove_file(&current).unwrap(),
            Some(bytes) => std::fs::write(&current, bytes).unwrap(),
        }
        let (store, report) = try_open(&folder).unwrap();
        assert!(!report.is_moved_aside);
        assert_eq!(shown(&store.snapshot()), model_at(position));
        assert_eq!(std::fs::read(&current).unwrap(), name);
    }
}

#[test]
fn a_backup_is_a_store_with_what_was_there_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().join("store"), folder.path().join("backup"));
    let position = filled(&path);
    std::fs::create_dir(&to).unwrap();
    let store = open(&path);
    store.backup(&to).unwrap();
    assert_eq!(shown(&store.snapshot()), model_at(position));
    let (copy, report) = try_open(&to).unwrap();
    assert!(report.healed.is_empty(), "{:?}", report.healed);
    assert_eq!(shown(&copy.snapshot()), model_at(position));
    // The store goes on, and can be backed up and rebuilt again.
    store.rebuild().unwrap();
    let again = folder.path().join("again");
    std::fs::create_dir(&again).unwrap();
    store.backup(&again).unwrap();
    assert_eq!(shown(&open(&again).snapshot()), model_at(position));
}

#[test]
fn store_of_an_older_layout_is_moved_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    filled(&folder);
    std::fs::rename(folder.join("tree-0"), folder.with_extension("older")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(folder.with_extension("older"), &folder).unwrap();
    assert!(Catalog::is_at(&folder));
    let (store, report) = try_open(&folder).unwrap();
    assert!(report.is_moved_aside);
    assert!(report.healed[0].contains("older skep"), "{:?}", report.healed);
    assert!(store.snapshot().metastores.is_empty());
}
