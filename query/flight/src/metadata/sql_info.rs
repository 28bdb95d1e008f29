//! What clients want to know of the service, all of it: older JDBC drivers fail on what is missing.

use std::collections::BTreeMap;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions, SupportedSqlGrammar,
};
use skep_catalog::fault::Fault;
use skep_query::EngineOptions;
use skep_query::TEXT_BYTES_MAX;

use crate::limits::{CONNECTIONS_MAX, ROW_BYTES_MAX};

/// Of the Arrow format that is spoken.
const ARROW_VERSION: &str = "1.5";

/// Words that must be quoted to be names, beside those of SQL-92.
const KEYWORDS: &[&str] = &["ILIKE", "LIMIT", "OFFSET", "QUALIFY", "SEMI", "ANTI", "LATERAL", "WINDOW"];
const NUMERIC_FUNCTIONS: &[&str] = &[
    "abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cot", "degrees", "exp", "floor", "log", "log10",
    "pi", "power", "radians", "random", "round", "sin", "sqrt", "tan", "trunc",
];
const STRING_FUNCTIONS: &[&str] = &[
    "ascii",
    "char_length",
    "concat",
    "left",
    "lower",
    "ltrim",
    "replace",
    "right",
    "rtrim",
    "substring",
    "upper",
];
const SYSTEM_FUNCTIONS: &[&str] = &["coalesce", "nullif", "version"];
const DATETIME_FUNCTIONS: &[&str] = &["current_date", "current_time", "now", "date_part", "date_trunc"];

/// A mask of the places of an enumeration.
fn mask<T: Into<i32>>(members: impl IntoIterator<Item = T>) -> i32 {
    members.into_iter().fold(0, |mask, member| mask | (1 << member.into()))
}

/// Bounds as the protocol tells them: 0 is none, or unknown.
fn bound(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(0)
}

/// All of it.
pub fn all(options: &EngineOptions) -> Result<SqlInfoData, Fault> {
    let mut told = SqlInfoDataBuilder::new();
    told.append(SqlInfo::FlightSqlServerName, "skep");
    told.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    told.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_VERSION);
    told.append(SqlInfo::FlightSqlServerReadOnly, true);
    told.append(SqlInfo::FlightSqlServerSql, true);
    told.append(SqlInfo::FlightSqlServerSubstrait, false);
    told.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    told.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    told.append(SqlInfo::FlightSqlServerTransaction, i32::from(SqlSupportedTransaction::None));
    told.append(SqlInfo::FlightSqlServerCancel, true);
    told.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    told.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    let timeout_ms = i32::try_from(options.statement_timeout_ms).unwrap_or(i32::MAX);
    told.append(SqlInfo::FlightSqlServerStatementTimeout, timeout_ms);
    told.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);

    for none in [SqlInfo::SqlDdlCatalog, SqlInfo::SqlDdlSchema, SqlInfo::SqlDdlTable] {
        told.append(none, false);
    }
    let lower = i64::from(i32::from(SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase));
    let exact = i64::from(i32::from(SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown));
    told.append(SqlInfo::SqlIdentifierCase, lower);
    told.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // The protocol has no word for "as written": unknown is the nearest.
    told.append(SqlInfo::SqlQuotedIdentifierCase, exact);
    told.append(SqlInfo::SqlAllTablesAreSelectable, true);
    told.append(SqlInfo::SqlNullOrdering, i64::from(i32::from(SqlNullOrdering::SqlNullsSortedHigh)));
    told.append(SqlInfo::SqlKeywords, KEYWORDS);
    told.append(SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS);
    told.append(SqlInfo::SqlStringFunctions, STRING_FUNCTIONS);
    told.append(SqlInfo::SqlSystemFunctions, SYSTEM_FUNCTIONS);
    told.append(SqlInfo::SqlDatetimeFunctions, DATETIME_FUNCTIONS);
    told.append(SqlInfo::SqlSearchStringEscape, "\\");
    told.append(SqlInfo::SqlExtraNameCharacters, "");
    told.append(SqlInfo::SqlSupportsColumnAliasing, true);
    told.append(SqlInfo::SqlNullPlusNullIsNull, true);
    // The function CONVERT: there is CAST instead.
    told.append(SqlInfo::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
    told.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    told.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    told.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    told.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    let group_by = [SqlSupportedGroupBy::SqlGroupByUnrelated, SqlSupportedGroupBy::SqlGroupByBeyondSelect];
    told.append(SqlInfo::SqlSupportedGroupBy, mask(group_by));
    told.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    told.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    let grammar = [SupportedSqlGrammar::SqlMinimumGrammar, SupportedSqlGrammar::SqlCoreGrammar];
    told.append(SqlInfo::SqlSupportedGrammar, mask(grammar));
    // Entry level. By number: the name of its enumeration is not public.
    told.append(SqlInfo::SqlAnsi92SupportedLevel, 1_i32);
    told.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let outer_joins =
        [SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins, SqlOuterJoinsSupportLevel::SqlFullOuterJoins];
    told.append(SqlInfo::SqlOuterJoinsSupportLevel, mask(outer_joins));
    told.append(SqlInfo::SqlSchemaTerm, "schema");
    told.append(SqlInfo::SqlProcedureTerm, "procedure");
    told.append(SqlInfo::SqlCatalogTerm, "catalog");
    told.append(SqlInfo::SqlCatalogAtStart, true);
    told.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    told.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    told.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    told.append(SqlInfo::SqlSelectForUpdateSupported, false);
    told.append(SqlInfo::SqlStoredProceduresSupported, true);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons,
        SqlSupportedSubqueries::SqlSubqueriesInExists,
        SqlSupportedSubqueries::SqlSubqueriesInIns,
        SqlSupportedSubqueries::SqlSubqueriesInQuantifieds,
    ];
    told.append(SqlInfo::SqlSupportedSubqueries, mask(subqueries));
    told.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion, SqlSupportedUnions::SqlUnionAll];
    told.append(SqlInfo::SqlSupportedUnions, mask(unions));

    for unbounded in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        told.append(unbounded, 0_i64);
    }
    told.append(SqlInfo::SqlMaxConnections, bound(CONNECTIONS_MAX));
    told.append(SqlInfo::SqlMaxRowSize, bound(ROW_BYTES_MAX));
    told.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
    told.append(SqlInfo::SqlMaxStatementLength, bound(TEXT_BYTES_MAX));

    told.append(SqlInfo::SqlDefaultTransactionIsolation, 0_i64);
    told.append(SqlInfo::SqlTransactionsSupported, false);
    told.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, mask([0]));
    told.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    told.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    // Forward only, read only.
    told.append(SqlInfo::SqlSupportedResultSetTypes, mask([1]));
    for concurrency in [
        SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified,
        SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly,
    ] {
        told.append(concurrency, mask([1]));
    }
    for concurrency in [
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive,
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive,
    ] {
        told.append(concurrency, 0_i32);
    }
    for none in [
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
    ] {
        told.append(none, false);
    }
    told.build().map_err(super::failed)
}
