//! Stored segments: items of one collection, sorted by name.
//!
//! A segment is two records. The *hot* one holds a column per field (names and locations
//! front-coded, numbers as deltas, stamps as runs; zstd over all of them) and behind them the two
//! digests of each item, which do not compress. The *raw* one holds the struct bytes (zstd over
//! all of them: they are nearly equal). So hot columns load without touching raw bytes. What stays
//! in memory is [`Segment`], stored as a third, small record.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::codec::{Decoder, Encoder};
use super::collection::Address;
use super::delta::Hidden;
use super::entry::{Entry, Hot, ItemDigests, Sum, Sums};
use super::keys;
use crate::change::Stamp;
use crate::fault::{Code, Fault};
use crate::snapshot::PartitionChunk;

const VERSION: u8 = 1;
/// Level 1 is enough: the items of a segment are nearly equal.
const ZSTD_LEVEL: i32 = 1;
/// No stored block says that it becomes larger than this.
const BLOCK_BYTES_MAX: usize = 1 << 30;

/// What of a segment stays in memory.
#[derive(Debug)]
pub(crate) struct Segment {
    pub address: Address,
    /// Never given twice.
    pub number: u64,
    pub name_min: Box<str>,
    pub name_max: Box<str>,
    /// Smallest and largest; `None` when an item has none.
    pub locations: Option<(Box<str>, Box<str>)>,
    pub sums: Sums,
    /// Bytes of both stored blocks.
    pub stored_bytes: u64,
    /// Set when its records were removed although a reader still holds it.
    is_gone: AtomicBool,
}

/// A segment and its blocks, ready to be written.
pub(crate) struct Written {
    pub segment: Segment,
    pub hot: Vec<u8>,
    pub raw: Vec<u8>,
}

/// The decoded hot record.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct HotBlock {
    pub columns: PartitionChunk,
    pub digests: Vec<ItemDigests>,
}

fn damaged(why: &str) -> Fault {
    Fault::new(Code::STORE_DAMAGED, "store: read a segment", why)
}

impl Segment {
    pub fn hot_key(&self) -> Vec<u8> {
        keys::part(keys::Record::Hot, &self.address, self.number)
    }

    pub fn raw_key(&self) -> Vec<u8> {
        keys::part(keys::Record::Raw, &self.address, self.number)
    }

    pub fn summary_key(&self) -> Vec<u8> {
        keys::part(keys::Record::Summary, &self.address, self.number)
    }

    pub fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// The small record, with the stamps that were laid over the segment.
    pub fn summary(&self, stamps: &[StampRun]) -> Vec<u8> {
        let mut e = Encoder::default();
        e.u8(VERSION).str(&self.name_min).str(&self.name_max);
        e.option(self.locations.as_ref(), |e, (min, max)| {
            e.str(min).str(max);
        });
        let sums = &self.sums;
        e.u64(sums.count).fixed(sums.digest).u64(self.stored_bytes);
        for sum in [&sums.rows, &sums.size, &sums.files] {
            e.i128(sum.value).u64(sum.known);
        }
        e.u64(stamps.len() as u64);
        for run in stamps {
            e.u64(u64::from(run.begin)).u64(u64::from(run.end));
            write_stamp(&mut e, run.stamp);
        }
        e.0
    }

    /// Reads [`Segment::summary`].
    pub fn read_summary(address: Address, number: u64, bytes: &[u8]) -> Result<(Self, Vec<StampRun>), Fault> {
        let mut d = Decoder::new(bytes);
        check_version(&mut d)?;
        let (name_min, name_max) = (d.str()?.into(), d.str()?.into());
        let locations = d.option(|d| Ok((d.str()?.into(), d.str()?.into())))?;
        let mut sums = Sums { count: d.u64()?, digest: d.fixed()?, ..Sums::default() };
        let stored_bytes = d.u64()?;
        for sum in [&mut sums.rows, &mut sums.size, &mut sums.files] {
            *sum = Sum { value: d.i128()?, known: d.u64()? };
        }
        let stamps = (0..d.length()?)
            .map(|_| Ok(StampRun { begin: d.u32()?, end: d.u32()?, stamp: read_stamp(&mut d)? }))
            .collect::<Result<_, Fault>>()?;
        let is_gone = AtomicBool::new(false);
        Ok((Self { address, number, name_min, name_max, locations, sums, stored_bytes, is_gone }, stamps))
    }
}

/// Stamps of a range of items that were read again and found equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StampRun {
    pub begin: u32,
    pub end: u32,
    pub stamp: Stamp,
}

/// Runs beyond this are let go, oldest first: their items then show an older stamp.
const STAMP_RUNS_MAX: usize = 32;

/// Lays a stamp over the item at `index` of `count`.
pub(crate) fn lay_stamp(runs: &mut Vec<StampRun>, index: u32, count: u32, stamp: Stamp) {
    match runs.last_mut() {
        Some(last) if last.stamp == stamp && last.begin <= index && index <= last.end => {
            last.end = last.end.max(index + 1);
        }
        _ => runs.push(StampRun { begin: index, end: index + 1, stamp }),
    }
    if runs.last().is_some_and(|last| last.begin == 0 && last.end == count) {
        runs.drain(..runs.len() - 1);
    }
    if STAMP_RUNS_MAX < runs.len() {
        runs.remove(0);
    }
}

/// Writes a segment. `entries` are sorted by name and not empty.
pub(crate) fn write(address: Address, number: u64, entries: &[(Box<str>, Entry)]) -> Result<Written, Fault> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Err(Fault::internal("store: write a segment", "it has no items"));
    };
    let mut sums = Sums::default();
    entries.iter().for_each(|(_, entry)| sums.add(&entry.hot));
    let hot = write_hot(entries)?;
    let raw = write_raw(entries)?;
    let segment = Segment {
        address,
        number,
        name_min: first.0.clone(),
        name_max: last.0.clone(),
        locations: location_range(entries.iter().map(|(_, entry)| entry.hot.location.as_deref())),
        sums,
        stored_bytes: (hot.len() + raw.len()) as u64,
        is_gone: AtomicBool::new(false),
    };
    Ok(Written { segment, hot, raw })
}

/// Smallest and largest location; `None` when one is missing.
fn location_range<'a>(mut locations: impl Iterator<Item = Option<&'a str>>) -> Option<(Box<str>, Box<str>)> {
    let first = locations.next()??;
    let (min, max) = locations.try_fold((first, first), |(min, max), location| {
        let location = location?;
        Some((min.min(location), max.max(location)))
    })?;
    Some((min.into(), max.into()))
}

/// The location that Hive gives a partition: the table's directory and the partition's name.
fn is_derived(location: &str, base: &str, name: &str) -> bool {
    location.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')) == Some(name)
}

fn write_hot(entries: &[(Box<str>, Entry)]) -> Result<Vec<u8>, Fault> {
    let base = entries.iter().find_map(|(name, entry)| {
        entry.hot.location.as_deref()?.strip_suffix(name.as_ref())?.strip_suffix('/')
    });
    let mut e = Encoder::default();
    e.u64(entries.len() as u64).option_str(base);
    let mut last = "";
    for (name, _) in entries {
        front_code(&mut e, last, name);
        last = name;
    }
    let hots = || entries.iter().map(|(_, entry)| &entry.hot);
    write_numbers(&mut e, hots().map(|hot| hot.row_count), false);
    write_numbers(&mut e, hots().map(|hot| hot.total_size_bytes), false);
    write_numbers(&mut e, hots().map(|hot| hot.file_count), false);
    last = "";
    for (name, entry) in entries {
        match entry.hot.location.as_deref() {
            None => {
                e.u8(0);
            }
            Some(location) if base.is_some_and(|base| is_derived(location, base, name)) => {
                e.u8(1);
            }
            Some(location) => {
                e.u8(2);
                front_code(&mut e, last, location);
                last = location;
            }
        }
    }
    let mut before = 0i64;
    for hot in hots() {
        e.i64(hot.create_time.wrapping_sub(before));
        before = hot.create_time;
    }
    write_numbers(&mut e, hots().map(|hot| hot.last_ddl_time), true);
    let mut rest = entries;
    while let Some((_, first)) = rest.first() {
        let stamp = first.hot.stamp;
        let length = rest.iter().take_while(|(_, entry)| entry.hot.stamp == stamp).count();
        e.u64(length as u64);
        write_stamp(&mut e, stamp);
        rest = &rest[length..];
    }
    let mut out = compress(&e.0)?;
    for hot in hots() {
        out.fixed(hot.digests.content).fixed(hot.digests.full);
    }
    Ok(out.0)
}

fn front_code(e: &mut Encoder, last: &str, text: &str) {
    let shared = last.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    e.u64(shared as u64).bytes(&text.as_bytes()[shared..]);
}

/// Reads one front-coded text over `last`.
fn read_front_coded(d: &mut Decoder<'_>, last: &mut Vec<u8>) -> Result<Box<str>, Fault> {
    let shared = usize::try_from(d.u64()?).map_err(|_| damaged("a wrong length"))?;
    let suffix = d.bytes()?;
    if last.len() < shared {
        return Err(damaged("a text shares more with its neighbour than that has"));
    }
    last.truncate(shared);
    last.extend_from_slice(suffix);
    Ok(std::str::from_utf8(last).map_err(|_| damaged("a text is not UTF-8"))?.into())
}

fn write_numbers(e: &mut Encoder, values: impl Iterator<Item = Option<i64>> + Clone, is_delta: bool) {
    // One byte per eight values says which are there.
    let (mut bits, mut place) = (0u8, 0u8);
    for value in values.clone() {
        bits |= u8::from(value.is_some()) << place;
        place += 1;
        if place == 8 {
            e.u8(bits);
            (bits, place) = (0, 0);
        }
    }
    if place != 0 {
        e.u8(bits);
    }
    let mut before = 0i64;
    for value in values.flatten() {
        e.i64(value.wrapping_sub(before));
        if is_delta {
            before = value;
        }
    }
}

fn read_numbers(d: &mut Decoder<'_>, count: usize, is_delta: bool) -> Result<Vec<Option<i64>>, Fault> {
    let bits = d.slice(count.div_ceil(8))?;
    let mut before = 0i64;
    (0..count)
        .map(|index| {
            if bits[index / 8] >> (index % 8) & 1 == 0 {
                return Ok(None);
            }
            let value = d.i64()?.wrapping_add(before);
            if is_delta {
                before = value;
            }
            Ok(Some(value))
        })
        .collect()
}

pub(crate) fn write_stamp(e: &mut Encoder, stamp: Stamp) {
    e.i64(stamp.synced_at).option_i64(stamp.source_event_id);
}

pub(crate) fn read_stamp(d: &mut Decoder<'_>) -> Result<Stamp, Fault> {
    Ok(Stamp { synced_at: d.i64()?, source_event_id: d.option_i64()? })
}

thread_local! {
    // Making a context costs more than packing a small delta with it.
    static PACKER: RefCell<Option<(Compressor<'static>, Decompressor<'static>)>> = const { RefCell::new(None) };
}

/// Calls `work` with this thread's compressor and decompressor.
fn with_packer<T>(
    work: impl FnOnce(&mut Compressor<'static>, &mut Decompressor<'static>) -> std::io::Result<T>,
) -> std::io::Result<T> {
    PACKER.with_borrow_mut(|packer| {
        let (compressor, decompressor) = match packer {
            Some(packer) => packer,
            None => packer.insert((Compressor::new(ZSTD_LEVEL)?, Decompressor::new()?)),
        };
        work(compressor, decompressor)
    })
}

/// Version, length, compressed length, compressed bytes.
fn compress(bytes: &[u8]) -> Result<Encoder, Fault> {
    let packed = with_packer(|compressor, _| compressor.compress(bytes))
        .map_err(|error| Fault::internal("store: compress a segment", error.to_string()))?;
    let mut e = Encoder(Vec::with_capacity(packed.len() + 16));
    e.u8(VERSION).u64(bytes.len() as u64).bytes(&packed);
    Ok(e)
}

/// Reads [`compress`]. The seal of the record was checked before, so its length is believed.
fn decompress(d: &mut Decoder<'_>) -> Result<Vec<u8>, Fault> {
    check_version(d)?;
    let length = usize::try_from(d.u64()?).ok().filter(|length| *length <= BLOCK_BYTES_MAX);
    let length = length.ok_or_else(|| damaged("a block says that it is too large"))?;
    let packed = d.bytes()?;
    let bytes = with_packer(|_, decompressor| decompressor.decompress(packed, length))
        .map_err(|error| damaged(&error.to_string()))?;
    if bytes.len() == length { Ok(bytes) } else { Err(damaged("a block has another length than it says")) }
}

fn check_version(d: &mut Decoder<'_>) -> Result<(), Fault> {
    match d.u8()? {
        VERSION => Ok(()),
        version if VERSION < version => Err(Fault::new(
            Code::STORE_FORMAT,
            "store: read a segment",
            format!("it has version {version}, this skep reads versions up to {VERSION}"),
        )),
        _ => Err(damaged("it has no version")),
    }
}

/// Reads a hot record.
pub(crate) fn read_hot(record: &[u8]) -> Result<HotBlock, Fault> {
    let mut outer = Decoder::new(record);
    let bytes = decompress(&mut outer)?;
    let mut d = Decoder::new(&bytes);
    let count = d.length()?;
    let base = d.option_str()?;
    let mut columns = PartitionChunk { names: Vec::with_capacity(count), ..PartitionChunk::default() };
    let mut last = Vec::new();
    for _ in 0..count {
        columns.names.push(read_front_coded(&mut d, &mut last)?);
    }
    columns.row_counts = read_numbers(&mut d, count, false)?;
    columns.total_size_bytes = read_numbers(&mut d, count, false)?;
    columns.file_counts = read_numbers(&mut d, count, false)?;
    last.clear();
    columns.locations.reserve(count);
    for name in &columns.names {
        let location = match (d.u8()?, base) {
            (0, _) => None,
            (1, Some(base)) => Some([base, "/", name].concat().into_boxed_str()),
            (2, _) => Some(read_front_coded(&mut d, &mut last)?),
            _ => return Err(damaged("a location is of no known form")),
        };
        columns.locations.push(location);
    }
    let mut before = 0i64;
    columns.create_times = (0..count)
        .map(|_| {
            before = before.wrapping_add(d.i64()?);
            Ok(before)
        })
        .collect::<Result<_, Fault>>()?;
    columns.last_ddl_times = read_numbers(&mut d, count, true)?;
    columns.stamps.reserve(count);
    while columns.stamps.len() < count {
        let length = usize::try_from(d.u64()?).map_err(|_| damaged("a wrong length"))?;
        let stamp = read_stamp(&mut d)?;
        if length == 0 || count - columns.stamps.len() < length {
            return Err(damaged("stamps of another number than items"));
        }
        columns.stamps.resize(columns.stamps.len() + length, stamp);
    }
    let digests = (0..count)
        .map(|_| Ok(ItemDigests { content: outer.fixed()?, full: outer.fixed()? }))
        .collect::<Result<_, Fault>>()?;
    Ok(HotBlock { columns, digests })
}

/// What is known of one item without decoding the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Known {
    /// Place in the segment.
    pub index: u32,
    /// How many items the segment has.
    pub count: u32,
    pub hidden: Hidden,
    /// [`ItemDigests::full`].
    pub full: u64,
}

/// Finds items by name, without building the columns. `names` are in order; the answer is in the
/// same order.
pub(crate) fn find(record: &[u8], names: &[&str]) -> Result<Vec<Option<Known>>, Fault> {
    let mut outer = Decoder::new(record);
    let bytes = decompress(&mut outer)?;
    let mut d = Decoder::new(&bytes);
    let count = d.length()?;
    d.option_str()?;
    let mut places = vec![None; names.len()];
    let mut wanted = names.iter().enumerate().peekable();
    let mut last = Vec::new();
    for index in 0..count {
        let shared = usize::try_from(d.u64()?).unwrap_or(usize::MAX);
        last.truncate(shared);
        last.extend_from_slice(d.bytes()?);
        while wanted.next_if(|(_, name)| name.as_bytes() < last.as_slice()).is_some() {}
        if let Some((place, _)) = wanted.next_if(|(_, name)| name.as_bytes() == last.as_slice()) {
            places[place] = Some(index);
        }
    }
    let rows = read_numbers(&mut d, count, false)?;
    let sizes = read_numbers(&mut d, count, false)?;
    let files = read_numbers(&mut d, count, false)?;
    let digests = outer.slice(count * 16)?;
    places
        .into_iter()
        .map(|index| {
            let Some(index) = index else { return Ok(None) };
            let mut d = Decoder::new(&digests[index * 16..]);
            let (content, full) = (d.fixed()?, d.fixed()?);
            let hidden = Hidden {
                row_count: rows[index],
                total_size_bytes: sizes[index],
                file_count: files[index],
                content,
            };
            // Both are bounded by the items of a segment.
            Ok(Some(Known { index: index as u32, count: count as u32, hidden, full }))
        })
        .collect()
}

impl HotBlock {
    /// The hot columns of one item.
    pub fn hot(&self, index: usize) -> Hot {
        let columns = &self.columns;
        Hot {
            location: columns.locations[index].clone(),
            create_time: columns.create_times[index],
            last_ddl_time: columns.last_ddl_times[index],
            row_count: columns.row_counts[index],
            total_size_bytes: columns.total_size_bytes[index],
            file_count: columns.file_counts[index],
            stamp: columns.stamps[index],
            digests: self.digests[index],
        }
    }
}

fn write_raw(entries: &[(Box<str>, Entry)]) -> Result<Vec<u8>, Fault> {
    let mut e = Encoder::default();
    e.u64(entries.len() as u64);
    entries.iter().for_each(|(_, entry)| {
        e.u64(entry.raw.len() as u64);
    });
    entries.iter().for_each(|(_, entry)| e.0.extend_from_slice(&entry.raw));
    Ok(compress(&e.0)?.0)
}

/// Reads a raw record: the struct bytes of each item.
pub(crate) fn read_raw(record: &[u8]) -> Result<Vec<Bytes>, Fault> {
    let bytes = Bytes::from(decompress(&mut Decoder::new(record))?);
    let mut d = Decoder::new(&bytes);
    let lengths: Vec<usize> = (0..d.length()?)
        .map(|_| usize::try_from(d.u64()?).map_err(|_| damaged("a wrong length")))
        .collect::<Result<_, Fault>>()?;
    let mut items = Vec::with_capacity(lengths.len());
    for length in lengths {
        items.push(bytes.slice_ref(d.slice(length)?));
    }
    Ok(items)
}

/// Writes a list of bytes that belong to names, compressed: what a delta is.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    Ok(compress(bytes)?.0)
}

/// Reads [`pack`].
pub(crate) fn unpack(record: &[u8]) -> Result<Vec<u8>, Fault> {
    decompress(&mut Decoder::new(record))
}
