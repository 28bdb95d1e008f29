//! The journal: what cannot be fetched again from anywhere, durable before it is acknowledged.
//!
//! A folder with files `journal-<volume>`. Each begins with a checkpoint (the state of all
//! records before it) and goes on with one record per change. A new volume is written beside
//! the old one, synced, and then given its name; the one before it is kept as a backup.
//!
//! Guarantees, against kill -9 and power loss at any point:
//! - a record whose [`Journal::append`] returned without an error is there after opening, in its
//!   order;
//! - of the records that were not acknowledged, at most one is there, and it is whole;
//! - what opening showed is there from then on: it was written again before;
//! - damage is told: at the end of the volume, where no whole record follows, it cannot be told
//!   from a write that power loss interrupted, so what cannot be read is cut off, kept in
//!   `journal-<volume>.cut`, and the rest opens; anywhere else nothing opens.
//!
//! After a failed sync nobody knows what is on the disk, and asking again would hide it: nothing
//! more is accepted until the journal is opened again.

mod disk;
mod frame;
#[cfg(test)]
mod tests;

use std::io;

pub use disk::{Disk, DiskFile, Folder};
pub use frame::RECORD_BYTES_MAX;
use frame::{FORMAT, FRAME_BYTES, Frame, HEAD_BYTES, Head, MARK_BYTES, Mark};

use crate::fault::{Code, Fault};

const PREFIX: &str = "journal-";
/// Behind the name of a volume: what was cut off its end.
const CUT: &str = ".cut";
/// What is being written and has no name yet.
const UNFINISHED: &str = "unfinished";

/// See the module.
pub struct Journal {
    disk: Box<dyn Disk>,
    file: Box<dyn DiskFile>,
    name: String,
    head: Head,
    /// Number of the last record.
    number: u64,
    /// Length of the file.
    bytes: u64,
    /// Length of the file when it began.
    begun_bytes: u64,
    /// Why nothing more is accepted.
    broken: Option<Fault>,
}

/// What opening found.
pub struct Opened {
    /// To go on with.
    pub journal: Journal,
    /// The state that the records go on from; `None` when the journal is new.
    pub checkpoint: Option<Vec<u8>>,
    /// Every change since, in order.
    pub records: Vec<Vec<u8>>,
    /// Bytes at the end that were not a whole record, and where they are kept.
    pub cut: Option<(u64, String)>,
}

impl Journal {
    /// Opens the newest volume, or begins the first one. `salt` is to be random.
    pub fn open(disk: Box<dyn Disk>, salt: u64) -> Result<Opened, Fault> {
        let at = |name: &str, what: &'static str| {
            let what = format!("journal {}: {what}", disk.show(name));
            move |error: io::Error| Fault::new(Code::JOURNAL_IO, what, error.to_string())
        };
        let names = disk.names().map_err(at("", "list"))?;
        let Some(volume) = names.iter().filter_map(|name| volume_of(name)).max() else {
            let head = Head { format: FORMAT, volume: 1, salt };
            let name = file_name(1);
            let content = beginning(&head, 0, &[]);
            let file = put(disk.as_ref(), &name, &content).map_err(at(&name, "begin"))?;
            let bytes = content.len() as u64;
            let journal = Self { disk, file, name, head, number: 0, bytes, begun_bytes: bytes, broken: None };
            return Ok(Opened { journal, checkpoint: None, records: Vec::new(), cut: None });
        };
        let name = file_name(volume);
        let content = disk.read(&name).map_err(at(&name, "read"))?;
        let read = read(&content, volume).map_err(|damage| {
            let backup = names.contains(&file_name(volume - 1)).then(|| disk.show(&file_name(volume - 1)));
            damage.fault(&disk.show(&name), backup)
        })?;
        let (whole, rest) = content.split_at(read.bytes);
        let cut = match rest {
            [] => None,
            rest => {
                let name = format!("{name}{CUT}");
                put(disk.as_ref(), &name, rest).map_err(at(&name, "keep"))?;
                Some((rest.len() as u64, disk.show(&name)))
            }
        };
        // What was read may be in memory only: the process was killed before its sync, or the sync
        // failed, after which Linux shows the bytes and never writes them. So it is written again,
        // and its name with it.
        let file = put(disk.as_ref(), &name, whole).map_err(at(&name, "write again"))?;
        let opened = Opened {
            checkpoint: Some(read.checkpoint.to_vec()),
            records: read.records.iter().map(|record| record.to_vec()).collect(),
            cut,
            journal: Self {
                file,
                name,
                head: read.head,
                number: read.number,
                bytes: read.bytes as u64,
                begun_bytes: read.begun_bytes as u64,
                broken: None,
                disk,
            },
        };
        opened.journal.remove_others(&names);
        Ok(opened)
    }

    /// Appends a record and returns its number when it is on the disk.
    ///
    /// After an error with [`Code::JOURNAL_IO`] the record may or may not be there after the next
    /// opening; after any other it is not.
    pub fn append(&mut self, record: &[u8]) -> Result<u64, Fault> {
        self.check(record)?;
        let number = self.number + 1;
        let frame = Frame { number, record }.encode(self.head.salt);
        if let Err(error) = self.file.append(&frame) {
            let fault = self.io_fault("append", &error);
            // A full disk says so before anything is lost, and what was written goes again.
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let is_undone = is_full && self.file.cut(self.bytes).and_then(|()| self.file.sync()).is_ok();
            return Err(if is_undone {
                Fault { code: Code::STORE_FULL, ..fault }
            } else {
                self.breaks(fault)
            });
        }
        if let Err(error) = self.file.sync() {
            let fault = self.io_fault("sync", &error);
            return Err(self.breaks(fault));
        }
        self.number = number;
        self.bytes += frame.len() as u64;
        Ok(number)
    }

    /// Begins a journal in another folder, with this state and the number of the newest record here.
    ///
    /// Errors: `JOURNAL_IO`.
    pub fn copy(&self, disk: &dyn Disk, state: &[u8], salt: u64) -> Result<(), Fault> {
        self.check(state)?;
        let head = Head { format: FORMAT, volume: 1, salt };
        let written = put(disk, &file_name(head.volume), &beginning(&head, self.number, state));
        written.map(drop).map_err(|error| {
            Fault::new(Code::JOURNAL_IO, format!("journal {}: copy", disk.show("")), error.to_string())
        })
    }

    /// Begins a new volume with this state, which stands for all records until now.
    pub fn checkpoint(&mut self, state: &[u8], salt: u64) -> Result<(), Fault> {
        self.check(state)?;
        let head = Head { format: FORMAT, volume: self.head.volume + 1, salt };
        let content = beginning(&head, self.number, state);
        // Until the new file has its name, the one before it is as good as it was.
        let file =
            write(self.disk.as_ref(), &content).map_err(|error| self.io_fault("checkpoint", &error))?;
        let bytes = content.len() as u64;
        let name = file_name(head.volume);
        if let Err(error) = give_name(self.disk.as_ref(), &name) {
            let fault = self.io_fault("checkpoint", &error);
            return Err(self.breaks(fault));
        }
        self.name = name;
        (self.file, self.head, self.bytes, self.begun_bytes) = (file, head, bytes, bytes);
        if let Ok(names) = self.disk.names() {
            self.remove_others(&names);
        }
        Ok(())
    }

    /// Bytes of the records since the checkpoint.
    pub fn grown_bytes(&self) -> u64 {
        self.bytes - self.begun_bytes
    }

    /// Length of the file when it began.
    pub fn begun_bytes(&self) -> u64 {
        self.begun_bytes
    }

    /// Number of the last record.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn check(&self, record: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = &self.broken {
            return Err(fault.clone());
        }
        if record.len() > RECORD_BYTES_MAX {
            let why = format!("a record of {} bytes is longer than {RECORD_BYTES_MAX}", record.len());
            return Err(Fault::internal(self.what("append"), why));
        }
        Ok(())
    }

    fn what(&self, what: &str) -> String {
        format!("journal {}: {what}", self.disk.show(&self.name))
    }

    fn io_fault(&self, what: &str, error: &io::Error) -> Fault {
        Fault::new(Code::JOURNAL_IO, self.what(what), error.to_string())
    }

    fn breaks(&mut self, fault: Fault) -> Fault {
        let later = format!("an earlier write failed ({}), so what is on the disk is not known", fault.why);
        self.broken = Some(Fault { why: later, ..fault.clone() });
        fault
    }

    /// Removes every volume but this one and the one before it, and what was never finished.
    /// What cannot be removed is in nobody's way.
    fn remove_others(&self, names: &[String]) {
        for name in names {
            let volume = volume_of(name.strip_suffix(CUT).unwrap_or(name));
            let is_old = volume.is_some_and(|other| other + 1 < self.head.volume);
            if is_old || name == UNFINISHED {
                let _ = self.disk.remove(name);
            }
        }
    }
}

fn file_name(volume: u64) -> String {
    format!("{PREFIX}{volume}")
}

fn volume_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?;
    number.parse().ok().filter(|volume| *volume > 0 && file_name(*volume) == name)
}

/// What a volume begins with: its head and a checkpoint.
fn beginning(head: &Head, number: u64, state: &[u8]) -> Vec<u8> {
    let mut content = head.encode();
    content.extend(Frame { number, record: state }.encode(head.salt));
    content
}

/// Makes this the content of the file of this name, which had another one until it is on the disk.
fn put(disk: &dyn Disk, name: &str, content: &[u8]) -> io::Result<Box<dyn DiskFile>> {
    let file = write(disk, content)?;
    give_name(disk, name)?;
    Ok(file)
}

/// Writes a file that has no name yet.
fn write(disk: &dyn Disk, content: &[u8]) -> io::Result<Box<dyn DiskFile>> {
    let mut file = disk.create(UNFINISHED)?;
    file.append(content)?;
    file.sync()?;
    Ok(file)
}

/// Gives it its name.
fn give_name(disk: &dyn Disk, name: &str) -> io::Result<()> {
    disk.rename(UNFINISHED, name)?;
    disk.sync()
}

/// What a file holds.
struct Read<'a> {
    head: Head,
    checkpoint: &'a [u8],
    records: Vec<&'a [u8]>,
    number: u64,
    /// Length of head and checkpoint.
    begun_bytes: usize,
    /// Length of what is whole.
    bytes: usize,
}

/// Why a file cannot be read.
enum Damage {
    Newer(u32),
    At { offset: usize, number: u64 },
}

impl Damage {
    fn fault(self, file: &str, backup: Option<String>) -> Fault {
        let what = format!("journal {file}: read");
        let (offset, number) = match self {
            Self::Newer(format) => {
                let why = format!("it has format {format}, this skep reads up to {FORMAT}");
                return Fault::new(Code::STORE_FORMAT, what, why)
                    .with_fix("Use the version of skep that wrote it.");
            }
            Self::At { offset, number } => (offset, number),
        };
        let why = format!("record {number}, at byte {offset}, is damaged, and it is not the last one");
        let backup = backup.map_or_else(
            || "bring the file back from a backup".to_owned(),
            |backup| format!("bring the file back from a backup, or move it away to go on with {backup}, which holds everything until this file began"),
        );
        Fault::new(Code::JOURNAL_DAMAGED, what, why).with_fix(format!("Check the disk; {backup}."))
    }
}

fn read(content: &[u8], volume: u64) -> Result<Read<'_>, Damage> {
    let head = Head::decode(content).ok_or(Damage::At { offset: 0, number: 0 })?;
    if head.format > FORMAT {
        return Err(Damage::Newer(head.format));
    }
    // A file had its name only when head and checkpoint were on the disk.
    let first = content.get(HEAD_BYTES..).and_then(|rest| Frame::decode(rest, head.salt));
    let (Some(first), true) = (first, head.volume == volume) else {
        return Err(Damage::At { offset: HEAD_BYTES, number: 0 });
    };
    let begun_bytes = HEAD_BYTES + first.bytes();
    let (mut records, mut number, mut offset) = (Vec::new(), first.number, begun_bytes);
    while let Some(rest) = content.get(offset..).filter(|rest| !rest.is_empty()) {
        match Frame::decode(rest, head.salt).filter(|frame| frame.number == number + 1) {
            Some(frame) => {
                records.push(frame.record);
                number = frame.number;
                offset += frame.bytes();
            }
            None if was_acknowledged(rest, head.salt, number + 1) => {
                return Err(Damage::At { offset, number: number + 1 });
            }
            None => break,
        }
    }
    Ok(Read { head, checkpoint: first.record, records, number, begun_bytes, bytes: offset })
}

/// Whether these bytes, which do not begin with the whole record of this number, are more than one
/// write that was interrupted: a record that is followed by anything was acknowledged before.
fn was_acknowledged(bytes: &[u8], salt: u64, number: u64) -> bool {
    let end = |begin: Mark| (FRAME_BYTES as u64).saturating_add(begin.value);
    let is_followed = |begin: Mark| begin.number != number || end(begin) < bytes.len() as u64;
    Mark::decode(bytes, salt).is_some_and(is_followed)
        || (1..bytes.len()).any(|at| {
            let rest = &bytes[at..];
            // Looked at first, because a checksum at every byte would take its time.
            let near = |found: u64| number <= found && found - number <= bytes.len() as u64;
            let is_near = rest.first_chunk().is_some_and(|number| near(u64::from_le_bytes(*number)));
            let mark = is_near.then(|| Mark::decode(rest, salt)).flatten();
            mark.is_some_and(|mark| mark.number > number || MARK_BYTES < rest.len())
        })
}
