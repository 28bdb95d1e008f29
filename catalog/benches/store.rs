//! One million partitions in the store: write rate, bytes on disk beyond zstd of the raw bytes,
//! time to open, rate of loading, and changes per second.
//!
//! `cargo bench -p skep-catalog --bench store [-- PARTITIONS]`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use skep_catalog::change::{Change, Origin, Stamp};
use skep_catalog::fault::Fault;
use skep_catalog::model::*;
use skep_catalog::ports::{Decoder, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};

const TABLES: usize = 1_000;

/// The benchmark never decodes whole objects.
struct NoDecoder;

fn never<T>() -> Result<T, Fault> {
    Err(Fault::internal("benchmark", "decodes nothing"))
}

impl Decoder for NoDecoder {
    fn catalog(&self, _: &[u8]) -> Result<CatalogObject, Fault> {
        never()
    }
    fn database(&self, raw: &[u8]) -> Result<Database, Fault> {
        Ok(Database { name: String::from_utf8_lossy(raw).into(), ..Database::default() })
    }
    fn table(&self, _: &[u8]) -> Result<Table, Fault> {
        never()
    }
    fn partition(&self, _: &[u8]) -> Result<Partition, Fault> {
        never()
    }
    fn function(&self, _: &[u8]) -> Result<Function, Fault> {
        never()
    }
    fn constraint(&self, _: ConstraintKind, _: &[u8]) -> Result<ConstraintColumn, Fault> {
        never()
    }
    fn column_statistic(&self, _: &[u8]) -> Result<ColumnStatistic, Fault> {
        never()
    }
    fn privilege(&self, _: &[u8]) -> Result<Privilege, Fault> {
        never()
    }
}

/// A partition as Hive sends them: about 900 bytes, most of them equal to its neighbours'.
fn partition(table: usize, index: usize, version: i64) -> (String, Item<Partition>) {
    let (day, hour) = (index / 24, index % 24);
    let name = format!("ds=2024-{:02}-{:02}/hour={hour:02}", 1 + day / 28 % 12, 1 + day % 28);
    let name = if day < 336 { name } else { format!("{name}-{}", day / 336) };
    let mixed = (table * 7_919 + index) as u64;
    let mixed = mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ version as u64;
    let mut value = Partition {
        values: vec![name.clone()],
        create_time: 1_700_000_000 + index as i64 * 3_600,
        ..Partition::default()
    };
    value.storage.location = Some(format!("hdfs://nn1:8020/warehouse/sales.db/t{table:05}/{name}"));
    value.parameters = vec![
        ("COLUMN_STATS_ACCURATE".into(), "{\"BASIC_STATS\":\"true\"}".into()),
        ("numFiles".into(), (1 + mixed % 16).to_string()),
        ("numRows".into(), (mixed % 10_000_000).to_string()),
        ("rawDataSize".into(), (mixed % 9_000_000_000).to_string()),
        ("totalSize".into(), (mixed % 3_000_000_000).to_string()),
        ("transient_lastDdlTime".into(), (1_700_000_100 + index as i64 * 3_600 + version).to_string()),
    ];
    let mut raw = Vec::with_capacity(1_024);
    let mut field = |text: &str| {
        raw.extend_from_slice(&(text.len() as u32).to_be_bytes());
        raw.extend_from_slice(text.as_bytes());
    };
    field(&name);
    field(value.storage.location.as_deref().unwrap_or_default());
    for (key, value) in &value.parameters {
        field(key);
        field(value);
    }
    for column in ["id", "customer", "amount", "currency", "created", "updated", "note", "status"] {
        field(column);
        field("decimal(18,2)");
        field("a comment of usual length");
    }
    field("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat");
    field("org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat");
    field("org.apache.hadoop.hive.ql.io.orc.OrcSerde");
    (name, Item { value, raw: raw.into() })
}

fn open(path: &Path) -> Result<Arc<Catalog>, Fault> {
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::default() };
    Ok(Catalog::open(path, options, Arc::new(NoDecoder), Arc::new(SystemClock))?.0)
}

/// A field of `/proc/self/status` in MiB.
fn memory_mib(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Processor time of this process so far, all threads, in seconds: on a busy machine it says
/// more than the time that went by.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn commit() -> String {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().find_map(|arg| arg.parse::<usize>().ok()).unwrap_or(1_000_000);
    let per_table = count / TABLES;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("store");
    let store = open(&path)?;
    let settings = MetastoreSettings {
        name: "dc1".into(),
        uris: vec!["thrift://localhost:9083".into()],
        follow: "auto".into(),
        origin: "config",
    };
    let id = store.declare(&[settings])?[0];
    let origin = |at| Origin { metastore: id, stamp: Stamp { synced_at: at, source_event_id: Some(at) } };
    let database = DatabaseName::new(DEFAULT_CATALOG, "sales");
    let raw = |name: &str| bytes_of(name);
    let catalog = CatalogObject { name: DEFAULT_CATALOG.into(), ..CatalogObject::default() };
    store.apply(
        origin(1),
        vec![
            Change::PutCatalog(Item { value: catalog, raw: raw("") }),
            Change::PutDatabase(
                database.clone(),
                Item { value: Database { name: "sales".into(), ..Database::default() }, raw: raw("sales") },
            ),
        ],
    )?;
    let name = |table: usize| database.table(format!("t{table:05}"));
    let key = Column { name: "ds".into(), data_type: "string".into(), comment: None };

    let (mut cpu_made, cpu_begin) = (0.0, cpu_s());
    let (mut made, mut raw_bytes, mut raw_packed) = (0.0, 0usize, 0usize);
    let begin = Instant::now();
    for table in 0..TABLES {
        let (making, cpu_making) = (Instant::now(), cpu_s());
        let mut value =
            Table { name: name(table).table, partition_keys: vec![key.clone()], ..Table::default() };
        value.storage.location = Some(format!("hdfs://nn1:8020/warehouse/sales.db/t{table:05}"));
        let item = Item { value, raw: raw(&name(table).table) };
        let partitions: Vec<_> = (0..per_table).map(|index| partition(table, index, 0)).collect();
        let mut batches = vec![vec![Change::PutTable(name(table), item)]];
        for chunk in partitions.chunks(1_000) {
            let joined: Vec<u8> = chunk.iter().flat_map(|(_, item)| item.raw.iter().copied()).collect();
            raw_bytes += joined.len();
            raw_packed += zstd::bulk::compress(&joined, 1)?.len();
            batches.push(vec![Change::PutPartitions(name(table), chunk.to_vec())]);
        }
        made += making.elapsed().as_secs_f64();
        cpu_made += cpu_s() - cpu_making;
        for batch in batches {
            store.apply(origin(2), batch)?;
        }
    }
    let wrote = begin.elapsed().as_secs_f64() - made;
    let cpu_wrote = cpu_s() - cpu_begin - cpu_made;
    store.flush()?;
    let total = per_table * TABLES;
    let facts = store.facts();
    let beyond = (facts.size_on_disk_bytes as f64 - raw_packed as f64) / total as f64;
    let live_beyond = (facts.live_bytes as f64 - raw_packed as f64) / total as f64;
    println!("commit {}, {} partitions of {} tables", commit(), total, TABLES);
    println!("raw: {} B each, {:.1} B each after zstd", raw_bytes / total, raw_packed as f64 / total as f64);
    println!(
        "write: {wrote:.1} s, {:.0} partitions/s, {:.1} us of processor time each",
        total as f64 / wrote,
        cpu_wrote * 1e6 / total as f64
    );
    println!("disk beyond zstd of raw: {beyond:.1} B each on disk, {live_beyond:.1} B each live");
    println!("memory after the write: {} MiB, peak {} MiB", memory_mib("VmRSS:"), memory_mib("VmHWM:"));
    drop(store);

    let begin = Instant::now();
    let store = open(&path)?;
    let snapshot = store.snapshot();
    let view = snapshot.metastore("dc1").and_then(|m| m.database(DEFAULT_CATALOG, "sales").cloned());
    let view = view.ok_or("the database is gone")?;
    let count = view.totals.partition_count;
    println!("open to first count ({count}): {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);

    let (begin, cpu_begin) = (Instant::now(), cpu_s());
    let mut rows = 0;
    for table in &view.tables {
        for index in 0..snapshot.chunk_summaries(table).len() {
            rows += snapshot.load_chunk(table, index)?.names.len();
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "load of hot columns: {took:.2} s, {:.0} partitions/s, {:.2} us of processor time each",
        rows as f64 / took,
        (cpu_s() - cpu_begin) * 1e6 / rows as f64
    );

    let (begin, cpu_begin) = (Instant::now(), cpu_s());
    let batches = 20;
    for batch in 0..batches {
        let changes = (0..500).map(|i| {
            let table = (i * 2 + batch % 2) % TABLES;
            let at = |k: usize| partition(table, (batch * 37 + k * 11) % per_table.max(1), 1 + batch as i64);
            Change::PutPartitions(name(table), vec![at(0), at(1)])
        });
        store.apply(origin(3 + batch as i64), changes.collect())?;
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "changes: {:.1} ms per batch of 1,000 altered partitions of 500 tables, {:.0} partitions/s, \
         {:.1} us of processor time each",
        took * 1e3 / batches as f64,
        batches as f64 * 1_000.0 / took,
        (cpu_s() - cpu_begin) * 1e6 / (batches as f64 * 1_000.0)
    );
    let begin = Instant::now();
    let maintenance = store.maintain();
    println!(
        "maintenance: {} collections merged, {:.2} s with the rebuild when one was due",
        maintenance.merged_count,
        begin.elapsed().as_secs_f64()
    );
    let rebuild = maintenance.rebuild.map_or_else(|| store.rebuild(), Ok)?;
    println!(
        "rebuild: {} bytes to {} ({} of them live) in {} ms, {} ms of them without writes",
        rebuild.before_bytes,
        rebuild.after_bytes,
        store.facts().live_bytes,
        rebuild.elapsed_ms,
        rebuild.blocked_ms
    );
    Ok(())
}

fn bytes_of(text: &str) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(text.as_bytes())
}
