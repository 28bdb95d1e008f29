//! Counts nodes and depth of a parsed statement, and stops at the first that is too many.
//!
//! The walk descends at most [`DEPTH_MAX`] levels; chains that the parser builds without
//! recursion (operators, UNION, joins) are depth here, because planning recurses on them.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor,
};
use skep_catalog::fault::{Code, Fault};

use super::{DEPTH_MAX, NODES_MAX, functions, refused, too_complex};

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
    growing_calls: usize,
    /// Common table expressions under way: address of the query, name, nodes before it.
    under_way: Vec<(*const Query, String, usize)>,
    /// Nodes of common table expressions that are done.
    sizes: HashMap<String, usize>,
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
        if DEPTH_MAX < self.depth {
            return ControlFlow::Break(too_complex("a depth", DEPTH_MAX));
        }
        self.add(1)
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
        let name = name.to_string().to_lowercase();
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
        if DEPTH_MAX < self.depth + chain_of(&query.body) {
            return ControlFlow::Break(too_complex("a depth", DEPTH_MAX));
        }
        if let Some(with) = &query.with {
            for table in &with.cte_tables {
                self.under_way.push((&*table.query, table.alias.name.value.to_lowercase(), usize::MAX));
            }
        }
        let address: *const Query = query;
        let nodes = self.nodes;
        if let Some(entry) = self.under_way.iter_mut().find(|(a, _, _)| *a == address) {
            entry.2 = nodes;
        }
        self.down()
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Fault> {
        let address: *const Query = query;
        if let Some(place) = self.under_way.iter().position(|(a, _, _)| *a == address) {
            let (_, name, before) = self.under_way.swap_remove(place);
            let size = self.nodes.saturating_sub(before);
            // Names can be hidden by others of the same name: the larger one counts.
            let known = self.sizes.entry(name).or_default();
            *known = size.max(*known);
        }
        self.up()
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Fault> {
        // A list of tables becomes a chain of joins.
        let joins: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
        if DEPTH_MAX < self.depth + joins {
            return ControlFlow::Break(too_complex("a number of joins", DEPTH_MAX));
        }
        self.add(1 + select.projection.len())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Fault> {
        match factor {
            TableFactor::Table { name, args, .. } => {
                if args.is_some() {
                    self.function(name)?;
                }
                if let [part] = name.0.as_slice() {
                    let name = part.to_string().trim_matches('"').to_lowercase();
                    let size = self.sizes.get(&name).copied().unwrap_or_default();
                    self.add(size)?;
                }
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
        match expr {
            Expr::Function(function) => self.function(&function.name)?,
            Expr::BinaryOp { op: BinaryOperator::StringConcat, .. } => self.growing()?,
            _ => {}
        }
        self.down()
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Fault> {
        self.up()
    }
}
