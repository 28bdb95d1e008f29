//! Benchmark `partitions-sql`: six questions about millions of partitions, beside DuckDB on the
//! same rows; memory and disk per partition; restart to the first answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use skep_catalog::change::{Change, Origin, Run, Stamp};
use skep_catalog::model::MetastoreId;
use skep_catalog::ports::{Clock, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_query::arrow::array::RecordBatch;
use skep_query::arrow::util::display::{ArrayFormatter, FormatOptions};
use skep_query::{Engine, EngineOptions};
use tokio::runtime::Runtime;

use super::warehouse::{METASTORES, Warehouse, raw_partitions};
use super::{Outcome, duckdb, median, print_header, restart, usage};

/// Threads of both engines.
const THREADS: usize = 2;
/// Runs of each query after the first.
const ROUNDS: usize = 15;
/// Raw bytes are packed for comparison of every so many tables.
const SAMPLED_TABLES: usize = 16;
/// zstd level of the store.
const ZSTD_LEVEL: i32 = 1;

/// A question, and its statement for skep (`P` stands for the table).
struct Question {
    name: &'static str,
    sql: String,
}

fn questions(warehouse: &Warehouse) -> Vec<Question> {
    let table = warehouse.middle_table();
    let name = warehouse.name(table);
    let only = format!(
        "metastore_name = '{}' AND database_name = '{}' AND table_name = '{}'",
        METASTORES[warehouse.metastore(table)],
        name.database.database,
        name.table
    );
    let partition = Warehouse::partition_name(warehouse.partition_count(table) / 2);
    let columns = "partition_name, location, row_count, total_size_bytes";
    let question = |name, sql: String| Question { name, sql };
    vec![
        question(
            "count and sum by metastore",
            "SELECT metastore_name, count(*), sum(total_size_bytes) FROM P GROUP BY metastore_name".into(),
        ),
        question(
            "by metastore and database",
            "SELECT metastore_name, database_name, count(*), sum(total_size_bytes) FROM P \
             GROUP BY metastore_name, database_name"
                .into(),
        ),
        question(
            "top 10 tables by partitions",
            "SELECT metastore_name, database_name, table_name, count(*) AS partition_count FROM P \
             GROUP BY metastore_name, database_name, table_name \
             ORDER BY partition_count DESC, metastore_name, database_name, table_name LIMIT 10"
                .into(),
        ),
        question("one table's partitions", format!("SELECT {columns} FROM P WHERE {only}")),
        question(
            "one partition",
            format!("SELECT {columns} FROM P WHERE {only} AND partition_name = '{partition}'"),
        ),
        question(
            "count by location prefix",
            "SELECT metastore_name, count(*) FROM P WHERE location LIKE 'hdfs://old-nn/%' GROUP BY metastore_name"
                .into(),
        ),
    ]
}

/// Runs it: the arguments are the number of partitions, by default 10,000,000, and how many of
/// them a table has, by default 1,000, and a folder for the store, which is kept and used again.
pub fn run(arguments: &[String]) -> Outcome {
    print_header("partitions-sql", arguments);
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let warehouse = Warehouse::of(number(0, 10_000_000)?, number(1, 1_000)?);
    let folder = tempfile::tempdir()?;
    let path = arguments.get(2).map_or_else(|| folder.path().join("store"), PathBuf::from);
    let runtime = Runtime::new()?;

    if path.exists() {
        println!("not written: {} is there already", path.display());
    } else {
        fill(&path, &warehouse)?;
    }
    let rows = warehouse.rows();

    restart::measure(&path, rows)?;
    let catalog = open(&path)?;
    // What only the first statement of a process takes is told by the restart.
    ask(&runtime, &engine(&catalog)?, restart::FIRST)?;

    let questions = questions(&warehouse);
    let mut cold_ms = Vec::new();
    for question in &questions {
        let engine = self::engine(&catalog)?;
        cold_ms.push(ask(&runtime, &engine, &question.sql.replace(" P ", " catalog.partitions "))?.1);
    }
    let engine = self::engine(&catalog)?;
    ask(&runtime, &engine, restart::ALL)?;
    let conflicts = "SELECT count(*) FROM catalog.location_conflicts";
    let (found, conflicts_ms) = ask(&runtime, &engine, conflicts)?;
    println!("location conflicts: {} found in {conflicts_ms:.0} ms", texts(&found)?.concat().concat());
    let mut answers = Vec::new();
    for question in &questions {
        let sql = question.sql.replace(" P ", " catalog.partitions ");
        let mut times = Vec::new();
        let mut rows = Vec::new();
        for round in 0..=ROUNDS {
            let (batches, ms) = ask(&runtime, &engine, &sql)?;
            if round != 0 {
                times.push(ms);
            }
            rows = texts(&batches)?;
        }
        answers.push((rows, median(times)));
    }

    let peer_sql: Vec<String> = questions.iter().map(|q| q.sql.replace(" P ", " partitions ")).collect();
    let peer_sql: Vec<&str> = peer_sql.iter().map(String::as_str).collect();
    let peer = duckdb::run(&warehouse.sql(), &peer_sql, ROUNDS, THREADS)?;
    println!(
        "DuckDB {}: {THREADS} threads, table in memory made in {:.1} s, {:.1} resident bytes per partition",
        peer.version,
        peer.load_s,
        peer.resident_bytes as f64 / rows as f64
    );
    println!();
    println!("| query | rows | skep cold ms | skep warm ms | DuckDB ms | with fetch | DuckDB / skep |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (((question, cold), (rows, warm)), peer) in
        questions.iter().zip(cold_ms).zip(answers).zip(peer.answers)
    {
        if sorted(rows.clone()) != sorted(peer.rows) {
            return Err(format!("{}: the answers differ", question.name).into());
        }
        println!(
            "| {} | {} | {cold:.2} | {warm:.2} | {:.2} | {:.2} | {:.2} |",
            question.name,
            rows.len(),
            peer.execute_ms,
            peer.fetch_ms,
            peer.execute_ms / warm
        );
    }
    println!();
    println!(
        "both give the same rows. DuckDB ms leaves out making Python values of them. Medians of {ROUNDS} runs; cold is \
         one run with nothing decoded in memory (files are in the page cache)"
    );
    Ok(())
}

/// Writes all rows as a mirror does, and prints what that takes.
fn fill(path: &Path, warehouse: &Warehouse) -> Outcome {
    let catalog = open(path)?;
    let settings = METASTORES.map(|name| MetastoreSettings {
        name: name.to_owned(),
        uris: vec!["thrift://localhost:9083".to_owned()],
        follow: "auto".to_owned(),
        origin: "config",
    });
    let metastores = catalog.declare(&settings)?;
    for (index, id) in metastores.iter().enumerate() {
        catalog.apply(origin(*id), warehouse.databases(index))?;
    }
    let own = std::process::id();
    let (mut wall_s, mut cpu_s, begin, cpu_begin) = (0.0, 0.0, Instant::now(), usage::cpu_s(own));
    let (mut sampled, mut raw_bytes, mut packed_bytes) = (0, 0, 0);
    // Rows are made beside the writing; what is shown is the processor time of both.
    let (sender, receiver) = sync_channel(16);
    std::thread::scope(|scope| -> Outcome {
        scope.spawn(move || {
            for table in 0..warehouse.tables {
                // The receiver is gone when writing failed, which is told there.
                if sender.send((table, warehouse.table(table))).is_err() {
                    return;
                }
            }
        });
        for (table, changes) in receiver {
            if table.is_multiple_of(SAMPLED_TABLES) {
                let (aside, cpu_aside) = (Instant::now(), usage::cpu_s(own));
                sampled += warehouse.partition_count(table);
                for change in changes.iter().skip(1) {
                    let raw = raw_partitions(std::slice::from_ref(change));
                    raw_bytes += raw.len();
                    packed_bytes += zstd::bulk::compress(&raw, ZSTD_LEVEL)?.len();
                }
                wall_s -= aside.elapsed().as_secs_f64();
                cpu_s -= usage::cpu_s(own) - cpu_aside;
            }
            catalog.apply(origin(metastores[warehouse.metastore(table)]), changes)?;
        }
        Ok(())
    })?;
    wall_s += begin.elapsed().as_secs_f64();
    cpu_s += usage::cpu_s(own) - cpu_begin;
    for id in &metastores {
        catalog.apply(origin(*id), vec![Change::PutRun(finished(catalog.next_run_id()))])?;
    }
    // As `skep sync` and `skep serve` do.
    let maintenance = catalog.maintain();
    if let Some(fault) = maintenance.faults.first() {
        return Err(fault.clone().into());
    }
    catalog.flush()?;
    if let Some(rebuild) = maintenance.rebuild {
        println!(
            "rebuilt after that in {} ms, {} ms of them without writes: {} to {} bytes",
            rebuild.elapsed_ms, rebuild.blocked_ms, rebuild.before_bytes, rebuild.after_bytes
        );
    }
    let rows = warehouse.rows();
    let facts = catalog.facts();
    let per = |bytes: u64| bytes as f64 / rows as f64;
    let packed = packed_bytes as f64 / sampled as f64;
    println!("partitions: {rows} of {} tables in {} metastores", warehouse.tables, METASTORES.len());
    println!(
        "written at {:.0} partitions/s, {:.2} us of processor time each (making them included)",
        rows as f64 / wall_s,
        cpu_s * 1e6 / rows as f64
    );
    println!(
        "disk bytes per partition: {:.1}, of which {:.1} live; raw {:.0}, zstd of raw {packed:.1}; beyond that {:.1}",
        per(facts.size_on_disk_bytes),
        per(facts.live_bytes),
        raw_bytes as f64 / sampled as f64,
        per(facts.size_on_disk_bytes) - packed
    );
    Ok(())
}

fn finished(run_id: u64) -> Run {
    let now = SystemClock.now_micros();
    Run {
        run_id,
        kind: "first".to_owned(),
        state: "done".to_owned(),
        started_at: now,
        finished_at: Some(now),
        start_event_id: None,
        objects_read: 0,
        objects_changed: 0,
        error_message: None,
    }
}

fn origin(metastore: MetastoreId) -> Origin {
    let synced_at = SystemClock.now_micros();
    Origin { metastore, stamp: Stamp { synced_at, source_event_id: Some(1) } }
}

/// The store in a folder.
pub(super) fn open(path: &Path) -> Outcome<Arc<Catalog>> {
    let decoder = Arc::new(skep_hms::HmsDecoder);
    Ok(Catalog::open(path, StoreOptions::default(), decoder, Arc::new(SystemClock))?.0)
}

/// An engine with nothing in its cache, as the product makes it.
pub(super) fn engine(catalog: &Arc<Catalog>) -> Outcome<Engine> {
    let options = EngineOptions { threads: THREADS, ..EngineOptions::default() };
    Ok(Engine::new(Arc::clone(catalog), options)?)
}

/// The rows of a question, and the milliseconds until the last of them.
pub(super) fn ask(runtime: &Runtime, engine: &Engine, sql: &str) -> Outcome<(Vec<RecordBatch>, f64)> {
    let begin = Instant::now();
    let batches = runtime.block_on(async { engine.query(sql).await?.collect().await })?;
    Ok((batches, begin.elapsed().as_secs_f64() * 1e3))
}

/// Values as text, by row; NULL is the empty text.
pub(super) fn texts(batches: &[RecordBatch]) -> Outcome<Vec<Vec<String>>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<Vec<_>, _>>()?;
        rows.extend(
            (0..batch.num_rows())
                .map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()),
        );
    }
    Ok(rows)
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort();
    rows
}
