//! The life of a mirror: probe, first mirror, then follow. Looks and the complete passes beside
//! them fail and are tried again each by themselves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::PassReport;
use super::asked::Extent;
use super::events::{Follower, Look};
use super::plan::{Plan, TableWork};
use super::poll;
use super::reread::reread;
use super::runs::{self, FIRST, POLL, REFRESH, REPAIR};
use super::session::{Session, Task, ends_the_run, spawn};
use super::writer::found_rows;
use crate::change::{Change, FollowMode, FollowState};
use crate::fault::{Code, Fault};
use crate::model::DatabaseName;
use crate::ports::SourceFacts;

/// Pauses between tries.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Tries to catch up of a mirror that is read once.
const CATCH_UP_TRIES_MAX: u32 = 5;
/// Looks at the log that begin within the configured pause while events come.
const BUSY_LOOKS_PER_INTERVAL: u32 = 10;
/// Pauses between tries of complete passes: each asks for everything again.
const PASS_PAUSE_MIN: Duration = Duration::from_secs(60);
const PASS_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Mirrors and follows, for ever.
pub(super) async fn forever(session: &Arc<Session>) {
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    let mut passes = Passes::new(session);
    loop {
        let Err(fault) = live(session, &mut passes).await else { continue };
        if session.has_worked() {
            pauses.reset();
        }
        let pause = pauses.next();
        show_failed(session, fault, pause);
        tokio::time::sleep(pause).await;
    }
}

/// Pauses that double up to a bound.
struct Pauses {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Pauses {
    fn new(min: Duration, max: Duration) -> Self {
        Self { min: min.min(max), max, next: min.min(max) }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause
    }

    fn reset(&mut self) {
        self.next = self.min;
    }

    /// Lowers or raises the bound; how far they have grown stays.
    fn bound(&mut self, max: Duration) {
        self.max = max;
        self.next = self.next.min(max);
    }
}

/// Pauses between looks at the log. While events come, looks begin a short time after each other,
/// so that what has happened is soon seen; a look that took longer than that is followed by the
/// next one at once. When nothing comes, the pause grows back to the configured one.
struct Pace {
    pauses: Pauses,
    busy: Duration,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        let busy = interval / BUSY_LOOKS_PER_INTERVAL;
        Self { pauses: Pauses::new(busy, interval), busy }
    }

    /// After a look that took so long.
    fn next(&mut self, has_brought: bool, took: Duration) -> Duration {
        if has_brought {
            self.pauses.reset();
            self.busy.saturating_sub(took)
        } else {
            self.pauses.next()
        }
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
    if head.is_none() {
        begin_polling(session).await?;
    }
    end_open_runs(session).await?;
    let view = session.current()?;
    let mut replayed = PassReport::default();
    // Events first: a rename that they tell of keeps the table's number, one that a pass finds
    // is a drop and a new table.
    let mut follower = match (view.metastore.mirrored_at, head, view.metastore.position) {
        (Some(_), Some(head), Some(position)) => {
            let mut follower = Follower::new(session.clone(), position, false);
            if replay(session, &mut follower, &mut replayed).await? == Look::Gap {
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
    report.add_events(&replayed);
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
        follower.release();
        let mut replayed = PassReport::default();
        let lost = match replay(session, &mut follower, &mut replayed).await {
            Ok(Look::Gap) => Some("the metastore trimmed its log meanwhile".to_string()),
            Ok(_) => None,
            Err(fault) => Some(fault.message()),
        };
        report.add_events(&replayed);
        report.missing.extend(lost.map(|why| format!("events since the beginning of the pass: {why}")));
    }
    session.status(|status| {
        status.state = FollowState::Following;
        status.error = None;
    });
    Ok(report)
}

/// Applies what waits in the log, as a run of its own if anything does, and says what it came to.
async fn replay(
    session: &Arc<Session>,
    follower: &mut Follower,
    came_to: &mut PassReport,
) -> Result<Look, Fault> {
    let head = session.source.head_event_id().await;
    let run = match head.is_ok_and(|head| head == follower.cursor()) {
        true => None,
        false => Some(runs::begin_replay(session, follower).await?),
    };
    let caught_up = catch_up(follower).await;
    *came_to = follower.take_came_to();
    if let Some(run) = run {
        let fault = match &caught_up {
            Ok(Look::Gap) => Some(events_lost(session, follower.cursor(), None)?),
            Ok(_) => None,
            Err(fault) => Some(fault.clone()),
        };
        runs::end_replay(session, run, came_to, fault.as_ref()).await?;
    }
    caught_up
}

async fn catch_up(follower: &mut Follower) -> Result<Look, Fault> {
    let mut tries = 0;
    loop {
        match follower.look().await {
            Ok(Look::More) => {}
            // What a repair did not find is looked at before the position moves.
            Ok(Look::Idle) if follower.is_held() && !follower.needs_repair() => {}
            Ok(look) => return Ok(look),
            Err(fault) if tries < CATCH_UP_TRIES_MAX && !ends_the_run(&fault) => {
                tries += 1;
                tokio::time::sleep(PAUSE_MIN).await;
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// Asks what the metastore is. Answers its newest event id when it is to be followed by events.
async fn probe(session: &Session) -> Result<Option<i64>, Fault> {
    let mut facts = session.source.probe().await?;
    let view = session.current()?;
    let known = session.catalog.status(session.metastore).facts;
    if known.as_ref().is_some_and(|known| is_other(known, &facts, &view.metastore.settings.uris)) {
        begin_anew(session).await?;
    } else if let Some(known) = known {
        // One that it did not tell this time.
        facts.database_id = facts.database_id.or(known.database_id);
    }
    let head = match session.options.follow_events {
        // Without a log this is an error; an empty one begins at 0.
        Some(true) => match facts.head_event_id {
            None => Some(session.source.head_event_id().await?),
            head => head,
        },
        Some(false) => None,
        None => match &facts.log_fault {
            // What cannot be read is not gone, and the position stays good.
            Some(fault) if has_log(session)? => return Err(fault.clone()),
            _ => facts.head_event_id,
        },
    };
    if let Some(change) = session.lacks_only(&facts.missing_methods) {
        session.apply(session.now(), vec![change]).await?;
    }
    set_mode(session, if head.is_some() { FollowMode::Events } else { FollowMode::Polling });
    session.status(|status| {
        status.head_event_id = facts.head_event_id;
        status.facts = Some(facts);
    });
    Ok(head)
}

/// Whether another metastore answers than when it was last asked. Event ids are those of one
/// database, which says who it is from Hive 3 on; before, an address that is no longer configured
/// was that of another one.
fn is_other(known: &SourceFacts, now: &SourceFacts, uris: &[String]) -> bool {
    match (&known.database_id, &now.database_id) {
        (Some(known), Some(now)) => known != now,
        _ => !known.endpoint_uri.is_empty() && !uris.contains(&known.endpoint_uri),
    }
}

/// Another metastore answers: the position is one of another log, and what a first mirror has read
/// so far is not its. What is mirrored stays until everything is read.
async fn begin_anew(session: &Session) -> Result<(), Fault> {
    tracing::warn!("another metastore answers than the one that was mirrored: reading everything again");
    session.found_other();
    session.include_only(None);
    // Written with the changes: a pass is due, after a restart too.
    session.status(|status| status.last_pass_at = None);
    let mut changes = vec![Change::ClearPosition];
    changes.extend(runs::abandon_first(session));
    session.apply(session.now(), changes).await.map(|_| ())
}

/// Whether its log was read before, and is still needed.
fn has_log(session: &Session) -> Result<bool, Fault> {
    let has_begun = runs::unfinished_first(session).is_some_and(|run| run.start_event_id.is_some());
    Ok(has_begun || session.current()?.metastore.position.is_some())
}

fn set_mode(session: &Session, mode: FollowMode) {
    let old = session.catalog.status(session.metastore).mode;
    match (old, mode) {
        (FollowMode::Polling, FollowMode::Events) => tracing::info!("it keeps a log now: following events"),
        (FollowMode::Events, FollowMode::Polling) => tracing::warn!("no log to follow any more: polling"),
        _ => {}
    }
    session.status(|status| status.mode = mode);
}

enum How {
    Events(Box<Follower>),
    Polling,
}

impl How {
    /// Up to which event all are applied.
    fn cursor(&self) -> Option<i64> {
        match self {
            How::Events(follower) => Some(follower.cursor()),
            How::Polling => None,
        }
    }
}

/// From the probe on; `Ok` asks to begin with the probe again.
async fn live(session: &Arc<Session>, passes: &mut Passes) -> Result<(), Fault> {
    passes.end();
    let head = probe(session).await?;
    session.forget_other();
    end_open_runs(session).await?;
    let mirrored_at = session.current()?.metastore.mirrored_at;
    if mirrored_at.is_none() {
        show_state(session, FollowState::Mirroring);
        runs::run(session, FIRST, head).await.into_result()?;
        session.worked();
    }
    let how = match (head, session.current()?.metastore.position) {
        (None, _) => {
            begin_polling(session).await?;
            How::Polling
        }
        (Some(_), Some(position)) => How::Events(Box::new(Follower::new(session.clone(), position, false))),
        // A log has appeared. It tells what changes from now on; all else is read.
        (Some(head), None) => How::Events(Box::new(Follower::new(session.clone(), head, true))),
    };
    follow(session, how, passes).await
}

/// Marks runs that a former process left open. A first mirror is another matter: it goes on.
async fn end_open_runs(session: &Session) -> Result<(), Fault> {
    match session.current()?.metastore.mirrored_at {
        Some(_) => runs::interrupt(session).await,
        None => Ok(()),
    }
}

/// Forgets the position: what changes while there is no log is in none of its later events, so
/// a log that appears begins with a repair.
async fn begin_polling(session: &Session) -> Result<(), Fault> {
    session.follows(false);
    // What waited in the log waits no more: the age of the last pass is the lag from now on.
    session.status(|status| status.lag_ms = None);
    if session.current()?.metastore.position.is_some() {
        session.apply(session.now(), vec![Change::ClearPosition]).await?;
    }
    Ok(())
}

type Pass = Task<Result<PassReport, Fault>>;

/// Complete passes beside the looks: at most one at once, and pauses between them that grow until
/// one works, whatever the reason of the next one is: each asks for everything again.
struct Passes {
    session: Arc<Session>,
    under_way: Option<Pass>,
    /// Somebody asked for one, and whether the one under way began since.
    is_asked: bool,
    answers_asked: bool,
    pauses: Pauses,
    /// The one after the pass that began last.
    pause: Duration,
    not_before: i64,
    /// Why the last one failed, and when.
    fault: Option<(Fault, i64)>,
    /// Which events were lost, and since when, until a pass has made up for them.
    lost: Option<(Fault, i64)>,
}

impl Passes {
    fn new(session: &Arc<Session>) -> Self {
        Self {
            session: session.clone(),
            under_way: None,
            is_asked: false,
            answers_asked: false,
            pauses: Pauses::new(PASS_PAUSE_MIN, PASS_PAUSE_MAX),
            pause: Duration::ZERO,
            not_before: i64::MIN,
            fault: None,
            lost: None,
        }
    }

    /// Ends the one under way and forgets what was wrong. The pause goes on.
    fn end(&mut self) {
        self.under_way = None;
        self.fault = None;
        self.lost = None;
    }

    /// Events were lost; a pass under way had begun before.
    async fn lose(&mut self, lost: Fault) -> Result<(), Fault> {
        if self.lost.is_none() {
            tracing::warn!(fault = %lost, "everything is to be read again");
        }
        self.lost = Some((lost, self.session.now()));
        if self.under_way.take().is_some() {
            runs::interrupt(&self.session).await?;
        }
        Ok(())
    }

    fn start(&mut self, kind: &'static str, head: Option<i64>) {
        // Who asks for passes more often than that does not want to wait longer for one.
        let interval = pass_interval_ms(&self.session).map_or(PASS_PAUSE_MAX, Duration::from_millis);
        self.pauses.bound(PASS_PAUSE_MAX.min(interval));
        self.pause = self.pauses.next();
        self.not_before = after(&self.session, self.pause);
        let session = self.session.clone();
        let run = async move { runs::run(&session, kind, head).await.into_result() };
        self.under_way = Some(spawn(run));
        self.answers_asked = self.is_asked;
    }

    /// Somebody asks for one now: it waits for no pause, but for the one under way.
    fn ask(&mut self) {
        self.is_asked = true;
        self.answers_asked = false;
        self.not_before = i64::MIN;
    }

    fn may_start(&self) -> bool {
        self.under_way.is_none() && self.not_before <= self.session.now()
    }

    /// The end of the pass under way; never without one.
    async fn finished(&mut self) -> Result<PassReport, Fault> {
        match &mut self.under_way {
            Some(pass) => pass.await,
            None => std::future::pending().await,
        }
    }

    fn worked(&mut self) {
        self.is_asked &= !self.answers_asked;
        self.under_way = None;
        self.fault = None;
        self.lost = None;
        self.pauses.reset();
    }

    fn failed(&mut self, fault: Fault) {
        self.under_way = None;
        self.not_before = after(&self.session, self.pause);
        tracing::warn!(%fault, pause_ms = self.pause.as_millis() as u64, "pass failed");
        self.fault = Some((fault, self.session.now()));
    }
}

/// Looks again and again, while complete passes run beside it when they are due. `Ok` asks to
/// begin with the probe again.
async fn follow(session: &Arc<Session>, mut how: How, passes: &mut Passes) -> Result<(), Fault> {
    if let How::Events(follower) = &how
        && follower.needs_repair()
        && passes.may_start()
    {
        passes.start(REPAIR, Some(follower.cursor()));
    }
    let mut pauses = Pauses::new(PAUSE_MIN, PAUSE_MAX);
    let mut pace = Pace::new(Duration::from_millis(session.options.events_interval_ms));
    let mut has_failed = false;
    let mut due = Due {
        probe_at: after(session, poll_interval(session)),
        identity_at: after(session, identity_interval(session)),
    };
    loop {
        let begun = Instant::now();
        let step = step(session, &mut how, passes, &mut due, has_failed).await;
        has_failed = step.is_err();
        let pause = match step {
            Ok(Step::Again) => return Ok(()),
            Ok(step) => {
                pauses.reset();
                session.worked();
                let is_repairing = matches!(&how, How::Events(follower) if follower.is_held());
                show_following(session, passes, is_repairing);
                let pause = match &how {
                    _ if step == Step::More => Duration::ZERO,
                    How::Events(_) => pace.next(step == Step::Brought, begun.elapsed()),
                    How::Polling => poll_interval(session),
                };
                let next_run_at = after(session, pause);
                session.status(|status| status.next_run_at = Some(next_run_at));
                pause
            }
            Err(fault) => {
                let pause = pauses.next();
                show_failed(session, fault, pause);
                pause
            }
        };
        let next_look = tokio::time::sleep(pause);
        tokio::pin!(next_look);
        tokio::select! {
            () = &mut next_look => {}
            () = session.asked.asked(), if !has_failed => {}
            result = passes.finished() => {
                match result {
                    Ok(_) => {
                        passes.worked();
                        if let How::Events(follower) = &mut how {
                            follower.release();
                        }
                    }
                    Err(fault) => passes.failed(fault),
                }
                if has_failed {
                    next_look.await;
                }
            }
        }
    }
}

#[derive(PartialEq)]
enum Step {
    /// Nothing was there.
    Idle,
    /// Events came, and all that were there are applied.
    Brought,
    /// More is waiting.
    More,
    /// Begin with the probe again.
    Again,
}

/// When to ask again what the metastore is: of an empty log, all; of any log, whose it is.
struct Due {
    probe_at: i64,
    identity_at: i64,
}

/// One look, and a pass begun when it is due.
async fn step(
    session: &Arc<Session>,
    how: &mut How,
    passes: &mut Passes,
    due: &mut Due,
    has_failed: bool,
) -> Result<Step, Fault> {
    // After an error it may be another metastore.
    if has_failed {
        let has_log = probe(session).await?.is_some();
        if has_log != matches!(how, How::Events(_)) || session.is_other() {
            return Ok(Step::Again);
        }
    }
    // So it may be without one: connections are replaced in silence.
    if matches!(how, How::Events(_)) && due.identity_at <= session.now() {
        due.identity_at = after(session, identity_interval(session));
        let known = session.catalog.status(session.metastore).facts.and_then(|facts| facts.database_id);
        let now = session.source.database_id().await;
        if known.is_some() && now.is_some() && known != now {
            return Ok(Step::Again);
        }
    }
    read_asked(session, how, passes).await?;
    let mut cursor = how.cursor();
    let is_more = match how {
        How::Polling => {
            poll::look(session).await?;
            false
        }
        // An empty log of an empty metastore: whether it will ever hold anything shows when
        // there are objects.
        How::Events(follower)
            if follower.cursor() == 0
                && session.options.follow_events.is_none()
                && due.probe_at <= session.now() =>
        {
            due.probe_at = after(session, poll_interval(session));
            if probe(session).await?.is_none() || session.is_other() {
                return Ok(Step::Again);
            }
            true
        }
        How::Events(follower) => match follower.look().await {
            Ok(Look::Idle) => {
                if session.failures.lock().is_listing_due(session.now()) {
                    poll::look(session).await?;
                }
                false
            }
            Ok(Look::More) => true,
            Ok(Look::Gap) => {
                let head = session.source.head_event_id().await?;
                let lost = events_lost(session, follower.cursor(), Some(head))?;
                **follower = Follower::new(session.clone(), head, true);
                passes.lose(lost).await?;
                cursor = Some(head);
                false
            }
            Err(fault) if session.options.follow_events.is_none() && is_log_closed(&fault) => {
                tracing::warn!(%fault, "no access to the log, polling");
                set_mode(session, FollowMode::Polling);
                drop(passes.under_way.take());
                begin_polling(session).await?;
                *how = How::Polling;
                true
            }
            Err(fault) => return Err(fault),
        },
    };
    if passes.may_start() {
        match &how {
            How::Events(follower) if follower.needs_repair() => passes.start(REPAIR, Some(follower.cursor())),
            _ if !passes.is_asked && !is_pass_due(session) => {}
            How::Events(follower) => passes.start(REFRESH, Some(follower.cursor())),
            How::Polling => {
                let mode = session.catalog.status(session.metastore).mode;
                let has_log = probe(session).await?.is_some();
                if (has_log && mode == FollowMode::Polling) || session.is_other() {
                    return Ok(Step::Again);
                }
                passes.start(POLL, None);
            }
        }
    }
    Ok(match is_more {
        true => Step::More,
        false if how.cursor() != cursor => Step::Brought,
        false => Step::Idle,
    })
}

/// Reads again what people asked for, or begins to. It waits for a metastore that cannot be reached;
/// what else cannot be read is in `sync.errors` then.
async fn read_asked(session: &Arc<Session>, how: &How, passes: &mut Passes) -> Result<(), Fault> {
    let mut extents = session.asked.take();
    if extents.contains(&Extent::Metastore) {
        passes.ask();
        extents.retain(|extent| *extent != Extent::Metastore);
    }
    let read = read_extents(session, how, &extents).await;
    if read.as_ref().is_err_and(|fault| fault.code == Code::METASTORE_UNREACHABLE) {
        extents.into_iter().for_each(|extent| session.asked.ask(extent));
    }
    read
}

async fn read_extents(session: &Arc<Session>, how: &How, extents: &[Extent]) -> Result<(), Fault> {
    let mut plan = Plan::default();
    for extent in extents {
        match extent {
            Extent::Metastore => {}
            Extent::Database(database) => plan_database(session, database, &mut plan).await?,
            Extent::Table(table) => drop(plan.tables.insert(table.clone(), TableWork::whole())),
        }
    }
    if plan.is_empty() {
        return Ok(());
    }
    // With a log, an event may be waiting that tells where a table went.
    let drops_not_found = matches!(how, How::Polling);
    plan.tables.values_mut().for_each(|work| work.drops_not_found = drops_not_found);
    let _gate = session.exclusive().await;
    let read_at = session.now();
    let read = reread(session, plan, read_at).await?;
    let applied = session.apply(read_at, read.changes).await?;
    if let Some(rows) = found_rows(applied.found, session.now()) {
        session.apply(session.now(), vec![rows]).await?;
    }
    session.suspects.lock().extend(read.not_found);
    Ok(())
}

/// A database, with the tables that the metastore has and those that are mirrored.
async fn plan_database(session: &Session, database: &DatabaseName, plan: &mut Plan) -> Result<(), Fault> {
    let mut names = session.current()?.table_names(database);
    match session.source.table_names(database).await {
        Ok(listed) => names.extend(listed),
        Err(fault) if ends_the_run(&fault) => return Err(fault),
        // Reading the database itself tells what is wrong with it.
        Err(_) => {}
    }
    plan.put_database(database);
    plan.functions.insert(database.clone());
    plan.tables.extend(names.into_iter().map(|name| (database.table(name), TableWork::whole())));
    Ok(())
}

fn events_lost(session: &Session, after: i64, head: Option<i64>) -> Result<Fault, Fault> {
    let newest = head.map(|head| format!(", the newest is {head}")).unwrap_or_default();
    Ok(Fault::new(
        Code::METASTORE_EVENTS_LOST,
        format!("metastore {}: get_next_notification", session.current()?.metastore.name),
        format!("the events after {after} are not there{newest}"),
    ))
}

/// Whether the metastore keeps its log from us. Hive 3.0 and later show it to privileged users
/// only (`metastore.event.db.notification.api.auth`).
fn is_log_closed(fault: &Fault) -> bool {
    matches!(fault.code, Code::METASTORE_REFUSED | Code::METASTORE_METHOD_MISSING)
}

/// Pause between complete passes; `None` when there are to be none.
fn pass_interval_ms(session: &Session) -> Option<u64> {
    match session.catalog.status(session.metastore).mode {
        FollowMode::Polling => Some(session.options.pass_interval_ms),
        _ => Some(session.options.refresh_interval_ms).filter(|interval_ms| *interval_ms != 0),
    }
}

pub(super) fn is_pass_due(session: &Session) -> bool {
    let Some(interval_ms) = pass_interval_ms(session) else { return false };
    let interval_ms = i64::try_from(interval_ms).unwrap_or(i64::MAX);
    let last_pass_at = session.catalog.status(session.metastore).last_pass_at;
    last_pass_at.is_none_or(|last| last.saturating_add(interval_ms.saturating_mul(1_000)) <= session.now())
}

fn identity_interval(session: &Session) -> Duration {
    Duration::from_millis(session.options.identity_interval_ms)
}

fn poll_interval(session: &Session) -> Duration {
    Duration::from_millis(session.options.poll_interval_ms)
}

fn after(session: &Session, pause: Duration) -> i64 {
    session.now().saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}

fn show_state(session: &Session, state: FollowState) {
    session.status(|status| status.state = state);
}

/// A look went well. Shown all the same are why the last pass did not, and lost events until they
/// are made up for.
fn show_following(session: &Session, passes: &Passes, is_repairing: bool) {
    let fault = passes.fault.clone().or_else(|| passes.lost.clone());
    session.status(|status| {
        status.state = if is_repairing { FollowState::Repairing } else { FollowState::Following };
        status.error = fault;
    });
}

fn show_failed(session: &Session, fault: Fault, pause: Duration) {
    tracing::warn!(%fault, pause_ms = pause.as_millis() as u64, "mirror failed");
    let next_run_at = after(session, pause);
    show_error(session, fault);
    session.status(|status| status.next_run_at = Some(next_run_at));
}

fn show_error(session: &Session, fault: Fault) {
    let now = session.now();
    session.status(|status| {
        status.state = FollowState::Error;
        status.error = Some((fault, now));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_begin_anew() {
        let seconds = Duration::from_secs;
        let mut pauses = Pauses::new(seconds(60), seconds(200));
        let drawn: Vec<Duration> = (0..4).map(|_| pauses.next()).collect();
        assert_eq!(drawn, [seconds(60), seconds(120), seconds(200), seconds(200)]);
        pauses.reset();
        assert_eq!(pauses.next(), seconds(60));
        assert_eq!(Pauses::new(seconds(60), seconds(5)).next(), seconds(5));
    }

    #[test]
    fn looks_follow_each_other_while_events_come_and_rest_when_none_do() {
        let ms = Duration::from_millis;
        let mut pace = Pace::new(ms(500));
        assert_eq!(pace.next(true, ms(10)), ms(40));
        assert_eq!(pace.next(true, ms(800)), ms(0), "it took longer than the pause");
        let quiet: Vec<Duration> = (0..6).map(|_| pace.next(false, ms(3))).collect();
        assert_eq!(quiet, [50, 100, 200, 400, 500, 500].map(ms));
        assert_eq!(pace.next(true, ms(0)), ms(50));
        assert_eq!(pace.next(false, ms(900)), ms(50), "a slow metastore is not asked all the time");
    }
}
