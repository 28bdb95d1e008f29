//! The mirror equals what an independent reader sees, field by field.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use skep_tests::harness::live::open_catalog;
use skep_tests::harness::{Dumped, Metastore, Release, Skep};

use crate::equal::assert_equal;

/// `skep sync` of a filled metastore, compared in bytes and in SQL.
fn mirror_equals_independent_reader(release: Release) {
    let metastore = Metastore::start(release);
    metastore.fill(2_000);
    let skep = Skep::of(&[("real", metastore.uri())]);
    skep.sync();
    let dump = metastore.dump();
    let catalog = open_catalog(&skep.data_folder());
    assert_equal(&catalog, "real", &dump);
    drop(catalog);
    for (sql, expected) in questions(&dump) {
        assert_rows(&sql, skep.rows(&sql), expected);
    }
    // The catalogs themselves are no raw objects of the snapshot.
    if dump.iter().any(|object| object.kind == "catalog") {
        let sql = "SELECT catalog_name, location, comment FROM catalog.catalogs";
        assert_rows(
            sql,
            skep.rows(sql),
            rows(&dump, "catalog", |_, f| {
                vec![row(&[
                    ("catalog_name", f["name"].clone()),
                    ("location", f["locationUri"].clone()),
                    ("comment", f["description"].clone()),
                ])]
            }),
        );
    }
    assert_eq!(skep.rows("SELECT * FROM sync.errors"), Vec::<Value>::new());
    let missing = skep.rows("SELECT * FROM sync.coverage WHERE missing_count <> 0");
    assert_eq!(missing, Vec::<Value>::new());
}

#[test]
fn mirror_of_2_3_10_equals_independent_reader() {
    mirror_equals_independent_reader(Release::V2_3_10);
}

#[test]
fn mirror_of_3_1_3_equals_independent_reader() {
    mirror_equals_independent_reader(Release::V3_1_3);
}

#[test]
fn mirror_of_4_2_0_equals_independent_reader() {
    mirror_equals_independent_reader(Release::V4_2_0);
}

/// Questions to SQL and the rows that the independent reader's fields say are right.
fn questions(dump: &[Dumped]) -> Vec<(String, Vec<Value>)> {
    let partition_counts: BTreeMap<_, i64> =
        dump.iter().filter(|o| o.kind == "partition").fold(BTreeMap::new(), |mut counts, o| {
            *counts.entry((&o.catalog, &o.database, &o.table)).or_default() += 1;
            counts
        });
    let mut all: Vec<(String, Vec<Value>)> = Vec::new();
    let mut ask = |columns: &str, table: &str, expected: Vec<Value>| {
        all.push((format!("SELECT {columns} FROM {table}"), expected));
    };
    ask(
        "catalog_name, database_name, location, owner_name, owner_type, comment",
        "catalog.databases",
        rows(dump, "database", |o, f| {
            let owner_type = principal_type(&f["ownerType"]);
            vec![row(&[
                ("catalog_name", json!(o.catalog)),
                ("database_name", json!(o.database)),
                ("location", f["locationUri"].clone()),
                ("owner_name", f["ownerName"].clone()),
                ("owner_type", owner_type),
                ("comment", f["description"].clone()),
            ])]
        }),
    );
    ask(
        "catalog_name, database_name, property_key, property_value",
        "catalog.database_properties",
        rows(dump, "database", |o, f| {
            properties(&[("catalog_name", &o.catalog), ("database_name", &o.database)], &f["parameters"])
        }),
    );
    ask(
        "catalog_name, database_name, table_name, table_type, owner_name, location, input_format, output_format, \
         serde_library, comment, column_count, partition_columns, partition_count, \
         to_unixtime(source_created_at) AS created",
        "catalog.tables",
        rows(dump, "table", |o, f| {
            let storage = &f["sd"];
            let keys: Vec<Value> = array(&f["partitionKeys"]).iter().map(|key| key["name"].clone()).collect();
            let count = partition_counts.get(&(&o.catalog, &o.database, &o.table)).copied().unwrap_or(0);
            vec![row(&[
                ("catalog_name", json!(o.catalog)),
                ("database_name", json!(o.database)),
                ("table_name", json!(o.table)),
                ("table_type", f["tableType"].clone()),
                ("owner_name", f["owner"].clone()),
                ("location", storage["location"].clone()),
                ("input_format", storage["inputFormat"].clone()),
                ("output_format", storage["outputFormat"].clone()),
                ("serde_library", storage["serdeInfo"]["serializationLib"].clone()),
                ("comment", pair(&f["parameters"], "comment")),
                ("column_count", json!(array(&storage["cols"]).len())),
                ("partition_columns", json!(keys)),
                ("partition_count", json!(count)),
                ("created", f["createTime"].clone()),
            ])]
        }),
    );
    ask(
        "catalog_name, database_name, table_name, property_key, property_value",
        "catalog.table_properties",
        rows(dump, "table", |o, f| {
            properties(
                &[("catalog_name", &o.catalog), ("database_name", &o.database), ("table_name", &o.table)],
                &f["parameters"],
            )
        }),
    );
    ask(
        "catalog_name, database_name, table_name, column_name, ordinal_position, data_type, is_partition_column, comment",
        "catalog.columns",
        rows(dump, "table", |o, f| {
            let columns = array(&f["sd"]["cols"]).iter().map(|column| (column, false));
            let keys = array(&f["partitionKeys"]).iter().map(|column| (column, true));
            let numbered = columns.chain(keys).enumerate();
            numbered
                .map(|(place, (column, is_key))| {
                    row(&[
                        ("catalog_name", json!(o.catalog)),
                        ("database_name", json!(o.database)),
                        ("table_name", json!(o.table)),
                        ("column_name", column["name"].clone()),
                        ("ordinal_position", json!(place + 1)),
                        ("data_type", column["type"].clone()),
                        ("is_partition_column", json!(is_key)),
                        ("comment", column["comment"].clone()),
                    ])
                })
                .collect()
        }),
    );
    ask(
        "catalog_name, database_name, table_name, partition_values, location, row_count, total_size_bytes, file_count",
        "catalog.partitions",
        rows(dump, "partition", |o, f| {
            vec![row(&[
                ("catalog_name", json!(o.catalog)),
                ("database_name", json!(o.database)),
                ("table_name", json!(o.table)),
                ("partition_values", f["values"].clone()),
                ("location", f["sd"]["location"].clone()),
                ("row_count", number(&pair(&f["parameters"], "numRows"))),
                ("total_size_bytes", number(&pair(&f["parameters"], "totalSize"))),
                ("file_count", number(&pair(&f["parameters"], "numFiles"))),
            ])]
        }),
    );
    ask(
        "catalog_name, database_name, table_name, view_original_text, view_expanded_text",
        "catalog.views",
        dump.iter()
            .filter(|o| {
                o.kind == "table" && o.fields["tableType"].as_str().unwrap_or_default().ends_with("_VIEW")
            })
            .map(|o| {
                row(&[
                    ("catalog_name", json!(o.catalog)),
                    ("database_name", json!(o.database)),
                    ("table_name", json!(o.table)),
                    ("view_original_text", o.fields["viewOriginalText"].clone()),
                    ("view_expanded_text", o.fields["viewExpandedText"].clone()),
                ])
            })
            .collect(),
    );
    ask(
        "catalog_name, database_name, function_name, class_name, owner_name, owner_type, array_length(resource_uris) AS uris",
        "catalog.functions",
        rows(dump, "function", |o, f| {
            let uris = array(&f["resourceUris"]).len();
            vec![row(&[
                ("catalog_name", json!(o.catalog)),
                ("database_name", json!(o.database)),
                ("function_name", f["functionName"].clone()),
                ("class_name", f["className"].clone()),
                ("owner_name", f["ownerName"].clone()),
                ("owner_type", principal_type(&f["ownerType"])),
                ("uris", json!(uris)),
            ])]
        }),
    );
    ask(
        "database_name, table_name, column_name, constraint_name, constraint_type, expression, is_enabled, is_validated, is_rely",
        "catalog.constraints",
        dump.iter().filter(|o| o.kind.starts_with("SQL")).map(constraint).collect(),
    );
    ask(
        "database_name, table_name, column_name, principal_name, principal_type, privilege, grantor_name, has_grant_option",
        "catalog.privileges",
        rows(dump, "privilege", |_, f| {
            let (object, grant) = (&f["hiveObject"], &f["grantInfo"]);
            vec![row(&[
                ("database_name", object["dbName"].clone()),
                ("table_name", object["objectName"].clone()),
                ("column_name", object["columnName"].clone()),
                ("principal_name", f["principalName"].clone()),
                ("principal_type", principal_type(&f["principalType"])),
                ("privilege", grant["privilege"].clone()),
                ("grantor_name", grant["grantor"].clone()),
                ("has_grant_option", grant["grantOption"].clone()),
            ])]
        }),
    );
    ask(
        "database_name, table_name, column_name, data_type, null_count, distinct_count, max_length_bytes, \
         average_length_bytes, true_count, false_count",
        "catalog.column_stats",
        rows(dump, "column_statistic", |o, f| {
            let data = f["statsData"]
                .as_object()
                .and_then(|union| union.values().next())
                .cloned()
                .unwrap_or_default();
            vec![row(&[
                ("database_name", json!(o.database)),
                ("table_name", json!(o.table)),
                ("column_name", f["colName"].clone()),
                ("data_type", f["colType"].clone()),
                ("null_count", data["numNulls"].clone()),
                ("distinct_count", data["numDVs"].clone()),
                ("max_length_bytes", data["maxColLen"].clone()),
                ("average_length_bytes", data["avgColLen"].clone()),
                ("true_count", data["numTrues"].clone()),
                ("false_count", data["numFalses"].clone()),
            ])]
        }),
    );
    all
}

fn constraint(object: &Dumped) -> Value {
    let f = &object.fields;
    let (kind, name, column, expression) = match object.kind.as_str() {
        "SQLPrimaryKey" => ("primary key", "pk_name", "column_name", ""),
        "SQLForeignKey" => ("foreign key", "fk_name", "fkcolumn_name", ""),
        "SQLUniqueConstraint" => ("unique", "uk_name", "column_name", ""),
        "SQLNotNullConstraint" => ("not null", "nn_name", "column_name", ""),
        "SQLDefaultConstraint" => ("default", "dc_name", "column_name", "default_value"),
        "SQLCheckConstraint" => ("check", "dc_name", "column_name", "check_expression"),
        other => panic!("a constraint that the test does not know: {other}"),
    };
    row(&[
        ("database_name", json!(object.database)),
        ("table_name", json!(object.table)),
        ("column_name", f[column].clone()),
        ("constraint_name", f[name].clone()),
        ("constraint_type", json!(kind)),
        ("expression", f[expression].clone()),
        ("is_enabled", f["enable_cstr"].clone()),
        ("is_validated", f["validate_cstr"].clone()),
        ("is_rely", f["rely_cstr"].clone()),
    ])
}

fn rows(dump: &[Dumped], kind: &str, make: impl Fn(&Dumped, &Value) -> Vec<Value>) -> Vec<Value> {
    dump.iter().filter(|object| object.kind == kind).flat_map(|object| make(object, &object.fields)).collect()
}

/// A row without its NULLs.
fn row(columns: &[(&str, Value)]) -> Value {
    let present = columns.iter().filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The value of a key in a map, which the reader prints as pairs.
fn pair(map: &Value, key: &str) -> Value {
    array(map).iter().find(|pair| pair[0] == key).map_or(Value::Null, |pair| pair[1].clone())
}

fn number(text: &Value) -> Value {
    text.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(Value::Null, |number| json!(number))
}

fn principal_type(value: &Value) -> Value {
    match value.as_i64() {
        Some(1) => json!("user"),
        Some(2) => json!("role"),
        Some(3) => json!("group"),
        _ => Value::Null,
    }
}

fn properties(place: &[(&str, &String)], map: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for pair in array(map) {
        let mut columns: Vec<(&str, Value)> =
            place.iter().map(|(name, value)| (*name, json!(value))).collect();
        columns.extend([("property_key", pair[0].clone()), ("property_value", pair[1].clone())]);
        all.push(row(&columns));
    }
    all
}

/// Panics with the first differing rows unless both hold the same, in any order.
fn assert_rows(sql: &str, found: Vec<Value>, expected: Vec<Value>) {
    let sorted = |rows: Vec<Value>| {
        let mut lines: Vec<String> = rows
            .into_iter()
            .map(|mut row| {
                if let Value::Object(columns) = &mut row {
                    columns.retain(|_, value| !value.is_null());
                    // 12 and 12.0 are the same number.
                    for value in columns.values_mut() {
                        if let Some(number) = value.as_f64() {
                            *value = json!(number);
                        }
                    }
                }
                row.to_string()
            })
            .collect();
        lines.sort();
        lines
    };
    let (found, expected) = (sorted(found), sorted(expected));
    let lacking: Vec<&String> = expected.iter().filter(|line| found.binary_search(line).is_err()).collect();
    let surplus: Vec<&String> = found.iter().filter(|line| expected.binary_search(line).is_err()).collect();
    assert!(
        found == expected,
        "{sql}: {} rows, expected {}\nlacking {:#?}\nsurplus {:#?}",
        found.len(),
        expected.len(),
        &lacking[..lacking.len().min(3)],
        &surplus[..surplus.len().min(3)]
    );
    assert!(!expected.is_empty(), "{sql}: nothing was compared");
}
