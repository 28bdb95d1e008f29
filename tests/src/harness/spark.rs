//! Real Spark.

use std::process::Command;

use super::metastore::Metastore;
use super::{machine, parts};

/// A Spark whose built-in Hive client is 2.3.9, as most installations have.
const SPARK: &str = "pyspark==3.5.9";

/// Runs SQL statements in Spark against a metastore.
pub fn run(metastore: &Metastore, sql: &str) {
    let java = parts::java(17..=17);
    let home = parts::part("spark-3.5.9", |half| {
        parts::pip("Spark comes from PyPI.", &["install", "--target"], half, SPARK);
    })
    .join("pyspark");
    let script = metastore.folder().join("spark.sql");
    std::fs::write(&script, sql).expect("the temporary folder can be written");
    let python = machine::python();
    let mut command = Command::new(home.join("bin/spark-sql"));
    command
        .current_dir(metastore.folder())
        .env("SPARK_HOME", &home)
        .env("JAVA_HOME", &java.home)
        .env("PYSPARK_PYTHON", &python)
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .args(["--master", "local[2]", "--driver-memory", "600m"]);
    for setting in [
        "spark.ui.enabled=false".to_owned(),
        "spark.sql.catalogImplementation=hive".to_owned(),
        format!("spark.hadoop.hive.metastore.uris={}", metastore.uri()),
        format!("spark.sql.warehouse.dir=file://{}", metastore.data_folder().display()),
        "spark.driver.host=127.0.0.1".to_owned(),
        "spark.driver.bindAddress=127.0.0.1".to_owned(),
        "spark.sql.shuffle.partitions=2".to_owned(),
    ] {
        command.args(["--conf", &setting]);
    }
    parts::run("Spark", "", command.arg("-f").arg(script));
}
