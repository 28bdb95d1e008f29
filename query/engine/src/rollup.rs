//! Sums over `catalog.partitions` answered from per-table sums.
//!
//! DataFusion has no push-down of aggregates into tables (apache/datafusion#8699). Where an
//! aggregate asks of partitions only counts and sums that every table's totals hold, grouped and
//! filtered by nothing but the names of tables and what they are in, the scan is replaced by one
//! over these totals: a row per table instead of a row per partition.
//!
//! SQL's meaning is kept: a sum over no known value is NULL, tables without partitions make no
//! group, a count over nothing is 0.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, Projection, SubqueryAlias, TableScan, TableScanBuilder, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use crate::chunk::{ChunkTable, as_test};
use crate::session::as_chunk_table;
use crate::spec::{PARTITION_TOTALS, TableSpec};
use crate::tables;

/// The rule.
#[derive(Debug)]
pub struct PartitionTotalsRule;

/// Columns that are the same in all partitions of a table.
const KEYS: [&str; 4] = ["metastore_name", "catalog_name", "database_name", "table_name"];
/// Columns that totals have sums of.
const SUMMED: [&str; 3] = ["row_count", "total_size_bytes", "file_count"];

impl OptimizerRule for PartitionTotalsRule {
    fn name(&self) -> &str {
        "partition_totals"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match rewritten(aggregate)? {
            Some(totals) => Ok(Transformed::yes(totals)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

fn rewritten(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(input) = totals_instead(&aggregate.input)? else { return Ok(None) };
    let is_key = |expr: &Expr| matches!(expr, Expr::Column(c) if KEYS.contains(&c.name.as_str()));
    if !aggregate.group_expr.iter().all(is_key) {
        return Ok(None);
    }
    let Some(asked) = aggregate.aggr_expr.iter().map(asked).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    // The same sum may be asked for twice; the aggregate needs it once.
    let mut sums: Vec<(&str, Expr)> = Vec::new();
    for column in &asked {
        if !sums.iter().any(|(known, _)| known == column) {
            sums.push((column, sum(Expr::Column(column_of(input.schema(), column)?))));
        }
    }
    let sums_only = sums.iter().map(|(_, expr)| expr.clone()).collect();
    let totals =
        LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), sums_only)?);
    let group_count = aggregate.group_expr.len();
    let mut output = Vec::with_capacity(group_count + asked.len());
    for index in 0..group_count {
        output.push(Expr::Column(Column::from(totals.schema().qualified_field(index))));
    }
    for (index, column) in asked.iter().enumerate() {
        let place = sums.iter().position(|(known, _)| known == column).unwrap_or_default();
        let value = Expr::Column(Column::from(totals.schema().qualified_field(group_count + place)));
        let value = if *column == "partition_count" { coalesce(vec![value, lit(0_i64)]) } else { value };
        let (qualifier, field) = aggregate.schema.qualified_field(group_count + index);
        output.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    Ok(Some(LogicalPlan::Projection(Projection::try_new(output, Arc::new(totals))?)))
}

/// The scan of partitions replaced by one of totals, if that is what the input is.
fn totals_instead(input: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match input {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(scan) = totals_instead(&alias.input)? else { return Ok(None) };
            Ok(Some(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(scan), alias.alias.clone())?)))
        }
        LogicalPlan::TableScan(scan) => totals_scan(scan),
        _ => Ok(None),
    }
}

fn totals_scan(scan: &TableScan) -> Result<Option<LogicalPlan>> {
    // Sources that are no tables (of a common table expression, say) are not meant.
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let Some(table) = as_chunk_table(&provider) else { return Ok(None) };
    let spec: &TableSpec = table.table().spec;
    let is_partitions = spec.schema == "catalog" && spec.name == "partitions";
    let is_on_key =
        |filter: &Expr| as_test(spec, filter).is_some_and(|(c, _)| KEYS.contains(&spec.columns[c].name));
    if !is_partitions || scan.fetch.is_some() || !scan.filters.iter().all(is_on_key) {
        return Ok(None);
    }
    let totals = ChunkTable::new(tables::PARTITION_TOTALS, Arc::clone(table.pinned()));
    let scan = TableScanBuilder::new(scan.table_name.clone(), provider_as_source(Arc::new(totals)))
        .with_filters(scan.filters.clone())
        .build()?;
    Ok(Some(LogicalPlan::TableScan(scan)))
}

/// The column of totals whose sum an aggregate is; `None` when it is another kind.
fn asked(expr: &Expr) -> Option<&'static str> {
    let expr = match expr {
        Expr::Alias(alias) => alias.expr.as_ref(),
        other => other,
    };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    if params.distinct
        || params.filter.is_some()
        || !params.order_by.is_empty()
        || params.null_treatment.is_some()
    {
        return None;
    }
    let [argument] = params.args.as_slice() else { return None };
    match (func.name(), argument) {
        ("count", Expr::Literal(value, _)) if !value.is_null() => Some("partition_count"),
        ("count", Expr::Column(c)) if c.name == "partition_name" || KEYS.contains(&c.name.as_str()) => {
            Some("partition_count")
        }
        ("sum", Expr::Column(c)) => {
            debug_assert!(SUMMED.iter().all(|name| PARTITION_TOTALS.index_of(name).is_some()));
            SUMMED.into_iter().find(|name| *name == c.name)
        }
        _ => None,
    }
}

fn column_of(schema: &DFSchemaRef, name: &str) -> Result<Column> {
    let (qualifier, field) = schema.qualified_field_with_unqualified_name(name)?;
    Ok(Column::new(qualifier.cloned(), field.name()))
}
