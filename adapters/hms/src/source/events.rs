//! The notification log: paging, gaps, and what each event is about.

use std::sync::atomic::Ordering;

use skep_catalog::fault::{Code, Fault};
use skep_catalog::ports::{EventPage, SourceEvent};

use super::reply::{NEVER_NOT_FOUND, read_wrapped};
use super::request::{next_notification, nothing};
use super::{Answer, HmsSource};
use crate::events::{RawEvent, identifier, subject};
use crate::thrift::{Kind, Reader, Result as ThriftResult};

impl HmsSource {
    pub(super) async fn read_head(&self) -> Answer<i64> {
        let head = self
            .ask("get_current_notificationEventId", &nothing(), NEVER_NOT_FOUND, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, |_, reader, kind| {
                    reader.expect(Kind::I64, kind)?;
                    reader.i64()
                })
            })
            .await?;
        self.has_shown_log.store(true, Ordering::Relaxed);
        Ok(head)
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
                    read_wrapped(body, reader, kind, 1, |_, reader, kind| {
                        read_events(reader, kind, max, PAGE_NAMES_BYTES_MAX)
                    })
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

/// Bytes of partition names that the events of a page may have in memory: packed messages are
/// small, what they name is not.
const PAGE_NAMES_BYTES_MAX: usize = 64 << 20;

/// More events than were asked for are refused. From the event on that goes beyond the bytes for
/// names, events name no partitions, which is all of them.
fn read_events(
    reader: &mut Reader<'_>,
    kind: Kind,
    max: usize,
    names_bytes_max: usize,
) -> ThriftResult<Vec<SourceEvent>> {
    reader.expect(Kind::List, kind)?;
    let count = reader.list_of_at_most(Kind::Struct, max)?;
    let mut events = Vec::with_capacity(count.min(10_000));
    let mut names_bytes = 0;
    for _ in 0..count {
        let mut event = decode_event(reader)?;
        names_bytes += event.subject.names_bytes();
        if names_bytes_max < names_bytes {
            names_bytes -= event.subject.names_bytes();
            event.subject.forget_names();
        }
        events.push(event);
    }
    Ok(events)
}

/// Reads a `NotificationEvent` struct.
fn decode_event(reader: &mut Reader<'_>) -> ThriftResult<SourceEvent> {
    let raw = RawEvent::read(reader)?;
    let subject = subject(&raw);
    Ok(SourceEvent {
        event_id: raw.event_id,
        event_time: raw.event_time,
        event_type: raw.event_type.to_owned(),
        catalog_name: raw.catalog.map(identifier),
        database_name: raw.database.map(identifier),
        table_name: raw.table.map(identifier),
        subject,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use skep_catalog::model::DatabaseName;
    use skep_catalog::ports::EventSubject;

    use super::*;
    use crate::thrift::Writer;

    #[test]
    fn names_beyond_the_bytes_of_a_page_become_all_of_the_table() {
        let mut w = Writer::new();
        w.list(Kind::Struct, 3);
        for (id, value) in [(1, "a"), (2, &*"b".repeat(100)), (3, "c")] {
            w.field_i64(1, id);
            w.field_i32(2, 0);
            w.field_string(3, "ADD_PARTITION");
            w.field_string(4, "D");
            w.field_string(5, "T");
            w.field_string(6, &format!(r#"{{"partitions":[{{"K":"{value}"}}]}}"#));
            w.stop();
        }
        let bytes = w.finish();
        let events = read_events(&mut Reader::new(&bytes), Kind::List, 3, 100).unwrap();
        let table = DatabaseName::new("hive", "d").table("t");
        let put = |names: &[&str]| {
            EventSubject::PartitionsPut(table.clone(), names.iter().map(|&name| name.to_owned()).collect())
        };
        let subjects: Vec<_> = events.into_iter().map(|event| event.subject).collect();
        assert_eq!(subjects, [put(&["k=a"]), put(&[]), put(&["k=c"])]);
    }
}
