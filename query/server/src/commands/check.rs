//! `skep check`: tries every metastore and says what it found and what to fix.

use std::fmt::Write;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use skep_catalog::fault::Fault;
use skep_catalog::model::DatabaseName;
use skep_catalog::ports::{Source, SourceFacts};
use skep_hms::HmsSource;

use super::{counted, runtime};
use crate::config::{Config, MetastoreConfig};
use crate::exit::Exit;
use crate::{console, logging, wire};

/// What a metastore holds.
struct Counts {
    catalogs: usize,
    databases: usize,
    tables: usize,
}

/// Runs the command: `Failed` when a metastore could not be reached or not be read.
pub fn run(config: &Config) -> Result<Exit, Fault> {
    logging::start("error", &config.log.format);
    let runtime = runtime()?;
    console::print(format_args!(
        "config {}: {}, data_dir {}\n",
        config.file.display(),
        counted(config.metastores.len(), "metastore", "metastores"),
        config.root.data_dir.display()
    ))?;
    let reports = runtime.block_on(async {
        let checks = config.metastores.iter().map(check);
        futures::future::join_all(checks).await
    });
    let mut exit = Exit::Done;
    for (text, is_ok) in reports {
        console::print(text)?;
        if !is_ok {
            exit = Exit::Failed;
        }
    }
    runtime.shutdown_background();
    Ok(exit)
}

/// What is to say about one metastore, and whether all of it could be asked.
async fn check(metastore: &MetastoreConfig) -> (String, bool) {
    let name = &metastore.options.name;
    let source = match wire::source(metastore) {
        Ok(source) => source,
        Err(fault) => return (format!("{name}: {fault}\n"), false),
    };
    source.client().give_up_after_deadline(true);
    let mut text = String::new();
    let mut is_ok = true;
    match source.probe().await {
        Err(fault) => {
            is_ok = false;
            put(&mut text, format_args!("{name}: {fault}"));
        }
        Ok(facts) => {
            put(
                &mut text,
                format_args!(
                    "{name}: Hive {} at {}, authentication {}",
                    facts.hive_version, facts.endpoint_uri, facts.auth_mode
                ),
            );
            match count(&source).await {
                Ok(counts) => put(
                    &mut text,
                    format_args!(
                        "  objects: {}, {}, {}",
                        counted(counts.catalogs, "catalog", "catalogs"),
                        counted(counts.databases, "database", "databases"),
                        counted(counts.tables, "table or view", "tables and views")
                    ),
                ),
                Err(fault) => {
                    is_ok = false;
                    put(&mut text, format_args!("  objects: {fault}"));
                }
            }
            is_ok &= describe_events(&mut text, metastore, &facts);
            if !facts.missing_methods.is_empty() {
                put(
                    &mut text,
                    format_args!(
                        "  lacks: {} (older methods are used, or sync.coverage says what is missing)",
                        facts.missing_methods.join(", ")
                    ),
                );
            }
        }
    }
    if source.client().endpoints().len() > 1 {
        for endpoint in source.client().endpoints() {
            let error = endpoint.error_message.map(|error| format!(": {error}")).unwrap_or_default();
            put(&mut text, format_args!("  endpoint {}: {}{error}", endpoint.uri, endpoint.state));
        }
    }
    (text, is_ok)
}

async fn count(source: &Arc<HmsSource>) -> Result<Counts, Fault> {
    let catalogs = source.catalogs().await?;
    let mut databases: Vec<DatabaseName> = Vec::new();
    for catalog in &catalogs {
        let name = catalog.value.name.as_str();
        let names = source.database_names(name).await?;
        databases.extend(names.into_iter().map(|database| DatabaseName::new(name, database)));
    }
    let tables: Vec<usize> = stream::iter(&databases)
        .map(|database| async move { source.table_names(database).await.map(|names| names.len()) })
        .buffer_unordered(source.requests_in_flight_max())
        .try_collect()
        .await?;
    Ok(Counts { catalogs: catalogs.len(), databases: databases.len(), tables: tables.into_iter().sum() })
}

const LISTENER_FIX: &str = "  fix: for changes within a second set hive.metastore.transactional.event.listeners = \
    org.apache.hive.hcatalog.listener.DbNotificationListener in the metastore and restart it";

/// How changes will be learned; false when the config asks for what the metastore has not.
fn describe_events(text: &mut String, metastore: &MetastoreConfig, facts: &SourceFacts) -> bool {
    let options = &metastore.options;
    let polling = format!(
        "new and dropped tables every {} ms, altered ones every {} ms",
        options.poll_interval_ms, options.pass_interval_ms
    );
    let log = match (facts.head_event_id, &facts.log_fault) {
        (Some(0), _) => {
            "its log is empty, as is all else in it: whether it keeps one shows with the first change"
        }
        (Some(_), _) => "it keeps a notification log",
        (None, Some(_)) => "its notification log cannot be read",
        (None, None) => "it keeps no notification log",
    };
    if let Some(fault) = &facts.log_fault {
        put(text, format_args!("  {log}: {fault}"));
    }
    match (facts.head_event_id, options.follow.as_str()) {
        (Some(0), "polling") => {
            put(text, format_args!("  changes: polling, as configured ({polling}); {log}"));
        }
        (Some(0), "events") => put(text, format_args!("  changes: events, as configured; {log}")),
        (Some(0), _) => put(text, format_args!("  changes: events, or else polling ({polling}): {log}")),
        (Some(id), "polling") => {
            put(
                text,
                format_args!(
                    "  changes: polling, as configured ({polling}); it has events, the newest is {id}"
                ),
            );
        }
        (Some(id), _) => put(text, format_args!("  changes: events, the newest is {id}")),
        (None, "events") => {
            put(text, format_args!("  changes: none: follow = \"events\", but {log}"));
            put(text, format_args!("{LISTENER_FIX}, or use follow = \"auto\""));
            return false;
        }
        (None, follow) => {
            put(text, format_args!("  changes: polling, {log} ({polling})"));
            if follow == "auto" && facts.log_fault.is_none() {
                put(text, format_args!("{LISTENER_FIX}"));
            }
        }
    }
    true
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
