//! Changing partitions.

use skep_catalog::model::{Partition, TableName, partition_name};

use super::{Metastore, no_table};
use crate::encode;
use crate::generation::Generation;
use crate::log::{Happening, TableImage};
use crate::partitions::Kept;
use crate::raw::RawStruct;
use crate::refusal::{Exception, Outcome, refuse};

impl Metastore {
    fn image(&self, name: &TableName) -> Outcome<TableImage> {
        match self.table(name) {
            Some(entry) => Ok(entry.image(name)),
            None => no_table(name, self.generation),
        }
    }

    /// Adds partitions: all or none, one event.
    ///
    /// Errors: the table does not exist, a partition is there already, values do not fit the keys.
    pub fn add_partitions(&mut self, name: &TableName, partitions: &[Partition]) -> Outcome<()> {
        let kept = partitions.iter().map(encode::partition).collect();
        self.add_kept(name, kept, false).map(|_| ())
    }

    /// Adds partitions; those that exist are an error or left out. Gives the added ones.
    pub(crate) fn add_kept(
        &mut self,
        name: &TableName,
        mut kept: Vec<Kept>,
        is_existing_skipped: bool,
    ) -> Outcome<Vec<Kept>> {
        let image = self.image(name).or_else(|_| {
            let message = format!("Unable to add partitions because table {name} does not exist");
            refuse(Exception::InvalidObject, message)
        })?;
        let entry = self.table_mut(name)?;
        let keys = entry.keys.clone();
        if let Some(wrong) = kept.iter().find(|partition| partition.values.len() != keys.len()) {
            let message = format!("{} values for {} partition keys", wrong.values.len(), keys.len());
            return refuse(Exception::InvalidObject, message);
        }
        let path = |partition: &Kept| partition_name(&keys, &partition.values);
        if is_existing_skipped {
            kept.retain(|partition| entry.partitions.get(&keys, &path(partition)).is_none());
        } else if let Some(there) = kept.iter().find(|p| entry.partitions.get(&keys, &path(p)).is_some()) {
            let message = format!("Partition already exists: {}", path(there));
            return refuse(Exception::AlreadyExists, message);
        }
        for partition in &kept {
            entry.partitions.put(&keys, partition.clone());
        }
        if !kept.is_empty() {
            self.note(Happening::AddPartitions(image, kept.clone()));
        }
        Ok(kept)
    }

    /// Alters partitions: an event each, or one for all where `is_plural` and the generation
    /// knows that (4.2).
    ///
    /// Errors: the table or one of the partitions does not exist; nothing is changed then.
    pub fn alter_partitions(
        &mut self,
        name: &TableName,
        partitions: &[Partition],
        is_plural: bool,
    ) -> Outcome<()> {
        self.alter_kept(name, partitions.iter().map(encode::partition).collect(), is_plural)
    }

    pub(crate) fn alter_kept(&mut self, name: &TableName, kept: Vec<Kept>, is_plural: bool) -> Outcome<()> {
        let is_plural = is_plural && self.generation >= Generation::V4_2;
        let is_logged = self.log.is_enabled();
        let image =
            self.image(name).or_else(|refusal| refuse(Exception::InvalidOperation, refusal.message))?;
        let entry = self.table_mut(name)?;
        let keys = entry.keys.clone();
        let mut changes = Vec::with_capacity(kept.len());
        for after in kept {
            let path = partition_name(&keys, &after.values);
            let Some(before) = entry.partitions.get(&keys, &path) else {
                let message = format!("alter is not possible: partition {path} of {name} does not exist");
                return refuse(Exception::InvalidOperation, message);
            };
            let before = (is_logged && !is_plural).then(|| before.to_kept(&path));
            changes.push((before, after));
        }
        for (_, after) in &changes {
            entry.partitions.put(&keys, after.clone());
        }
        if is_plural {
            let after = changes.into_iter().map(|(_, after)| after).collect();
            self.note(Happening::AlterPartitions(image, after));
        } else {
            for (before, after) in changes {
                if let Some(before) = before {
                    self.note(Happening::AlterPartition { table: image.clone(), before, after });
                }
            }
        }
        Ok(())
    }

    /// Sets a parameter of a partition.
    ///
    /// Errors: it does not exist.
    pub fn set_partition_parameter(
        &mut self,
        table: &TableName,
        partition: &str,
        key: &str,
        value: &str,
    ) -> Outcome<()> {
        self.edit_partition(table, partition, |raw| raw.set_pair(7, key, value))
    }

    /// Moves a partition to another address.
    ///
    /// Errors: it does not exist.
    pub fn set_partition_location(
        &mut self,
        table: &TableName,
        partition: &str,
        location: &str,
    ) -> Outcome<()> {
        self.edit_partition(table, partition, |raw| {
            let mut storage = raw.structure(6).unwrap_or_default();
            storage.set_text(2, location);
            raw.set_structure(6, &storage);
        })
    }

    fn edit_partition(
        &mut self,
        table: &TableName,
        partition: &str,
        edit: impl FnOnce(&mut RawStruct),
    ) -> Outcome<()> {
        let found = self.table(table).and_then(|entry| entry.partitions.get(&entry.keys, partition));
        let Some(found) = found else {
            return refuse(
                Exception::InvalidOperation,
                format!("partition {partition} of {table} does not exist"),
            );
        };
        let before = found.to_kept(partition);
        let mut raw = before.raw();
        edit(&mut raw);
        self.alter_kept(table, vec![Kept { values: before.values, fields: raw.fields() }], false)
    }

    /// Drops partitions by name: all or none, one event.
    ///
    /// Errors: the table or one of the partitions does not exist.
    pub fn drop_partitions(&mut self, table: &TableName, names: &[String]) -> Outcome<()> {
        let image = self.image(table)?;
        let entry = self.table_mut(table)?;
        let keys = entry.keys.clone();
        let mut dropped = Vec::with_capacity(names.len());
        for name in names {
            match entry.partitions.get(&keys, name) {
                Some(found) => dropped.push(found.values()),
                None => {
                    return refuse(
                        Exception::NoSuchObject,
                        format!("partition {name} of {table} doesn't exist"),
                    );
                }
            }
        }
        for name in names {
            entry.partitions.remove(&keys, name);
        }
        if !dropped.is_empty() {
            self.note(Happening::DropPartitions(image, dropped));
        }
        Ok(())
    }

    /// Gives a partition other values: one ALTER_PARTITION event with the old values before and
    /// the new ones after.
    ///
    /// Errors: it does not exist, or there is one with the new values.
    pub fn rename_partition(&mut self, table: &TableName, from: &str, values: &[String]) -> Outcome<()> {
        let found = self.table(table).and_then(|entry| entry.partitions.get(&entry.keys, from));
        let Some(found) = found else {
            return refuse(
                Exception::InvalidOperation,
                format!("partition {from} of {table} does not exist"),
            );
        };
        let fields = found.to_kept(from).fields;
        self.rename_kept(table, from, Kept { values: values.to_vec(), fields })
    }

    pub(crate) fn rename_kept(&mut self, table: &TableName, from: &str, after: Kept) -> Outcome<()> {
        let image = self.image(table).or_else(|r| refuse(Exception::InvalidOperation, r.message))?;
        let entry = self.table_mut(table)?;
        let keys = entry.keys.clone();
        let to = partition_name(&keys, &after.values);
        if after.values.len() != keys.len() {
            return refuse(Exception::InvalidOperation, "values do not fit the partition keys");
        }
        let Some(before) = entry.partitions.get(&keys, from).map(|found| found.to_kept(from)) else {
            return refuse(
                Exception::InvalidOperation,
                format!("partition {from} of {table} does not exist"),
            );
        };
        if to != from && entry.partitions.get(&keys, &to).is_some() {
            return refuse(Exception::InvalidOperation, format!("Partition already exists:{table}.{to}"));
        }
        entry.partitions.remove(&keys, from);
        entry.partitions.put(&keys, after.clone());
        self.note(Happening::AlterPartition { table: image, before, after });
        Ok(())
    }
}
