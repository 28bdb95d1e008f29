//! Many tables of one shape.

use skep_catalog::model::{Column, DatabaseName};

use super::Builder;
use super::table::{Format, PartitionPlan, set_parameter, storage, table};
use crate::partitions::Scheme;
use crate::random::{Random, mix};

/// Tables of one database.
const TABLES_PER_DATABASE: u32 = 100;

/// More partitions than this have an hour beside the date.
const DAYS_MAX: u32 = 4_000;

const TYPES: [&str; 6] = ["bigint", "string", "int", "double", "timestamp", "decimal(18,2)"];

pub(super) fn fill(builder: &mut Builder<'_>, tables: u32, partitions_per_table: u32, columns: u32) {
    let (scheme, keys) = match partitions_per_table > DAYS_MAX {
        true => (Scheme::Hourly, &["ds", "hour"][..]),
        false => (Scheme::Daily, &["ds"][..]),
    };
    let days = partitions_per_table.div_ceil(if scheme == Scheme::Hourly { 24 } else { 1 });
    for index in 0..tables {
        let database = DatabaseName::new("hive", format!("bench_{:04}", index / TABLES_PER_DATABASE));
        if index % TABLES_PER_DATABASE == 0 {
            builder.database(&database, "Benchmark", "etl");
        }
        let mut random = Random::new(mix(builder.spec.seed, u64::from(index)));
        let name = format!("fact_{index:06}");
        let location = format!("{}/{}.db/{name}", builder.warehouse(), database.database);
        let column = |at: u32| Column {
            name: format!("c{at:04}_{}", ["id", "name", "count", "ratio", "at", "amount"][at as usize % 6]),
            data_type: TYPES[at as usize % TYPES.len()].to_owned(),
            comment: None,
        };
        let format = if random.percent(50) { Format::Orc } else { Format::Parquet };
        let storage = storage((0..columns).map(column).collect(), &location, format);
        let mut table = table(&name, "etl", builder.days_ago(i64::from(days)), storage);
        let key =
            |name: &&str| Column { name: (*name).to_owned(), data_type: "string".to_owned(), comment: None };
        table.partition_keys = keys.iter().map(key).collect();
        table.parameters = format.parameters(&location, random.next());
        set_parameter(&mut table.parameters, "transient_lastDdlTime", builder.days_ago(0).to_string());
        let plan = PartitionPlan {
            scheme,
            count: partitions_per_table,
            first_day: builder.spec.today - i64::from(days) + 1,
            old_root: None,
            files_mean: 4 + random.below(12) as u64,
            file_bytes_mean: 64 << 20,
            seed: random.next(),
        };
        builder.table(&database, &table, Some(plan));
    }
}
