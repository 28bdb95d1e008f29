//! From the config to the rooms: client, mirror, catalog and engine options, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use skep_catalog::fault::Fault;
use skep_catalog::mirror::{Mirror, MirrorOptions, Progress};
use skep_catalog::model::MetastoreId;
use skep_catalog::ports::SystemClock;
use skep_catalog::snapshot::MetastoreSettings;
use skep_catalog::store::{Catalog, StoreOptions};
use skep_hms::{ClientOptions, HmsDecoder, HmsSource, TlsOptions};
use skep_query::{Engine, EngineOptions, Node, Setting};

use crate::config::section::Setting as ConfigSetting;
use crate::config::{Config, MetastoreConfig};

/// How a metastore is reached.
pub fn client_options(metastore: &MetastoreConfig) -> ClientOptions {
    let MetastoreConfig { options, tls } = metastore;
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
        origin: "config",
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

/// An engine over the catalog, with the settings in effect in `runtime.settings` and the open doors
/// (name and address) in `runtime.nodes`.
///
/// Errors: `INTERNAL`.
pub fn engine(
    catalog: &Arc<Catalog>,
    config: &Config,
    role: &str,
    doors: &[(&str, SocketAddr)],
) -> Result<Arc<Engine>, Fault> {
    let options = EngineOptions {
        memory_pool_bytes: to_usize(config.sql.memory_pool_bytes),
        cache_bytes: to_usize(config.sql.cache_bytes),
        statement_timeout_ms: config.sql.statement_timeout_ms,
        planning_timeout_ms: config.sql.planning_timeout_ms,
        result_rows_max: config.sql.result_rows_max,
        ..EngineOptions::default()
    };
    let engine = Engine::new(Arc::clone(catalog), options)?;
    engine.set_settings(config.settings().into_iter().map(runtime_setting).collect());
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

fn runtime_setting(setting: ConfigSetting) -> Setting {
    let origin = if setting.value == setting.default { "default" } else { "config" };
    Setting {
        name: setting.key,
        value: setting.value,
        default_value: setting.default,
        origin,
        comment: setting.doc.replace('\n', " "),
        subject: setting.subject,
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
