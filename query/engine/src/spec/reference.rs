//! The reference page, written from the spec.

use std::fmt::Write;

use skep_catalog::fault::Code;

use super::{CALL_RESULT, SCHEMAS, TABLES, examples::EXAMPLES};
use crate::procedures::spec::{ArgumentSpec, COMMON, PROCEDURES};

/// `docs/reference.md`.
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Reference: SQL tables, procedures, examples and error codes\n\n\
         Generated from `query/engine/src/spec`; the same text is in the tables `docs.*`. Do not edit: run \
         `SKEP_WRITE_REFERENCE=1 cargo test -p skep-query reference_page_is_up_to_date`.\n\n\
         The SQL catalog is `skep`, the default schema `catalog`. Tables of the metastores are rows of \
         `catalog.tables`, never SQL tables of their own. Columns marked * are the row's key.\n",
    );
    for schema in SCHEMAS {
        line(&mut page, format_args!("\n## {}\n\n{}", schema.name, schema.comment));
        for table in TABLES.iter().filter(|t| t.schema == schema.name) {
            line(&mut page, format_args!("\n### {}\n\n{}\n", table.full_name(), table.comment));
            line(&mut page, format_args!("| column | type | what it holds |\n| --- | --- | --- |"));
            for c in table.columns {
                let key = if c.is_key { "*" } else { "" };
                let null = if c.is_nullable { "" } else { " NOT NULL" };
                line(
                    &mut page,
                    format_args!("| `{}`{key} | {}{null} | {} |", c.name, c.kind.sql_name(), cell(c.comment)),
                );
            }
            if let Some(sql) = table.view {
                line(&mut page, format_args!("\nA view:\n\n```sql\n{sql}\n```"));
            }
        }
    }
    procedures(&mut page);
    page.push_str("\n## Examples\n");
    for example in EXAMPLES {
        line(&mut page, format_args!("\n{}\n\n```sql\n{}\n```", example.question, example.statement));
    }
    page.push_str("\n## Error codes\n\n| code | whose doing | try again? | meaning | what helps |\n| --- | --- | --- | --- | --- |\n");
    for code in Code::ALL {
        let again = if code.is_retryable() { "yes" } else { "no" };
        line(
            &mut page,
            format_args!(
                "| {} | {} | {again} | {} | {} |",
                code.as_str(),
                code.blame().as_str(),
                cell(code.meaning()),
                cell(code.fix())
            ),
        );
    }
    page
}

fn procedures(page: &mut String) {
    line(
        page,
        format_args!(
            "\n## Procedures\n\nEvery CALL takes effect exactly once, is on the disk and in \
             `runtime.audit_log` before it is answered, and answers the rows below. All procedures also \
             take these arguments:\n"
        ),
    );
    arguments(page, COMMON.iter());
    line(
        page,
        format_args!(
            "\nThe answer, one row per object:\n\n| column | type | what it holds |\n| --- | --- | --- |"
        ),
    );
    for c in CALL_RESULT.columns {
        let null = if c.is_nullable { "" } else { " NOT NULL" };
        line(page, format_args!("| `{}` | {}{null} | {} |", c.name, c.kind.sql_name(), cell(c.comment)));
    }
    for procedure in PROCEDURES {
        let own = procedure.all_arguments().filter(|argument| COMMON.iter().all(|c| c.name != argument.name));
        line(
            page,
            format_args!(
                "\n### {}\n\n{} For the role {}.\n\n```sql\n{};\n```\n",
                procedure.full_name(),
                procedure.comment,
                procedure.role.as_str(),
                procedure.example
            ),
        );
        arguments(page, own);
    }
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a ArgumentSpec>) {
    let mut arguments = arguments.peekable();
    if arguments.peek().is_none() {
        return line(page, format_args!("It has no arguments of its own."));
    }
    line(page, format_args!("| argument | type | default | what it means |\n| --- | --- | --- | --- |"));
    for argument in arguments {
        let default = match (argument.is_required, argument.default) {
            (true, _) => "required",
            (false, default) => default.unwrap_or(""),
        };
        let name = argument.kind.sql_name();
        line(page, format_args!("| `{}` | {name} | {default} | {} |", argument.name, cell(argument.comment)));
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(page, "{text}");
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn reference_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let page = super::reference_page();
        if std::env::var_os("SKEP_WRITE_REFERENCE").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).unwrap();
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/reference.md is stale: run SKEP_WRITE_REFERENCE=1 cargo test -p skep-query reference_page"
        );
    }
}
