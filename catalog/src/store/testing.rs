//! Objects and a wire form for tests of the store.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::codec::{Decoder as Read, Encoder};
use super::{Catalog, StoreOptions};
use crate::change::{Origin, Stamp};
use crate::fault::{Code, Fault};
use crate::model::*;
use crate::ports::{Clock, Decoder};
use crate::snapshot::MetastoreSettings;

/// Values as text fields; enough for what the store looks at.
pub(crate) struct Wire;

fn damaged() -> Fault {
    Fault::new(Code::STORE_DAMAGED, "test wire", "bad bytes")
}

impl Decoder for Wire {
    fn catalog(&self, raw: &[u8]) -> Result<CatalogObject, Fault> {
        Ok(CatalogObject { name: Read::new(raw).string()?, ..Default::default() })
    }
    fn database(&self, raw: &[u8]) -> Result<Database, Fault> {
        let mut d = Read::new(raw);
        Ok(Database { name: d.string()?, description: d.option_string()?, ..Default::default() })
    }
    fn table(&self, raw: &[u8]) -> Result<Table, Fault> {
        let mut d = Read::new(raw);
        let mut table = Table { name: d.string()?, ..Default::default() };
        table.storage.location = d.option_string()?;
        table.parameters = parameters_of(&mut d)?;
        if d.bool()? {
            table.partition_keys =
                vec![Column { name: "ds".into(), data_type: "string".into(), comment: None }];
        }
        Ok(table)
    }
    fn partition(&self, raw: &[u8]) -> Result<Partition, Fault> {
        let mut d = Read::new(raw);
        let mut partition =
            Partition { values: vec![d.string()?], create_time: d.i64()?, ..Default::default() };
        partition.storage.location = d.option_string()?;
        partition.parameters = parameters_of(&mut d)?;
        if d.remaining() == 0 { Ok(partition) } else { Err(damaged()) }
    }
    fn function(&self, raw: &[u8]) -> Result<Function, Fault> {
        let mut d = Read::new(raw);
        Ok(Function { name: d.string()?, class_name: d.option_string()?, ..Default::default() })
    }
    fn constraint(&self, _: ConstraintKind, _: &[u8]) -> Result<ConstraintColumn, Fault> {
        Err(damaged())
    }
    fn column_statistic(&self, raw: &[u8]) -> Result<ColumnStatistic, Fault> {
        let mut d = Read::new(raw);
        Ok(ColumnStatistic { column_name: d.string()?, null_count: d.option_i64()?, ..Default::default() })
    }
    fn privilege(&self, raw: &[u8]) -> Result<Privilege, Fault> {
        let mut d = Read::new(raw);
        Ok(privilege_value(d.str()?, d.str()?))
    }
}

fn privilege_value(principal: &str, privilege: &str) -> Privilege {
    Privilege {
        object_kind: "global",
        database: None,
        table_name: None,
        partition_values: Vec::new(),
        column_name: None,
        principal_name: principal.into(),
        principal_type: None,
        privilege: privilege.into(),
        grantor_name: None,
        granted_time: 0,
        has_grant_option: false,
    }
}

fn parameters_of(d: &mut Read<'_>) -> Result<Parameters, Fault> {
    (0..d.length()?).map(|_| Ok((d.string()?, d.string()?))).collect()
}

fn parameters(e: &mut Encoder, parameters: &[(&str, String)]) {
    e.u64(parameters.len() as u64);
    for (key, value) in parameters {
        e.str(key).str(value);
    }
}

pub(crate) fn catalog(name: &str) -> Item<CatalogObject> {
    let mut e = Encoder::default();
    e.str(name);
    Item { value: Wire.catalog(&e.0).unwrap(), raw: e.0.into() }
}

pub(crate) fn database(name: &str, description: &str) -> Item<Database> {
    let mut e = Encoder::default();
    e.str(name).option_str(Some(description));
    Item { value: Wire.database(&e.0).unwrap(), raw: e.0.into() }
}

/// A table under `/w/<name>`, `marks` telling versions of it apart.
pub(crate) fn table(name: &str, marks: i64, is_partitioned: bool) -> Item<Table> {
    let mut e = Encoder::default();
    e.str(name).option_str(Some(&format!("/w/{name}")));
    parameters(&mut e, &[("numRows", marks.to_string()), ("owner", format!("o{}", marks % 3))]);
    e.bool(is_partitioned);
    Item { value: Wire.table(&e.0).unwrap(), raw: e.0.into() }
}

/// The partition `ds=<value>` of a table under `/w/<table>`.
pub(crate) fn partition(table: &str, value: &str, rows: i64) -> (String, Item<Partition>) {
    let name = format!("ds={value}");
    let location = match rows.rem_euclid(5) {
        0 => None,
        1 => Some(format!("/elsewhere/{rows}/{name}")),
        _ => Some(format!("/w/{table}/{name}")),
    };
    let mut e = Encoder::default();
    e.str(value).i64(1_700_000_000 + rows % 1000).option_str(location.as_deref());
    let mut list = vec![("numFiles", (rows % 7).to_string())];
    if rows % 4 != 0 {
        list.push(("numRows", rows.to_string()));
        list.push(("totalSize", rows.saturating_mul(1000).to_string()));
    }
    list.push(("transient_lastDdlTime", (1_700_000_000 + rows % 100).to_string()));
    parameters(&mut e, &list);
    (name, Item { value: Wire.partition(&e.0).unwrap(), raw: e.0.into() })
}

pub(crate) fn function(name: &str, class: &str) -> Item<Function> {
    let mut e = Encoder::default();
    e.str(name).option_str(Some(class));
    Item { value: Wire.function(&e.0).unwrap(), raw: e.0.into() }
}

pub(crate) fn details(nulls: i64) -> TableDetails {
    let mut e = Encoder::default();
    e.str("c").option_i64(Some(nulls));
    let item = Item { value: Wire.column_statistic(&e.0).unwrap(), raw: e.0.into() };
    TableDetails { constraints: Vec::new(), column_statistics: vec![item] }
}

pub(crate) fn privilege(principal: &str, privilege: &str) -> Item<Privilege> {
    let mut e = Encoder::default();
    e.str(principal).str(privilege);
    Item { value: privilege_value(principal, privilege), raw: e.0.into() }
}

/// A clock that stands still.
pub(crate) struct Stopped;

impl Clock for Stopped {
    fn now_micros(&self) -> i64 {
        1_700_000_000_000_000
    }
}

pub(crate) fn settings(name: &str) -> MetastoreSettings {
    MetastoreSettings {
        name: name.into(),
        uris: vec!["thrift://localhost:9083".into()],
        follow: "auto".into(),
        origin: "config",
    }
}

pub(crate) fn open(path: &std::path::Path) -> Arc<Catalog> {
    let options = StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::default() };
    Catalog::open(path, options, Arc::new(Wire), Arc::new(Stopped)).unwrap().0
}

pub(crate) fn origin(metastore: MetastoreId, at: i64) -> Origin {
    Origin { metastore, stamp: Stamp { synced_at: at, source_event_id: Some(at) } }
}

pub(crate) fn db(name: &str) -> DatabaseName {
    DatabaseName::new(DEFAULT_CATALOG, name)
}
