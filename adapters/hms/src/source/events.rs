//! The notification log: paging, gaps, and what each event is about.

use skep_catalog::fault::{Code, Fault};
use skep_catalog::ports::{EventPage, SourceEvent};

use super::reply::{NEVER_NOT_FOUND, read_wrapped};
use super::request::{next_notification, nothing};
use super::{Answer, HmsSource};
use crate::events::{RawEvent, subject};
use crate::thrift::{Kind, Reader, Result as ThriftResult};

impl HmsSource {
    pub(super) async fn read_head(&self) -> Answer<i64> {
        self.ask("get_current_notificationEventId", &nothing(), NEVER_NOT_FOUND, |body, reader, kind| {
            read_wrapped(body, reader, kind, 1, |_, reader, kind| {
                reader.expect(Kind::I64, kind)?;
                reader.i64()
            })
        })
        .await
    }

    /// Ids are given out one by one (2.3 to 4.2), so a first id above the next one means that
    /// older events are gone; so does an empty page below the head. A head below the position
    /// means that the metastore was restored from a backup. An event that cannot be read even by
    /// itself is as good as gone.
    pub(super) async fn read_events(&self, after: i64, max: usize) -> Result<EventPage, Fault> {
        let Some(events) = self.read_page(after, max).await? else { return self.unreadable(after).await };
        if let Some(first) = events.first() {
            let is_gap = first.event_id > after.saturating_add(1);
            return Ok(EventPage { events, is_gap });
        }
        let head = self.read_head().await?;
        if head == after {
            return Ok(EventPage::default());
        }
        // Events may have come between the two calls; then they are there now.
        let Some(events) = self.read_page(after, max).await? else { return self.unreadable(after).await };
        let is_gap = events.first().is_none_or(|first| first.event_id > after.saturating_add(1));
        Ok(EventPage { events, is_gap })
    }

    /// The next event cannot be read. A server that answers nothing sensible at all is another
    /// matter: then asking for the head fails.
    async fn unreadable(&self, after: i64) -> Result<EventPage, Fault> {
        let head_event_id = self.read_head().await?;
        tracing::warn!(
            metastore = self.client.name(),
            after_event_id = after,
            head_event_id,
            "next event is unreadable"
        );
        Ok(EventPage { events: Vec::new(), is_gap: true })
    }

    /// A page whose reply is larger than accepted is asked for again in smaller parts; `None` when
    /// not even one event can be read. A page that was late or closed the connection makes the next
    /// ones smaller.
    async fn read_page(&self, after: i64, max: usize) -> Result<Option<Vec<SourceEvent>>, Fault> {
        loop {
            let max = self.page_size.lock().at_most(max);
            let arguments = next_notification(after, max);
            let asked = self
                .ask("get_next_notification", &arguments, NEVER_NOT_FOUND, |body, reader, kind| {
                    read_wrapped(body, reader, kind, 1, |_, reader, kind| read_events(reader, kind, max))
                })
                .await;
            match asked {
                Ok(mut events) => {
                    self.page_size.lock().worked();
                    events.retain(|event| event.event_id > after);
                    events.sort_by_key(|event| event.event_id);
                    return Ok(Some(events));
                }
                Err(failure) => match failure.fault.code {
                    Code::METASTORE_MALFORMED if max == 1 => return Ok(None),
                    Code::METASTORE_MALFORMED => self.page_size.lock().shrink(max),
                    Code::METASTORE_SLOW | Code::METASTORE_CLOSED => {
                        self.page_size.lock().shrink(max);
                        return Err(failure.fault);
                    }
                    _ => return Err(failure.fault),
                },
            }
        }
    }
}

/// Pages after which a smaller size is forgotten.
const SMALL_PAGES: u32 = 32;

/// How many events to ask for at once: fewer for a while, after more were too many.
#[derive(Debug, Default)]
pub(super) struct PageSize {
    /// Most events, and pages for which that still holds.
    reduced: Option<(usize, u32)>,
}

impl PageSize {
    fn at_most(&self, max: usize) -> usize {
        self.reduced.map_or(max, |(reduced, _)| max.min(reduced)).max(1)
    }

    fn shrink(&mut self, from: usize) {
        self.reduced = Some(((from / 8).max(1), SMALL_PAGES));
    }

    fn worked(&mut self) {
        self.reduced = self.reduced.and_then(|(max, left)| Some((max, left.checked_sub(1)?)));
    }
}

/// More events than were asked for are refused.
fn read_events(reader: &mut Reader<'_>, kind: Kind, max: usize) -> ThriftResult<Vec<SourceEvent>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of_at_most(Kind::Struct, max)?;
    let mut events = Vec::with_capacity(count.min(10_000));
    for _ in 0..count {
        events.push(decode_event(reader)?);
    }
    Ok(events)
}

/// Reads a `NotificationEvent` struct.
fn decode_event(reader: &mut Reader<'_>) -> ThriftResult<SourceEvent> {
    let raw = RawEvent::read(reader)?;
    let subject = subject(&raw);
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Ok(SourceEvent {
        event_id: raw.event_id,
        event_time: raw.event_time,
        event_type: raw.event_type.to_owned(),
        catalog_name: owned(raw.catalog),
        database_name: owned(raw.database),
        table_name: owned(raw.table),
        subject,
    })
}
