//! Following a metastore's notification log.
//!
//! One look takes what is new in the log, as far as it is worth taking at once, and reads again
//! what the events touched. Data, rows of `sync.events` and the position are applied in one
//! list, so after a crash no event is lost; one that is seen twice only reads an object again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::PassReport;
use super::plan::{Plan, partition_count, plan, taken_at_once};
use super::reread::reread;
use super::session::{Session, Task, spawn};
use super::writer::found_rows;
use crate::change::{Applied, Change, EventRow};
use crate::fault::{Code, Fault};
use crate::model::{DEFAULT_CATALOG, TableName};
use crate::ports::{EventSubject, SourceEvent};

/// Events per call: messages carry whole objects, so a reply is some 10 MB.
const PAGE_EVENTS_MAX: usize = 1_000;
/// Events taken at once: the more, the more of them touch the same objects.
const LOOK_EVENTS_MAX: usize = 10_000;
/// Bytes of partition names in the events that are waiting, and in those read ahead.
const WAITING_NAMES_BYTES_MAX: usize = 64 << 20;
/// Looks in a row that found nothing although the metastore says that there is something.
const EMPTY_LOOKS_MAX: u32 = 3;
/// Tries of events of which not one call worked, before their objects are given up as broken.
const TRIES_MAX: u32 = 5;
/// Tables whose details are read in one look, so that what else happened shows soon.
const DETAILS_TABLES_MAX: usize = 200;
/// Tables tried again in one go.
const QUIET_TABLES_MAX: usize = 200;
/// Pause between readings of all grants: a metastore writes no event for them, but what creates
/// or drops an object mostly changes them too.
const PRIVILEGES_PAUSE_MICROS: i64 = 60_000_000;

/// What a look came to.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// Nothing more is waiting.
    Idle,
    /// More is waiting.
    More,
    /// Events were lost.
    Gap,
}

pub(super) struct Follower {
    session: Arc<Session>,
    /// All events up to this one were applied when it began.
    begin: i64,
    /// All events up to this one are applied.
    cursor: i64,
    /// Events after the cursor, in order, read and not applied yet.
    waiting: Vec<SourceEvent>,
    /// Those after them, being read while others are applied.
    ahead: Option<Task<Result<Option<Vec<SourceEvent>>, Fault>>>,
    /// While everything is read again, the mirror does not include what the lost events changed,
    /// so the position in the store stays where it was.
    is_held: bool,
    /// Everything was read again; tables that were not found then are still to be looked at.
    is_read_again: bool,
    empty_looks: u32,
    /// Objects came or went since the grants were last read.
    are_privileges_due: bool,
    privileges_at: i64,
    /// What applying events came to since it was last asked for.
    came_to: PassReport,
    has_caught_up: bool,
}

impl Follower {
    /// Follows from `cursor`; `is_held` until [`Follower::release`].
    pub fn new(session: Arc<Session>, cursor: i64, is_held: bool) -> Self {
        session.include_only(Some(cursor));
        session.follows(true);
        Self {
            session,
            begin: cursor,
            cursor,
            waiting: Vec::new(),
            ahead: None,
            is_held,
            is_read_again: false,
            empty_looks: 0,
            are_privileges_due: false,
            privileges_at: 0,
            came_to: PassReport::default(),
            has_caught_up: false,
        }
    }

    /// What applying events came to since this was last asked for.
    pub fn take_came_to(&mut self) -> PassReport {
        std::mem::take(&mut self.came_to)
    }

    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether everything is to be read again.
    pub fn needs_repair(&self) -> bool {
        self.is_held && !self.is_read_again
    }

    /// Everything was read again: from the next look that leaves nothing waiting, the position
    /// moves with the events.
    pub fn release(&mut self) {
        self.is_read_again = true;
    }

    pub async fn look(&mut self) -> Result<Look, Fault> {
        // Before the head is asked for, see there.
        let suspects = std::mem::take(&mut *self.session.suspects.lock());
        let look = self.look_with(&suspects).await;
        if !matches!(look, Ok(Look::Idle)) {
            self.session.suspects.lock().extend(suspects);
        }
        if look.is_err() {
            self.waiting.clear();
            self.ahead = None;
            self.session.recall();
        }
        look
    }

    async fn look_with(&mut self, suspects: &BTreeSet<TableName>) -> Result<Look, Fault> {
        let asked_at = self.session.now();
        let head = self.session.source.head_event_id().await?;
        self.session.status(|status| status.head_event_id = Some(head));
        self.show_progress(head);
        if head < self.cursor {
            // The log began anew: another database, or a restored one. Should this process end
            // before everything is read, the position must not be taken for one of the new log.
            if self.session.current()?.metastore.position.is_some() {
                self.session.apply(asked_at, vec![Change::ClearPosition]).await?;
            }
            return Ok(Look::Gap);
        }
        if head == self.cursor {
            return self.caught_up(asked_at, suspects).await;
        }
        if !self.read(head).await? {
            return Ok(Look::Gap);
        }
        let taken = taken_at_once(&self.waiting, DETAILS_TABLES_MAX).min(self.waiting.len());
        let events: Vec<SourceEvent> = self.waiting.drain(..taken).collect();
        let Some(last) = events.last().map(|event| event.event_id) else {
            self.empty_looks += 1;
            self.session.suspects.lock().extend(suspects.iter().cloned());
            return Ok(if self.empty_looks < EMPTY_LOOKS_MAX { Look::Idle } else { Look::Gap });
        };
        self.empty_looks = 0;
        self.show_lag(events.first());
        self.read_ahead(last, head);
        self.apply(&events, last).await?;
        self.show_progress(head);
        if last < head {
            return Ok(Look::More);
        }
        self.caught_up(asked_at, suspects).await
    }

    /// All events up to a head asked for at `asked_at` are applied.
    async fn caught_up(&mut self, asked_at: i64, suspects: &BTreeSet<TableName>) -> Result<Look, Fault> {
        self.quiet(suspects).await?;
        if self.is_held && self.is_read_again && self.session.suspects.lock().is_empty() {
            self.session.apply(self.session.now(), vec![Change::SetPosition(self.cursor)]).await?;
            self.is_held = false;
        }
        if !std::mem::replace(&mut self.has_caught_up, true) && self.came_to.events_applied != 0 {
            let PassReport { events_applied, objects_changed, .. } = self.came_to;
            tracing::info!(
                events = events_applied,
                changed = objects_changed,
                "events that waited are applied"
            );
        }
        // Not while what lost events changed is still being read.
        if !self.is_held {
            self.session.status(|status| {
                status.lag_ms = Some(0);
                status.current_at = Some(asked_at);
            });
        }
        Ok(Look::Idle)
    }

    /// Reads what is new up to `head`, as far as there is room for it; whether nothing is lost.
    async fn read(&mut self, head: i64) -> Result<bool, Fault> {
        if let Some(ahead) = self.ahead.take() {
            let Some(events) = ahead.await? else { return Ok(false) };
            self.waiting.extend(events);
        }
        let after = self.waiting.last().map_or(self.cursor, |event| event.event_id);
        let room = Room::beside(&self.waiting);
        let Some(events) = events(&self.session, after, head, room).await? else { return Ok(false) };
        self.waiting.extend(events);
        Ok(true)
    }

    /// Begins to read what comes after `last` and what is waiting.
    fn read_ahead(&mut self, last: i64, head: i64) {
        let after = self.waiting.last().map_or(last, |event| event.event_id);
        let room = Room::beside(&self.waiting);
        if after < head && !room.is_full() {
            let session = self.session.clone();
            self.ahead = Some(spawn(async move { events(&session, after, head, room).await }));
        }
    }

    async fn apply(&mut self, events: &[SourceEvent], last: i64) -> Result<(), Fault> {
        let _gate = self.session.exclusive().await;
        self.session.include(Some(last));
        let read_at = self.session.now();
        let plan = plan(events);
        let mut changes = Vec::new();
        let mut applied = Applied::default();
        if !plan.is_empty() {
            let read = reread(&self.session, plan, read_at).await?;
            applied = read.applied;
            if let Some(fault) = read.fault
                && self.session.tries_again(TRIES_MAX)
            {
                return Err(fault);
            }
            changes = read.changes;
            self.session.suspects.lock().extend(read.not_found);
        }
        let rows = event_rows(events, self.session.now());
        if !rows.is_empty() {
            changes.push(Change::AddEvents(rows));
        }
        if !self.is_held {
            changes.push(Change::SetPosition(last));
        }
        applied.add_counts(&self.session.apply(read_at, changes).await?);
        self.came_to.events_applied += events.len() as u64;
        self.came_to.objects_read += applied.read_count();
        self.came_to.objects_changed += applied.changed_count();
        self.cursor = last;
        self.are_privileges_due |= events.iter().any(|event| changes_privileges(&event.subject));
        self.session.worked();
        Ok(())
    }

    /// Work that waits for the log to be quiet: what failed, and tables that went without an
    /// event.
    async fn quiet(&mut self, suspects: &BTreeSet<TableName>) -> Result<(), Fault> {
        self.privileges().await?;
        let mut plan = Plan::default();
        plan.tables.extend(self.session.failures.lock().due(self.session.now(), QUIET_TABLES_MAX));
        let view = self.session.current()?;
        for table in suspects.iter().filter(|table| view.table(table).is_some()) {
            let work = plan.tables.entry(table.clone()).or_default();
            work.reads_table = true;
            work.drops_not_found = true;
        }
        if plan.is_empty() {
            return Ok(());
        }
        let _gate = self.session.exclusive().await;
        let read_at = self.session.now();
        let read = reread(&self.session, plan, read_at).await?;
        let mut applied = self.session.apply(read_at, read.changes).await?;
        applied.found.retain(|found| found.what == "FOUND_DROPPED");
        if let Some(rows) = found_rows(applied.found, self.session.now()) {
            self.session.apply(self.session.now(), vec![rows]).await?;
        }
        self.session.suspects.lock().extend(read.not_found);
        Ok(())
    }

    /// Reads all grants, when they are due. A failure is no reason to stop following: the next
    /// complete pass reads them too and says what is missing.
    async fn privileges(&mut self) -> Result<(), Fault> {
        if !self.are_privileges_due || self.session.now() < self.privileges_at {
            return Ok(());
        }
        let _gate = self.session.exclusive().await;
        let read_at = self.session.now();
        self.are_privileges_due = false;
        self.privileges_at = read_at + PRIVILEGES_PAUSE_MICROS;
        match self.session.source.privileges().await {
            Ok(privileges) => {
                self.session.apply(read_at, vec![Change::SetPrivileges(privileges)]).await.map(|_| ())
            }
            Err(fault) if fault.code == Code::METASTORE_METHOD_MISSING => Ok(()),
            Err(fault) => {
                tracing::warn!(%fault, "grants not read");
                self.are_privileges_due = true;
                Ok(())
            }
        }
    }

    fn show_progress(&self, head: i64) {
        let since_begin = |event_id: i64| u64::try_from(event_id.saturating_sub(self.begin)).unwrap_or(0);
        let (waiting, applied) = &self.session.progress.events;
        waiting.store(since_begin(head.max(self.cursor)), Relaxed);
        applied.store(since_begin(self.cursor), Relaxed);
    }

    fn show_lag(&self, oldest: Option<&SourceEvent>) {
        let Some(oldest) = oldest else { return };
        // Metastores keep whole seconds, and their clock is not ours.
        let age_ms = (self.session.now() / 1_000).saturating_sub(oldest.event_time.saturating_mul(1_000));
        self.session.status(|status| status.lag_ms = Some(age_ms.max(0)));
    }
}

/// How much more to keep in memory.
struct Room {
    events: usize,
    names_bytes: usize,
}

impl Room {
    fn beside(waiting: &[SourceEvent]) -> Self {
        let mut room = Self { events: LOOK_EVENTS_MAX, names_bytes: WAITING_NAMES_BYTES_MAX };
        room.take(waiting);
        room
    }

    fn take(&mut self, events: &[SourceEvent]) {
        let names_bytes: usize = events.iter().map(|event| event.subject.names_bytes()).sum();
        self.events = self.events.saturating_sub(events.len());
        self.names_bytes = self.names_bytes.saturating_sub(names_bytes);
    }

    fn is_full(&self) -> bool {
        self.events == 0 || self.names_bytes == 0
    }
}

/// Events after `after` and up to `head`, in order, whole pages until the room is full; `None`
/// when some are lost.
async fn events(
    session: &Session,
    mut after: i64,
    head: i64,
    mut room: Room,
) -> Result<Option<Vec<SourceEvent>>, Fault> {
    let mut events = Vec::new();
    while after < head && !room.is_full() {
        let mut page = session.source.events(after, PAGE_EVENTS_MAX).await?;
        if page.is_gap {
            return Ok(None);
        }
        page.events.retain(|event| after < event.event_id);
        let Some(last) = page.events.last() else { break };
        after = last.event_id;
        room.take(&page.events);
        events.extend(page.events);
    }
    Ok(Some(events))
}

fn changes_privileges(subject: &EventSubject) -> bool {
    matches!(
        subject,
        EventSubject::DatabasePut(_)
            | EventSubject::DatabaseDropped(_)
            | EventSubject::TableCreated(_)
            | EventSubject::TableRenamed { .. }
            | EventSubject::TableDropped(_)
    )
}

fn event_rows(events: &[SourceEvent], now: i64) -> Vec<EventRow> {
    let row = |event: &SourceEvent| EventRow {
        event_id: Some(event.event_id),
        event_type: event.event_type.clone(),
        catalog_name: event.catalog_name.clone().unwrap_or_else(|| DEFAULT_CATALOG.to_string()),
        database_name: event.database_name.clone(),
        table_name: event.table_name.clone(),
        partition_count: partition_count(&event.subject),
        event_at: Some(event.event_time.saturating_mul(1_000_000)),
        applied_at: now,
    };
    events.iter().filter(|event| event.subject != EventSubject::Nothing).map(row).collect()
}
