//! kill -9, leftovers, damage, locks: what opening heals.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::model::{Model, shown};
use crate::change::{
    Change, EndpointStatus, EventRow, FollowState, FollowStatus, MissingMethod, ObjectError, Run, SeenError,
};
use crate::fault::Code;
use crate::model::*;
use crate::store::testing::*;
use crate::store::{Catalog, StoreOptions};

/// Says to the re-executed test binary which store it is to write to.
pub(super) const FOLDER: &str = "SKEP_TEST_STORE";
const KILLS: u64 = 20;
const DAMAGES: u64 = 60;

/// The changes of apply `number`: puts, alters, drops and renames that all have to be there or
/// not, with the number as position.
pub(super) fn changes(number: i64) -> Vec<Change> {
    if number == 1 {
        return vec![
            Change::PutCatalog(catalog(DEFAULT_CATALOG)),
            Change::PutDatabase(db("d"), database("d", "")),
            Change::MarkDatabaseDone(1, db("d")),
            Change::SetPosition(1),
        ];
    }
    let name = db("d").table(format!("t{}", number % 5));
    let short = name.table.clone();
    let items = move |from: i64, count: i64| {
        let values = (from..from + count).map(|i| i % 3000);
        values.map(|i| partition(&short, &format!("{i:05}"), i + number)).collect::<Vec<_>>()
    };
    let mut list = vec![
        Change::PutTable(name.clone(), table(&name.table, number % 7, true)),
        Change::PutPartitions(name.clone(), items(number * 13, 40)),
        Change::SetTableDetails(name.clone(), details(number)),
        Change::SetPosition(number),
    ];
    match number % 11 {
        3 => list.push(Change::PutPartitions(name, items(0, 900))),
        5 => list.push(Change::RenameTable { from: name, to: db("d").table("t4") }),
        7 => list.push(Change::DropTable(name)),
        9 => list.push(Change::DropPartitions(name, (0..300).map(|i| format!("ds={i:05}")).collect())),
        _ => {}
    }
    list
}

pub(super) fn model_at(position: i64) -> Model {
    let mut model = Model::default();
    (1..=position).flat_map(changes).for_each(|change| model.apply(&change));
    model
}

/// What the re-executed binary does: go on from where the store is, and say what is done.
fn write_until_killed(folder: &Path) {
    let store = open(folder);
    let id = store.declare(&[settings("dc1")]).unwrap()[0];
    let mut number = store.snapshot().metastore("dc1").unwrap().position.unwrap_or(0);
    loop {
        number += 1;
        store.apply(origin(id, number), changes(number)).unwrap();
        println!("\nacknowledged {number}");
        if number % 8 == 0 {
            store.merge().unwrap();
        }
        if number % 12 == 0 {
            store.rebuild().unwrap();
        }
    }
}

pub(super) fn child(folder: &Path, test: &str, variables: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn acknowledged_changes_survive_kill() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut random = StdRng::seed_from_u64(7);
    let mut last = 0;
    for _ in 0..KILLS {
        let mut child = child(&folder, "store::tests::crash::acknowledged_changes_survive_kill", &[]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let count = random.random_range(0..25);
        let mut acknowledged = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("acknowledged ").and_then(|n| n.parse::<i64>().ok()));
        let mut newest = last;
        // Some kills fall into opening: nothing was acknowledged yet.
        for _ in 0..count {
            newest = acknowledged.next().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_micros(random.random_range(0..20_000)));
        child.kill().unwrap();
        newest = acknowledged.last().unwrap_or(newest);
        child.wait().unwrap();
        let store = open(&folder);
        let snapshot = store.snapshot();
        let position = snapshot.metastore("dc1").and_then(|m| m.position).unwrap_or(0);
        assert!(newest <= position, "{newest} was acknowledged, {position} is there");
        if 0 < position {
            assert_eq!(shown(&snapshot), model_at(position));
        }
        last = position;
    }
    assert!(0 < last);
}

/// A store with segments, deltas and bookkeeping, and the position it is at.
pub(super) fn filled(folder: &Path) -> i64 {
    let store = open(folder);
    let id = store.declare(&[settings("dc1")]).unwrap()[0];
    for number in 1..=25 {
        store.apply(origin(id, number), changes(number)).unwrap();
    }
    store.flush().unwrap();
    25
}

pub(super) fn try_open(
    folder: &Path,
) -> Result<(Arc<Catalog>, crate::store::OpenReport), crate::fault::Fault> {
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::default() };
    Catalog::open(folder, options, Arc::new(Wire), Arc::new(Stopped))
}

#[test]
fn leftover_snapshot_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    let tree = folder.join("tree-0");
    std::fs::write(tree.join("snap.00000000000000AB.generating"), b"half").unwrap();
    std::fs::write(tree.join("snap.00000000000000CD.generating"), b"").unwrap();
    let (store, report) = try_open(&folder).unwrap();
    assert!(!report.is_moved_aside);
    assert_eq!(report.healed, ["removed 2 leftover snapshot file(s)"]);
    assert_eq!(shown(&store.snapshot()), model_at(position));
}

#[test]
fn damaged_snapshot_files_are_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    drop(open(&folder));
    let mut damaged = 0;
    for entry in std::fs::read_dir(folder.join("tree-0")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            std::fs::write(entry.path(), b"not a snapshot").unwrap();
            damaged += 1;
        }
    }
    assert_ne!(damaged, 0);
    let (store, report) = try_open(&folder).unwrap();
    assert!(!report.is_moved_aside, "{:?}", report.healed);
    assert_eq!(shown(&store.snapshot()), model_at(position));
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let store = open(&folder);
    let mut batch = crate::store::tree::Batch::new();
    batch.put(&[crate::store::keys::FORMAT_VERSION + 1, 0, 1], b"");
    store.trees.current().write(batch).unwrap();
    drop(store);
    assert_eq!(try_open(&folder).err().unwrap().code, Code::STORE_FORMAT);
}

#[test]
fn a_store_held_by_another_process_is_refused() {
    const TEST: &str = "store::tests::crash::a_store_held_by_another_process_is_refused";
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut child = child(&folder, TEST, &[]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().starts_with("acknowledged")).unwrap().unwrap();
    // Somebody has to read on, or the other process stops at a full pipe; it holds the lock all
    // the same.
    let fault = try_open(&folder).err().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fault.code, Code::STORE_LOCKED);
    assert!(fault.what.contains(&folder.display().to_string()), "{fault}");
    drop(open(&folder));
}

#[test]
fn a_file_where_the_folder_has_to_be_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("store")] {
        let fault = try_open(&path).err().unwrap();
        assert_eq!(fault.code, Code::STORE_IO);
        assert!(fault.fix().contains("change data_dir"), "{fault}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn nothing_is_written_to_a_full_volume() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    filled(&folder);
    let options = StoreOptions { disk_free_bytes_min: u64::MAX, ..StoreOptions::default() };
    let (store, _) = Catalog::open(&folder, options, Arc::new(Wire), Arc::new(Stopped)).unwrap();
    let before = shown(&store.snapshot());
    let id = store.snapshot().metastore("dc1").unwrap().id;
    let fault = store.apply(origin(id, 26), changes(26)).unwrap_err();
    assert_eq!(fault.code, Code::STORE_FULL);
    assert_eq!(shown(&store.snapshot()), before);
    assert_eq!(before, model_at(25));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list.extend(files(&path)) } else { list.push(path) }
    }
    list.sort();
    list
}

/// Damages one place of one file: a bit, a sector, or all behind it.
fn damage(folder: &Path, random: &mut StdRng) {
    let files: Vec<_> =
        files(folder).into_iter().filter(|file| std::fs::metadata(file).unwrap().len() != 0).collect();
    let weights: Vec<u64> = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).collect();
    let mut place = random.random_range(0..weights.iter().sum());
    let index = weights
        .iter()
        .position(|length| {
            if place < *length {
                return true;
            }
            place -= length;
            false
        })
        .unwrap();
    let mut bytes = std::fs::read(&files[index]).unwrap();
    let at = usize::try_from(place).unwrap();
    // Free space is zero, and damage to it says nothing.
    let at = bytes[at..].iter().position(|byte| *byte != 0).map_or(at, |skip| at + skip);
    match random.random_range(0..24) {
        0..16 => bytes[at] ^= 1 << random.random_range(0..8),
        16..23 => {
            let end = bytes.len().min(at + 512);
            bytes[at..end].fill(0);
        }
        _ => bytes.truncate(at),
    }
    std::fs::write(&files[index], bytes).unwrap();
}

/// A partial state is honest when it says so: the metastore has no position.
#[test]
fn damage_is_never_shown_as_data_and_is_healed_by_mirroring_again() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let position = filled(&whole);
    // Once more, so that there is a snapshot and damage is not only met while the log is replayed.
    drop(open(&whole));
    let model = model_at(position);
    let mut random = StdRng::seed_from_u64(11);
    let (mut intact, mut older, mut emptied, mut lost) = (0, 0, 0, 0);
    for round in 0..DAMAGES {
        let path = folder.path().join(format!("store{round}"));
        copy(&whole, &path);
        // Much of the files is free space: many places at once, to hit what counts.
        for _ in 0..1 << (round % 5) {
            damage(&path, &mut random);
        }
        let (store, report) = try_open(&path).unwrap();
        let id = store.declare(&[settings("dc1")]).unwrap()[0];
        let snapshot = store.snapshot();
        let shown_or_none =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shown_checked(&snapshot)));
        match shown_or_none.unwrap() {
            Some(found) if found == model => intact += 1,
            Some(found) if found.position.is_none() => {
                // Emptied, or whole with its bookkeeping forgotten.
                let is_at = |at| found == Model { position: None, ..model_at(at) };
                assert!(found.databases.is_empty() || (1..=position).any(is_at), "round {round}");
                assert!(!report.healed.is_empty(), "round {round}");
                emptied += 1;
            }
            // A torn tail of the log is an older state, whole in itself; the follower reads on.
            Some(found) => {
                let at = found.position.unwrap();
                assert!(at < position);
                assert_eq!(found, model_at(at), "round {round}");
                older += 1;
            }
            None => {
                let fault = store.apply(origin(id, 1), Vec::new()).unwrap_err();
                assert_eq!(fault.code, Code::STORE_DAMAGED);
                assert_eq!(store.snapshot().metastore("dc1").unwrap().position, None);
                lost += 1;
            }
        }
        drop(snapshot);
        // Mirroring again: everything is put once more, and what should not be there dropped.
        let mut again = vec![Change::PutCatalog(catalog(DEFAULT_CATALOG)), Change::DropDatabase(db("d"))];
        again.extend((1..=position).flat_map(changes));
        if let Err(fault) = store.apply(origin(id, position), again.clone()) {
            assert_eq!(fault.code, Code::STORE_DAMAGED, "round {round}: {fault}");
            store.apply(origin(id, position), again).unwrap();
        }
        assert_eq!(shown(&store.snapshot()), model, "round {round}");
    }
    assert_eq!(intact + older + emptied + lost, DAMAGES);
    assert!(intact < DAMAGES / 2, "{intact} intact, {older} older, {emptied} emptied, {lost} lost");
}

/// What is shown, or `None` when something cannot be read because of damage.
fn shown_checked(snapshot: &crate::snapshot::Snapshot) -> Option<Model> {
    let metastore = snapshot.metastore("dc1").unwrap();
    let is_damage = |fault: crate::fault::Fault| assert_eq!(fault.code, Code::STORE_DAMAGED, "{fault}");
    let mut is_whole = snapshot.load_privileges(metastore).map_err(is_damage).is_ok();
    for database in metastore.databases() {
        is_whole &= snapshot.load_tables(database).map_err(is_damage).is_ok();
        is_whole &= snapshot.load_details(database).map_err(is_damage).is_ok();
        is_whole &= snapshot.load_functions(database).map_err(is_damage).is_ok();
        for table in &database.tables {
            for index in 0..snapshot.chunk_summaries(table).len() {
                is_whole &= snapshot.load_chunk(table, index).map_err(is_damage).is_ok();
                is_whole &= snapshot.load_partitions(table, index).map_err(is_damage).is_ok();
            }
        }
    }
    is_whole.then(|| shown(snapshot))
}

#[test]
fn a_store_that_is_moved_aside_leaves_what_is_not_its_own() {
    use crate::store::keys::{self, Record};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    filled(&path);
    std::fs::create_dir(path.join("journal")).unwrap();
    std::fs::write(path.join("journal/1"), "accepted").unwrap();
    let store = open(&path);
    assert!(store.trees.current().break_first(&keys::all(Record::Counters)));
    drop(store);
    let (store, report) = try_open(&path).unwrap();
    assert!(report.is_moved_aside);
    assert!(store.snapshot().metastores.is_empty());
    assert_eq!(std::fs::read(path.join("journal/1")).unwrap(), b"accepted");
    let aside = std::fs::read_dir(folder.path().join("store.damaged-1")).unwrap();
    let mut aside: Vec<_> = aside.map(|entry| entry.unwrap().file_name()).collect();
    aside.sort();
    assert_eq!(aside, ["CURRENT", "tree-0"]);
}

#[test]
fn a_broken_record_is_reported_and_mirrored_again() {
    use crate::store::keys::{self, Record};
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let position = filled(&whole);
    for (index, kind) in [Record::Counters].into_iter().chain(Record::OF_METASTORE).enumerate() {
        let path = folder.path().join(format!("store{index}"));
        copy(&whole, &path);
        let store = open(&path);
        if !store.trees.current().break_first(&keys::all(kind)) {
            assert!(!matches!(
                kind,
                Record::Hot | Record::Raw | Record::Delta | Record::Summary | Record::Table
            ));
            continue;
        }
        drop(store);
        let (store, report) = try_open(&path).unwrap();
        let id = store.declare(&[settings("dc1")]).unwrap()[0];
        let is_whole = shown_checked(&store.snapshot()).is_some();
        // What is read at start is noticed there, what is loaded when asked for is noticed then.
        let is_loaded = matches!(kind, Record::Hot | Record::Raw);
        assert_eq!(is_whole, !is_loaded, "{kind:?}");
        assert_eq!(report.healed.len(), usize::from(!is_loaded), "{kind:?}: {:?}", report.healed);
        assert_eq!(report.is_moved_aside, matches!(kind, Record::Counters | Record::Metastore), "{kind:?}");
        if is_loaded {
            assert_eq!(store.apply(origin(id, 1), Vec::new()).unwrap_err().code, Code::STORE_DAMAGED);
        }
        assert_eq!(store.snapshot().metastores[0].position, None, "{kind:?}");
        assert_eq!(store.ledger(id).done_databases(1), None, "{kind:?}");
        let mut again = vec![Change::PutCatalog(catalog(DEFAULT_CATALOG)), Change::DropDatabase(db("d"))];
        again.extend((1..=position).flat_map(changes));
        store.apply(origin(id, position), again).unwrap();
        assert_eq!(shown(&store.snapshot()), model_at(position), "{kind:?}");
    }
}

fn finished_run(run_id: u64) -> Run {
    Run {
        run_id,
        kind: "first".into(),
        state: "done".into(),
        started_at: 1,
        finished_at: Some(2),
        start_event_id: Some(3),
        objects_read: 4,
        objects_changed: 5,
        error_message: None,
    }
}

fn seen_event(event_id: i64) -> EventRow {
    EventRow {
        event_id: Some(event_id),
        event_type: "ALTER_TABLE".into(),
        catalog_name: DEFAULT_CATALOG.into(),
        database_name: Some("d".into()),
        table_name: None,
        partition_count: 0,
        event_at: Some(1),
        applied_at: 2,
    }
}

fn broken(table: Option<&str>, partition: Option<&str>, at: i64) -> ObjectError {
    ObjectError {
        database: Some(db("d")),
        table_name: table.map(str::to_owned),
        partition_name: partition.map(str::to_owned),
        fault: crate::fault::Fault::new(Code::METASTORE_ERROR, "get_table", "no"),
        at,
    }
}

fn missing_method() -> MissingMethod {
    MissingMethod { method: "m".into(), object_kind: "functions".into() }
}

/// One row of each kind of bookkeeping that [`filled`] has not.
fn bookkeeping(run_id: u64) -> Vec<Change> {
    vec![
        Change::PutRun(finished_run(run_id)),
        Change::MarkDatabaseDone(run_id, db("d")),
        Change::AddEvents(vec![seen_event(1)]),
        Change::AddErrors(vec![broken(None, None, 1)]),
        Change::SetMissingMethods(vec![missing_method()]),
        Change::SetSourceCount(db("d"), 12),
    ]
}

#[test]
fn a_broken_record_of_the_bookkeeping_costs_no_object_but_all_are_read_again() {
    use crate::store::keys::{self, Record};
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let position = filled(&whole);
    let store = open(&whole);
    let id = store.snapshot().metastore("dc1").unwrap().id;
    store.update_status(id, |status| status.head_event_id = Some(77));
    store.apply(origin(id, position), bookkeeping(store.next_run_id())).unwrap();
    drop(store);
    for (index, kind) in Record::OF_BOOK.into_iter().chain([Record::Status]).enumerate() {
        let path = folder.path().join(format!("store{index}"));
        copy(&whole, &path);
        let store = open(&path);
        assert!(store.trees.current().break_first(&keys::all(kind)), "{kind:?}");
        drop(store);
        let (store, report) = try_open(&path).unwrap();
        assert_eq!(report.healed.len(), 1, "{kind:?}");
        let kept = Model { position: None, ..model_at(position) };
        assert_eq!(shown(&store.snapshot()), kept, "{kind:?}");
        let view = store.snapshot().metastore("dc1").unwrap().clone();
        assert_eq!((view.position, view.mirrored_at), (None, Some(2)), "{kind:?}");
        assert_eq!(store.ledger(id).runs().count(), 0);
        store.apply(origin(id, position), bookkeeping(store.next_run_id())).unwrap();
        drop(store);
        let (store, report) = try_open(&path).unwrap();
        assert_eq!(report.healed, Vec::<String>::new(), "{kind:?}");
        assert_eq!(shown(&store.snapshot()), kept, "{kind:?}");
    }
}

#[test]
fn a_run_whose_process_was_killed_runs_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let position = filled(&folder);
    let store = open(&folder);
    let id = store.snapshot().metastore("dc1").unwrap().id;
    let running = Run { state: "running".into(), finished_at: None, ..finished_run(store.next_run_id()) };
    store.apply(origin(id, position), vec![Change::PutRun(running.clone())]).unwrap();
    assert!(store.ledger(id).runs().eq([&running]));
    drop(store);
    let interrupted = Run { state: "interrupted".into(), ..running };
    assert!(open(&folder).ledger(id).runs().eq([&interrupted]));
}

#[test]
fn bookkeeping_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    filled(&folder);
    let store = open(&folder);
    let id = store.snapshot().metastore("dc1").unwrap().id;
    let run_id = store.next_run_id();
    let run = finished_run(run_id);
    let event = seen_event;
    let error = |table, partition, at| broken(Some(table), partition, at);
    let list = vec![
        Change::PutRun(run.clone()),
        Change::MarkDatabaseDone(run_id, db("gone")),
        Change::MarkDatabaseDone(run_id + 1, db("d")),
        Change::AddEvents(vec![event(1)]),
        Change::AddEvents(vec![event(2), event(3)]),
        Change::AddErrors(vec![error("a", None, 1), error("a", Some("p"), 2), error("b", None, 3)]),
        Change::AddErrors(vec![error("b", None, 9)]),
        Change::AddErrors(vec![error("b", Some("p"), 3), error("b", Some("q"), 4)]),
        Change::ClearErrorsOf(Some(db("d")), Some("b".into()), vec![Some("p".into()), Some("x".into())]),
        Change::ClearErrors(Some(db("d")), Some("a".into())),
        Change::SetMissingMethods(vec![missing_method()]),
        Change::SetSourceCount(db("d"), 12),
    ];
    store.update_status(id, |status| status.head_event_id = Some(77));
    store.apply(origin(id, 30), list).unwrap();
    let ledger = store.ledger(id);
    assert!(ledger.runs().eq([&run]));
    assert!(ledger.events().eq(&[event(1), event(2), event(3)]));
    let seen = SeenError { first_seen_at: 3, last_seen_at: 9, count: 2, error: error("b", None, 9) };
    let other = SeenError { first_seen_at: 4, last_seen_at: 4, count: 1, error: error("b", Some("q"), 4) };
    assert!(ledger.errors().eq([&seen, &other]));
    assert_eq!(ledger.done_databases(run_id), None);
    assert_eq!(ledger.done_databases(run_id + 1), Some(&[db("d")].into()));
    assert_ne!(ledger.dropped_tables().count(), 0);
    assert_eq!(store.snapshot().metastore("dc1").unwrap().mirrored_at, Some(2));
    drop(store);
    let store = open(&folder);
    assert_eq!(format!("{:?}", store.ledger(id)), format!("{ledger:?}"));
    assert_eq!(store.status(id).head_event_id, Some(77));
    assert!(run_id < store.next_run_id());
    assert_eq!(store.snapshot().metastore("dc1").unwrap().mirrored_at, Some(2));
}

#[test]
fn flush_keeps_status_and_endpoints_but_nobody_follows_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let store = open(&folder);
    let ids = store.declare(&[settings("dc1"), settings("dc2")]).unwrap();
    let fault = crate::fault::Fault::new(Code::METASTORE_UNREACHABLE, "metastore dc1", "refused");
    let endpoint = EndpointStatus {
        uri: "thrift://dc1:9083".into(),
        state: "error",
        latency_ms: Some(1.5),
        last_ok_at: Some(7),
        error_message: Some("refused".into()),
        found_by: "config",
    };
    store.update_status(ids[0], |status| {
        status.state = FollowState::Error;
        status.error = Some((fault.clone(), 5));
    });
    store.set_endpoints(ids[0], vec![endpoint.clone()]);
    store.update_status(ids[1], |status| {
        status.state = FollowState::Following;
        status.lag_ms = Some(0);
        // Two seconds before the clock of these tests.
        status.current_at = Some(1_699_999_998_000_000);
    });
    store.flush().unwrap();
    drop(store);

    let store = open(&folder);
    let status = store.status(ids[0]);
    assert_eq!((status.state, status.error), (FollowState::Error, Some((fault, 5))));
    assert_eq!(store.endpoints(ids[0]), [endpoint]);
    let status = store.status(ids[1]);
    assert_eq!((status.state, status.lag_ms, status.error), (FollowState::Pending, Some(2_000), None));

    store.declare(&[settings("dc2")]).unwrap();
    store.update_status(ids[0], |status| status.state = FollowState::Mirroring);
    store.flush().unwrap();
    assert_eq!(store.status(ids[0]), FollowStatus::default(), "a removed metastore has no status");
}

#[test]
fn removed_metastores_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    filled(&folder);
    let store = open(&folder);
    let old = store.snapshot();
    let ids = store.declare(&[settings("dc2")]).unwrap();
    assert_eq!(store.snapshot().metastores.len(), 1);
    assert_ne!(ids[0], old.metastores[0].id);
    assert_eq!(shown(&old), model_at(25));
    drop(old);
    store.merge().unwrap();
    let facts = store.facts();
    assert_eq!((facts.segment_count, facts.delta_count), (0, 0));
    let (count, _) = store.trees.current().lengths(&[]).unwrap();
    assert_eq!(count, 2, "counters and the new metastore");
    drop(store);
    assert_eq!(open(&folder).snapshot().metastores[0].id, ids[0]);
}
