//! The meters, read when they are asked for.
//!
//! Names follow the conventions of Prometheus: base units, `_total` for what only grows. Everything
//! that a meter says is also a column of some SQL table.

use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use skep_catalog::change::FollowState;
use skep_query::{DURATION_BOUNDS_S, Engine, StatementCounts};

use crate::process;

/// Labels of one value: names and values.
type Labels = Vec<(&'static str, String)>;

/// All meters as text; without an engine, only those of the process.
pub fn text(engine: Option<&Engine>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    registry.register("skep_build", "The version that runs", Info::new(version));
    of_process(&mut Board { registry: &mut registry, prefix: "process" });
    if let Some(engine) = engine {
        let mut board = Board { registry: &mut registry, prefix: "skep" };
        of_metastores(&mut board, engine);
        of_store(&mut board, engine);
        of_statements(&mut board, engine);
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Where meters are put up.
struct Board<'r> {
    registry: &'r mut Registry,
    prefix: &'static str,
}

impl Board<'_> {
    /// A value that goes up and down, once for each of these labels. `None` is left out.
    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels, Option<f64>)>,
    ) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            if let Some(value) = value {
                family.get_or_create(&labels).set(value);
            }
        }
        self.put(name, help, unit, family);
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.put(name, help, unit, gauge);
    }

    /// A value that only grows; `_total` is put behind its name.
    fn counter(&mut self, name: &str, help: &str, unit: Option<Unit>, value: f64) {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(value);
        self.put(name, help, unit, counter);
    }

    fn put(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        metric: impl prometheus_client::registry::Metric,
    ) {
        let name = format!("{}_{name}", self.prefix);
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }
}

fn of_process(board: &mut Board<'_>) {
    let Some(process) = process::now() else { return };
    let bytes = || Some(Unit::Bytes);
    board.gauge("resident_memory", "Memory in use", bytes(), process.resident_bytes);
    board.counter("cpu", "Processor time used", Some(Unit::Seconds), process.cpu_s);
    board.gauge("open_fds", "Open files and connections", None, process.open_files);
}

fn of_metastores(board: &mut Board<'_>, engine: &Engine) {
    const STATES: [(FollowState, &str); 6] = [
        (FollowState::Pending, "pending"),
        (FollowState::Mirroring, "mirroring"),
        (FollowState::Following, "following"),
        (FollowState::Repairing, "repairing"),
        (FollowState::Error, "error"),
        (FollowState::Paused, "paused"),
    ];
    let catalog = engine.catalog();
    let snapshot = catalog.snapshot();
    let all: Vec<_> = snapshot.metastores.iter().map(|view| (view, catalog.status(view.id))).collect();
    let named = |name: &str| vec![("metastore", name.to_owned())];
    let each = |value: &dyn Fn(&(_, _)) -> Option<f64>| -> Vec<(Labels, Option<f64>)> {
        all.iter().map(|metastore| (named(&metastore.0.name), value(metastore))).collect()
    };
    let number = |number: i64| number as f64;

    let states = all.iter().flat_map(|(view, status)| {
        STATES.map(|(state, word)| {
            let labels = vec![("metastore", view.name.to_string()), ("state", word.to_owned())];
            (labels, Some(f64::from(u8::from(status.state == state))))
        })
    });
    board.gauges("metastore_state", "1 for the state that the metastore is in", None, states);
    board.gauges(
        "metastore_lag",
        "Age of what is not applied yet, or of the last pass with polling",
        Some(Unit::Seconds),
        each(&|(_, status)| status.lag_ms.map(|ms| number(ms) / 1e3)),
    );
    board.gauges(
        "metastore_position_event_id",
        "Newest event that is applied",
        None,
        each(&|(view, _)| view.position.map(number)),
    );
    board.gauges(
        "metastore_head_event_id",
        "Newest event of the metastore",
        None,
        each(&|(_, status)| status.head_event_id.map(number)),
    );
    board.gauges(
        "metastore_mirrored_timestamp",
        "When the first mirror was complete, since 1970; absent before",
        Some(Unit::Seconds),
        each(&|(view, _)| view.mirrored_at.map(|micros| number(micros) / 1e6)),
    );
    board.gauges(
        "metastore_unread_objects",
        "Objects that could not be read, see sync.errors",
        None,
        each(&|(view, _)| Some(view.ledger.errors().len() as f64)),
    );
    board.gauges(
        "metastore_databases",
        "Databases mirrored",
        None,
        each(&|(view, _)| Some(view.databases().count() as f64)),
    );
    board.gauges(
        "metastore_tables",
        "Tables and views mirrored",
        None,
        each(&|(view, _)| Some(view.databases().map(|database| database.tables.len()).sum::<usize>() as f64)),
    );
    board.gauges(
        "metastore_partitions",
        "Partitions mirrored",
        None,
        each(&|(view, _)| {
            Some(view.databases().map(|database| database.totals.partition_count).sum::<u64>() as f64)
        }),
    );

    let endpoints: Vec<_> = all
        .iter()
        .flat_map(|(view, _)| {
            catalog.endpoints(view.id).into_iter().map(|endpoint| {
                let labels = vec![("metastore", view.name.to_string()), ("uri", endpoint.uri.clone())];
                (labels, endpoint)
            })
        })
        .collect();
    let of = |value: &dyn Fn(&skep_catalog::change::EndpointStatus) -> Option<f64>| -> Vec<_> {
        endpoints.iter().map(|(labels, endpoint)| (labels.clone(), value(endpoint))).collect()
    };
    board.gauges(
        "endpoint_up",
        "1 when the address answered last, 0 when not; absent before it was tried",
        None,
        of(&|endpoint| match endpoint.state {
            "ok" => Some(1.0),
            "error" => Some(0.0),
            _ => None,
        }),
    );
    board.gauges(
        "endpoint_connect",
        "Time of the last connect",
        Some(Unit::Seconds),
        of(&|endpoint| endpoint.latency_ms.map(|ms| ms / 1e3)),
    );
}

fn of_store(board: &mut Board<'_>, engine: &Engine) {
    let facts = engine.catalog().facts();
    let bytes = |board: &mut Board<'_>, name: &str, help: &str, value: u64| {
        board.gauge(name, help, Some(Unit::Bytes), value as f64);
    };
    bytes(board, "store_disk", "Space that the store takes on the disk", facts.size_on_disk_bytes);
    bytes(board, "store_live", "Space that its records need", facts.live_bytes);
    bytes(board, "store_disk_free", "Free space on its volume", facts.disk_free_bytes);
    board.gauge("store_deltas", "Deltas that are not merged yet", None, facts.delta_count as f64);
    let is_failed = f64::from(u8::from(facts.rebuild_error.is_some()));
    board.gauge("store_rebuild_failed", "1 when its last rebuild failed", None, is_failed);
}

fn of_statements(board: &mut Board<'_>, engine: &Engine) {
    let meters = engine.meters();
    let counts = &meters.statements;
    let ended = Family::<Labels, Counter>::default();
    for (state, count) in [("done", counts.done), ("failed", counts.failed), ("cancelled", counts.cancelled)]
    {
        ended.get_or_create(&vec![("state", state.to_owned())]).inc_by(count);
    }
    board.put("statements", "Statements that ended", None, ended);
    board.counter("statement_rows", "Rows given out", None, counts.rows as f64);
    let under_way = meters.statements_under_way as f64;
    board.gauge("statements_under_way", "Statements whose work has not ended", None, under_way);
    let bytes = |board: &mut Board<'_>, name: &str, help: &str, value: f64| {
        board.gauge(name, help, Some(Unit::Bytes), value);
    };
    bytes(board, "sql_memory", "Memory that statements keep", meters.memory_reserved_bytes as f64);
    bytes(board, "sql_memory_pool", "Memory that they may keep", meters.memory_pool_bytes as f64);
    bytes(board, "sql_cache", "Decoded rows kept between statements", meters.cache_bytes as f64);
    bytes(board, "sql_cache_limit", "How many may be kept", meters.cache_bytes_max as f64);
    board.registry.register_collector(Box::new(Durations(meters.statements)));
}

/// How long statements took, as a histogram.
#[derive(Debug)]
struct Durations(StatementCounts);

impl Collector for Durations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = &self.0;
        let bounds = DURATION_BOUNDS_S.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.by_duration).collect();
        let count = counts.by_duration.iter().sum();
        encoder
            .encode_descriptor(
                "skep_statement_duration",
                "From the arrival of a statement to its end",
                Some(&Unit::Seconds),
                MetricType::Histogram,
            )?
            .encode_histogram::<NoLabelSet>(counts.duration_s, count, &buckets, None)
    }
}
