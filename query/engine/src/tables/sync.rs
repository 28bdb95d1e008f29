//! `sync.*`: how fresh and how complete the mirror is.

use std::collections::HashMap;
use std::sync::Arc;

use skep_catalog::change::{FollowMode, FollowState, FollowStatus, SeenError};
use skep_catalog::model::DatabaseName;
use skep_catalog::snapshot::MetastoreView;

use super::federation::{mode_word, state_word};
use super::walk::{self, Built};
use crate::chunk::{Chunk, Tests, tested_later};
use crate::pinned::Pinned;
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

pub fn status(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in &pinned.snapshot.metastores {
            let status = pinned.status(metastore);
            let (fault, error_at) = status.error.as_ref().map(|(f, at)| (f, *at)).unzip();
            // Else nobody looks which events there are.
            let is_followed = matches!(status.state, FollowState::Following | FollowState::Repairing);
            let lag_events = match (status.head_event_id, metastore.position) {
                (Some(head), Some(position)) if is_followed => Some(head.saturating_sub(position).max(0)),
                _ => None,
            };
            rows.push(&[
                (&metastore.name).into(),
                mode_word(status.mode).into(),
                state_word(status.state).into(),
                metastore.position.into(),
                status.head_event_id.into(),
                lag_events.into(),
                status.lag_ms.into(),
                status.next_run_at.into(),
                status.last_pass_at.into(),
                metastore.mirrored_at.into(),
                (metastore.ledger.errors().filter(|seen| !is_told_by_status(seen, &status)).count()
                    + usize::from(status.error.is_some()))
                .into(),
                fault.map(|f| f.code.as_str()).into(),
                fault.map(|f| f.message()).into(),
                error_at.into(),
            ]);
        }
        rows.finish()
    })
}

/// One chunk per metastore that passes, made from its ledger.
fn per_metastore(
    pinned: &Arc<Pinned>,
    tests: &Tests,
    build: impl Fn(&Pinned, usize, &[usize]) -> Built + Copy + Send + Sync + 'static,
) -> Vec<Chunk> {
    let metastores = pinned.snapshot.metastores.iter().enumerate();
    metastores
        .filter(|(_, m)| tests.admit("metastore_name", &m.name))
        .map(|(index, metastore)| {
            let pinned = Arc::clone(pinned);
            Chunk {
                constants: vec![(walk::METASTORE, Arc::clone(&metastore.name))],
                bounds: Vec::new(),
                row_count: None,
                load: tested_later(move |wanted| build(&pinned, index, wanted)),
            }
        })
        .collect()
}

pub fn runs(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_metastore(pinned, tests, move |pinned, index, wanted| {
        let metastore = &pinned.snapshot.metastores[index];
        let mut rows = Rows::new(spec, wanted);
        for run in metastore.ledger.runs() {
            rows.push(&[
                (&metastore.name).into(),
                run.run_id.into(),
                (&run.kind).into(),
                (&run.state).into(),
                run.started_at.into(),
                run.finished_at.into(),
                run.finished_at.map(|end| end.saturating_sub(run.started_at) / 1_000).into(),
                run.start_event_id.into(),
                run.objects_read.into(),
                run.objects_changed.into(),
                run.error_message.as_ref().into(),
            ]);
        }
        rows.finish()
    })
}

pub fn errors(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_metastore(pinned, tests, move |pinned, index, wanted| {
        let metastore = &pinned.snapshot.metastores[index];
        let status = pinned.status(metastore);
        let mut rows = Rows::new(spec, wanted);
        if let Some((fault, at)) = &status.error {
            rows.push(&[
                (&metastore.name).into(),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Null,
                fault.code.as_str().into(),
                fault.message().into(),
                fault.fix().into(),
                (*at).into(),
                (*at).into(),
                1_u64.into(),
            ]);
        }
        for seen in metastore.ledger.errors().filter(|seen| !is_told_by_status(seen, &status)) {
            let error = &seen.error;
            rows.push(&[
                (&metastore.name).into(),
                error.database.as_ref().map(|d| &d.catalog).into(),
                error.database.as_ref().map(|d| &d.database).into(),
                error.table_name.as_ref().into(),
                error.partition_name.as_ref().into(),
                error.fault.code.as_str().into(),
                error.fault.message().into(),
                error.fault.fix().into(),
                seen.first_seen_at.into(),
                seen.last_seen_at.into(),
                seen.count.into(),
            ]);
        }
        rows.finish()
    })
}

/// Whether a row about the metastore itself gives way to the one that says why nothing of it can be
/// read at all.
fn is_told_by_status(seen: &SeenError, status: &FollowStatus) -> bool {
    status.error.is_some() && seen.error.database.is_none()
}

/// How many tables of each database could not be read and are not mirrored either.
fn unreadable_tables(metastore: &MetastoreView) -> HashMap<&DatabaseName, u64> {
    let mut counts = HashMap::new();
    for error in metastore.ledger.errors().map(|seen| &seen.error) {
        let (Some(database), Some(table), None) = (&error.database, &error.table_name, &error.partition_name)
        else {
            continue;
        };
        let mirrored = metastore.database(&database.catalog, &database.database);
        if mirrored.is_none_or(|mirrored| mirrored.table(table).is_none()) {
            *counts.entry(database).or_default() += 1;
        }
    }
    counts
}

/// Whether a listing may name tables that nobody has tried to read yet. Otherwise what is missing
/// is what failed: events since the listing changed how many tables there are, not its count.
fn is_listing_ahead(metastore: &MetastoreView, name: &DatabaseName) -> bool {
    let ledger = &metastore.ledger;
    let Some(run) = ledger.runs().next_back() else { return true };
    let is_done = || ledger.done_databases(run.run_id).is_some_and(|done| done.contains(name));
    let listed_at = ledger.source_counts().get(name).map(|(_, at)| *at);
    match run.kind.as_str() {
        _ if ledger.is_full_of_errors() => true,
        "first" => metastore.mirrored_at.is_none() && !is_done(),
        // Events are applied beside it.
        "refresh" => false,
        _ => {
            matches!(run.state.as_str(), "running" | "interrupted")
                && listed_at.is_some_and(|at| run.started_at <= at)
        }
    }
}

pub fn coverage(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_metastore(pinned, tests, move |pinned, index, wanted| {
        let metastore = &pinned.snapshot.metastores[index];
        let ledger = &metastore.ledger;
        let mut rows = Rows::new(spec, wanted);
        for missing in ledger.missing_methods() {
            rows.push(&[
                (&metastore.name).into(),
                Value::Null,
                Value::Null,
                (&missing.object_kind).into(),
                Value::Null,
                Value::Null,
                Value::Null,
                (&missing.method).into(),
                Value::Null,
            ]);
        }
        // Databases that were listed and databases that are mirrored are not always the same.
        let mut names: Vec<DatabaseName> = ledger.source_counts().keys().cloned().collect();
        names.extend(
            metastore.databases().map(|d| DatabaseName::new(d.catalog_name.as_ref(), d.name.as_ref())),
        );
        names.sort();
        names.dedup();
        if names.is_empty() && metastore.mirrored_at.is_none() {
            // Nobody has said yet what there is.
            rows.push(&[
                (&metastore.name).into(),
                Value::Null,
                Value::Null,
                "databases".into(),
                Value::Null,
                0_u64.into(),
                Value::Null,
                Value::Null,
                Value::Null,
            ]);
        }
        let unreadable = unreadable_tables(metastore);
        let is_polled = pinned.status(metastore).mode == FollowMode::Polling;
        for name in &names {
            let listed = ledger.source_counts().get(name).copied();
            let mirrored =
                metastore.database(&name.catalog, &name.database).map_or(0, |d| d.tables.len()) as u64;
            let unreadable = unreadable.get(name).copied().unwrap_or_default();
            let missing = if is_polled || is_listing_ahead(metastore, name) {
                listed.map(|(count, _)| count.saturating_sub(mirrored).max(unreadable))
            } else {
                Some(unreadable)
            };
            rows.push(&[
                (&metastore.name).into(),
                (&name.catalog).into(),
                (&name.database).into(),
                "tables".into(),
                missing.map(|missing| mirrored + missing).into(),
                mirrored.into(),
                missing.into(),
                Value::Null,
                listed.map(|(_, at)| at).into(),
            ]);
        }
        rows.finish()
    })
}

pub fn events(spec: &'static TableSpec, pinned: &Arc<Pinned>, tests: &Tests) -> Vec<Chunk> {
    per_metastore(pinned, tests, move |pinned, index, wanted| {
        let metastore = &pinned.snapshot.metastores[index];
        let mut rows = Rows::new(spec, wanted);
        for event in metastore.ledger.events() {
            rows.push(&[
                (&metastore.name).into(),
                (&event.catalog_name).into(),
                event.database_name.as_ref().into(),
                event.table_name.as_ref().into(),
                event.event_id.into(),
                (&event.event_type).into(),
                event.partition_count.into(),
                event.event_at.into(),
                event.applied_at.into(),
            ]);
        }
        rows.finish()
    })
}
