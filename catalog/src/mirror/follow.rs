//! The life of a mirror: probe, first mirror, then follow; on errors wait and begin again.

use std::sync::Arc;
use std::time::Duration;

use super::PassReport;
use super::events::{Follower, Look};
use super::poll;
use super::runs::{self, FIRST, POLL, REFRESH, REPAIR};
use super::session::{Session, Task, spawn};
use crate::change::{FollowMode, FollowState};
use crate::fault::{Code, Fault};

/// Pauses between tries.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Mirrors and follows, for ever.
pub(super) async fn forever(session: &Arc<Session>) {
    let mut pause = PAUSE_MIN;
    loop {
        let Err(fault) = live(session).await else { continue };
        if session.has_worked() {
            pause = PAUSE_MIN;
        }
        tracing::warn!(metastore = %session.metastore, %fault, pause_ms = pause.as_millis() as u64, "mirror failed");
        let next_run_at = after(session, pause);
        show_error(session, fault);
        session.status(|status| status.next_run_at = Some(next_run_at));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Reads everything once, and the events that came in meanwhile.
pub(super) async fn once(session: &Arc<Session>) -> Result<PassReport, Fault> {
    let report = once_or_error(session).await;
    if let Err(fault) = &report {
        show_error(session, fault.clone());
    }
    report
}

async fn once_or_error(session: &Arc<Session>) -> Result<PassReport, Fault> {
    let head = probe(session).await?;
    let view = session.current()?;
    // Events first: a rename that they tell of keeps the table's number, one that a pass finds
    // is a drop and a new table.
    let mut follower = match (view.metastore.mirrored_at, head, view.metastore.position) {
        (Some(_), Some(head), Some(position)) => {
            let mut follower = Follower::new(session.clone(), position, false);
            if catch_up(&mut follower).await? == Look::Gap {
                follower = Follower::new(session.clone(), head, true);
            }
            Some(follower)
        }
        (Some(_), Some(head), None) => Some(Follower::new(session.clone(), head, true)),
        _ => None,
    };
    let kind = match (&follower, view.metastore.mirrored_at) {
        (_, None) => FIRST,
        (Some(follower), _) if follower.is_held() => REPAIR,
        (Some(_), _) => REFRESH,
        (None, _) => POLL,
    };
    show_state(session, if kind == FIRST { FollowState::Mirroring } else { FollowState::Repairing });
    let outcome = runs::run(session, kind, head).await;
    let mut report = outcome.report;
    if let Some(fault) = outcome.fault {
        // What the metastore answered before it failed is kept and worth a report.
        let is_metastore = fault.code.as_str().starts_with("METASTORE_");
        return if is_metastore && report.objects_read != 0 {
            show_error(session, fault);
            Ok(report)
        } else {
            Err(fault)
        };
    }
    if kind == FIRST
        && let Some(position) = session.current()?.metastore.position
        && head.is_some()
    {
        follower = Some(Follower::new(session.clone(), position, false));
    }
    if let Some(mut follower) = follower {
        follower.release().await?;
        let lost = match catch_up(&mut follower).await {
            Ok(Look::Gap) => Some("the metastore trimmed its log meanwhile".to_string()),
            Ok(_) => None,
            Err(fault) => Some(fault.message()),
        };
        report.missing.extend(lost.map(|why| format!("events since the beginning of the pass: {why}")));
    }
    show_following(session, FollowState::Following);
    Ok(report)
}

async fn catch_up(follower: &mut Follower) -> Result<Look, Fault> {
    loop {
        match follower.look().await? {
            Look::More => {}
            look => return Ok(look),
        }
    }
}

/// Asks what the metastore is. Answers its newest event id when it is to be followed by events.
async fn probe(session: &Session) -> Result<Option<i64>, Fault> {
    let facts = session.source.probe().await?;
    let head = match session.options.follow_events {
        Some(true) => Some(facts.head_event_id.unwrap_or(0)),
        Some(false) => None,
        None => facts.head_event_id,
    };
    if let Some(change) = session.lacks_only(&facts.missing_methods) {
        session.apply(session.now(), vec![change]).await?;
    }
    let mode = if head.is_some() { FollowMode::Events } else { FollowMode::Polling };
    session.status(|status| {
        status.mode = mode;
        status.head_event_id = facts.head_event_id;
        status.facts = Some(facts);
    });
    Ok(head)
}

enum How {
    Events(Box<Follower>),
    Polling,
}

/// From the probe on; `Ok` asks to begin with the probe again.
async fn live(session: &Arc<Session>) -> Result<(), Fault> {
    let head = probe(session).await?;
    remember_last_pass(session);
    let mirrored_at = session.current()?.metastore.mirrored_at;
    if mirrored_at.is_none() {
        show_state(session, FollowState::Mirroring);
        runs::run(session, FIRST, head).await.into_result()?;
        session.worked();
    }
    // What changed while there was no log is in none of its events.
    let position = session.current()?.metastore.position.filter(|_| !session.has_polled());
    let mut pass = None;
    let how = match (head, position) {
        (None, _) => How::Polling,
        (Some(_), Some(position)) => How::Events(Box::new(Follower::new(session.clone(), position, false))),
        // A log has appeared. It tells what changes from now on; all else is read.
        (Some(head), None) => {
            let follower = Follower::new(session.clone(), head, true);
            pass = Some(start_pass(session, REPAIR, Some(head)));
            How::Events(Box::new(follower))
        }
    };
    follow(session, how, pass).await
}

type Pass = Task<Result<PassReport, Fault>>;

fn start_pass(session: &Arc<Session>, kind: &'static str, head: Option<i64>) -> Pass {
    let session = session.clone();
    spawn(async move { runs::run(&session, kind, head).await.into_result() })
}

/// Looks again and again, while complete passes run beside it when they are due.
async fn follow(session: &Arc<Session>, mut how: How, mut pass: Option<Pass>) -> Result<(), Fault> {
    let mut probe_at = after(session, poll_interval(session));
    loop {
        let is_more = match &mut how {
            How::Polling => {
                session.polls();
                poll::look(session).await?;
                false
            }
            // An empty log of an empty metastore: whether it will ever hold anything shows when
            // there are objects.
            How::Events(follower)
                if follower.cursor() == 0
                    && session.options.follow_events.is_none()
                    && probe_at <= session.now() =>
            {
                probe_at = after(session, poll_interval(session));
                if probe(session).await?.is_none() {
                    return Ok(());
                }
                true
            }
            How::Events(follower) => match follower.look().await {
                Ok(Look::Idle) => false,
                Ok(Look::More) => true,
                Ok(Look::Gap) => {
                    let head = session.source.head_event_id().await?;
                    tracing::warn!(metastore = %session.metastore, head, "events lost, reading everything again");
                    // A repair that was under way had begun before these events were lost.
                    drop(pass.take());
                    **follower = Follower::new(session.clone(), head, true);
                    pass = Some(start_pass(session, REPAIR, Some(head)));
                    true
                }
                Err(fault) if session.options.follow_events.is_none() && is_log_closed(&fault) => {
                    tracing::warn!(metastore = %session.metastore, %fault, "no access to the log, polling");
                    session.status(|status| status.mode = FollowMode::Polling);
                    pass = None;
                    how = How::Polling;
                    true
                }
                Err(fault) => return Err(fault),
            },
        };
        session.worked();
        if pass.is_none() && is_pass_due(session) {
            let (kind, head) = match &how {
                How::Events(follower) => (REFRESH, Some(follower.cursor())),
                How::Polling => {
                    let mode = session.catalog.status(session.metastore).mode;
                    if probe(session).await?.is_some() && mode == FollowMode::Polling {
                        return Ok(());
                    }
                    (POLL, None)
                }
            };
            pass = Some(start_pass(session, kind, head));
        }
        let is_repairing = matches!(&how, How::Events(follower) if follower.is_held());
        show_following(session, if is_repairing { FollowState::Repairing } else { FollowState::Following });
        let pause = match &how {
            _ if is_more => Duration::ZERO,
            How::Events(_) => Duration::from_millis(session.options.events_interval_ms),
            How::Polling => poll_interval(session),
        };
        let next_run_at = after(session, pause);
        session.status(|status| status.next_run_at = Some(next_run_at));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            result = finished(&mut pass) => {
                pass = None;
                result?;
                match &mut how {
                    How::Events(follower) => follower.release().await?,
                    How::Polling => poll::show_lag(session),
                }
            }
        }
    }
}

/// The end of the pass under way; never without one.
async fn finished(pass: &mut Option<Pass>) -> Result<PassReport, Fault> {
    match pass {
        Some(pass) => pass.await,
        None => std::future::pending().await,
    }
}

/// Whether the metastore keeps its log from us. Hive 3.0 and later show it to privileged users
/// only (`metastore.event.db.notification.api.auth`).
fn is_log_closed(fault: &Fault) -> bool {
    matches!(fault.code, Code::METASTORE_REFUSED | Code::METASTORE_METHOD_MISSING)
}

fn is_pass_due(session: &Session) -> bool {
    let Ok(interval_ms @ 1..) = i64::try_from(session.options.pass_interval_ms) else { return false };
    let last = session.catalog.status(session.metastore).last_pass_at;
    last.is_none_or(|last| last.saturating_add(interval_ms.saturating_mul(1_000)) <= session.now())
}

fn poll_interval(session: &Session) -> Duration {
    Duration::from_millis(session.options.poll_interval_ms)
}

/// When the last complete pass was, from the runs of former processes.
fn remember_last_pass(session: &Session) {
    let runs = session.catalog.ledger(session.metastore).runs;
    let is_complete = |state: &str| state == "done" || state == "partial";
    let last = runs.iter().filter(|run| is_complete(&run.state)).map(|run| run.started_at).max();
    session.status(|status| status.last_pass_at = status.last_pass_at.max(last));
}

fn after(session: &Session, pause: Duration) -> i64 {
    session.now().saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}

fn show_state(session: &Session, state: FollowState) {
    session.status(|status| status.state = state);
}

fn show_following(session: &Session, state: FollowState) {
    session.status(|status| {
        status.state = state;
        status.error = None;
    });
}

fn show_error(session: &Session, fault: Fault) {
    let now = session.now();
    session.status(|status| {
        status.state = FollowState::Error;
        status.error = Some((fault, now));
    });
}
