//! One complete pass as a run: its record, its writer, its report; and the record of a replay.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::PassReport;
use super::events::Follower;
use super::pass::{Pass, Scope};
use super::session::Session;
use super::writer;
use crate::change::{Change, Run};
use crate::fault::Fault;

/// The first mirror.
pub(super) const FIRST: &str = "first";
/// Everything again after lost events.
pub(super) const REPAIR: &str = "repair";
/// Everything again because there is no log.
pub(super) const POLL: &str = "poll";
/// Everything again to be sure, or because somebody asked.
pub(super) const REFRESH: &str = "refresh";
/// Events that waited: no complete pass.
pub(super) const EVENTS: &str = "events";

/// Tries of a first mirror that cannot list the databases of some catalog.
const LISTING_TRIES_MAX: u64 = 5;

/// What a run came to: with a fault, it ended early, and what it read is kept.
pub(super) struct Outcome {
    pub report: PassReport,
    pub fault: Option<Fault>,
}

impl Outcome {
    pub fn into_result(self) -> Result<PassReport, Fault> {
        self.fault.map_or(Ok(self.report), Err)
    }
}

/// Reads everything once. `head` is the metastore's newest event id, asked before. The first
/// mirror goes on where an earlier process stopped, and sets the position that events are
/// replayed from.
pub(super) async fn run(session: &Arc<Session>, kind: &'static str, head: Option<i64>) -> Outcome {
    let (record, scope) = match begin(session, kind, head).await {
        Ok(begun) => begun,
        Err(fault) => return Outcome { report: PassReport::default(), fault: Some(fault) },
    };
    session.include(head);
    let (parcels, writer) = writer::start(session.clone(), kind != FIRST);
    let pass = Pass::new(session.clone(), parcels, false);
    let read = read(&pass, kind, scope).await;
    let unlisted = pass.unlisted().filter(|_| kind == FIRST);
    let own_errors = pass.own_errors();
    let mut report = pass.report(read.as_ref().err());
    // The writer ends when the last sender is gone, which is the pass's.
    drop(pass);
    let written = writer.await;
    // A first mirror that lacks whole databases is not complete: it goes on later.
    let unlisted = unlisted.filter(|_| !is_listing_given_up(session));
    // What the store says explains why the pass could not go on, not the other way round.
    let fault = written.as_ref().err().cloned().or(read.err()).or(unlisted);
    let applied = written.unwrap_or_default();
    report.objects_changed = applied.changed_count();

    let began_at = record.started_at;
    let position = record.start_event_id.filter(|_| kind == FIRST && fault.is_none());
    let mut changes = own_errors;
    changes.push(Change::PutRun(ended(session, record, &report, fault.as_ref())));
    changes.extend(position.map(Change::SetPosition));
    let last_pass_at = session.catalog.status(session.metastore).last_pass_at;
    if fault.is_none() {
        // Written with the record.
        session.status(|status| status.last_pass_at = Some(began_at));
    }
    let kept = session.apply(session.now(), changes).await;
    if kept.is_err() {
        session.status(|status| status.last_pass_at = last_pass_at);
    }
    let fault = fault.or(kept.err());
    if fault.is_some() {
        session.recall();
    }
    tracing::info!(
        kind,
        read = report.objects_read,
        changed = report.objects_changed,
        failed = report.objects_failed,
        is_complete = fault.is_none(),
        "pass ended"
    );
    Outcome { report, fault }
}

/// Whether a first mirror has been tried often enough without the databases of some catalog: what it
/// has is followed then, the rest stays a row of `sync.errors` and is asked for now and then. With
/// nothing at all there is nothing to follow.
fn is_listing_given_up(session: &Session) -> bool {
    let ledger = session.catalog.ledger(session.metastore);
    let own = ledger.errors().find(|seen| seen.error.database.is_none());
    let has_any = session.view().is_some_and(|view| !view.database_names().is_empty());
    has_any && own.is_some_and(|own| LISTING_TRIES_MAX <= own.count + 1)
}

async fn read(pass: &Arc<Pass>, kind: &'static str, scope: Scope) -> Result<(), Fault> {
    if kind == FIRST {
        pass.names(scope).await?;
    } else {
        let fresh = pass.names(scope).await?;
        pass.flush().await?;
        pass.again(fresh).await?;
    }
    pass.privileges().await?;
    pass.details(None).await
}

/// The first mirror that an earlier process did not end, when it may go on.
pub(super) fn unfinished_first(session: &Session) -> Option<Run> {
    let ledger = session.catalog.ledger(session.metastore);
    ledger.runs().next_back().filter(|run| run.kind == FIRST && !is_over(run)).cloned()
}

fn is_over(run: &Run) -> bool {
    matches!(run.state.as_str(), "done" | "partial" | "abandoned")
}

/// What makes a first mirror that is not finished begin anew: it read another metastore.
pub(super) fn abandon_first(session: &Session) -> Option<Change> {
    let finished_at = Some(session.now());
    let error_message = Some("another metastore answers now".to_string());
    let abandon = |run| Run { state: "abandoned".into(), finished_at, error_message, ..run };
    unfinished_first(session).map(abandon).map(Change::PutRun)
}

/// Records the run. Runs that a former process left open are marked as interrupted, but for a
/// first mirror, which goes on with what it has not read yet.
async fn begin(session: &Session, kind: &'static str, head: Option<i64>) -> Result<(Run, Scope), Fault> {
    let progress = &session.progress;
    for (found, read) in [&progress.databases, &progress.tables, &progress.partitions] {
        found.store(0, Relaxed);
        read.store(0, Relaxed);
    }
    progress.failed.store(0, Relaxed);

    let ledger = session.catalog.ledger(session.metastore);
    let now = session.now();
    // Events are replayed from where the run began, so it can only go on as it began: with a log,
    // or without; and what is marked as done is what the newest run has done.
    let resumed = unfinished_first(session).filter(|run| {
        kind == FIRST && run.start_event_id.is_some() == head.is_some() && run.start_event_id <= head
    });
    let mut changes = interrupt_all_but(session, resumed.as_ref().map(|run| run.run_id));
    let done = resumed.as_ref().and_then(|run| ledger.done_databases(run.run_id)).cloned();
    let since = resumed.as_ref().map(|run| run.started_at);
    let run = match resumed {
        Some(run) => Run { state: "running".into(), finished_at: None, error_message: None, ..run },
        None => new_run(session, kind, head),
    };
    changes.push(Change::PutRun(run.clone()));
    session.apply(now, changes).await?;
    let scope = match kind {
        FIRST => Scope::All { run_id: run.run_id, done: done.unwrap_or_default(), since },
        _ => Scope::New,
    };
    Ok((run, scope))
}

/// Marks what runs in this process as interrupted: it is about to stop.
pub(super) async fn interrupt(session: &Session) -> Result<(), Fault> {
    let changes = interrupt_all_but(session, None);
    if !changes.is_empty() {
        session.apply(session.now(), changes).await?;
    }
    Ok(())
}

/// What marks the runs that are open as interrupted, but for the one that goes on.
fn interrupt_all_but(session: &Session, resumed: Option<u64>) -> Vec<Change> {
    let finished_at = Some(session.now());
    let ledger = session.catalog.ledger(session.metastore);
    let open = ledger.runs().filter(|run| run.state == "running" && Some(run.run_id) != resumed).cloned();
    open.map(|run| Change::PutRun(Run { state: "interrupted".into(), finished_at, ..run })).collect()
}

/// Begins the record of a replay of what waits for the follower.
pub(super) async fn begin_replay(session: &Session, follower: &Follower) -> Result<Run, Fault> {
    let run = new_run(session, EVENTS, Some(follower.cursor()));
    session.apply(session.now(), vec![Change::PutRun(run.clone())]).await?;
    Ok(run)
}

/// Ends it; `fault` says why not all of them could be applied.
pub(super) async fn end_replay(
    session: &Session,
    run: Run,
    came_to: &PassReport,
    fault: Option<&Fault>,
) -> Result<(), Fault> {
    let run = ended(session, run, came_to, fault);
    session.apply(session.now(), vec![Change::PutRun(run)]).await.map(|_| ())
}

/// The run with what it came to.
fn ended(session: &Session, run: Run, report: &PassReport, fault: Option<&Fault>) -> Run {
    let state = match fault {
        Some(_) => "failed",
        None if report.missing.is_empty() => "done",
        None => "partial",
    };
    Run {
        state: state.into(),
        finished_at: Some(session.now()),
        objects_read: report.objects_read,
        objects_changed: report.objects_changed,
        error_message: fault.map(Fault::message),
        ..run
    }
}

fn new_run(session: &Session, kind: &str, start_event_id: Option<i64>) -> Run {
    Run {
        run_id: session.catalog.next_run_id(),
        kind: kind.into(),
        state: "running".into(),
        started_at: session.now(),
        finished_at: None,
        start_event_id,
        objects_read: 0,
        objects_changed: 0,
        error_message: None,
    }
}
