//! `skep demo`: three sample metastores on loopback, mirrored by the same adapter as real ones
//! into a catalog that is gone afterwards, and a prompt.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use skep_catalog::change::FollowState;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::MetastoreId;
use skep_catalog::store::Catalog;
use skep_query::spec::examples::EXAMPLES;
use skep_sample::{Churn, SampleServer, ServerOptions, demo_metastores};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::runtime;
use crate::config::options::{LogOptions, MetastoreOptions, RootOptions, SqlSection, StoreSection};
use crate::config::{Config, MetastoreConfig};
use crate::exit::Exit;
use crate::follow::Followers;
use crate::output::grouped;
use crate::process::Process;
use crate::shell::{Ask, Asked, Shell};
use crate::{logging, wire};

/// Longest wait for the first mirror: a machine that is much slower than any is told so.
const MIRROR_TIMEOUT: Duration = Duration::from_secs(120);
/// Between changes that the sample metastores make by themselves at a prompt.
const CHANGE_INTERVAL: Duration = Duration::from_secs(3);
/// Tables that are changed.
const CHANGED_TABLES: usize = 40;
/// The store may be writing new files while its folder is removed.
const REMOVALS_MAX: usize = 100;
/// Of the temporary folder.
const FOLDER_PREFIX: &str = "skep-demo-";
/// File in it that is locked while the demo runs.
const LOCK: &str = "lock";
/// Examples that the banner shows.
const SUGGESTIONS: usize = 5;

/// Runs the command.
pub fn run(ask: &Ask) -> Result<Exit, Fault> {
    let level = logging::start("error", "text");
    let started = Instant::now();
    let runtime = runtime()?;
    let script = ask.script()?;
    // Before there is anything to remove, so that no signal comes too early.
    let signals = runtime.block_on(async { Signals::listen() })?;
    let temporary = std::env::temp_dir();
    remove_leftovers(&temporary);
    let (folder, _lock) = make_folder(&temporary)
        .map_err(|error| Fault::new(Code::STORE_IO, "temporary folder", error.to_string()))?;
    runtime.spawn(remove_at(signals.ends, folder.path().to_owned()));
    let interrupted = runtime.spawn(remove_at(signals.interrupt, folder.path().to_owned()));

    // Their data takes a moment to make: all at once.
    let servers = std::thread::scope(|scope| {
        let starting: Vec<_> = demo_metastores()
            .into_iter()
            .map(|spec| scope.spawn(move || SampleServer::start(&spec, ServerOptions::default())))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<SampleServer, Fault>>| {
            thread.join().unwrap_or_else(|_| Err(Fault::internal("sample metastore", "its start panicked")))
        };
        starting.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let servers: Arc<[SampleServer]> = servers.into();
    let config = config(folder.path(), &servers);
    let catalog = wire::open_catalog(&config)?;
    let control = wire::open_control(&config)?;
    let engine = wire::engine(&catalog, &config, "demo", &[])?;
    let process = runtime.block_on(async {
        let followers = Some(Followers::new(Arc::clone(&catalog)));
        let process = Process::new(config, control, &engine, Some(level), followers, Handle::current());
        process.settle().await?;
        let ids = process.with_followers(Followers::ids).await.unwrap_or_default();
        wait_until_mirrored(&catalog, &ids).await?;
        Ok::<_, Fault>(process)
    })?;
    if script.is_none() {
        runtime.spawn(keep_changing(Arc::clone(&servers)));
    }
    let banner = banner(&catalog, started.elapsed());
    // From here on Ctrl-C cancels a statement.
    interrupted.abort();
    let exit = Shell::new(Asked::Engine(engine), ask.output).run(&runtime, script.as_deref(), &banner);
    runtime.block_on(process.stop());
    runtime.shutdown_background();
    Ok(exit)
}

/// Makes the demo's folder, with a locked file in it, which says that the demo runs: other than the
/// number of a process it does so also to those of another container with the same folder for
/// temporary files.
fn make_folder(temporary: &Path) -> std::io::Result<(TempDir, File)> {
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir_in(temporary)?;
    // It has its name only once it is locked.
    let new = folder.path().join("lock.new");
    let lock = File::create(&new)?;
    lock.lock()?;
    std::fs::rename(new, folder.path().join(LOCK))?;
    Ok((folder, lock))
}

/// Removes what demos that were killed have left. Best effort: another user's stay.
fn remove_leftovers(temporary: &Path) {
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_of_demo = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER_PREFIX));
        if is_of_demo && let Some(_lock) = lock_leftover(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The lock of a demo that does not run.
fn lock_leftover(folder: &Path) -> Option<File> {
    // Everybody can make such a folder: neither a link is followed nor a pipe waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let lock = File::from(rustix::fs::open(folder.join(LOCK), flags, Mode::empty()).ok()?);
    lock.try_lock().ok().map(|()| lock)
}

/// A config as a user would write it, with shorter pauses.
fn config(folder: &Path, servers: &[SampleServer]) -> Config {
    let metastores = servers.iter().map(|server| MetastoreConfig {
        options: MetastoreOptions {
            name: server.name().to_owned(),
            uris: vec![server.uri()],
            events_interval_ms: 200,
            poll_interval_ms: 1_000,
            ..MetastoreOptions::default()
        },
        tls: None,
        origin: "config",
    });
    Config {
        file: folder.join("skep.toml"),
        root: RootOptions { data_dir: folder.join("skep-data") },
        log: LogOptions { level: "error".to_owned(), ..LogOptions::default() },
        store: StoreSection { disk_free_bytes_min: 64 << 20, ..StoreSection::default() },
        sql: SqlSection::default(),
        flight: None,
        http: None,
        metastores: metastores.collect(),
    }
}

async fn wait_until_mirrored(catalog: &Catalog, metastores: &[(String, MetastoreId)]) -> Result<(), Fault> {
    let deadline = Instant::now() + MIRROR_TIMEOUT;
    for (name, id) in metastores {
        loop {
            let status = catalog.status(*id);
            match (status.state, status.error) {
                (FollowState::Following, _) => break,
                (FollowState::Error, Some((fault, _))) => return Err(fault),
                _ if deadline < Instant::now() => {
                    let why = format!("it took longer than {} s", MIRROR_TIMEOUT.as_secs());
                    return Err(Fault::new(
                        Code::METASTORE_SLOW,
                        format!("mirroring sample metastore {name}"),
                        why,
                    ));
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
    Ok(())
}

/// Life in the metastores, so that `sync.events` has something to show.
async fn keep_changing(servers: Arc<[SampleServer]>) {
    let mut churns: Vec<Churn> = servers
        .iter()
        .map(|server| server.with(|metastore| Churn::new(metastore, 1, CHANGED_TABLES)))
        .collect();
    loop {
        for (server, churn) in servers.iter().zip(&mut churns) {
            server.with(|metastore| churn.run(metastore, 1));
            tokio::time::sleep(CHANGE_INTERVAL).await;
        }
    }
}

/// Signals that end the demo.
struct Signals {
    /// SIGTERM and SIGHUP (the terminal was closed): at any time.
    ends: Vec<Signal>,
    /// SIGINT: until statements can be cancelled by it.
    interrupt: Vec<Signal>,
}

impl Signals {
    fn listen() -> Result<Self, Fault> {
        let listen =
            |kind| signal(kind).map_err(|error| Fault::internal("listening to signals", error.to_string()));
        Ok(Self {
            ends: vec![listen(SignalKind::terminate())?, listen(SignalKind::hangup())?],
            interrupt: vec![listen(SignalKind::interrupt())?],
        })
    }
}

/// Ends the process when one of the signals comes; the folder goes away too.
async fn remove_at(mut signals: Vec<Signal>, folder: PathBuf) {
    futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
    for _ in 0..REMOVALS_MAX {
        // Best effort: the folder is in the system's temporary folder.
        let _ = std::fs::remove_dir_all(&folder);
        if !folder.exists() {
            break;
        }
    }
    std::process::exit(i32::from(Exit::Failed.code()));
}

fn banner(catalog: &Catalog, elapsed: Duration) -> String {
    let snapshot = catalog.snapshot();
    let databases = || snapshot.metastores.iter().flat_map(|metastore| metastore.databases());
    let tables: usize = databases().map(|database| database.tables.len()).sum();
    let partitions: u64 = databases().map(|database| database.totals.partition_count).sum();
    let mut text = format!(
        "skep {}: {} sample metastores, {} databases, {} tables, {} partitions, mirrored in {:.1} s\n\n",
        env!("CARGO_PKG_VERSION"),
        snapshot.metastores.len(),
        grouped(databases().count() as u64),
        grouped(tables as u64),
        grouped(partitions),
        elapsed.as_secs_f64()
    );
    for (index, example) in EXAMPLES.iter().take(SUGGESTIONS).enumerate() {
        text.push_str(&format!("  \\e {}  {}\n", index + 1, example.question));
    }
    text.push_str("\n  \\examples lists more, \\? helps, \\q leaves\n\n");
    text
}
