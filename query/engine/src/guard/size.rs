//! Counts nodes and depth of a parsed statement, and stops at the first that is too many.
//!
//! The walk descends at most [`DEPTH_MAX`] levels; chains that the parser builds without
//! recursion (operators, UNION, joins) are depth here, because planning recurses on them.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, DuplicateTreatment, Expr, Function, FunctionArguments,
    GroupByExpr, GroupByWithModifier, NamedWindowDefinition, NamedWindowExpr, ObjectName, ObjectNamePart,
    Query, Select, SetExpr, Statement, TableFactor, Value, Visit, Visitor, WindowFrameBound, WindowSpec,
    WindowType,
};
use skep_catalog::fault::{Code, Fault};

use super::{DEPTH_MAX, NODES_MAX, functions, refused, too_complex};

/// Levels that a sub-query in an expression counts for. Every one in another makes planning up to
/// twice as long, inside single rules that cannot be stopped: seven are milliseconds, forty are for
/// ever.
const SUB_QUERY_DEPTH: usize = DEPTH_MAX / 8;

/// CUBE of eight: memory of the groups is asked for only after all sets have made theirs.
const GROUPING_SETS_MAX: usize = 256;

/// Rows or units that a window frame may reach: no table has as many.
const FRAME_MAX: f64 = 1e15;

fn is_sub_query(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_))
}

/// Whether a type says how many values its lists have. A NULL of such a type is made with all of
/// them, outside of every memory limit.
fn has_sized_list(data_type: &DataType) -> bool {
    match data_type {
        DataType::Array(ArrayElemTypeDef::SquareBracket(_, Some(_))) => true,
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(inner, None) | ArrayElemTypeDef::AngleBracket(inner),
        ) => has_sized_list(inner),
        DataType::Struct(fields, _) => fields.iter().any(|field| has_sized_list(&field.field_type)),
        _ => false,
    }
}

/// The rows among the sides of a comparison: they end there, and are part of no other value.
fn compared_rows(expr: &Expr) -> Vec<&Expr> {
    let sides: Vec<&Expr> = match expr {
        Expr::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
        Expr::InSubquery { expr, .. } => vec![expr],
        Expr::BinaryOp { left, op, right } if is_comparison(op) => vec![left, right],
        _ => Vec::new(),
    };
    sides.into_iter().filter(|side| matches!(side, Expr::Tuple(_))).collect()
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// Errors: `SQL_TOO_COMPLEX`, `SQL_FORBIDDEN`.
pub fn check(statement: &Statement) -> Result<(), Fault> {
    match statement.visit(&mut Counter::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(fault) => Err(fault),
    }
}

#[derive(Default)]
struct Counter {
    nodes: usize,
    depth: usize,
    /// The greatest depth since the innermost common table expression under way began.
    deepest: usize,
    growing_calls: usize,
    /// Rows that are compared.
    compared: Vec<*const Expr>,
    under_way: Vec<UnderWay>,
    /// Common table expressions that are done, by [`full_name`].
    done: HashMap<String, Size>,
}

/// A common table expression that is being counted.
struct UnderWay {
    address: *const Query,
    name: String,
    /// As it was before: nodes, and the greatest depth.
    nodes: usize,
    deepest: usize,
}

/// How much a common table expression comes to wherever it is used.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    height: usize,
}

/// A name as planning compares it: what is between the quotes, whichever they are. Case is let
/// go: names that differ in nothing else count as one, the larger.
fn full_name(parts: &[ObjectNamePart]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| part.as_ident().map_or_else(|| part.to_string(), |ident| ident.value.clone()))
        .collect();
    parts.join(".").to_lowercase()
}

impl Counter {
    fn add(&mut self, nodes: usize) -> ControlFlow<Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if NODES_MAX < self.nodes {
            return ControlFlow::Break(too_complex("a number of parts", NODES_MAX));
        }
        ControlFlow::Continue(())
    }

    fn down(&mut self) -> ControlFlow<Fault> {
        self.depth += 1;
        self.reach(self.depth)?;
        self.add(1)
    }

    fn reach(&mut self, depth: usize) -> ControlFlow<Fault> {
        self.deepest = self.deepest.max(depth);
        if DEPTH_MAX < depth {
            return ControlFlow::Break(too_complex("a depth", DEPTH_MAX));
        }
        ControlFlow::Continue(())
    }

    fn up<T>(&mut self) -> ControlFlow<T> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn growing(&mut self) -> ControlFlow<Fault> {
        self.growing_calls += 1;
        if functions::GROWING_CALLS_MAX < self.growing_calls {
            return ControlFlow::Break(too_complex(
                "a number of calls that put texts together",
                functions::GROWING_CALLS_MAX,
            ));
        }
        ControlFlow::Continue(())
    }

    fn function(&mut self, name: &ObjectName) -> ControlFlow<Fault> {
        let name = full_name(&name.0);
        if functions::is_growing(&name) {
            self.growing()?;
        }
        if functions::is_forbidden(&name) {
            let why =
                format!("function {name} can make more rows or bytes than can be bounded, or reads files");
            return ControlFlow::Break(refused(Code::SQL_FORBIDDEN, why));
        }
        ControlFlow::Continue(())
    }

    fn window(&self, function: &Function) -> ControlFlow<Fault> {
        let Some(window) = &function.over else { return ControlFlow::Continue(()) };
        if let WindowType::WindowSpec(spec) = window {
            frame(spec)?;
        }
        let name = full_name(&function.name.0);
        let is_distinct = match &function.args {
            FunctionArguments::List(list) => list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
            _ => false,
        };
        let why = if functions::is_collecting(&name) {
            format!("{name} OVER would repeat all rows for every row")
        } else if functions::is_recomputing(&name, is_distinct) && is_moving(window) {
            format!("{name} OVER would go through its rows again for every row")
        } else {
            return ControlFlow::Continue(());
        };
        let fix = "Compute it with GROUP BY in a sub-query and join that; median also takes OVER (PARTITION BY ...) alone.";
        ControlFlow::Break(refused(Code::SQL_FORBIDDEN, why).with_fix(fix))
    }
}

/// Whether the rows that a window function looks at differ from row to row.
fn is_moving(window: &WindowType) -> bool {
    match window {
        WindowType::WindowSpec(spec) => {
            spec.window_name.is_some() || !spec.order_by.is_empty() || spec.window_frame.is_some()
        }
        WindowType::NamedWindow(_) => true,
    }
}

/// Ways in which rows are grouped: each makes a row of its own of every row.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    let cube = |parts: usize| u32::try_from(parts).ok().and_then(|parts| 1_usize.checked_shl(parts));
    let of_one = |expr: &Expr| match expr {
        Expr::Cube(parts) => cube(parts.len()).unwrap_or(usize::MAX),
        Expr::Rollup(parts) => parts.len() + 1,
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    };
    let (expressions, modifiers) = match group_by {
        GroupByExpr::All(modifiers) => (&[][..], modifiers),
        GroupByExpr::Expressions(expressions, modifiers) => (&expressions[..], modifiers),
    };
    let modified = modifiers.iter().map(|modifier| match modifier {
        GroupByWithModifier::Cube => cube(expressions.len()).unwrap_or(usize::MAX),
        GroupByWithModifier::Rollup => expressions.len() + 1,
        GroupByWithModifier::Totals => 2,
        GroupByWithModifier::GroupingSets(sets) => of_one(sets),
    });
    expressions.iter().map(of_one).chain(modified).fold(1, usize::saturating_mul)
}

/// DataFusion adds to the bounds of a frame without looking whether that overflows.
fn frame(spec: &WindowSpec) -> ControlFlow<Fault> {
    let Some(frame) = &spec.window_frame else { return ControlFlow::Continue(()) };
    for bound in [Some(&frame.start_bound), frame.end_bound.as_ref()].into_iter().flatten() {
        let (WindowFrameBound::Preceding(Some(distance)) | WindowFrameBound::Following(Some(distance))) =
            bound
        else {
            continue;
        };
        if let Expr::Value(value) = distance.as_ref()
            && let Value::Number(number, _) = &value.value
            && number.parse::<f64>().is_ok_and(|number| FRAME_MAX < number)
        {
            let why = format!("a window frame reaches further than {FRAME_MAX}");
            let fix = "Write UNBOUNDED for a frame without a limit.";
            return ControlFlow::Break(refused(Code::SQL_INVALID, why).with_fix(fix));
        }
    }
    ControlFlow::Continue(())
}

/// Length of the longest chain of set operations, found without recursion.
fn chain_of(body: &SetExpr) -> usize {
    let mut longest = 0;
    let mut stack = vec![(body, 0)];
    while let Some((body, depth)) = stack.pop() {
        longest = longest.max(depth);
        if let SetExpr::SetOperation { left, right, .. } = body {
            stack.push((left, depth + 1));
            stack.push((right, depth + 1));
        }
    }
    longest
}

impl Visitor for Counter {
    type Break = Fault;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Fault> {
        self.reach(self.depth + chain_of(&query.body))?;
        if let Some(with) = &query.with {
            for table in &with.cte_tables {
                let name = table.alias.name.value.to_lowercase();
                self.under_way.push(UnderWay { address: &*table.query, name, nodes: 0, deepest: 0 });
            }
        }
        let (nodes, depth) = (self.nodes, self.depth);
        if let Some(begun) = self.under_way.iter_mut().find(|u| std::ptr::eq(u.address, query)) {
            begun.nodes = nodes;
            begun.deepest = std::mem::replace(&mut self.deepest, depth);
        }
        self.down()
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Fault> {
        self.up::<Fault>()?;
        if let Some(place) = self.under_way.iter().position(|u| std::ptr::eq(u.address, query)) {
            let before = self.under_way.swap_remove(place);
            // Names can be hidden by others of the same name: the larger one counts.
            let known = self.done.entry(before.name).or_default();
            known.nodes = known.nodes.max(self.nodes.saturating_sub(before.nodes));
            known.height = known.height.max(self.deepest.saturating_sub(self.depth));
            self.deepest = self.deepest.max(before.deepest);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Fault> {
        // A list of tables becomes a chain of joins.
        let joins: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
        self.reach(self.depth + joins)?;
        if GROUPING_SETS_MAX < grouping_sets(&select.group_by) {
            return ControlFlow::Break(too_complex("a number of grouping sets", GROUPING_SETS_MAX));
        }
        for NamedWindowDefinition(_, window) in &select.named_window {
            if let NamedWindowExpr::WindowSpec(spec) = window {
                frame(spec)?;
            }
        }
        self.add(1 + select.projection.len())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Fault> {
        match factor {
            TableFactor::Table { name, args, .. } => {
                if args.is_some() {
                    self.function(name)?;
                }
                // A name of two parts finds "a.b" as well.
                let size = self.done.get(&full_name(&name.0)).copied().unwrap_or_default();
                self.reach(self.depth + size.height)?;
                self.add(size.nodes)?;
            }
            TableFactor::Function { name, .. } => self.function(name)?,
            _ => {}
        }
        self.down()
    }

    fn post_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<Fault> {
        self.up()
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Fault> {
        if is_sub_query(expr) {
            self.depth += SUB_QUERY_DEPTH;
        }
        self.compared.extend(compared_rows(expr).into_iter().map(std::ptr::from_ref));
        match expr {
            Expr::Struct { .. } | Expr::Dictionary(_) | Expr::Map(_) | Expr::Tuple(_)
                if !self.compared.iter().any(|row| std::ptr::eq(*row, expr)) =>
            {
                let why = "a value of several parts (struct, map, row) could be a part of another, and so on";
                let fix =
                    "Give each part a column of its own; rows can be compared, as in (a, b) IN ((1, 2)).";
                return ControlFlow::Break(refused(Code::SQL_FORBIDDEN, why).with_fix(fix));
            }
            Expr::Function(function) => {
                self.function(&function.name)?;
                self.window(function)?;
            }
            Expr::BinaryOp { op: BinaryOperator::StringConcat, .. } => self.growing()?,
            Expr::Cast { data_type, .. } if has_sized_list(data_type) => {
                let why = "a type such as INT[3] makes lists of that many values, however many that is";
                return ControlFlow::Break(refused(Code::SQL_FORBIDDEN, why));
            }
            _ => {}
        }
        self.down()
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Fault> {
        if is_sub_query(expr) {
            self.depth -= SUB_QUERY_DEPTH;
        }
        self.up()
    }
}
