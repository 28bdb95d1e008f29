//! Sample data: what a metastore holds before anybody changes it.
//!
//! Invariant: a [`SampleSpec`] is all that the data depends on.

mod bench;
mod demo;
mod table;
#[cfg(test)]
mod tests;
mod words;

use skep_catalog::model::DatabaseName;

use crate::generation::Generation;
use crate::metastore::Metastore;
use crate::partitions::{Made, Partitions, split_at_location};
use crate::raw::RawStruct;

/// Which data a sample metastore begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The database `default` and nothing in it.
    Empty,
    /// Databases of a company, as `demo_metastores` has them. What is in it depends on the
    /// metastore's name: `dc1`, `dc2` and `lake` share some databases and differ in others; any
    /// other name has those that all share.
    Company,
    /// Many tables of the same shape, their partitions made when they are asked for.
    Bench {
        /// Tables, in databases of at most 100.
        tables: u32,
        /// Partitions of each table.
        partitions_per_table: u32,
        /// Columns of each table, without partition keys.
        columns: u32,
    },
}

/// Everything that the data of a sample metastore depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSpec {
    /// Name of the metastore; part of its locations.
    pub metastore_name: String,
    /// Hive generation that it plays.
    pub generation: Generation,
    /// The data.
    pub content: Content,
    /// Whether a notification listener is configured; without one the event id stays 0.
    pub has_events: bool,
    /// Other seeds give other sizes and dates.
    pub seed: u64,
    /// The day that the data was last written, in days since 1970.
    pub today: i64,
}

impl SampleSpec {
    /// A metastore with events, whose last day is 2026-01-01.
    pub fn new(name: impl Into<String>, generation: Generation, content: Content) -> Self {
        Self { metastore_name: name.into(), generation, content, has_events: true, seed: 1, today: 20_454 }
    }

    /// The same without a notification listener.
    pub fn without_events(mut self) -> Self {
        self.has_events = false;
        self
    }

    /// Makes the data.
    pub fn build(&self) -> Metastore {
        let mut builder = Builder { spec: self, metastore: Metastore::new(self.generation) };
        builder.database(&DatabaseName::new("hive", "default"), "Default Hive database", "public");
        match self.content {
            Content::Empty => {}
            Content::Company => demo::fill(&mut builder),
            Content::Bench { tables, partitions_per_table, columns } => {
                bench::fill(&mut builder, tables, partitions_per_table, columns);
            }
        }
        let mut metastore = builder.metastore;
        metastore.set_database_id(format!("database of {}", self.metastore_name));
        if self.has_events {
            metastore.start_events();
        }
        metastore
    }
}

/// The three metastores of `skep demo`: `dc1` (Hive 2.3), `dc2` (3.1) and `lake` (4.2), with about
/// 60 databases, 2,000 tables and 100,000 partitions. Dates end today.
pub fn demo_metastores() -> Vec<SampleSpec> {
    let today = crate::metastore::now_seconds() / 86_400;
    [("dc1", Generation::V2_3), ("dc2", Generation::V3_1), ("lake", Generation::V4_2)]
        .into_iter()
        .map(|(name, generation)| SampleSpec { today, ..SampleSpec::new(name, generation, Content::Company) })
        .collect()
}

/// A metastore of any size for benchmarks: memory grows with the tables, not the partitions.
pub fn bench_spec(tables: u32, partitions_per_table: u32, columns: u32) -> SampleSpec {
    let content = Content::Bench { tables, partitions_per_table, columns };
    SampleSpec::new("bench", Generation::V3_1, content)
}

/// What the generators write into.
struct Builder<'a> {
    spec: &'a SampleSpec,
    metastore: Metastore,
}

impl Builder<'_> {
    /// Seconds since 1970 at a time so many days ago.
    fn days_ago(&self, days: i64) -> i64 {
        (self.spec.today - days) * 86_400 + 10_800
    }

    /// Where managed data of this metastore lies.
    fn warehouse(&self) -> String {
        format!("hdfs://{}-nn/warehouse", self.spec.metastore_name)
    }

    fn database(&mut self, name: &DatabaseName, comment: &str, owner: &str) {
        let location = format!("{}/{}.db", self.warehouse(), name.database);
        let database = skep_catalog::model::Database {
            name: name.database.clone(),
            catalog_name: Some(name.catalog.clone()),
            description: Some(comment.to_owned()),
            location: Some(location),
            owner_name: Some(owner.to_owned()),
            owner_type: Some(if owner == "public" {
                skep_catalog::model::PrincipalType::Role
            } else {
                skep_catalog::model::PrincipalType::User
            }),
            create_time: Some(self.days_ago(2_000)),
            managed_location: None,
            parameters: vec![("team".to_owned(), owner.to_owned())],
            unknown_hash: 0,
        };
        // Generated names are unique; a second one changes nothing.
        let _ = self.metastore.create_database(&database);
    }

    /// Creates a table with partitions that are made on demand: how many, from the plan.
    fn table(
        &mut self,
        database: &DatabaseName,
        table: &skep_catalog::model::Table,
        plan: Option<table::PartitionPlan>,
    ) {
        let id = self.metastore.next_table_id();
        let fields = crate::encode::table(table, self.spec.generation, id);
        let partitions = plan.and_then(|plan| {
            let raw = RawStruct::parse(&crate::raw::with_stop(&fields)).ok()?;
            let storage = split_at_location(raw.get(7, skep_hms::thrift::Kind::Struct)?)?;
            let root = table.storage.location.clone()?;
            let count = plan.count;
            Some(Partitions::made(Made {
                scheme: plan.scheme,
                count,
                first_day: plan.first_day,
                old_root: plan.old_root.map(|old| (count * 2 / 5, old)),
                root,
                files_mean: plan.files_mean,
                file_bytes_mean: plan.file_bytes_mean,
                seed: plan.seed,
                has_write_id: self.spec.generation >= Generation::V4_0,
                storage,
            }))
        });
        let _ = self.metastore.put_new_table(
            database.table(table.name.as_str()),
            fields,
            partitions.unwrap_or_default(),
        );
    }
}
