//! `federation.metastores`, `federation.endpoints`.

use std::sync::Arc;

use skep_catalog::change::{FollowMode, FollowState};

use crate::chunk::{Chunk, Tests};
use crate::pinned::Pinned;
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

/// The mode as shown in SQL.
pub fn mode_word(mode: FollowMode) -> &'static str {
    match mode {
        FollowMode::Unknown => "unknown",
        FollowMode::Events => "events",
        FollowMode::Polling => "polling",
    }
}

/// The state as shown in SQL.
pub fn state_word(state: FollowState) -> &'static str {
    match state {
        FollowState::Pending => "pending",
        FollowState::Mirroring => "mirroring",
        FollowState::Following => "following",
        FollowState::Repairing => "repairing",
        FollowState::Error => "error",
        FollowState::Paused => "paused",
    }
}

pub fn metastores(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in &pinned.snapshot.metastores {
            let status = pinned.status(metastore);
            let facts = status.facts.as_ref();
            let (fault, error_at) = status.error.as_ref().map(|(f, at)| (f, *at)).unzip();
            let partition_count: u64 = metastore.databases().map(|d| d.totals.partition_count).sum();
            rows.push(&[
                (&metastore.name).into(),
                metastore.id.to_string().into(),
                Value::List(&metastore.settings.uris),
                metastore.settings.origin.into(),
                facts.map(|f| &f.hive_version).into(),
                facts.map(|f| &f.auth_mode).into(),
                facts.map(|f| f.has_catalogs).into(),
                mode_word(status.mode).into(),
                state_word(status.state).into(),
                fault.map(|f| f.code.as_str()).into(),
                fault.map(|f| f.message()).into(),
                error_at.into(),
                metastore.databases().count().into(),
                metastore.databases().map(|d| d.tables.len()).sum::<usize>().into(),
                partition_count.into(),
                metastore.position.into(),
                status.lag_ms.into(),
                metastore.mirrored_at.into(),
            ]);
        }
        rows.finish()
    })
}

pub fn endpoints(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for metastore in &pinned.snapshot.metastores {
            for endpoint in pinned.endpoints(metastore) {
                rows.push(&[
                    (&metastore.name).into(),
                    (&endpoint.uri).into(),
                    endpoint.state.into(),
                    endpoint.latency_ms.map(|ms| (ms * 100.0).round() / 100.0).into(),
                    endpoint.last_ok_at.into(),
                    endpoint.error_message.as_ref().into(),
                    endpoint.found_by.into(),
                ]);
            }
        }
        rows.finish()
    })
}
