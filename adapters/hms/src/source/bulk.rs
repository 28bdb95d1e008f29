//! Reading many objects with few calls.

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::model::{
    DatabaseName, Item, Partition, Table, TableName, partition_name, partition_values,
};
use skep_catalog::ports::Batch;

use super::reply::{NOT_FOUND_SECOND, NOT_FOUND_THIRD, read_items, read_struct, read_wrapped};
use super::{Answer, Failure, HmsSource, is_missing, of_metastore};
use crate::objects::{SharedColumns, read_partition, read_partition_sharing, read_table};
use crate::thrift::{Reader, ThriftError};

/// What a bulk read brought: items, and whether some could not be read out of it.
pub(super) struct Bulk<T> {
    items: Vec<Item<T>>,
    flaw: Option<ThriftError>,
}

/// Objects that are read by name.
#[async_trait]
pub(super) trait Objects: Send {
    type Object: Send;
    /// All that exist of these, with one call.
    async fn bulk(&self, names: &[String]) -> Answer<Bulk<Self::Object>>;
    /// One.
    async fn single(&self, name: &str) -> Answer<Item<Self::Object>>;
    /// The name by which this one was asked for.
    fn name_of(&mut self, object: &Self::Object) -> String;
}

/// Failed calls without a single success after which no more are made: a server that fails at
/// everything is not asked a thousand times.
const FAILURES_MAX: usize = 16;

/// Reads `names` in bulk. A bulk call that fails by itself (one object spoils it, the server limits
/// its size, or its reply is larger than accepted) is done again in halves, down to single objects.
/// A refusal is not: the halves would be refused too. A connection closed in the middle may be a
/// server that cannot build a reply so large: it is tried in halves once.
pub(super) async fn read_in_bulk<O: Objects>(
    objects: &mut O,
    names: &[String],
) -> Result<Batch<O::Object>, Fault> {
    let mut batch = Batch::default();
    let mut brake = Brake::default();
    let mut pending = vec![names];
    while let Some(names) = pending.pop() {
        let mut singles: VecDeque<&String> = match objects.bulk(names).await {
            Ok(Bulk { items, flaw }) => {
                brake.has_success = true;
                let start = batch.items.len();
                batch.items.extend(items.into_iter().map(|item| (objects.name_of(&item.value), item)));
                if flaw.is_none() {
                    continue;
                }
                let brought: HashSet<&str> =
                    batch.items[start..].iter().map(|(name, _)| name.as_str()).collect();
                names.iter().filter(|name| !brought.contains(name.as_str())).collect()
            }
            Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => continue,
            Err(failure) if failure.fault.code == Code::METASTORE_METHOD_MISSING => names.iter().collect(),
            Err(failure) if failure.fault.code == Code::METASTORE_REFUSED && failure.is_of_object => {
                fail_all(&mut batch, names, &failure.fault);
                continue;
            }
            Err(failure) => match brake.failed(failure, names.len() > 1)? {
                Some(last) => {
                    pending.push(names);
                    return Ok(given_up(batch, pending, last));
                }
                None if names.len() > 1 => {
                    let (first, second) = names.split_at(names.len() / 2);
                    pending.extend([second, first]);
                    continue;
                }
                None => names.iter().collect(),
            },
        };
        while let Some(name) = singles.pop_front() {
            match objects.single(name).await {
                Ok(item) => {
                    brake.has_success = true;
                    batch.items.push((name.clone(), item));
                }
                Err(failure) if failure.fault.code == Code::METASTORE_NOT_FOUND => brake.has_success = true,
                Err(failure) => {
                    batch.failed.push((name.clone(), failure.fault.clone()));
                    if let Some(last) = brake.failed(failure, false)? {
                        fail_all(&mut batch, singles, &last);
                        return Ok(given_up(batch, pending, last));
                    }
                }
            }
        }
    }
    Ok(batch)
}

/// Notes `fault` for each of `names`.
fn fail_all<'n, T>(batch: &mut Batch<T>, names: impl IntoIterator<Item = &'n String>, fault: &Fault) {
    batch.failed.extend(names.into_iter().map(|name| (name.clone(), fault.clone())));
}

/// The end of a read that nothing came of: all that is pending failed for the last reason.
fn given_up<T>(mut batch: Batch<T>, pending: Vec<&[String]>, last: Fault) -> Batch<T> {
    fail_all(&mut batch, pending.into_iter().rev().flatten(), &last);
    batch
}

/// Tells when to stop asking.
#[derive(Default)]
struct Brake {
    has_success: bool,
    failures: usize,
    was_closed: bool,
}

impl Brake {
    /// Takes in a failed call: an error when it is not for the objects' sake, the fault when enough
    /// is enough, else nothing. `is_many`: whether smaller calls can be made.
    fn failed(&mut self, failure: Failure, is_many: bool) -> Result<Option<Fault>, Fault> {
        let code = failure.fault.code;
        // A reply that is too large looks like a malformed one to the connection.
        let is_too_large = code == Code::METASTORE_MALFORMED
            || (code == Code::METASTORE_CLOSED && is_many && !self.was_closed);
        if !failure.is_of_object && !is_too_large {
            return Err(failure.fault);
        }
        self.was_closed |= code == Code::METASTORE_CLOSED;
        self.failures += 1;
        Ok((!self.has_success && self.failures >= FAILURES_MAX).then_some(failure.fault))
    }
}

/// Tables of a database.
pub(super) struct TablesOf<'a> {
    pub(super) source: &'a HmsSource,
    pub(super) database: &'a DatabaseName,
    pub(super) asked: &'a [String],
}

#[async_trait]
impl Objects for TablesOf<'_> {
    type Object = Table;

    async fn bulk(&self, names: &[String]) -> Answer<Bulk<Table>> {
        let dialect = self.source.dialect().await.map_err(of_metastore)?;
        let read = |body: &Bytes, reader: &mut Reader<'_>, kind| {
            read_items(body, reader, kind, names.len(), read_table).map(|(items, flaw)| Bulk { items, flaw })
        };
        let method = "get_table_objects_by_name_req";
        let asked = self
            .source
            .ask(method, &dialect.tables(self.database, names), NOT_FOUND_THIRD, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, read)
            })
            .await;
        if !is_missing(&asked) {
            return asked;
        }
        let arguments = dialect.tables_old(self.database, names);
        self.source.ask("get_table_objects_by_name", &arguments, NOT_FOUND_THIRD, read).await
    }

    async fn single(&self, name: &str) -> Answer<Item<Table>> {
        self.source.table(&self.database.table(name)).await
    }

    fn name_of(&mut self, table: &Table) -> String {
        let name = &table.name;
        if self.asked.contains(name) {
            return name.clone();
        }
        // Metastores do not distinguish the case of names.
        let lower = name.to_lowercase();
        self.asked.iter().find(|asked| asked.to_lowercase() == lower).unwrap_or(name).clone()
    }
}

/// Partitions of a table.
pub(super) struct PartitionsOf<'a> {
    source: &'a HmsSource,
    table: &'a TableName,
    keys: &'a [String],
    names: PartitionNames<'a>,
}

impl<'a> PartitionsOf<'a> {
    pub(super) fn new(
        source: &'a HmsSource,
        table: &'a TableName,
        keys: &'a [String],
        asked: &'a [String],
    ) -> Self {
        Self { source, table, keys, names: PartitionNames::new(asked) }
    }
}

#[async_trait]
impl Objects for PartitionsOf<'_> {
    type Object = Partition;

    async fn bulk(&self, names: &[String]) -> Answer<Bulk<Partition>> {
        let dialect = self.source.dialect().await.map_err(of_metastore)?;
        let read = |body: &Bytes, reader: &mut Reader<'_>, kind| {
            let mut shared = SharedColumns::default();
            let read = |reader: &mut Reader<'_>| read_partition_sharing(reader, &mut shared);
            read_items(body, reader, kind, names.len(), read).map(|(items, flaw)| Bulk { items, flaw })
        };
        let arguments = dialect.of_table_and_names(self.table, names);
        let asked = self.source.ask("get_partitions_by_names", &arguments, NOT_FOUND_SECOND, read).await;
        if !is_missing(&asked) {
            return asked;
        }
        let arguments = dialect.partitions(self.table, names);
        self.source
            .ask("get_partitions_by_names_req", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
                read_wrapped(body, reader, kind, 1, read)
            })
            .await
    }

    async fn single(&self, name: &str) -> Answer<Item<Partition>> {
        let dialect = self.source.dialect().await.map_err(of_metastore)?;
        let arguments = dialect.of_table_and(self.table, name);
        self.source
            .ask("get_partition_by_name", &arguments, NOT_FOUND_SECOND, |body, reader, kind| {
                read_struct(body, reader, kind, read_partition)
            })
            .await
    }

    fn name_of(&mut self, partition: &Partition) -> String {
        self.names.name_of(self.keys, &partition.values)
    }
}

/// Gives partitions the names by which they were asked for. The name made of keys and values is
/// nearly always that; a metastore that escaped differently once is matched by values.
struct PartitionNames<'a> {
    asked: &'a [String],
    /// Place after the last match: replies come in the order of the request, or in that of the
    /// names, which mostly is the same.
    next: usize,
    set: Option<HashSet<&'a str>>,
    by_values: Option<HashMap<Vec<String>, &'a str>>,
}

impl<'a> PartitionNames<'a> {
    fn new(asked: &'a [String]) -> Self {
        Self { asked, next: 0, set: None, by_values: None }
    }

    fn name_of(&mut self, keys: &[String], values: &[String]) -> String {
        let name = partition_name(keys, values);
        if self.asked.get(self.next) == Some(&name) {
            self.next += 1;
            return name;
        }
        let asked = self.asked;
        if self.set.get_or_insert_with(|| asked.iter().map(String::as_str).collect()).contains(name.as_str())
        {
            return name;
        }
        let by_values = self.by_values.get_or_insert_with(|| {
            asked.iter().map(|name| (partition_values(name), name.as_str())).collect()
        });
        by_values.get(values).map_or(name, |&asked| asked.to_owned())
    }
}
