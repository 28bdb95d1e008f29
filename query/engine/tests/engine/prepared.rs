//! Statements that are prepared before they are run, and snapshots that wait for them.

use std::sync::Arc;

use skep_catalog::fault::Code;
use skep_catalog::snapshot::MetastoreSettings;
use skep_query::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use skep_query::{Prepared, Statement};

use crate::fixture::{Fixture, fixture};

fn prepare(f: &Fixture, sql: &str) -> Result<Prepared, skep_catalog::fault::Fault> {
    futures::executor::block_on(f.engine.prepare(Statement::new(sql)))
}

fn run(f: &Fixture, statement: Statement) -> Result<usize, skep_catalog::fault::Fault> {
    futures::executor::block_on(async {
        let batches = f.engine.run(statement).await?.collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    })
}

fn values(columns: Vec<ArrayRef>) -> Option<RecordBatch> {
    let named = columns.into_iter().enumerate().map(|(index, column)| (index.to_string(), column));
    Some(RecordBatch::try_from_iter(named).unwrap())
}

#[test]
fn what_is_only_prepared_is_in_the_history_when_it_fails() {
    let f = fixture();
    prepare(&f, "SELECT 'prepared well'").unwrap();
    assert_eq!(prepare(&f, "SELECT prepared_badly").unwrap_err().code, Code::SQL_INVALID);
    let sql = "SELECT statement, state FROM runtime.query_history WHERE statement LIKE '%prepared%'";
    assert_eq!(f.rows(sql), [["SELECT prepared_badly", "failed"]]);
    assert_eq!(f.rows("SELECT count(*) FROM runtime.queries"), [["1"]]);
}

#[test]
fn the_result_has_the_prepared_columns_whatever_the_values_are() {
    let f = fixture();
    let sql =
        "SELECT table_name, ? AS a, CAST(? AS BIGINT) AS b FROM catalog.tables WHERE metastore_name = ?";
    let prepared = prepare(&f, sql).unwrap();
    assert!(prepared.parameters.fields().iter().all(|field| field.is_nullable()));
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let parameters = values(vec![text("x"), Arc::new(Int64Array::from(vec![7])), text("east")]);
    let statement = Statement { parameters, ..Statement::new(sql) };
    let result = futures::executor::block_on(f.engine.run(statement)).unwrap();
    assert_eq!(result.schema, prepared.schema);
    let batches = futures::executor::block_on(result.collect()).unwrap();
    assert_ne!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

#[test]
fn values_are_asked_for_and_bound_by_position() {
    let f = fixture();
    let fault = run(&f, Statement::new("SELECT ?")).unwrap_err();
    assert_eq!(fault.code, Code::SQL_INVALID);
    assert!(fault.why.contains("1 parameter, and 0 were given"), "{fault}");
    let none = Statement {
        parameters: values(vec![Arc::new(Int64Array::from(vec![1]))]),
        ..Statement::new("SELECT 1")
    };
    assert!(run(&f, none).unwrap_err().why.contains("0 parameters, and 1 were given"));
}

#[test]
fn the_schema_of_a_statement_is_where_its_tables_are() {
    let f = fixture();
    let in_docs = |sql: &str| run(&f, Statement { schema: "docs", ..Statement::new(sql) });
    assert_ne!(in_docs("SELECT * FROM examples").unwrap(), 0);
    assert_ne!(in_docs("DESCRIBE examples").unwrap(), 0);
    assert_ne!(in_docs("SELECT * FROM catalog.duplicate_tables").unwrap(), 0);
    assert_eq!(in_docs("SELECT * FROM partitions").unwrap_err().fix(), "Did you mean catalog.partitions?");
}

#[test]
fn a_caller_with_less_time_is_told_that_it_was_its_own() {
    let f = fixture();
    let sql = "SELECT count(*) FROM docs.columns a, docs.columns b, docs.columns c, docs.columns d";
    let fault = run(&f, Statement { timeout_ms: Some(300), ..Statement::new(sql) }).unwrap_err();
    assert_eq!(fault.code, Code::SQL_TIMEOUT);
    assert!(fault.fix().contains("the caller gave it no more"), "{fault}");
}

fn declare(f: &Fixture, count: usize) {
    let settings = |index| MetastoreSettings {
        name: format!("m{index}"),
        uris: vec![format!("thrift://m{index}:9083")],
        follow: "auto".into(),
        origin: "config",
    };
    f.catalog.declare(&(0..count).map(settings).collect::<Vec<_>>()).unwrap();
}

#[test]
fn snapshots_wait_until_there_are_too_many_newer_ones() {
    let f = fixture();
    declare(&f, 1);
    let first = f.engine.lease();
    assert_eq!(f.engine.lease().id, first.id, "the same snapshot is kept once");
    declare(&f, 2);
    let sql = "SELECT * FROM federation.metastores";
    let on_first = || {
        let snapshot = Some(f.engine.leased(first.id)?);
        run(&f, Statement { snapshot, ..Statement::new(sql) })
    };
    assert_eq!((on_first().unwrap(), f.rows(sql).len()), (1, 2));
    // The order that they were asked for in is what counts.
    for round in 0..256 {
        declare(&f, 1 + round % 2);
        assert_ne!(f.engine.lease().id, first.id);
    }
    assert_eq!(on_first().unwrap_err().code, Code::SNAPSHOT_GONE);
    assert_eq!(f.engine.renew_lease(first.id).unwrap_err().code, Code::SNAPSHOT_GONE);
}
