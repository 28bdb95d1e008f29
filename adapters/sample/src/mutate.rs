//! A stream of changes for tests and benchmarks: the same for the same seed and the same data.

use skep_catalog::model::{Column, Partition, StorageDescriptor, Table, TableName};
use skep_hms::dates::write_date;

use crate::metastore::Metastore;
use crate::random::Random;

/// Changes a metastore again and again.
#[derive(Debug)]
pub struct Churn {
    random: Random,
    /// Tables that are changed, in no order.
    tables: Vec<TableName>,
    /// Numbers new names.
    next_name: u64,
    has_table_changes: bool,
}

impl Churn {
    /// Over at most `tables_max` tables of the metastore, chosen by `seed`.
    pub fn new(metastore: &Metastore, seed: u64, tables_max: usize) -> Self {
        let mut random = Random::new(seed);
        let mut tables = metastore.table_names();
        while tables.len() > tables_max {
            let at = random.below(tables.len());
            tables.swap_remove(at);
        }
        Self { random, tables, next_name: 0, has_table_changes: true }
    }

    /// The same with changes of partitions only.
    pub fn partitions_only(mut self) -> Self {
        self.has_table_changes = false;
        self
    }

    /// Makes changes until `events` more events are in the log (or as many changes are made,
    /// without a log): of 100 about 50 add partitions, 25 alter one, 10 drop some, 15 create,
    /// alter, rename or drop a table. Gives how many were made.
    pub fn run(&mut self, metastore: &mut Metastore, events: usize) -> usize {
        let mut made = 0;
        let mut idle = 0;
        while made < events && idle < 10_000 {
            match self.step(metastore) {
                true => (made, idle) = (made + 1, 0),
                false => idle += 1,
            }
        }
        made
    }

    fn step(&mut self, metastore: &mut Metastore) -> bool {
        if self.tables.is_empty() {
            return self.has_table_changes && self.create(metastore);
        }
        let at = self.random.below(self.tables.len());
        let draw = self.random.below(if self.has_table_changes { 100 } else { 85 });
        match draw {
            0..50 => self.add(metastore, at),
            50..75 => self.alter(metastore, at),
            75..85 => self.drop_partitions(metastore, at),
            85..91 => self.alter_table(metastore, at),
            91..95 => self.create(metastore),
            95..98 => self.rename(metastore, at),
            _ => self.drop_table(metastore, at),
        }
    }

    /// One to five partitions, on days long after all others.
    fn add(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        let table = &self.tables[at];
        let Some(entry) = metastore.table(table).filter(|entry| !entry.keys.is_empty()) else { return false };
        let keys = entry.keys.len();
        let count = 1 + self.random.below(5);
        let partitions: Vec<_> = (0..count)
            .map(|_| {
                self.next_name += 1;
                let mut day = String::new();
                write_date(&mut day, 40_000 + (self.next_name / 24) as i64);
                let values: Vec<_> = [day, format!("{:02}", self.next_name % 24)]
                    .into_iter()
                    .chain((2..keys).map(|key| format!("v{key}")))
                    .take(keys)
                    .collect();
                // With one key the day must be new by itself.
                let values = match keys {
                    1 => vec![format!("{}-{:06}", values[0], self.next_name)],
                    _ => values,
                };
                partition(values, &format!("hdfs://churn-nn/{}/{}", table.table, self.next_name))
            })
            .collect();
        metastore.add_partitions(table, &partitions).is_ok()
    }

    fn alter(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        let Some(name) = self.pick_partition(metastore, at) else { return false };
        let table = &self.tables[at];
        if self.random.percent(20) {
            let location = format!("hdfs://churn-nn/moved/{}/{}", table.table, self.random.below(1_000_000));
            return metastore.set_partition_location(table, &name, &location).is_ok();
        }
        let rows = self.random.below(1_000_000).to_string();
        metastore.set_partition_parameter(table, &name, "numRows", &rows).is_ok()
    }

    fn drop_partitions(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        let Some(name) = self.pick_partition(metastore, at) else { return false };
        metastore.drop_partitions(&self.tables[at], &[name]).is_ok()
    }

    fn pick_partition(&mut self, metastore: &Metastore, at: usize) -> Option<String> {
        let entry = metastore.table(&self.tables[at])?;
        entry.partitions.pick(&entry.keys, self.random.next())
    }

    fn alter_table(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        let value = self.random.below(1_000_000).to_string();
        metastore.set_table_parameter(&self.tables[at], "churn", &value).is_ok()
    }

    fn create(&mut self, metastore: &mut Metastore) -> bool {
        let database = match self.tables.is_empty() {
            true => metastore.table_names().first().map(|name| name.database.clone()),
            false => Some(self.tables[self.random.below(self.tables.len())].database.clone()),
        };
        let database = database.unwrap_or_else(|| skep_catalog::model::DatabaseName::new("hive", "default"));
        self.next_name += 1;
        let name = database.table(format!("churn_{}", self.next_name));
        let key =
            |name: &str| Column { name: name.to_owned(), data_type: "string".to_owned(), comment: None };
        let table = Table {
            name: name.table.clone(),
            owner_name: Some("churn".to_owned()),
            create_time: 1_767_225_600,
            storage: storage(&format!("hdfs://churn-nn/{}", name.table)),
            partition_keys: vec![key("ds"), key("hour")],
            table_type: "MANAGED_TABLE".to_owned(),
            ..Default::default()
        };
        let is_made = metastore.create_table(&database, &table).is_ok();
        if is_made {
            self.tables.push(name);
        }
        is_made
    }

    fn rename(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        self.next_name += 1;
        let from = &self.tables[at];
        let to = from.database.table(format!("churn_{}", self.next_name));
        let is_made = metastore.rename_table(from, &to).is_ok();
        if is_made {
            self.tables[at] = to;
        }
        is_made
    }

    fn drop_table(&mut self, metastore: &mut Metastore, at: usize) -> bool {
        let name = self.tables.swap_remove(at);
        metastore.drop_table(&name).is_ok()
    }
}

fn storage(location: &str) -> StorageDescriptor {
    let column = |name: &str, data_type: &str| Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        comment: None,
    };
    StorageDescriptor {
        columns: vec![column("id", "bigint"), column("phone", "string"), column("amount", "decimal(18,2)")]
            .into(),
        location: Some(location.to_owned()),
        ..Default::default()
    }
}

fn partition(values: Vec<String>, location: &str) -> Partition {
    Partition {
        values,
        create_time: 1_767_225_600,
        storage: storage(location),
        parameters: vec![("numFiles".to_owned(), "1".to_owned()), ("numRows".to_owned(), "10".to_owned())],
        ..Default::default()
    }
}
