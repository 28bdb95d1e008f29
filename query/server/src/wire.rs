//! From the config to the rooms: client, mirror, catalog and engine options, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use skep_catalog::control::Control;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::journal::Folder;
use skep_catalog::mirror::{Mirror, MirrorOptions, Progress};
use skep_catalog::model::MetastoreId;
use skep_catalog::ports::{Clock, SystemClock};
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_hms::{ClientOptions, HmsDecoder, HmsSource, TlsOptions};
use skep_query::{Engine, EngineOptions, Node};

use crate::config::{Config, MetastoreConfig};

/// Of the journal, in the folder of the catalog.
pub const JOURNAL_FOLDER: &str = "journal";

/// How a metastore is reached.
pub fn client_options(metastore: &MetastoreConfig) -> ClientOptions {
    let MetastoreConfig { options, tls, .. } = metastore;
    ClientOptions {
        uris: options.uris.clone(),
        connect_timeout_ms: options.connect_timeout_ms,
        request_timeout_ms: options.request_timeout_ms,
        idle_timeout_ms: options.idle_timeout_ms,
        requests_in_flight_max: to_usize(options.requests_in_flight_max),
        requests_per_second_max: u32::try_from(options.requests_per_second_max).unwrap_or(u32::MAX),
        framed: options.framed,
        compact: options.compact,
        tls: tls.as_ref().map(|tls| TlsOptions {
            ca_file: tls.ca_file.clone(),
            client_certificate_file: tls.client_cert_file.clone(),
            client_key_file: tls.client_key_file.clone(),
            server_name: tls.server_name.clone(),
        }),
        user: options.user.clone(),
        ..ClientOptions::default()
    }
}

/// A source for a metastore; nothing is connected yet.
///
/// Errors: `CONFIG_INVALID`, `CONFIG_UNREADABLE` for certificates that cannot be used.
pub fn source(metastore: &MetastoreConfig) -> Result<Arc<HmsSource>, Fault> {
    HmsSource::new(&metastore.options.name, client_options(metastore))
}

/// How a metastore is mirrored.
pub fn mirror_options(metastore: &MetastoreConfig) -> MirrorOptions {
    let options = &metastore.options;
    MirrorOptions {
        follow_events: match options.follow.as_str() {
            "events" => Some(true),
            "polling" => Some(false),
            _ => None,
        },
        events_interval_ms: options.events_interval_ms,
        poll_interval_ms: options.poll_interval_ms,
        pass_interval_ms: options.pass_interval_ms,
        refresh_interval_ms: options.refresh_interval_ms,
        ..MirrorOptions::default()
    }
}

/// A mirror of `metastore` that reads from `source`.
pub fn mirror(
    catalog: &Arc<Catalog>,
    metastore: &MetastoreConfig,
    id: MetastoreId,
    source: &Arc<HmsSource>,
) -> Mirror {
    Mirror {
        asked: Arc::default(),
        metastore: id,
        source: Arc::clone(source) as _,
        catalog: Arc::clone(catalog),
        options: mirror_options(metastore),
        progress: Arc::new(Progress::default()),
    }
}

/// How a metastore is shown.
fn metastore_settings(metastore: &MetastoreConfig) -> MetastoreSettings {
    let options = &metastore.options;
    MetastoreSettings {
        name: options.name.clone(),
        uris: options.uris.clone(),
        follow: options.follow.clone(),
        origin: metastore.origin,
    }
}

/// Opens the catalog of the config and logs what opening healed. Blocks.
///
/// Errors: `STORE_*`.
pub fn open_catalog(config: &Config) -> Result<Arc<Catalog>, Fault> {
    let options = StoreOptions {
        cache_bytes: config.store.cache_bytes,
        disk_free_bytes_min: config.store.disk_free_bytes_min,
    };
    let folder = &config.root.data_dir;
    let (catalog, report) = Catalog::open(folder, options, Arc::new(HmsDecoder), Arc::new(SystemClock))?;
    for line in &report.healed {
        tracing::warn!(store = %folder.display(), "healed: {line}");
    }
    if report.is_moved_aside {
        tracing::warn!(store = %folder.display(), "damaged store moved aside, everything is mirrored again");
    }
    tracing::debug!(store = %folder.display(), elapsed_ms = report.elapsed_ms, "store open");
    Ok(catalog)
}

/// Makes these the metastores of the catalog, in the same order of the answer. Blocks.
///
/// Errors: `STORE_*`.
pub fn declare(catalog: &Catalog, metastores: &[MetastoreConfig]) -> Result<Vec<MetastoreId>, Fault> {
    catalog.declare(&metastores.iter().map(metastore_settings).collect::<Vec<_>>())
}

/// Opens the journal of calls beside the catalog, whose lock is held, and logs what opening mended.
/// Blocks.
///
/// Errors: `JOURNAL_*`, `STORE_FORMAT`.
pub fn open_control(config: &Config) -> Result<Arc<Control>, Fault> {
    let path = config.root.data_dir.join(JOURNAL_FOLDER);
    let folder = Folder::open(&path)
        .map_err(|error| Fault::new(Code::JOURNAL_IO, path.display().to_string(), error.to_string()))?;
    // Nearly every machine has randomness; without it ids are told apart by their time alone.
    let salts = || getrandom::u64().unwrap_or_else(|_| SystemClock.now_micros().unsigned_abs());
    let (control, mended) = Control::open(Box::new(folder), salts)?;
    if let Some(mended) = mended {
        tracing::warn!("{mended}");
    }
    Ok(Arc::new(control))
}

/// An engine over the catalog, with the open doors (name and address) in `runtime.nodes`.
///
/// Errors: `INTERNAL`.
pub fn engine(
    catalog: &Arc<Catalog>,
    config: &Config,
    role: &str,
    doors: &[(&str, SocketAddr)],
) -> Result<Arc<Engine>, Fault> {
    let engine = Engine::new(Arc::clone(catalog), engine_options(config))?;
    let process = std::process::id();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    engine.set_nodes(vec![Node {
        node_id: format!("{host}-{process}"),
        host,
        role: role.to_owned(),
        started_at: catalog.clock().now_micros(),
        listeners: doors.iter().map(|(door, at)| ((*door).to_owned(), at.to_string())).collect(),
    }]);
    Ok(Arc::new(engine))
}

/// What statements may use.
pub fn engine_options(config: &Config) -> EngineOptions {
    EngineOptions {
        memory_pool_bytes: to_usize(config.sql.memory_pool_bytes),
        cache_bytes: to_usize(config.sql.cache_bytes),
        statement_timeout_ms: config.sql.statement_timeout_ms,
        planning_timeout_ms: config.sql.planning_timeout_ms,
        result_rows_max: config.sql.result_rows_max,
        ..EngineOptions::default()
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
