//! Functions that make much out of little, or take long for it: taken away, or held to a bound
//! before they run.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::bounded::{Bounds, bounded, is_bounded};
use super::growth::GROWING;
use super::pattern;
use super::work::WORKING;

/// Calls of growing functions in the text of one statement.
pub const GROWING_CALLS_MAX: usize = 64;

/// Taken away: the size of what they make is in their arguments alone; or what they make has parts
/// of other types, so that thirty of them in each other have a type of a billion parts, which
/// planning goes through. So are all functions of functions ([`NAMES`]).
const FORBIDDEN: &[&str] = &[
    "array_repeat",
    "array_replace",
    "array_replace_all",
    "array_replace_n",
    "array_resize",
    "arrays_zip",
    "arrow_cast",
    "arrow_try_cast",
    "gen_series",
    "generate_series",
    "glob",
    "list_repeat",
    "list_replace",
    "list_replace_all",
    "list_replace_n",
    "list_resize",
    "map",
    "named_struct",
    "parquet_metadata",
    "range",
    "read_avro",
    "read_csv",
    "read_json",
    "read_parquet",
    "struct",
];

/// Aggregates whose result holds all rows: as window functions they would hold them once per row.
const COLLECTING: &[&str] = &["array_agg", "listagg", "string_agg"];

/// Aggregates that look at all values again for every result: as window functions over growing or
/// sliding frames they would do so for every row.
const RECOMPUTING: &[&str] = &["median", "percentile_cont", "quantile_cont"];
/// Aggregates that do not do so with DISTINCT either.
const DISTINCT_AT_ONCE: &[&str] = &["count", "max", "min"];

/// Every name of the functions above that DataFusion knows, aliases too, and what becomes of them.
static NAMES: LazyLock<HashMap<String, Offer>> = LazyLock::new(|| {
    let mut names: HashMap<String, Offer> =
        FORBIDDEN.iter().map(|name| ((*name).to_owned(), Offer::Forbidden)).collect();
    for function in SessionStateDefaults::default_higher_order_functions() {
        names.insert(function.name().to_lowercase(), Offer::Forbidden);
        names.extend(function.aliases().iter().map(|alias| (alias.to_lowercase(), Offer::Forbidden)));
    }
    let all = SessionStateDefaults::default_scalar_functions();
    for function in all.into_iter().chain([super::concat::function()]) {
        if let Some(offer) = offer(&function) {
            names.insert(function.name().to_lowercase(), offer);
            names.extend(function.aliases().iter().map(|alias| (alias.to_lowercase(), offer)));
        }
    }
    names
});

/// What becomes of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// It is taken away.
    Forbidden,
    /// Its results, or its time, are bounded.
    Bounded(Bounds),
}

/// `None` for a function that is left as it is.
fn offer(function: &ScalarUDF) -> Option<Offer> {
    let is_named = |name: &str| function.name() == name || function.aliases().iter().any(|a| a == name);
    if FORBIDDEN.iter().any(|name| is_named(name)) {
        return Some(Offer::Forbidden);
    }
    let bounds = Bounds {
        growth: GROWING.iter().find(|(name, _)| is_named(name)).map(|(_, growth)| *growth),
        work: WORKING.iter().find(|(name, _)| is_named(name)).map(|(_, work)| *work),
    };
    (bounds != Bounds::default()).then_some(Offer::Bounded(bounds))
}

/// Whether the function of this name, in lower case, is taken away.
pub fn is_forbidden(name: &str) -> bool {
    NAMES.get(name) == Some(&Offer::Forbidden)
}

/// Whether the function of this name, in lower case, can make more than it is given.
pub fn is_growing(name: &str) -> bool {
    matches!(NAMES.get(name), Some(Offer::Bounded(Bounds { growth: Some(_), .. })))
}

/// Whether the aggregate of this name, in lower case, cannot be a window function.
pub fn is_collecting(name: &str) -> bool {
    COLLECTING.contains(&name)
}

/// Whether the aggregate of this name, in lower case, looks at all values again for every result.
pub fn is_recomputing(name: &str, is_distinct: bool) -> bool {
    RECOMPUTING.contains(&name) || (is_distinct && !DISTINCT_AT_ONCE.contains(&name))
}

/// The function as skep offers it; `None` when it is taken away.
pub fn offered(function: Arc<ScalarUDF>) -> Option<Arc<ScalarUDF>> {
    match offer(&function) {
        Some(Offer::Forbidden) => None,
        Some(Offer::Bounded(bounds)) => Some(bounded(function, bounds)),
        None => Some(function),
    }
}

/// Offers functions as [`offered`] where the planner takes them from elsewhere: for `[a, b]`,
/// `OVERLAY(a PLACING b FROM 1)` and the like it does not look them up by their names. Pattern
/// operators become functions before, see [`pattern`].
#[derive(Debug)]
pub struct BoundedFunctionsRule {
    like_pattern: Arc<ScalarUDF>,
}

impl Default for BoundedFunctionsRule {
    fn default() -> Self {
        Self { like_pattern: pattern::like_pattern() }
    }
}

impl BoundedFunctionsRule {
    fn bounded(&self, part: Expr) -> Expr {
        match pattern::bounded(part, &self.like_pattern) {
            Expr::Not(inner) => Expr::Not(Box::new(bounded_call(*inner))),
            other => bounded_call(other),
        }
    }
}

fn bounded_call(part: Expr) -> Expr {
    match part {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let func = match offer(&func) {
                Some(Offer::Bounded(bounds)) if !is_bounded(&func) => bounded(func, bounds),
                _ => func,
            };
            Expr::ScalarFunction(ScalarFunction { func, args })
        }
        other => other,
    }
}

impl AnalyzerRule for BoundedFunctionsRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                // What is in a grouping set has a name of its own, the set has none.
                if matches!(expr, Expr::GroupingSet(_)) {
                    return expr.transform_up(|part| {
                        let name = names.save(&part);
                        Ok(Transformed::yes(name.restore(self.bounded(part))))
                    });
                }
                let name = names.save(&expr);
                let expr = expr.transform_up(|part| Ok(Transformed::yes(self.bounded(part))))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "bounded_functions"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_functions_are_found_by_all_their_names() {
        for name in ["repeat", "list_concat", "array_concat", "array_cat", "list_push_back", "make_list"] {
            assert!(is_growing(name), "{name}");
        }
        for name in
            ["array_repeat", "list_repeat", "list_resize", "generate_series", "read_csv", "list_transform"]
        {
            assert!(is_forbidden(name), "{name}");
        }
        for (name, _) in GROWING {
            assert!(is_growing(name), "there is no function {name}");
        }
        let works =
            |name: &str| matches!(NAMES.get(name), Some(Offer::Bounded(Bounds { work: Some(_), .. })));
        for name in WORKING.iter().map(|(name, _)| *name).chain(["trim", "list_has_any", "instr"]) {
            assert!(works(name), "{name}");
        }
    }
}
