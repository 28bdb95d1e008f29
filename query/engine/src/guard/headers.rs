//! Names of result columns: an expression without a name is called as it was written. Planning
//! would call `1` `Int64(1)`.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr};

/// Characters of a name; more is cut off.
const NAME_CHARS_MAX: usize = 80;

/// Names the columns of a statement's result.
pub fn name(query: &mut Query) {
    let is_ordered = query.order_by.is_some();
    // Sub-queries keep the names that others of their expressions may go by.
    if let Some(select) = first_select(&mut query.body) {
        // There planning looks for what is ordered by among the expressions without a name.
        if is_ordered && select.distinct.is_some() {
            return;
        }
        let mut names: Vec<String> = Vec::new();
        for item in &mut select.projection {
            name_item(item, &mut names);
        }
    }
}

/// The SELECT that names the columns of a chain of set operations.
fn first_select(mut body: &mut SetExpr) -> Option<&mut Select> {
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::SetOperation { left, .. } => left,
            SetExpr::Query(query) => &mut query.body,
            _ => return None,
        }
    }
}

fn name_item(item: &mut SelectItem, names: &mut Vec<String>) {
    let SelectItem::UnnamedExpr(expr) = item else { return };
    if matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
        return;
    }
    let text = expr.to_string();
    let written = match text.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    };
    // Two columns cannot have one name.
    let again = names.iter().filter(|name| **name == written).count();
    let name = if again == 0 { written.clone() } else { format!("{written} ({})", again + 1) };
    names.push(written);
    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn named(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        let Some(Statement::Query(mut query)) = statements.pop() else { panic!("{sql} is no query") };
        name(&mut query);
        query.to_string()
    }

    #[test]
    fn expressions_without_a_name_are_called_as_they_were_written() {
        assert_eq!(named("SELECT 1, 'a', 1"), r#"SELECT 1 AS "1", 'a' AS "'a'", 1 AS "1 (2)""#);
        assert_eq!(named("SELECT a, t.b, *, 1 AS one FROM t"), "SELECT a, t.b, *, 1 AS one FROM t");
        assert_eq!(
            named("SELECT count(1) FROM (SELECT 1) AS t UNION ALL SELECT 2"),
            r#"SELECT count(1) AS "count(1)" FROM (SELECT 1) AS t UNION ALL SELECT 2"#
        );
        let long = named(&format!("SELECT {}1", "1 + ".repeat(100)));
        assert!(long.ends_with(r#"1 + ...""#), "{long}");
    }
}
