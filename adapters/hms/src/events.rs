//! What a notification event is about, read from its row and its message.
//!
//! Messages come as `json-0.2` (2.3 and 3.1: plain JSON) and `gzip(json-2.0)` (4.x: base64 of
//! gzip of JSON). Both name the same things; the objects in them are Thrift JSON text. Only names
//! are read: the mirror reads the objects themselves again.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use base64::Engine;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use skep_catalog::model::{DEFAULT_CATALOG, DatabaseName, TableName, partition_name};
use skep_catalog::ports::EventSubject;

use crate::thrift::{Flaw, Kind, Reader, Result, ThriftError};

/// Bytes of one message after inflation: an ADD_PARTITION of 10,000 partitions of 3 KB each stays
/// below. A larger one is not lost: its subject is the widest that its row names. Messages of a
/// page are unpacked one after the other, so this is also what a metastore has in memory at once.
const MESSAGE_BYTES_MAX: u64 = 32 << 20;

/// The name of an object as metastores keep it: events repeat the spelling of whoever made the
/// change.
pub fn identifier(name: &str) -> String {
    name.trim().to_lowercase()
}

fn database_of(catalog: &str, database: &str) -> DatabaseName {
    DatabaseName::new(identifier(catalog), identifier(database))
}

/// A `NotificationEvent` struct as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawEvent<'a> {
    /// Id.
    pub event_id: i64,
    /// Seconds since 1970.
    pub event_time: i64,
    /// `CREATE_TABLE`, ...
    pub event_type: &'a str,
    /// Database column.
    pub database: Option<&'a str>,
    /// Table column.
    pub table: Option<&'a str>,
    /// Message text.
    pub message: &'a str,
    /// Catalog column (3.x and later).
    pub catalog: Option<&'a str>,
}

impl<'a> RawEvent<'a> {
    /// Reads the struct.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let mut event = Self::default();
        let mut has_id = false;
        while let Some((kind, id)) = reader.field()? {
            match (id, kind) {
                (1, Kind::I64) => {
                    event.event_id = reader.i64()?;
                    has_id = true;
                }
                (2, Kind::I32) => event.event_time = reader.i32()?.into(),
                (3, Kind::String) => event.event_type = reader.string()?,
                (4, Kind::String) => event.database = Some(reader.string()?),
                (5, Kind::String) => event.table = Some(reader.string()?),
                (6, Kind::String) => event.message = reader.string()?,
                (8, Kind::String) => event.catalog = Some(reader.string()?),
                _ => reader.skip(kind)?,
            }
        }
        match has_id {
            true => Ok(event),
            false => Err(ThriftError { offset: reader.position(), flaw: Flaw::MissingField("eventId") }),
        }
    }

    fn database_name(&self) -> Option<DatabaseName> {
        let database = self.database.filter(|name| !name.is_empty())?;
        Some(database_of(self.catalog.unwrap_or(DEFAULT_CATALOG), database))
    }

    fn table_name(&self) -> Option<TableName> {
        let table = self.table.filter(|name| !name.is_empty())?;
        Some(self.database_name()?.table(identifier(table)))
    }

    /// The message as JSON text; `None` when it cannot be unpacked.
    fn json(&self) -> Option<Cow<'a, str>> {
        if self.message.starts_with('{') {
            return Some(Cow::Borrowed(self.message));
        }
        let packed = base64::engine::general_purpose::STANDARD.decode(self.message).ok()?;
        let mut text = String::new();
        let limit = MESSAGE_BYTES_MAX;
        flate2::read::GzDecoder::new(packed.as_slice()).take(limit + 1).read_to_string(&mut text).ok()?;
        (text.len() as u64 <= limit).then_some(Cow::Owned(text))
    }
}

/// What the event is about. A message that cannot be read gives the widest subject that the row
/// names.
pub fn subject(event: &RawEvent<'_>) -> EventSubject {
    exact_subject(event).unwrap_or_else(|| match (event.table_name(), event.database_name()) {
        (Some(table), _) => EventSubject::TableAltered(table),
        (None, Some(database)) => EventSubject::DatabasePut(database),
        (None, None) => EventSubject::Nothing,
    })
}

fn exact_subject(event: &RawEvent<'_>) -> Option<EventSubject> {
    Some(match event.event_type {
        "CREATE_CATALOG" | "ALTER_CATALOG" | "DROP_CATALOG" => EventSubject::Catalogs,
        "CREATE_DATABASE" | "ALTER_DATABASE" => EventSubject::DatabasePut(event.database_name()?),
        "DROP_DATABASE" => EventSubject::DatabaseDropped(event.database_name()?),
        "CREATE_TABLE" => EventSubject::TableCreated(event.table_name()?),
        "ALTER_TABLE" => altered_table(event)?,
        "DROP_TABLE" => EventSubject::TableDropped(event.table_name()?),
        "ADD_PARTITION" | "ALTER_PARTITIONS" => {
            EventSubject::PartitionsPut(event.table_name()?, listed_partitions(event))
        }
        "DROP_PARTITION" => EventSubject::PartitionsDropped(event.table_name()?, listed_partitions(event)),
        // One that cannot be told: all, since the table itself is not what changed.
        "ALTER_PARTITION" => match altered_partition(event) {
            Some(subject) => subject,
            None => EventSubject::PartitionsPut(event.table_name()?, Vec::new()),
        },
        "CREATE_FUNCTION" | "DROP_FUNCTION" => EventSubject::Functions(event.database_name()?),
        "ADD_FOREIGNKEY" => EventSubject::TableDetails(foreign_key_table(event)?),
        "ADD_PRIMARYKEY"
        | "ADD_UNIQUECONSTRAINT"
        | "ADD_NOTNULLCONSTRAINT"
        | "ADD_DEFAULTCONSTRAINT"
        | "ADD_CHECKCONSTRAINT"
        | "DROP_CONSTRAINT"
        | "UPDATE_TBL_COL_STAT_EVENT"
        | "DELETE_TBL_COL_STAT_EVENT" => EventSubject::TableDetails(event.table_name()?),
        // Statistics of a partition change its parameters.
        "UPDATE_PART_COL_STAT_EVENT" | "UPDATE_PART_COL_STAT_EVENT_BATCH" | "DELETE_PART_COL_STAT_EVENT" => {
            let names = statistics_partition(event).into_iter().collect();
            EventSubject::PartitionsPut(event.table_name()?, names)
        }
        _ => EventSubject::Nothing,
    })
}

fn message<'m, M: Deserialize<'m>>(json: &'m str) -> Option<M> {
    serde_json::from_str(json).ok()
}

/// A rename is one event whose row carries the new name.
fn altered_table(event: &RawEvent<'_>) -> Option<EventSubject> {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(rename = "tableObjBeforeJson", borrow)]
        before: Cow<'m, str>,
        #[serde(rename = "tableObjAfterJson", borrow)]
        after: Cow<'m, str>,
    }
    let json = event.json()?;
    let objects: Message<'_> = message(&json)?;
    let from = message::<TableObject<'_>>(&objects.before)?.name(event)?;
    let to = message::<TableObject<'_>>(&objects.after)?.name(event)?;
    Some(match from == to {
        true => EventSubject::TableAltered(to),
        false => EventSubject::TableRenamed { from, to },
    })
}

/// Names of the partitions that the message lists; none when they cannot be told.
fn listed_partitions(event: &RawEvent<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(borrow)]
        partitions: Vec<Pairs<'m>>,
    }
    let names = event.json().and_then(|json| {
        let message: Message<'_> = message(&json)?;
        Some(message.partitions.iter().map(Pairs::partition_name).collect::<Vec<_>>())
    });
    // A partition without keys has no name: rather all than the wrong ones.
    names.filter(|names| names.iter().all(|name| !name.is_empty())).unwrap_or_default()
}

fn altered_partition(event: &RawEvent<'_>) -> Option<EventSubject> {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(rename = "keyValues", borrow)]
        pairs: Pairs<'m>,
        #[serde(rename = "partitionObjBeforeJson", borrow, default)]
        before: Option<Cow<'m, str>>,
        #[serde(rename = "partitionObjAfterJson", borrow, default)]
        after: Option<Cow<'m, str>>,
    }
    let table = event.table_name()?;
    let json = event.json()?;
    let message_: Message<'_> = message(&json)?;
    let keys: Vec<&str> = message_.pairs.0.iter().map(|(key, _)| key.as_ref()).collect();
    let values = |text: &Option<Cow<'_, str>>| -> Option<Vec<String>> {
        Some(message::<PartitionObject>(text.as_deref()?)?.values.list.0)
    };
    if let (Some(before), Some(after)) = (values(&message_.before), values(&message_.after))
        && before != after
        && [before.len(), after.len()] == [keys.len(), keys.len()]
    {
        let (from, to) = (partition_name(&keys, &before), partition_name(&keys, &after));
        return Some(EventSubject::PartitionRenamed { table, from, to });
    }
    let name = message_.pairs.partition_name();
    Some(EventSubject::PartitionsPut(table, Some(name).filter(|name| !name.is_empty()).into_iter().collect()))
}

/// The row of this event names the table that is referred to; the key belongs to the other one.
fn foreign_key_table(event: &RawEvent<'_>) -> Option<TableName> {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(rename = "foreignKeyListJson", borrow)]
        keys: Vec<Cow<'m, str>>,
    }
    #[derive(Deserialize)]
    struct ForeignKey<'m> {
        #[serde(rename = "4", borrow)]
        database: Text<'m>,
        #[serde(rename = "5", borrow)]
        table: Text<'m>,
    }
    let json = event.json()?;
    let list: Message<'_> = message(&json)?;
    let key: ForeignKey<'_> = message(list.keys.first()?)?;
    let catalog = event.catalog.unwrap_or(DEFAULT_CATALOG);
    Some(database_of(catalog, &key.database.text).table(identifier(&key.table.text)))
}

/// The partition of a statistics event: by name, or by values and the table's keys.
fn statistics_partition(event: &RawEvent<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(rename = "partName", default)]
        name: Option<String>,
        #[serde(rename = "partVals", default)]
        values: Option<Vec<String>>,
        #[serde(rename = "tableObjJson", borrow, default)]
        table: Option<Cow<'m, str>>,
    }
    let json = event.json()?;
    let statistics: Message<'_> = message(&json)?;
    if let Some(name) = statistics.name {
        return Some(name);
    }
    let values = statistics.values?;
    let table = statistics.table?;
    let keys = message::<TableObject<'_>>(&table)?.keys?.list.0;
    let keys: Vec<_> = keys.into_iter().map(|key| key.name.text).collect();
    (keys.len() == values.len()).then(|| partition_name(&keys, &values))
}

/// A text in Thrift JSON.
#[derive(Deserialize)]
struct Text<'m> {
    #[serde(rename = "str", borrow)]
    text: Cow<'m, str>,
}

/// A list in Thrift JSON.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct List<T> {
    #[serde(rename = "lst")]
    list: Elements<T>,
}

/// A `Table` in Thrift JSON, as far as names go.
#[derive(Deserialize)]
struct TableObject<'m> {
    #[serde(rename = "1", borrow)]
    table: Text<'m>,
    #[serde(rename = "2", borrow)]
    database: Text<'m>,
    #[serde(rename = "17", borrow, default)]
    catalog: Option<Text<'m>>,
    #[serde(rename = "8", borrow, default)]
    keys: Option<List<KeyColumn<'m>>>,
}

/// A `FieldSchema` in Thrift JSON.
#[derive(Deserialize)]
struct KeyColumn<'m> {
    #[serde(rename = "1", borrow)]
    name: Text<'m>,
}

impl TableObject<'_> {
    fn name(&self, event: &RawEvent<'_>) -> Option<TableName> {
        let catalog = match &self.catalog {
            Some(catalog) => catalog.text.as_ref(),
            None => event.catalog.unwrap_or(DEFAULT_CATALOG),
        };
        let is_named = !self.table.text.is_empty() && !self.database.text.is_empty();
        is_named.then(|| database_of(catalog, &self.database.text).table(identifier(&self.table.text)))
    }
}

/// A `Partition` in Thrift JSON, as far as names go.
#[derive(Deserialize)]
struct PartitionObject {
    #[serde(rename = "1")]
    values: List<String>,
}

/// Elements of a Thrift JSON list, which begins with type and count.
struct Elements<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Elements<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ElementsVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ElementsVisitor<T> {
            type Value = Elements<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of type, count and elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Self::Value, A::Error> {
                list.next_element::<IgnoredAny>()?;
                list.next_element::<IgnoredAny>()?;
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(ElementsVisitor(std::marker::PhantomData))
    }
}

/// Partition keys and values in the order of the text: Hive writes them in the order of the
/// table's keys.
struct Pairs<'m>(Vec<(Cow<'m, str>, Cow<'m, str>)>);

impl Pairs<'_> {
    fn partition_name(&self) -> String {
        let (keys, values): (Vec<&str>, Vec<&str>) =
            self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).unzip();
        partition_name(&keys, &values)
    }
}

impl<'de: 'm, 'm> Deserialize<'de> for Pairs<'m> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Borrowed<'m>(#[serde(borrow)] Cow<'m, str>);

        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<Borrowed<'de>, Option<Borrowed<'de>>>()? {
                    pairs.push((key.0, value.map_or(Cow::Borrowed(""), |value| value.0)));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

#[cfg(test)]
mod tests;
