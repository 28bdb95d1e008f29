//! Stored forms of what is not a segment.

use std::sync::Arc;

use super::codec::{self, Encoder};
use super::collection::{Address, Collection, Kind};
use super::head::Interner;
use super::ledger::Ledger;
use super::segment;
use crate::change::{
    EndpointStatus, EventRow, FollowMode, FollowState, FollowStatus, MissingMethod, ObjectError, Run,
    SeenError, Stamp,
};
use crate::fault::{Code, Fault};
use crate::model::{
    CatalogId, CatalogObject, Column, ConstraintKind, DatabaseId, DatabaseName, Item, MetastoreId,
    TableDetails, TableId,
};
use crate::ports::{Decoder, SourceFacts};
use crate::snapshot::{
    CatalogView, DatabaseView, Digests, DroppedTable, MetastoreSettings, MetastoreView, TableHead, TableView,
    Totals,
};

/// Numbers that are never given twice. The next free ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    pub metastore: u32,
    pub catalog: u32,
    pub database: u32,
    pub table: u64,
    /// Segments, deltas, graves, and chunks of rings.
    pub part: u64,
    pub run: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { metastore: 1, catalog: 1, database: 1, table: 1, part: 1, run: 1 }
    }
}

macro_rules! take {
    ($($function:ident, $field:ident, $type:ty);*) => {
        impl Counters {
            $(pub fn $function(&mut self) -> $type {
                self.$field += 1;
                self.$field - 1
            })*
        }
    };
}
take!(take_metastore, metastore, u32; take_catalog, catalog, u32; take_database, database, u32;
    take_table, table, u64; take_part, part, u64);

/// Details of a table.
pub(crate) fn details(details: &TableDetails) -> Vec<u8> {
    let mut e = Encoder::default();
    e.u64(details.constraints.len() as u64);
    for item in &details.constraints {
        e.u8(item.value.kind as u8).bytes(&item.raw);
    }
    e.u64(details.column_statistics.len() as u64);
    for item in &details.column_statistics {
        e.bytes(&item.raw);
    }
    e.0
}

/// Reads [`details`].
pub(crate) fn read_details(bytes: &[u8], decoder: &dyn Decoder) -> Result<TableDetails, Fault> {
    let mut d = codec::Decoder::new(bytes);
    let mut details = TableDetails::default();
    for _ in 0..d.length()? {
        let kind = d.u8()?;
        let kind = ConstraintKind::ALL.into_iter().find(|k| *k as u8 == kind).ok_or_else(|| {
            Fault::new(Code::STORE_DAMAGED, "store: read a constraint", format!("no kind has number {kind}"))
        })?;
        let raw = d.owned_bytes()?;
        details.constraints.push(Item { value: decoder.constraint(kind, &raw)?, raw });
    }
    for _ in 0..d.length()? {
        let raw = d.owned_bytes()?;
        details.column_statistics.push(Item { value: decoder.column_statistic(&raw)?, raw });
    }
    Ok(details)
}

/// Version of the records below, where none of their own is named; a newer one is refused.
const VERSION: u8 = 1;
/// Version of the record of dropped tables: since 2 a table has a stamp.
const DROPPED_TABLES_VERSION: u8 = 2;

fn begin() -> Encoder {
    let mut e = Encoder::default();
    e.u8(VERSION);
    e
}

fn open(bytes: &[u8]) -> Result<codec::Decoder<'_>, Fault> {
    Ok(open_up_to(VERSION, bytes)?.1)
}

/// Opens a record that has changed since the first version; answers which version it has.
fn open_up_to(newest: u8, bytes: &[u8]) -> Result<(u8, codec::Decoder<'_>), Fault> {
    let mut d = codec::Decoder::new(bytes);
    let version = d.u8()?;
    if (VERSION..=newest).contains(&version) {
        return Ok((version, d));
    }
    let why = format!("it has version {version}, this skep reads version {newest}");
    Err(Fault::new(Code::STORE_FORMAT, "store: read a record", why))
}

fn unknown(what: &str, value: impl std::fmt::Display) -> Fault {
    Fault::new(Code::STORE_DAMAGED, "store: read a record", format!("no {what} is called {value}"))
}

pub(crate) fn counters(counters: &Counters) -> Vec<u8> {
    let mut e = begin();
    e.u64(counters.metastore.into()).u64(counters.catalog.into()).u64(counters.database.into());
    e.u64(counters.table).u64(counters.part).u64(counters.run);
    e.0
}

pub(crate) fn read_counters(bytes: &[u8]) -> Result<Counters, Fault> {
    let mut d = open(bytes)?;
    Ok(Counters {
        metastore: d.u32()?,
        catalog: d.u32()?,
        database: d.u32()?,
        table: d.u64()?,
        part: d.u64()?,
        run: d.u64()?,
    })
}

pub(crate) fn metastore(view: &MetastoreView) -> Vec<u8> {
    let mut e = begin();
    let settings = &view.settings;
    e.str(&settings.name).str(&settings.follow).str(settings.origin).u64(settings.uris.len() as u64);
    settings.uris.iter().for_each(|uri| {
        e.str(uri);
    });
    e.option_i64(view.position).option_i64(view.mirrored_at);
    e.0
}

pub(crate) fn read_metastore(id: MetastoreId, bytes: &[u8]) -> Result<MetastoreView, Fault> {
    let mut d = open(bytes)?;
    let (name, follow) = (d.string()?, d.string()?);
    let origin = match d.str()? {
        "config" => "config",
        "procedure" => "procedure",
        other => return Err(unknown("origin", other)),
    };
    let uris = (0..d.length()?).map(|_| d.string()).collect::<Result<_, _>>()?;
    let settings = MetastoreSettings { name, uris, follow, origin };
    Ok(MetastoreView {
        id,
        name: settings.name.as_str().into(),
        settings,
        position: d.option_i64()?,
        mirrored_at: d.option_i64()?,
        catalogs: Vec::new(),
        privileges_generation: 0,
        privileges: Collection::empty(Address::privileges(id)),
        ledger: Ledger::default(),
    })
}

/// Catalogs are kept decoded too: the one made up for a server without catalogs has no bytes.
pub(crate) fn catalog(view: &CatalogView) -> Vec<u8> {
    let mut e = begin();
    let object = &view.object;
    e.str(&object.name).option_str(object.description.as_deref()).option_str(object.location.as_deref());
    e.option_i64(object.create_time).fixed(object.unknown_hash).bytes(&view.raw).i64(view.changed_at);
    segment::write_stamp(&mut e, view.stamp);
    e.0
}

pub(crate) fn read_catalog(id: CatalogId, bytes: &[u8]) -> Result<CatalogView, Fault> {
    let mut d = open(bytes)?;
    let object = CatalogObject {
        name: d.string()?,
        description: d.option_string()?,
        location: d.option_string()?,
        create_time: d.option_i64()?,
        unknown_hash: d.fixed()?,
    };
    Ok(CatalogView {
        id,
        name: object.name.as_str().into(),
        object,
        raw: d.owned_bytes()?,
        changed_at: d.i64()?,
        stamp: segment::read_stamp(&mut d)?,
        databases: Vec::new(),
    })
}

fn write_digests(e: &mut Encoder, digests: &Digests) {
    e.fixed(digests.schema).fixed(digests.storage).fixed(digests.parameters);
    e.fixed(digests.location).fixed(digests.statistics).fixed(digests.rest);
}

fn read_digests(d: &mut codec::Decoder<'_>) -> Result<Digests, Fault> {
    Ok(Digests {
        schema: d.fixed()?,
        storage: d.fixed()?,
        parameters: d.fixed()?,
        location: d.fixed()?,
        statistics: d.fixed()?,
        rest: d.fixed()?,
    })
}

pub(crate) fn database(view: &DatabaseView) -> Vec<u8> {
    let mut e = begin();
    e.str(&view.name).bytes(&view.raw).i64(view.changed_at);
    segment::write_stamp(&mut e, view.stamp);
    write_digests(&mut e, &view.digests);
    e.0
}

/// Reads [`database`]; `address` is that of its tables.
pub(crate) fn read_database(
    address: Address,
    metastore_name: Arc<str>,
    catalog_name: Arc<str>,
    bytes: &[u8],
    decoder: &dyn Decoder,
) -> Result<DatabaseView, Fault> {
    let mut d = open(bytes)?;
    let (name, raw) = (d.str()?.into(), d.owned_bytes()?);
    Ok(DatabaseView {
        id: address.database,
        metastore_name,
        catalog_name,
        name,
        object: decoder.database(&raw)?,
        raw,
        changed_at: d.i64()?,
        stamp: segment::read_stamp(&mut d)?,
        digests: read_digests(&mut d)?,
        generation: 0,
        tables_generation: 0,
        functions_generation: 0,
        details_generation: 0,
        totals: Totals::default(),
        tables: Vec::new(),
        table_items: Collection::empty(address),
        functions: Collection::empty(Address { kind: Kind::Functions, ..address }),
        details: Collection::empty(Address { kind: Kind::Details, ..address }),
    })
}

fn write_head(e: &mut Encoder, head: &TableHead) {
    e.str(&head.table_type).str(&head.table_format);
    for text in [
        &head.owner_name,
        &head.location,
        &head.input_format,
        &head.output_format,
        &head.serde_library,
        &head.comment,
    ] {
        e.option_str(text.as_deref());
    }
    e.u64(head.partition_keys.len() as u64);
    for key in head.partition_keys.iter() {
        e.str(&key.name).str(&key.data_type);
    }
    e.u64(head.column_count.into()).i64(head.create_time);
    for number in
        [head.last_ddl_time, head.last_access_time, head.row_count, head.total_size_bytes, head.file_count]
    {
        e.option_i64(number);
    }
}

fn read_head(d: &mut codec::Decoder<'_>, interner: &mut Interner) -> Result<TableHead, Fault> {
    let (table_type, table_format) = (interner.text(d.str()?), interner.text(d.str()?));
    let owner_name = interner.option(d.option_str()?);
    let location = d.option_str()?.map(Arc::from);
    let input_format = interner.option(d.option_str()?);
    let output_format = interner.option(d.option_str()?);
    let serde_library = interner.option(d.option_str()?);
    let comment = d.option_str()?.map(Arc::from);
    let keys: Vec<Column> = (0..d.length()?)
        .map(|_| Ok(Column { name: d.string()?, data_type: d.string()?, comment: None }))
        .collect::<Result<_, Fault>>()?;
    Ok(TableHead {
        table_type,
        owner_name,
        location,
        input_format,
        output_format,
        serde_library,
        comment,
        table_format,
        partition_keys: interner.columns(&keys),
        column_count: d.u32()?,
        create_time: d.i64()?,
        last_ddl_time: d.option_i64()?,
        last_access_time: d.option_i64()?,
        row_count: d.option_i64()?,
        total_size_bytes: d.option_i64()?,
        file_count: d.option_i64()?,
    })
}

pub(crate) fn table(view: &TableView) -> Vec<u8> {
    let mut e = begin();
    let home = view.partitions.address;
    e.str(&view.name).u64(home.catalog.0.into()).u64(home.database.0.into()).i64(view.changed_at);
    segment::write_stamp(&mut e, view.stamp);
    write_digests(&mut e, &view.digests);
    write_head(&mut e, &view.head);
    e.0
}

/// Reads [`table`]; its partitions, totals and sums are laid in later.
pub(crate) fn read_table(
    metastore: MetastoreId,
    id: TableId,
    bytes: &[u8],
    interner: &mut Interner,
) -> Result<TableView, Fault> {
    let mut d = open(bytes)?;
    let name = d.str()?.into();
    let (catalog, database) = (CatalogId(d.u32()?), DatabaseId(d.u32()?));
    let home = Address { metastore, catalog, database, table: id, kind: Kind::Partitions };
    Ok(TableView {
        id,
        name,
        changed_at: d.i64()?,
        stamp: segment::read_stamp(&mut d)?,
        digests: read_digests(&mut d)?,
        head: read_head(&mut d, interner)?,
        partitions_digest: 0,
        generation: 0,
        partitions_generation: 0,
        totals: Totals::default(),
        partitions: Collection::empty(home),
    })
}

fn write_fault(e: &mut Encoder, fault: &Fault) {
    e.str(fault.code.as_str()).str(&fault.what).str(&fault.why).option_str(fault.fix.as_deref());
}

fn read_fault(d: &mut codec::Decoder<'_>) -> Result<Fault, Fault> {
    let name = d.str()?;
    // A code that a later version gave up is still an error.
    let code = Code::ALL.iter().find(|code| code.as_str() == name).copied().unwrap_or(Code::INTERNAL);
    Ok(Fault { code, what: d.string()?, why: d.string()?, fix: d.option_string()? })
}

/// Words that an endpoint's status is made of.
const ENDPOINT_WORDS: [&str; 5] = ["unknown", "ok", "error", "config", "zookeeper"];

pub(crate) fn status(status: &FollowStatus, endpoints: &[EndpointStatus]) -> Vec<u8> {
    let mut e = begin();
    e.u8(match status.mode {
        FollowMode::Unknown => 0,
        FollowMode::Events => 1,
        FollowMode::Polling => 2,
    });
    e.u8(match status.state {
        FollowState::Pending => 0,
        FollowState::Mirroring => 1,
        FollowState::Following => 2,
        FollowState::Repairing => 3,
        FollowState::Error => 4,
        FollowState::Paused => 5,
    });
    e.option_i64(status.head_event_id).option_i64(status.last_pass_at).option_i64(status.current_at);
    e.option(status.error.as_ref(), |e, (fault, at)| {
        write_fault(e, fault);
        e.i64(*at);
    });
    e.option(status.facts.as_ref(), |e, facts| {
        e.str(&facts.hive_version).str(&facts.endpoint_uri).bool(facts.has_catalogs);
        e.option_i64(facts.head_event_id).str(&facts.auth_mode).u64(facts.missing_methods.len() as u64);
        facts.missing_methods.iter().for_each(|method| {
            e.str(method);
        });
    });
    e.u64(endpoints.len() as u64);
    for endpoint in endpoints {
        e.str(&endpoint.uri).str(endpoint.state).option(endpoint.latency_ms, |e, latency_ms| {
            e.fixed(latency_ms.to_bits());
        });
        e.option_i64(endpoint.last_ok_at).option_str(endpoint.error_message.as_deref());
        e.str(endpoint.found_by);
    }
    e.option_str(status.facts.as_ref().and_then(|facts| facts.database_id.as_deref()));
    e.0
}

/// Reads [`status`]. What was under way when it was written is not any more: nobody follows yet.
pub(crate) fn read_status(bytes: &[u8]) -> Result<(FollowStatus, Vec<EndpointStatus>), Fault> {
    let mut d = open(bytes)?;
    let mut status = FollowStatus {
        mode: match d.u8()? {
            1 => FollowMode::Events,
            2 => FollowMode::Polling,
            _ => FollowMode::Unknown,
        },
        state: match d.u8()? {
            4 => FollowState::Error,
            5 => FollowState::Paused,
            _ => FollowState::Pending,
        },
        head_event_id: d.option_i64()?,
        last_pass_at: d.option_i64()?,
        current_at: d.option_i64()?,
        error: d.option(|d| Ok((read_fault(d)?, d.i64()?)))?,
        facts: d.option(|d| {
            Ok(SourceFacts {
                hive_version: d.string()?,
                endpoint_uri: d.string()?,
                has_catalogs: d.bool()?,
                head_event_id: d.option_i64()?,
                auth_mode: d.string()?,
                missing_methods: (0..d.length()?).map(|_| d.string()).collect::<Result<_, _>>()?,
                log_fault: None,
                database_id: None,
            })
        })?,
        lag_ms: None,
        next_run_at: None,
    };
    let endpoints = (0..d.length()?).map(|_| read_endpoint(&mut d)).collect::<Result<_, _>>()?;
    // Records written before there was one end here.
    if 0 < d.remaining() {
        let database_id = d.option_string()?;
        if let Some(facts) = &mut status.facts {
            facts.database_id = database_id;
        }
    }
    Ok((status, endpoints))
}

fn read_endpoint(d: &mut codec::Decoder<'_>) -> Result<EndpointStatus, Fault> {
    let word = |d: &mut codec::Decoder<'_>| {
        let word = d.str()?;
        let known = ENDPOINT_WORDS.into_iter().find(|known| *known == word);
        known.ok_or_else(|| unknown("endpoint word", word))
    };
    Ok(EndpointStatus {
        uri: d.string()?,
        state: word(d)?,
        latency_ms: d.option(|d| Ok(f64::from_bits(d.fixed()?)))?,
        last_ok_at: d.option_i64()?,
        error_message: d.option_string()?,
        found_by: word(d)?,
    })
}

pub(crate) fn run(run: &Run) -> Vec<u8> {
    let mut e = begin();
    e.u64(run.run_id).str(&run.kind).str(&run.state).i64(run.started_at).option_i64(run.finished_at);
    e.option_i64(run.start_event_id).u64(run.objects_read).u64(run.objects_changed);
    e.option_str(run.error_message.as_deref());
    e.0
}

pub(crate) fn read_run(bytes: &[u8]) -> Result<Run, Fault> {
    let mut d = open(bytes)?;
    Ok(Run {
        run_id: d.u64()?,
        kind: d.string()?,
        state: d.string()?,
        started_at: d.i64()?,
        finished_at: d.option_i64()?,
        start_event_id: d.option_i64()?,
        objects_read: d.u64()?,
        objects_changed: d.u64()?,
        error_message: d.option_string()?,
    })
}

pub(crate) fn events(rows: &[EventRow]) -> Vec<u8> {
    let mut e = begin();
    e.u64(rows.len() as u64);
    for row in rows {
        e.option_i64(row.event_id).str(&row.event_type).str(&row.catalog_name);
        e.option_str(row.database_name.as_deref()).option_str(row.table_name.as_deref());
        e.u64(row.partition_count).option_i64(row.event_at).i64(row.applied_at);
    }
    e.0
}

pub(crate) fn read_events(bytes: &[u8]) -> Result<Vec<EventRow>, Fault> {
    let mut d = open(bytes)?;
    (0..d.length()?)
        .map(|_| {
            Ok(EventRow {
                event_id: d.option_i64()?,
                event_type: d.string()?,
                catalog_name: d.string()?,
                database_name: d.option_string()?,
                table_name: d.option_string()?,
                partition_count: d.u64()?,
                event_at: d.option_i64()?,
                applied_at: d.i64()?,
            })
        })
        .collect()
}

fn write_name(e: &mut Encoder, name: &DatabaseName) {
    e.str(&name.catalog).str(&name.database);
}

fn read_name(d: &mut codec::Decoder<'_>) -> Result<DatabaseName, Fault> {
    Ok(DatabaseName { catalog: d.string()?, database: d.string()? })
}

pub(crate) fn object_error(seen: &SeenError) -> Vec<u8> {
    let (mut e, error) = (begin(), &seen.error);
    e.i64(seen.first_seen_at).i64(seen.last_seen_at).u64(seen.count);
    e.option(error.database.as_ref(), write_name);
    e.option_str(error.table_name.as_deref()).option_str(error.partition_name.as_deref());
    write_fault(&mut e, &error.fault);
    e.i64(error.at);
    e.0
}

pub(crate) fn read_object_error(bytes: &[u8]) -> Result<SeenError, Fault> {
    let mut d = open(bytes)?;
    let (first_seen_at, last_seen_at, count) = (d.i64()?, d.i64()?, d.u64()?);
    let error = ObjectError {
        database: d.option(read_name)?,
        table_name: d.option_string()?,
        partition_name: d.option_string()?,
        fault: read_fault(&mut d)?,
        at: d.i64()?,
    };
    Ok(SeenError { first_seen_at, last_seen_at, count, error })
}

pub(crate) fn missing_methods(methods: &[MissingMethod]) -> Vec<u8> {
    let mut e = begin();
    e.u64(methods.len() as u64);
    for missing in methods {
        e.str(&missing.method).str(&missing.object_kind);
    }
    e.0
}

pub(crate) fn read_missing_methods(bytes: &[u8]) -> Result<Vec<MissingMethod>, Fault> {
    let mut d = open(bytes)?;
    (0..d.length()?).map(|_| Ok(MissingMethod { method: d.string()?, object_kind: d.string()? })).collect()
}

/// A database by name, and two numbers.
pub(crate) fn named_numbers(name: &DatabaseName, first: u64, second: i64) -> Vec<u8> {
    let mut e = begin();
    write_name(&mut e, name);
    e.u64(first).i64(second);
    e.0
}

pub(crate) fn read_named_numbers(bytes: &[u8]) -> Result<(DatabaseName, u64, i64), Fault> {
    let mut d = open(bytes)?;
    Ok((read_name(&mut d)?, d.u64()?, d.i64()?))
}

pub(crate) fn dropped_tables(rows: &[DroppedTable]) -> Vec<u8> {
    let mut e = Encoder::default();
    e.u8(DROPPED_TABLES_VERSION).u64(rows.len() as u64);
    for row in rows {
        e.str(&row.catalog_name).str(&row.database_name).str(&row.table_name).u64(row.id.0);
        write_head(&mut e, &row.head);
        let totals = &row.totals;
        e.u64(totals.partition_count).i64(totals.row_count).u64(totals.row_count_known);
        e.i64(totals.total_size_bytes).u64(totals.total_size_known);
        e.i64(totals.file_count).u64(totals.file_count_known).i64(row.deleted_at);
        segment::write_stamp(&mut e, row.stamp);
    }
    e.0
}

pub(crate) fn read_dropped_tables(bytes: &[u8], interner: &mut Interner) -> Result<Vec<DroppedTable>, Fault> {
    let (version, mut d) = open_up_to(DROPPED_TABLES_VERSION, bytes)?;
    (0..d.length()?)
        .map(|_| {
            let mut table = DroppedTable {
                catalog_name: d.string()?,
                database_name: d.string()?,
                table_name: d.string()?,
                id: TableId(d.u64()?),
                head: read_head(&mut d, interner)?,
                totals: Totals {
                    partition_count: d.u64()?,
                    row_count: d.i64()?,
                    row_count_known: d.u64()?,
                    total_size_bytes: d.i64()?,
                    total_size_known: d.u64()?,
                    file_count: d.i64()?,
                    file_count_known: d.u64()?,
                },
                deleted_at: d.i64()?,
                stamp: Stamp::default(),
            };
            table.stamp = match version {
                VERSION => Stamp { synced_at: table.deleted_at, source_event_id: None },
                _ => segment::read_stamp(&mut d)?,
            };
            Ok(table)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dropped_tables_are_read_as_written_and_as_written_before_they_had_a_stamp() {
        let table = DroppedTable {
            catalog_name: "hive".into(),
            database_name: "d".into(),
            table_name: "t".into(),
            id: TableId(7),
            head: TableHead::default(),
            totals: Totals { partition_count: 3, ..Totals::default() },
            deleted_at: 50,
            stamp: Stamp { synced_at: 40, source_event_id: Some(9) },
        };
        let read = |bytes: &[u8]| {
            let table = read_dropped_tables(bytes, &mut Interner::default()).unwrap().remove(0);
            (table.id, table.totals.partition_count, table.deleted_at, table.stamp)
        };
        let mut bytes = dropped_tables(std::slice::from_ref(&table));
        assert_eq!(read(&bytes), (table.id, 3, 50, table.stamp));

        let mut stamp = Encoder::default();
        segment::write_stamp(&mut stamp, table.stamp);
        assert!(bytes.ends_with(&stamp.0));
        bytes.truncate(bytes.len() - stamp.0.len());
        bytes[0] = 1;
        let unknown = Stamp { synced_at: 50, source_event_id: None };
        assert_eq!(read(&bytes), (table.id, 3, 50, unknown));
        bytes[0] = 3;
        let newer = read_dropped_tables(&bytes, &mut Interner::default()).map(drop);
        assert_eq!(newer.unwrap_err().code, Code::STORE_FORMAT);
    }
}
