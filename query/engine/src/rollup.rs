//! Sums over `catalog.partitions` answered from per-table sums, and counts over
//! `catalog.locations` from counts of what addresses begin with.
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

use crate::chunk::{ChunkTable, SystemTable, as_test};
use crate::session::as_chunk_table;
use crate::spec::TableSpec;
use crate::tables;

/// The rule.
#[derive(Debug)]
pub struct PartitionTotalsRule;

/// A table and the totals that stand in for it.
struct Rollup {
    name: &'static str,
    totals: SystemTable,
    /// Columns that are the same in all rows that one row of the totals stands for.
    keys: &'static [&'static str],
    /// How many rows that are.
    count: &'static str,
    /// Columns that are never NULL, so that counting them counts rows.
    counted: &'static [&'static str],
    /// Columns that totals have sums of.
    summed: &'static [&'static str],
}

static ROLLUPS: [Rollup; 2] = [
    Rollup {
        name: "partitions",
        totals: tables::PARTITION_TOTALS,
        keys: &["metastore_name", "catalog_name", "database_name", "table_name"],
        count: "partition_count",
        counted: &["metastore_name", "catalog_name", "database_name", "table_name", "partition_name"],
        summed: &["row_count", "total_size_bytes", "file_count"],
    },
    Rollup {
        name: "locations",
        totals: tables::LOCATION_TOTALS,
        keys: &[
            "metastore_name",
            "catalog_name",
            "database_name",
            "table_name",
            "object_kind",
            "scheme",
            "authority",
        ],
        count: "location_count",
        counted: &["metastore_name", "catalog_name", "object_kind", "location"],
        summed: &[],
    },
];

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
    let Some((rollup, input)) = totals_instead(&aggregate.input)? else { return Ok(None) };
    let is_key = |expr: &Expr| matches!(expr, Expr::Column(c) if rollup.keys.contains(&c.name.as_str()));
    if !aggregate.group_expr.iter().all(is_key) {
        return Ok(None);
    }
    let Some(asked) = aggregate.aggr_expr.iter().map(|expr| asked(rollup, expr)).collect::<Option<Vec<_>>>()
    else {
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
        let value = if *column == rollup.count { coalesce(vec![value, lit(0_i64)]) } else { value };
        let (qualifier, field) = aggregate.schema.qualified_field(group_count + index);
        output.push(value.alias_qualified(qualifier.cloned(), field.name()));
    }
    Ok(Some(LogicalPlan::Projection(Projection::try_new(output, Arc::new(totals))?)))
}

/// The scan of a table replaced by one of its totals, if that is what the input is.
fn totals_instead(input: &LogicalPlan) -> Result<Option<(&'static Rollup, LogicalPlan)>> {
    match input {
        LogicalPlan::SubqueryAlias(alias) => {
            let Some((rollup, scan)) = totals_instead(&alias.input)? else { return Ok(None) };
            let alias = SubqueryAlias::try_new(Arc::new(scan), alias.alias.clone())?;
            Ok(Some((rollup, LogicalPlan::SubqueryAlias(alias))))
        }
        LogicalPlan::TableScan(scan) => totals_scan(scan),
        _ => Ok(None),
    }
}

fn totals_scan(scan: &TableScan) -> Result<Option<(&'static Rollup, LogicalPlan)>> {
    // Sources that are no tables (of a common table expression, say) are not meant.
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let Some(table) = as_chunk_table(&provider) else { return Ok(None) };
    let spec: &TableSpec = table.table().spec;
    let is_meant = |rollup: &&Rollup| spec.schema == "catalog" && spec.name == rollup.name;
    let Some(rollup) = ROLLUPS.iter().find(is_meant) else { return Ok(None) };
    let is_on_key = |filter: &Expr| {
        as_test(spec, filter).is_some_and(|(c, _)| rollup.keys.contains(&spec.columns[c].name))
    };
    if scan.fetch.is_some() || !scan.filters.iter().all(is_on_key) {
        return Ok(None);
    }
    let totals = ChunkTable::new(rollup.totals, Arc::clone(table.pinned()));
    let scan = TableScanBuilder::new(scan.table_name.clone(), provider_as_source(Arc::new(totals)))
        .with_filters(scan.filters.clone())
        .build()?;
    Ok(Some((rollup, LogicalPlan::TableScan(scan))))
}

/// The column of totals whose sum an aggregate is; `None` when it is another kind.
fn asked(rollup: &Rollup, expr: &Expr) -> Option<&'static str> {
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
        ("count", Expr::Literal(value, _)) if !value.is_null() => Some(rollup.count),
        ("count", Expr::Column(c)) if rollup.counted.contains(&c.name.as_str()) => Some(rollup.count),
        ("sum", Expr::Column(c)) => {
            debug_assert!(rollup.summed.iter().all(|name| rollup.totals.spec.index_of(name).is_some()));
            rollup.summed.iter().find(|name| **name == c.name).copied()
        }
        _ => None,
    }
}

fn column_of(schema: &DFSchemaRef, name: &str) -> Result<Column> {
    let (qualifier, field) = schema.qualified_field_with_unqualified_name(name)?;
    Ok(Column::new(qualifier.cloned(), field.name()))
}
