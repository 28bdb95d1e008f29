#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

/// A file of a disk.
#[derive(Clone, Default)]
struct Stored {
    /// What is shown while the power is there, as of the last sync, failed ones included.
    synced: Vec<u8>,
    /// Parts of it that a failed sync left in memory only: no later one writes them.
    doomed: Vec<Range<usize>>,
    /// Since then.
    writes: Vec<Write>,
}

impl Stored {
    /// What a process reads.
    fn content(&self) -> Vec<u8> {
        self.writes.iter().fold(self.synced.clone(), |mut bytes, write| {
            match write {
                Write::Append(more) => bytes.extend(more),
                Write::Cut(length) => bytes.truncate(usize::try_from(*length).unwrap()),
            }
            bytes
        })
    }

    fn sync(&mut self, is_failed: bool) {
        let content = self.content();
        if is_failed {
            self.doomed.push(self.synced.len().min(content.len())..content.len());
        }
        (self.synced, self.writes) = (content, Vec::new());
    }

    /// What the disk itself holds of what was synced.
    fn on_disk(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for doomed in &self.doomed {
            let end = doomed.end.min(bytes.len());
            bytes[doomed.start.min(end)..end].fill(0);
        }
        bytes
    }
}

/// What a disk holds for sure, and what it was told since.
#[derive(Default)]
struct State {
    files: Vec<Stored>,
    /// Names on the disk, and those that the process sees.
    kept: BTreeMap<String, usize>,
    seen: BTreeMap<String, usize>,
    /// What led from one to the other.
    pending: Vec<Naming>,
    /// Operations until the power goes.
    operations_left: usize,
    /// What the next append or sync does instead of its work.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq)]
enum Failure {
    /// Half of an append is written, then the disk is full.
    Full,
    /// A sync fails.
    Sync,
}

#[derive(Clone)]
enum Write {
    Append(Vec<u8>),
    Cut(u64),
}

#[derive(Clone)]
enum Naming {
    Give(String, usize),
    Take(String),
}

impl State {
    fn operation(&mut self) -> io::Result<()> {
        if self.operations_left == 0 {
            return Err(io::Error::other("no power"));
        }
        self.operations_left -= 1;
        Ok(())
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.seen, &naming);
        self.pending.push(naming);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Give(name, file) => {
            // A file has one name here: to give it another is to rename it.
            names.retain(|_, other| other != file);
            names.insert(name.clone(), *file);
        }
        Naming::Take(name) => {
            names.remove(name);
        }
    }
}

/// A disk whose unsynced bytes can be lost.
#[derive(Clone, Default)]
struct Simulated(Arc<Mutex<State>>);

struct SimulatedFile(Arc<Mutex<State>>, usize);

impl Simulated {
    fn new() -> Self {
        let disk = Self::default();
        disk.0.lock().operations_left = usize::MAX;
        disk
    }

    /// What the power leaves behind: every naming and every sector that was not synced is there
    /// or is not, each for itself.
    fn after_power_loss(&self, random: &mut StdRng) -> Self {
        let state = self.0.lock();
        let mut kept = state.kept.clone();
        for naming in state.pending.iter().filter(|_| random.random()) {
            apply(&mut kept, naming);
        }
        let mut files = Vec::new();
        for file in &state.files {
            let mut bytes = file.on_disk();
            for write in &file.writes {
                match write {
                    Write::Append(more) => {
                        let begin = bytes.len();
                        bytes.extend(more);
                        tear(&mut bytes, begin, random);
                    }
                    Write::Cut(length) if random.random() => {
                        bytes.truncate(usize::try_from(*length).unwrap());
                    }
                    Write::Cut(_) => {}
                }
            }
            files.push(Stored { synced: bytes, ..Stored::default() });
        }
        let after =
            State { files, seen: kept.clone(), kept, operations_left: usize::MAX, ..State::default() };
        Self(Arc::new(Mutex::new(after)))
    }

    /// The process is gone, the machine is not.
    fn after_kill(&self) -> Self {
        let mut state = self.0.lock();
        (state.operations_left, state.failure) = (usize::MAX, None);
        self.clone()
    }

    fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let file = state.seen[name];
        let mut bytes = state.files[file].content();
        change(&mut bytes);
        state.files[file] = Stored { synced: bytes, ..Stored::default() };
    }
}

/// Loses sectors of what was written from `begin` on, or its end.
fn tear(bytes: &mut Vec<u8>, begin: usize, random: &mut StdRng) {
    if random.random_ratio(1, 3) {
        bytes.truncate(random.random_range(begin..=bytes.len()));
        return;
    }
    let mut at = begin;
    while at < bytes.len() {
        let end = (at / 512 + 1) * 512;
        let end = end.min(bytes.len());
        if random.random_ratio(1, 3) {
            bytes[at..end].fill(0);
        }
        at = end;
    }
}

impl Disk for Simulated {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().seen.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        Ok(state.files[*state.seen.get(name).ok_or(io::ErrorKind::NotFound)?].content())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock();
        state.operation()?;
        state.files.push(Default::default());
        let file = state.files.len() - 1;
        state.name(Naming::Give(name.to_owned(), file));
        Ok(Box::new(SimulatedFile(Arc::clone(&self.0), file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        let file = *state.seen.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.name(Naming::Give(to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        state.name(Naming::Take(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        state.pending.clear();
        state.kept = state.seen.clone();
        Ok(())
    }

    fn show(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        let is_full = state.failure == Some(Failure::Full);
        let written = if is_full { &bytes[..bytes.len() / 2] } else { bytes };
        state.files[self.1].writes.push(Write::Append(written.to_vec()));
        if is_full {
            state.failure = None;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        state.files[self.1].writes.push(Write::Cut(bytes));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operation()?;
        let is_failed = state.failure == Some(Failure::Sync);
        state.files[self.1].sync(is_failed);
        if is_failed {
            state.failure = None;
            return Err(io::Error::other("sync failed"));
        }
        Ok(())
    }
}

fn open(disk: &Simulated, salt: u64) -> Result<Opened, Fault> {
    Journal::open(Box::new(disk.clone()), salt)
}

/// A record that tells its number, of lengths below and above a sector.
fn record(number: u64) -> Vec<u8> {
    let length = [0, 9, 500, 513, 3_000][usize::try_from(number % 5).unwrap()];
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + length, u8::try_from(number % 251).unwrap());
    bytes
}

/// The state that all records until this one lead to, as a checkpoint of the tests has it.
fn state(number: u64) -> Vec<u8> {
    format!("state {number}").into_bytes()
}

/// Number of the last record of what was opened, which must be all records until it.
fn last(opened: &Opened) -> u64 {
    let first = opened.journal.number() - opened.records.len() as u64;
    match opened.checkpoint.as_deref() {
        None | Some([]) => assert_eq!(first, 0),
        Some(checkpoint) => assert_eq!(checkpoint, state(first)),
    }
    for (number, found) in (first + 1..).zip(&opened.records) {
        assert_eq!(found, &record(number));
    }
    opened.journal.number()
}

/// Appends and makes checkpoints until something fails; the number of the last acknowledged one.
fn work(opened: Opened, until: u64) -> u64 {
    let mut journal = opened.journal;
    while journal.number() < until {
        let next = journal.number() + 1;
        if journal.append(&record(next)).is_err() {
            return next - 1;
        }
        if next.is_multiple_of(13) && journal.checkpoint(&state(next), next).is_err() {
            return next;
        }
    }
    journal.number()
}

#[test]
fn records_are_there_again_in_their_order() {
    let disk = Simulated::new();
    assert_eq!(work(open(&disk, 1).unwrap(), 100), 100);
    let opened = open(&disk, 2).unwrap();
    assert_eq!((last(&opened), opened.cut.as_ref()), (100, None));
    assert_eq!(work(opened, 150), 150);
    assert_eq!(last(&open(&disk, 3).unwrap()), 150);
}

/// `SKEP_LONG=1`: 1,000 seeds.
#[test]
fn power_loss_at_any_operation_leaves_what_was_acknowledged() {
    let seeds = if std::env::var_os("SKEP_LONG").is_some() { 1_000 } else { 50 };
    let (mut losses, mut kept_unacknowledged, mut cut) = (0, 0, 0);
    for seed in 0..seeds {
        let mut random = StdRng::seed_from_u64(seed);
        // The power goes several times, the first time at an operation of its own for each seed.
        let (mut disk, mut acknowledged) = (Simulated::new(), 0);
        for run in 0..20 {
            let failure = random.random_ratio(1, 4).then_some(Failure::Sync);
            {
                let mut state = disk.0.lock();
                (state.operations_left, state.failure) = (random.random_range(0..=60), failure);
            }
            let opened = open(&disk, seed ^ (run << 32));
            if let Ok(opened) = opened {
                let found = last(&opened);
                assert!(
                    (acknowledged..=acknowledged + 1).contains(&found),
                    "seed {seed}: {found}, not {acknowledged}"
                );
                kept_unacknowledged += found - acknowledged;
                cut += u64::from(opened.cut.is_some());
                // What it showed has to stay, whatever comes.
                acknowledged = work(opened, found + 200).max(found);
            } else {
                let why = format!("seed {seed}: {:?}", opened.err());
                assert!(disk.0.lock().operations_left == 0 || failure.is_some(), "{why}");
            }
            let is_killed = random.random_ratio(1, 3);
            disk = if is_killed { disk.after_kill() } else { disk.after_power_loss(&mut random) };
            losses += u64::from(!is_killed);
        }
        let opened = open(&disk.after_power_loss(&mut random), seed).unwrap();
        assert!((acknowledged..=acknowledged + 1).contains(&last(&opened)));
    }
    println!(
        "long run: {losses} power losses, {kept_unacknowledged} records kept that were not acknowledged, {cut} cut off"
    );
    assert!(losses > 0 && kept_unacknowledged > 0 && cut > 0, "the simulation loses nothing");
}

#[test]
fn every_operation_of_a_run_can_be_the_last() {
    let whole = Simulated::new();
    work(open(&whole, 1).unwrap(), 30);
    let operations = usize::MAX - whole.0.lock().operations_left;
    assert!(operations > 60);
    let mut random = StdRng::seed_from_u64(7);
    for operations_left in 0..operations {
        let disk = Simulated::new();
        disk.0.lock().operations_left = operations_left;
        let acknowledged = open(&disk, 1).map_or(0, |opened| work(opened, 30));
        let opened = open(&disk.after_power_loss(&mut random), 2).unwrap();
        assert!(
            (acknowledged..=acknowledged + 1).contains(&last(&opened)),
            "after {operations_left} operations"
        );
    }
}

#[test]
fn a_full_disk_loses_nothing_and_a_failed_sync_ends_it() {
    let disk = Simulated::new();
    let mut journal = open(&disk, 1).unwrap().journal;
    journal.append(&record(1)).unwrap();
    disk.0.lock().failure = Some(Failure::Full);
    assert_eq!(journal.append(&record(2)).unwrap_err().code, Code::STORE_FULL);
    assert_eq!(journal.append(&record(2)).unwrap(), 2);
    disk.0.lock().failure = Some(Failure::Full);
    assert_eq!(journal.checkpoint(&state(2), 3).unwrap_err().code, Code::JOURNAL_IO);
    assert_eq!(journal.append(&record(3)).unwrap(), 3);
    disk.0.lock().failure = Some(Failure::Sync);
    assert_eq!(journal.append(&record(4)).unwrap_err().code, Code::JOURNAL_IO);
    let refused = journal.append(&record(4)).unwrap_err();
    assert!(refused.why.contains("earlier write failed"), "{refused}");
    assert!((3..=4).contains(&last(&open(&disk, 5).unwrap())));
}

#[test]
fn what_opening_showed_is_on_the_disk() {
    for failure in [None, Some(Failure::Sync)] {
        let disk = Simulated::new();
        let mut journal = open(&disk, 1).unwrap().journal;
        journal.append(&record(1)).unwrap();
        {
            let mut state = disk.0.lock();
            // Killed between write and sync, or told that the sync failed.
            state.operations_left = if failure.is_none() { 1 } else { usize::MAX };
            state.failure = failure;
        }
        assert_eq!(journal.append(&record(2)).unwrap_err().code, Code::JOURNAL_IO);
        let disk = disk.after_kill();
        assert_eq!(last(&open(&disk, 2).unwrap()), 2);
        let mut random = StdRng::seed_from_u64(3);
        let lost = disk.after_power_loss(&mut random);
        assert_eq!(last(&open(&lost, 3).unwrap()), 2, "{}", failure.is_some());
        assert_eq!(work(open(&disk, 4).unwrap(), 3), 3);
        assert_eq!(last(&open(&disk.after_power_loss(&mut random), 5).unwrap()), 3);
    }
}

#[test]
fn a_real_folder_lasts_with_those_that_were_made_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/journal");
    let open = |salt| Journal::open(Box::new(Folder::open(&path).unwrap()), salt).unwrap();
    assert_eq!(work(open(1), 2), 2);
    assert_eq!(last(&open(2)), 2);
}

/// `SKEP_LONG=1`: 20,000 damages.
#[test]
fn damage_is_never_silent() {
    let damages = if std::env::var_os("SKEP_LONG").is_some() { 20_000 } else { 1_000 };
    let mut random = StdRng::seed_from_u64(11);
    let (mut refused, mut cut) = (0, 0);
    for _ in 0..damages {
        let disk = Simulated::new();
        let records = random.random_range(0..40);
        work(open(&disk, random.random()).unwrap(), records);
        let name = format!("{PREFIX}{}", 1 + records / 13);
        let content = disk.read(&name).unwrap();
        // Where the last record begins; damage behind it is that of an interrupted write.
        let last_at = content.len()
            - if records % 13 == 0 { content.len() } else { FRAME_BYTES + record(records).len() };
        let at = random.random_range(0..content.len());
        let is_zeroed = random.random();
        disk.damage(&name, |bytes| {
            let end = if is_zeroed { bytes.len().min(at + 512) } else { at + 1 };
            bytes[at..end].iter_mut().for_each(|byte| *byte = if is_zeroed { 0 } else { *byte ^ 16 });
        });
        if disk.read(&name).unwrap() == content {
            continue;
        }
        let reaches_end = is_zeroed && content.len() <= at + 512;
        match open(&disk, 1) {
            Err(fault) => {
                assert!(matches!(fault.code, Code::JOURNAL_DAMAGED | Code::STORE_FORMAT), "{fault}");
                assert!(fault.to_string().contains(&name), "{fault}");
                refused += 1;
            }
            Ok(opened) => {
                let (cut_bytes, kept) = opened.cut.clone().expect("silent");
                assert_eq!(disk.read(&kept).unwrap().len() as u64, cut_bytes);
                assert!(last_at <= at || reaches_end, "cut from {at}, the last record begins at {last_at}");
                assert!(last(&opened) < records);
                cut += 1;
            }
        }
    }
    println!("long run: {damages} damages, {refused} refused, {cut} cut off at the end");
    assert!(refused > 0 && cut > 0);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut random = StdRng::seed_from_u64(13);
    let disk = Simulated::new();
    work(open(&disk, 1).unwrap(), 12);
    let good = disk.read("journal-1").unwrap();
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        bytes.truncate(random.random_range(0..=bytes.len()));
        for _ in 0..random.random_range(0..8) {
            if !bytes.is_empty() {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
        disk.damage("journal-1", |content| *content = bytes);
        match open(&disk, 1) {
            Ok(opened) => assert!(last(&opened) <= 12),
            Err(fault) => assert!(matches!(fault.code, Code::JOURNAL_DAMAGED | Code::STORE_FORMAT)),
        }
    }
}

#[test]
fn a_real_folder_keeps_what_a_dropped_journal_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let open = |salt| Journal::open(Box::new(Folder::open(folder.path().join("journal")).unwrap()), salt);
    assert_eq!(work(open(1).unwrap(), 20), 20);
    let opened = open(2).unwrap();
    assert_eq!(last(&opened), 20);
    assert_eq!(work(opened, 60), 60);
    assert_eq!(last(&open(3).unwrap()), 60);
    let left = std::fs::read_dir(folder.path().join("journal")).unwrap().count();
    assert_eq!(left, 2, "the volume in use and the one before it");
}

#[test]
fn a_newer_format_is_refused_and_says_so() {
    let disk = Simulated::new();
    work(open(&disk, 1).unwrap(), 3);
    disk.damage("journal-1", |bytes| {
        let head = Head { format: FORMAT + 1, volume: 1, salt: 1 };
        bytes[..HEAD_BYTES].copy_from_slice(&head.encode());
    });
    assert_eq!(open(&disk, 1).err().unwrap().code, Code::STORE_FORMAT);
}
