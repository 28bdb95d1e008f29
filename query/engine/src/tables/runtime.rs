//! `runtime.*`: this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use skep_catalog::fault::Fault;

use crate::chunk::{Chunk, Tests};
use crate::pinned::Pinned;
use crate::rows::{Rows, Value};
use crate::spec::TableSpec;

pub fn nodes(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for node in pinned.shared.nodes.read().iter() {
            rows.push(&[
                (&node.node_id).into(),
                (&node.host).into(),
                u64::from(std::process::id()).into(),
                env!("CARGO_PKG_VERSION").into(),
                (&node.role).into(),
                node.started_at.into(),
                Value::Map(&node.listeners),
                pinned.snapshot.id.into(),
            ]);
        }
        rows.finish()
    })
}

pub fn settings(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for setting in &pinned.settings() {
            rows.push(&[
                (&setting.name).into(),
                setting.value.as_ref().into(),
                setting.default_value.as_ref().into(),
                setting.unit.into(),
                setting.origin.into(),
                (&setting.comment).into(),
            ]);
        }
        rows.finish()
    })
}

pub fn store(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let facts = pinned.shared.catalog.facts();
        let ratio = (0 < facts.live_bytes).then(|| facts.size_on_disk_bytes as f64 / facts.live_bytes as f64);
        let rebuild = facts.last_rebuild.as_ref();
        let (fault, error_at) = facts.rebuild_error.as_ref().map(|(fault, at)| (fault, *at)).unzip();
        let mut rows = Rows::new(spec, wanted);
        rows.push(&[
            (&facts.path).into(),
            u64::from(facts.format_version).into(),
            facts.size_on_disk_bytes.into(),
            facts.live_bytes.into(),
            ratio.into(),
            facts.segment_count.into(),
            facts.delta_count.into(),
            facts.disk_free_bytes.into(),
            facts.open_ms.into(),
            rebuild.map(|rebuild| rebuild.ended_at).into(),
            rebuild.map(|rebuild| rebuild.elapsed_ms).into(),
            rebuild.map(|rebuild| rebuild.blocked_ms).into(),
            rebuild.map(|rebuild| rebuild.before_bytes).into(),
            rebuild.map(|rebuild| rebuild.after_bytes).into(),
            fault.map(|fault| fault.code.as_str()).into(),
            fault.map(Fault::message).into(),
            error_at.into(),
            pinned.shared.cache.bytes().into(),
            pinned.shared.cache.bytes_max().into(),
        ]);
        rows.finish()
    })
}

pub fn queries(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let now = pinned.shared.now();
        let mut rows = Rows::new(spec, wanted);
        for query in pinned.queries() {
            let is_planned = query.planned_at.load(Ordering::Relaxed) != 0;
            rows.push(&[
                query.query_id.into(),
                (&query.caller.principal).into(),
                (&query.caller.client).into(),
                (&query.statement).into(),
                if is_planned { "running" } else { "planning" }.into(),
                query.started_at.into(),
                (now.saturating_sub(query.started_at) / 1_000).max(0).into(),
                query.row_count.load(Ordering::Relaxed).into(),
            ]);
        }
        rows.finish()
    })
}

pub fn query_history(spec: &'static TableSpec, pinned: &Arc<Pinned>, _: &Tests) -> Vec<Chunk> {
    Chunk::single(pinned, move |pinned, wanted| {
        let mut rows = Rows::new(spec, wanted);
        for ended in pinned.ended_queries() {
            let query = &ended.query;
            let planned_at = i64::try_from(query.planned_at.load(Ordering::Relaxed)).unwrap_or(0);
            let since_start = |at: i64| (at.saturating_sub(query.started_at) / 1_000).max(0);
            rows.push(&[
                query.query_id.into(),
                (&query.caller.principal).into(),
                (&query.caller.client).into(),
                (&query.statement).into(),
                ended.state().into(),
                query.started_at.into(),
                ended.finished_at.into(),
                (planned_at != 0).then(|| since_start(planned_at)).into(),
                since_start(ended.finished_at).into(),
                query.row_count.load(Ordering::Relaxed).into(),
                ended.fault.as_ref().map(|f| f.code.as_str()).into(),
                ended.fault.as_ref().map(|f| f.message()).into(),
            ]);
        }
        rows.finish()
    })
}
