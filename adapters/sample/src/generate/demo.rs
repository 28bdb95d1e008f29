//! The databases of a company, spread over several metastores.
//!
//! A database that several metastores have is made alike in each, then differs where
//! [`differ`] says so. Planted on purpose, for questions and lessons:
//! - `web` on dc1: the older two fifths of every table's partitions lie on `hdfs://old-nn/`;
//! - shared databases: equal tables at one address (location conflicts), tables that lack a
//!   column, have another type or another address, and tables that only one metastore has;
//! - phone numbers, tables nobody altered for years, small files, transactional tables, columns that
//!   are mostly empty, a new table without partitions, names with odd characters.

use skep_catalog::model::{
    CatalogObject, Column, DatabaseName, Function, Partition, PrincipalType, Privilege, Table,
};

use super::Builder;
use super::table::{
    Format, PartitionPlan, column_statistics, columns, constraints, details, set_parameter, set_statistics,
    storage, table,
};
use super::words::{DATABASES, ENTITIES, FORMS, OWNERS};
use crate::partitions::Scheme;
use crate::random::{Random, mix, seed_of};

pub(super) fn fill(builder: &mut Builder<'_>) {
    let metastore = builder.spec.metastore_name.clone();
    let is_known = DATABASES.iter().any(|database| database.3.split(' ').any(|name| name == metastore));
    for (name, comment, owner, metastores) in DATABASES {
        let has = |wanted: &str| metastores.split(' ').any(|name| name == wanted);
        if has(&metastore) || (!is_known && metastores.split(' ').count() == 3) {
            fill_database(builder, name, comment, owner, metastores.contains(' '));
        }
    }
    grant(builder, "global", None, None, None, ("admin", PrincipalType::Role), "ALL");
    if builder.spec.generation.has_catalogs() {
        spark_catalog(builder);
        odd_names(builder);
    }
}

fn fill_database(builder: &mut Builder<'_>, name: &str, comment: &str, owner: &str, is_shared: bool) {
    let database = DatabaseName::new("hive", name);
    builder.database(&database, comment, owner);
    let seed = mix(builder.spec.seed, seed_of(name));
    let mut random = Random::new(seed);
    let count = 24 + random.below(23);
    let mut made: Vec<String> = Vec::with_capacity(count);
    let mut has_customers = false;
    for index in 0..count {
        // Database and index choose entity and form, so every metastore chooses alike.
        let place = random.below(ENTITIES.len());
        let entity = if index == 0 { 2 } else { place };
        let form = if index == 0 { "" } else { *random.pick(FORMS) };
        let prefix = match name {
            "ods" | "dwd" | "dws" | "ads" | "dim" => format!("{name}_"),
            "tmp" => "tmp_".to_owned(),
            _ => String::new(),
        };
        let mut table_name = format!("{prefix}{}{form}", ENTITIES[entity].0);
        if made.contains(&table_name) {
            table_name = format!("{table_name}_{index:02}");
        }
        made.push(table_name.clone());
        has_customers |= table_name == "customers";
        let shape = Shape { database: &database, name: table_name, entity, index, is_shared, has_customers };
        let table_seed = mix(seed, index as u64);
        if 8 < index && index % 10 == 9 {
            view(builder, &shape, &made[index / 2]);
        } else {
            physical(builder, &shape, table_seed);
        }
    }
    functions(builder, &database, owner, &mut random);
    grant(builder, "database", Some(&database), None, None, ("analyst", PrincipalType::Role), "SELECT");
    grant(builder, "database", Some(&database), None, None, (owner, PrincipalType::User), "ALL");
}

/// Which table is made.
struct Shape<'a> {
    database: &'a DatabaseName,
    name: String,
    entity: usize,
    index: usize,
    is_shared: bool,
    has_customers: bool,
}

fn physical(builder: &mut Builder<'_>, shape: &Shape<'_>, seed: u64) {
    let mut random = Random::new(seed);
    let spec = builder.spec;
    let is_lakehouse = spec.metastore_name == "lake";
    let draw = random.below(100);
    let format = match draw {
        0..40 => Format::Orc,
        40..70 => Format::Parquet,
        70..78 => Format::Text,
        78..82 => Format::Avro,
        82..88 => Format::Hudi,
        88..92 => Format::Delta,
        _ if is_lakehouse => Format::Iceberg,
        _ => Format::Parquet,
    };
    // One address for all metastores: external data on the object store.
    let is_external = shape.index % 4 == 1 || !format.has_partitions();
    let database = &shape.database.database;
    let mut location = match is_external {
        true => format!("s3a://company-data/{database}/{}", shape.name),
        false => format!("{}/{database}.db/{}", builder.warehouse(), shape.name),
    };
    let mut all_columns = columns(ENTITIES[shape.entity].1);
    if shape.is_shared && spec.metastore_name != "dc1" {
        match differ(shape.index) {
            Difference::None => {}
            Difference::Absent => return,
            Difference::Column => {
                all_columns.pop();
            }
            Difference::Type => {
                if let Some(column) = all_columns.iter_mut().rev().find(|c| c.data_type != "string") {
                    column.data_type = "string".to_owned();
                }
            }
            Difference::Location => {
                location = format!("{}-moved/{database}/{}", builder.warehouse(), shape.name)
            }
        }
    }
    let age_days = 40 + random.below(2_400) as i64;
    // Most are written to all the time; some were not touched for years.
    let altered_days = if random.percent(18) {
        age_days.min(400 + random.below(1_500) as i64)
    } else {
        random.below(90) as i64
    };
    let altered_days = altered_days.min(age_days);
    let owner = *random.pick(OWNERS);
    let mut table =
        table(&shape.name, owner, builder.days_ago(age_days), storage(all_columns, &location, format));
    table.parameters = format.parameters(&location, random.next());
    table.parameters.sort();
    let ddl_time = builder.days_ago(altered_days).to_string();
    set_parameter(&mut table.parameters, "transient_lastDdlTime", ddl_time);
    if random.percent(60) {
        let comment = format!("{}, {}", ENTITIES[shape.entity].0.replace('_', " "), database);
        set_parameter(&mut table.parameters, "comment", comment);
    }
    if is_external {
        "EXTERNAL_TABLE".clone_into(&mut table.table_type);
        set_parameter(&mut table.parameters, "EXTERNAL", "TRUE");
    }
    if format == Format::Orc && !is_external && shape.index % 3 == 2 {
        set_parameter(&mut table.parameters, "transactional", "true");
    }
    if shape.index % 12 == 4 {
        table.storage.bucket_count = 16;
        table.storage.bucket_columns =
            table.storage.columns.first().map(|c| c.name.clone()).into_iter().collect();
    }
    let has_small_files = random.percent(12);
    let draw = random.below(100);
    let scheme = match draw {
        _ if !format.has_partitions() => None,
        0..50 => Some(Scheme::Daily),
        50..57 => Some(Scheme::Hourly),
        57..68 => Some(Scheme::Regional),
        _ => None,
    };
    let plan = scheme.map(|scheme| {
        table.partition_keys = partition_keys(scheme);
        let count = match scheme {
            Scheme::Daily => 20 + random.below(90),
            Scheme::Hourly => 96 + random.below(150),
            Scheme::Regional => 36 + random.below(120),
        } as u32;
        let days = match scheme {
            Scheme::Daily => i64::from(count),
            Scheme::Hourly => i64::from(count.div_ceil(24)),
            Scheme::Regional => i64::from(count.div_ceil(crate::partitions::REGIONS.len() as u32)),
        };
        let is_on_old_nn = database == "web" && spec.metastore_name == "dc1";
        PartitionPlan {
            scheme,
            count,
            first_day: spec.today - altered_days - days + 1,
            old_root: is_on_old_nn.then(|| format!("hdfs://old-nn/warehouse/{database}.db/{}", shape.name)),
            files_mean: if has_small_files { 300 } else { 1 + random.below(20) as u64 },
            file_bytes_mean: if has_small_files {
                300_000
            } else {
                32_000_000 + random.below(200_000_000) as u64
            },
            seed: random.next(),
        }
    });
    if plan.is_none() {
        set_statistics(&mut table, &mut random, has_small_files);
    }
    builder.table(shape.database, &table, plan);
    let found = if random.percent(30) {
        constraints(&table, database, spec.generation, shape.has_customers)
    } else {
        Vec::new()
    };
    let statistics = if random.percent(25) { column_statistics(&table, &mut random) } else { Vec::new() };
    let name = shape.database.table(shape.name.as_str());
    let _ = builder.metastore.set_table_details(&name, details(found, statistics));
    for column in table.storage.columns.iter().filter(|column| column.name.contains("phone")) {
        let who = ("privacy_officer", PrincipalType::Role);
        grant(builder, "column", Some(shape.database), Some(&shape.name), Some(&column.name), who, "SELECT");
    }
    if random.percent(15) {
        let who = (*random.pick(OWNERS), PrincipalType::User);
        grant(builder, "table", Some(shape.database), Some(&shape.name), None, who, "INSERT");
    }
}

/// How a shared table differs elsewhere from what it is on dc1.
enum Difference {
    None,
    Absent,
    Column,
    Type,
    Location,
}

fn differ(index: usize) -> Difference {
    match index {
        // The tables that others refer to are alike everywhere.
        0 => Difference::None,
        _ if index % 13 == 12 => Difference::Absent,
        _ if index % 9 == 3 => Difference::Column,
        _ if index % 9 == 6 => Difference::Type,
        _ if index % 11 == 5 => Difference::Location,
        _ => Difference::None,
    }
}

fn partition_keys(scheme: Scheme) -> Vec<Column> {
    let key = |name: &str, comment: &str| Column {
        name: name.to_owned(),
        data_type: "string".to_owned(),
        comment: Some(comment.to_owned()),
    };
    let day = key("ds", "day, yyyy-mm-dd");
    match scheme {
        Scheme::Daily => vec![day],
        Scheme::Hourly => vec![day, key("hour", "hour of the day, 00 to 23")],
        Scheme::Regional => vec![day, key("region", "sales region")],
    }
}

fn view(builder: &mut Builder<'_>, shape: &Shape<'_>, base: &str) {
    let database = &shape.database.database;
    let all_columns = columns(ENTITIES[shape.entity].1);
    let first = all_columns.first().map(|column| column.name.clone()).unwrap_or_default();
    let mut table = table(
        &format!("v_{}", shape.name),
        "alice",
        builder.days_ago(300),
        storage(all_columns, "", Format::Text),
    );
    table.storage.location = None;
    "VIRTUAL_VIEW".clone_into(&mut table.table_type);
    table.view_original_text = Some(format!("select * from {base} where {first} is not null"));
    table.view_expanded_text =
        Some(format!("select `{base}`.* from `{database}`.`{base}` where `{base}`.`{first}` is not null"));
    set_parameter(&mut table.parameters, "transient_lastDdlTime", builder.days_ago(300).to_string());
    builder.table(shape.database, &table, None);
}

fn functions(builder: &mut Builder<'_>, database: &DatabaseName, owner: &str, random: &mut Random) {
    const FUNCTIONS: [(&str, &str); 5] = [
        ("mask_phone", "com.company.udf.MaskPhone"),
        ("to_usd", "com.company.udf.ToUsd"),
        ("geo_distance", "com.company.udf.GeoDistance"),
        ("parse_ua", "com.company.udf.ParseUserAgent"),
        ("week_of", "com.company.udf.WeekOf"),
    ];
    for (name, class) in FUNCTIONS {
        if !random.percent(30) {
            continue;
        }
        let function = Function {
            name: name.to_owned(),
            class_name: Some(class.to_owned()),
            owner_name: Some(owner.to_owned()),
            owner_type: Some(PrincipalType::User),
            create_time: builder.days_ago(700),
            resources: vec![("jar".to_owned(), "s3a://company-jars/udf-1.4.jar".to_owned())],
            unknown_hash: 0,
        };
        let _ = builder.metastore.create_function(database, &function);
    }
}

fn grant(
    builder: &mut Builder<'_>,
    object_kind: &'static str,
    database: Option<&DatabaseName>,
    table: Option<&str>,
    column: Option<&str>,
    (principal, principal_type): (&str, PrincipalType),
    privilege: &str,
) {
    let granted_time = builder.days_ago(500);
    builder.metastore.grant(Privilege {
        object_kind,
        database: database.cloned(),
        table_name: table.map(str::to_owned),
        partition_values: Vec::new(),
        column_name: column.map(str::to_owned),
        principal_name: principal.to_owned(),
        principal_type: Some(principal_type),
        privilege: privilege.to_owned(),
        grantor_name: Some("admin".to_owned()),
        granted_time,
        has_grant_option: privilege == "ALL",
    });
}

/// A second catalog, as Spark sites have it.
fn spark_catalog(builder: &mut Builder<'_>) {
    let catalog = CatalogObject {
        name: "spark".to_owned(),
        description: Some("Tables of Spark jobs".to_owned()),
        location: Some(format!("{}/spark", builder.warehouse())),
        create_time: Some(builder.days_ago(600)),
        unknown_hash: 0,
    };
    let _ = builder.metastore.create_catalog(&catalog);
    let database = DatabaseName::new("spark", "analytics");
    builder.database(&database, "Notebooks and jobs", "chen_wei");
    for (index, (entity, text)) in ENTITIES.iter().enumerate().take(8) {
        let location = format!("{}/spark/analytics.db/{entity}", builder.warehouse());
        let mut table = table(
            entity,
            "chen_wei",
            builder.days_ago(200),
            storage(columns(text), &location, Format::Parquet),
        );
        set_parameter(&mut table.parameters, "spark.sql.create.version", "3.5.9");
        set_parameter(&mut table.parameters, "spark.sql.sources.provider", "parquet");
        let seed = mix(builder.spec.seed, index as u64);
        set_statistics(&mut table, &mut Random::new(seed), false);
        builder.table(&database, &table, None);
    }
}

/// Names that Hive allows from 3.1 on and that nobody expects.
fn odd_names(builder: &mut Builder<'_>) {
    let database = DatabaseName::new("hive", "lab");
    builder.database(&database, "Names to be careful with: 'quotes', \"more\", 100 % \u{1f41d}", "chen_wei");
    for name in ["events-2024", "a/b test", "50%_off", "report (final)", "sales@eu", "x;y", "$cash.flow"] {
        let location = format!("s3a://company-data/lab/{}", name.replace(['/', ' ', '%', ';'], "_"));
        let columns = columns("id bigint, `note` string, value double");
        let table = table(name, "chen_wei", builder.days_ago(90), storage(columns, &location, Format::Orc));
        builder.table(&database, &table, None);
    }
    // Made this week and still empty.
    let location = "s3a://company-data/lab/signups_by_day";
    let columns_of_signups = columns("customer_id bigint, channel string");
    let storage_of_signups = storage(columns_of_signups, location, Format::Orc);
    let mut signups: Table = table("signups_by_day", "chen_wei", builder.days_ago(2), storage_of_signups);
    signups.partition_keys = partition_keys(Scheme::Daily);
    builder.table(&database, &signups, None);
    let mut cities: Table = table(
        "by_city",
        "chen_wei",
        builder.days_ago(90),
        storage(columns("id bigint, people int"), "s3a://company-data/lab/by_city", Format::Orc),
    );
    cities.partition_keys =
        vec![Column { name: "city".to_owned(), data_type: "string".to_owned(), comment: None }];
    builder.table(&database, &cities, None);
    let partition = |city: &str, index: usize| Partition {
        values: vec![city.to_owned()],
        create_time: builder.days_ago(60),
        storage: skep_catalog::model::StorageDescriptor {
            location: Some(format!("s3a://company-data/lab/by_city/{index:02}")),
            ..cities.storage.clone()
        },
        parameters: vec![
            ("numFiles".to_owned(), "1".to_owned()),
            ("totalSize".to_owned(), "1000".to_owned()),
        ],
        ..Default::default()
    };
    let names = [
        "São Paulo",
        "東京",
        "a/b=c%",
        "__HIVE_DEFAULT_PARTITION__",
        "it's",
        "x:y?z",
        "{curly}",
        "Zürich \u{1f41d}",
    ];
    let partitions: Vec<_> = names.iter().enumerate().map(|(index, city)| partition(city, index)).collect();
    let _ = builder.metastore.add_partitions(&database.table("by_city"), &partitions);
}
