//! The notification log: paging, gaps, and what each event is about.

use bytes::Bytes;
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
    /// means that the metastore was restored from a backup.
    pub(super) async fn read_events(&self, after: i64, max: usize) -> Result<EventPage, Fault> {
        let events = self.read_page(after, max).await?;
        if let Some(first) = events.first() {
            let is_gap = first.event_id > after.saturating_add(1);
            return Ok(EventPage { events, is_gap });
        }
        let head = self.read_head().await?;
        if head == after {
            return Ok(EventPage::default());
        }
        // Events may have come between the two calls; then they are there now.
        let events = self.read_page(after, max).await?;
        let is_gap = events.first().is_none_or(|first| first.event_id > after.saturating_add(1));
        Ok(EventPage { events, is_gap })
    }

    /// A page whose reply is larger than accepted is asked for again in smaller parts.
    async fn read_page(&self, after: i64, max: usize) -> Result<Vec<SourceEvent>, Fault> {
        let mut max = max.max(1);
        loop {
            let arguments = next_notification(after, max);
            let asked = self
                .ask("get_next_notification", &arguments, NEVER_NOT_FOUND, |body, reader, kind| {
                    read_wrapped(body, reader, kind, 1, read_events)
                })
                .await;
            match asked {
                Err(failure) if failure.fault.code == Code::METASTORE_MALFORMED && max > 1 => max /= 8,
                asked => {
                    let mut events = asked?;
                    events.retain(|event| event.event_id > after);
                    events.sort_by_key(|event| event.event_id);
                    return Ok(events);
                }
            }
            max = max.max(1);
        }
    }
}

fn read_events(_: &Bytes, reader: &mut Reader<'_>, kind: Kind) -> ThriftResult<Vec<SourceEvent>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of(Kind::Struct)?;
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
