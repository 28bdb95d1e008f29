//! `skep serve`: follows the metastores and answers SQL clients until it is told to end.
//!
//! SIGTERM and SIGINT end it, SIGHUP reads the config again: metastores, users, certificates, log level
//! and the settings that calls can change do so at once, everything else is named as needing a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skep_catalog::change::FollowState;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::store::Catalog;
use skep_flight::{Door, INSECURE_KEY, Key, OpenDoor, Protection, check_listen};
use skep_http::{OpenDoor as HttpDoor, Phase, Watched};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::runtime;
use crate::config::Config;
use crate::exit::Exit;
use crate::follow::{Followers, Reloaded};
use crate::logging::LevelHandle;
use crate::process::Process;
use crate::{logging, settings, wire};

/// Time for the last write to the disk at the end; what is not written by then is read again.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(800);
/// Time for calls under way at the end.
const CALLS_TIMEOUT: Duration = Duration::from_secs(5);
/// File of the key that tickets are signed with, in the folder of the catalog.
const KEY_FILE: &str = "flight.key";
/// Between looks at what the followers do.
const STATES_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the command.
pub fn run(config: Config) -> Result<Exit, Fault> {
    let level = logging::start(&config.log.level, &config.log.format);
    let runtime = runtime()?;
    let exit = runtime.block_on(serve(config, level));
    // What still hangs is not waited for: the process ends.
    runtime.shutdown_background();
    exit
}

async fn serve(config: Config, level: LevelHandle) -> Result<Exit, Fault> {
    let mut hangup = listen(SignalKind::hangup())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;

    let (door, protection) = listen_to_clients(&config).await?;
    let watched = Watched::default();
    let http = listen_to_watchers(&config, &watched).await?;
    let opening = config.clone();
    let open = tokio::task::spawn_blocking(move || {
        Ok::<_, Fault>((wire::open_catalog(&opening)?, wire::open_control(&opening)?))
    });
    let (catalog, control) = tokio::select! {
        opened = open => opened.map_err(|error| Fault::internal("opening the store", error.to_string()))??,
        _ = terminate.recv() => return Ok(Exit::Done),
        _ = interrupt.recv() => return Ok(Exit::Done),
    };
    let flight = ("flight", door.address());
    let doors: Vec<_> =
        [flight].into_iter().chain(http.as_ref().map(|http| ("http", http.address()))).collect();
    let engine = wire::engine(&catalog, &config, "serve", &doors)?;
    let key = Key::in_file(&config.root.data_dir.join(KEY_FILE))?;
    let followers = Some(Followers::new(Arc::clone(&catalog)));
    let process = Process::new(config.clone(), control, &engine, Some(level), followers, Handle::current());
    let door = door.open(Arc::clone(&engine), key, protection)?;
    process.settle().await?;
    process.ask_again().await;
    watched.enter(Phase::Serving(Arc::clone(&engine)));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        metastores = process.with_followers(|followers| followers.running().len()).await,
        store = %config.root.data_dir.display(),
        flight = %format_args!("{}://{}", door.scheme(), door.address()),
        http = http.as_ref().map(|http| format!("http://{}", http.address())),
        "serving"
    );
    let mut states = States::default();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&process, &door).await,
            () = tokio::time::sleep(STATES_INTERVAL) => {
                process.with_followers(|followers| states.log_changes(&catalog, followers)).await;
            }
        }
    }
    tracing::info!("ending");
    watched.enter(Phase::Ending);
    if !door.close(CALLS_TIMEOUT).await {
        tracing::warn!(timeout_ms = CALLS_TIMEOUT.as_millis(), "calls of clients cut off");
    }
    drop(engine);
    process.stop().await;
    close(catalog).await;
    tracing::info!("ended");
    Ok(Exit::Done)
}

fn listen(kind: SignalKind) -> Result<Signal, Fault> {
    signal(kind).map_err(|error| Fault::internal("listening to signals", error.to_string()))
}

/// Listens before the catalog is opened: a port that is taken is told at once, and clients that come
/// early wait.
///
/// Errors: `CONFIG_INVALID`, `PORT_TAKEN`.
async fn listen_to_clients(config: &Config) -> Result<(Door, Protection), Fault> {
    let invalid = |why: String, fix: &str| {
        Fault::new(Code::CONFIG_INVALID, config.file.display().to_string(), why).with_fix(fix)
    };
    let Some(flight) = &config.flight else {
        let fix = "Add a section [flight] with listen = \"127.0.0.1:32010\", or mirror without a service: skep sync.";
        return Err(invalid("no door is configured: nobody could ask the service anything".to_owned(), fix));
    };
    let protection = flight.protection();
    let is_protected = protection.tls.is_some() && !protection.users.is_empty();
    let options = &flight.options;
    let address = check_listen(&options.listen, is_protected, options.insecure_listen_without_tls_or_users)
        .map_err(|(why, fix)| invalid(why, &fix))?;
    if !address.ip().is_loopback() && !is_protected {
        tracing::warn!(
            listen = %address,
            has_tls = protection.tls.is_some(),
            has_users = !protection.users.is_empty(),
            "{INSECURE_KEY} is set: others on the network can read or do what they should not"
        );
    }
    protection.check()?;
    Ok((Door::listen(address).await?, protection))
}

/// Answers at once: that the service starts is worth knowing too.
///
/// Errors: `CONFIG_INVALID`, `PORT_TAKEN`.
async fn listen_to_watchers(config: &Config, watched: &Watched) -> Result<Option<HttpDoor>, Fault> {
    let Some(http) = &config.http else { return Ok(None) };
    let invalid = |(why, fix): (String, &str)| {
        Fault::new(Code::CONFIG_INVALID, config.file.display().to_string(), why).with_fix(fix)
    };
    let door = skep_http::Door::listen(http.address().map_err(invalid)?).await?;
    Ok(Some(door.open(watched.clone())))
}

/// Writes and lets go of the store, on a thread of its own: sled can hang when the disk is full.
async fn close(catalog: Arc<Catalog>) {
    let closing = tokio::task::spawn_blocking(move || {
        let flushed = catalog.flush();
        drop(catalog);
        flushed
    });
    match tokio::time::timeout(FLUSH_TIMEOUT, closing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(fault))) => tracing::warn!(%fault, "store not written to the end"),
        Ok(Err(error)) => tracing::error!(%error, "closing the store ended"),
        Err(_) => tracing::warn!("store not written in time, its newest part is read again"),
    }
}

/// Applies what changed in the file. A file that is wrong changes nothing.
async fn reload(process: &Process, door: &OpenDoor) {
    door.reload_certificates();
    let config = process.config();
    let new = match Config::load(&config.file) {
        Ok(new) => new,
        Err(fault) => {
            tracing::error!(%fault, "config not read again, the old one stays in effect");
            return;
        }
    };
    for key in needing_restart(&config, &new) {
        tracing::warn!(option = %key, "changed in the config, needs a restart");
    }
    // What needs a restart stays as it is, so that the next SIGHUP names it again.
    let mut next = Config { metastores: new.metastores.clone(), ..settings::with_dynamic(&config, &new) };
    if let (Some(flight), Some(of_new)) = (&mut next.flight, &new.flight)
        && flight.users != of_new.users
    {
        door.set_users(of_new.users());
        tracing::info!(users = of_new.users.len(), "users changed");
        flight.users.clone_from(&of_new.users);
    }
    process.set_config(next.clone());
    match process.settle().await {
        Ok(reloaded) if reloaded == Reloaded::default() => {
            tracing::info!("config read again, the same metastores are followed");
        }
        Ok(reloaded) => tracing::info!(
            added = %reloaded.added.join(" "),
            changed = %reloaded.changed.join(" "),
            removed = %reloaded.removed.join(" "),
            "config read again"
        ),
        Err(fault) => {
            tracing::error!(%fault, "metastores of the config not applied, the old ones are followed on");
            process.set_config(Config { metastores: config.metastores.clone(), ..next });
        }
    }
}

/// Keys that differ, or are in one of both only, and cannot be changed while skep runs.
pub fn needing_restart(old: &Config, new: &Config) -> Vec<String> {
    let fixed = |config: &Config| -> BTreeMap<String, Option<String>> {
        let settings = config.settings().into_iter();
        let fixed =
            settings.filter(|setting| !settings::is_dynamic(&setting.key) && setting.subject.is_none());
        fixed.map(|setting| (setting.key, setting.value)).collect()
    };
    let (old, new) = (fixed(old), fixed(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

/// What each follower was last seen doing. Failures are logged by the mirror, where they are
/// handled.
#[derive(Default)]
struct States(std::collections::BTreeMap<String, FollowState>);

impl States {
    fn log_changes(&mut self, catalog: &Catalog, followers: &Followers) {
        for (name, follower) in followers.running() {
            let status = catalog.status(follower.id);
            if self.0.insert(name.clone(), status.state) == Some(status.state) {
                continue;
            }
            match status.state {
                FollowState::Pending | FollowState::Error | FollowState::Paused => {}
                FollowState::Mirroring => tracing::info!(metastore = %name, "mirroring"),
                FollowState::Repairing => tracing::info!(metastore = %name, "reading everything again"),
                FollowState::Following => {
                    tracing::info!(metastore = %name, mode = ?status.mode, "mirrored, following");
                }
            }
        }
        self.0.retain(|name, _| followers.running().contains_key(name));
    }
}
