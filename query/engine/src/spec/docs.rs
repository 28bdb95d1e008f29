use super::*;

pub const TABLES: &[TableSpec] = &[
    table(
        "docs",
        "tables",
        "One row per table and view of skep.",
        &[
            text("schema_name", "Schema.").key(),
            text("table_name", "Table or view.").key(),
            text("table_type", "'table' or 'view'."),
            text("comment", "What a row is."),
            int("column_count", "Columns."),
            text("view_definition", "The SELECT behind a view.").null(),
        ],
    ),
    table(
        "docs",
        "columns",
        "One row per column of skep's tables.",
        &[
            text("schema_name", "Schema.").key(),
            text("table_name", "Table or view.").key(),
            text("column_name", "Column.").key(),
            int("ordinal_position", "Place, from 1."),
            text("data_type", "SQL type."),
            boolean("is_nullable", "Whether it can be NULL."),
            boolean("is_key", "Whether it is part of the row's natural key."),
            text("comment", "What it holds."),
        ],
    ),
    table(
        "docs",
        "procedures",
        "One row per procedure: how it is called.",
        &[
            text("schema_name", "Schema: 'ops'.").key(),
            text("procedure_name", "Procedure.").key(),
            text("comment", "What it does."),
            text("required_role", "Who may call it: 'operator' (and admins) or 'admin'."),
            list("arguments", "Its arguments in order, with type; those in brackets may be left out."),
            text("example", "A call of it."),
        ],
    ),
    table(
        "docs",
        "errors",
        "One row per error code.",
        &[
            text("error_code", "Stable code.").key(),
            text("blame", "Whose doing it is: 'caller', 'metastore', 'machine' or 'skep'."),
            boolean("is_retryable", "Whether the same request may go through later."),
            text("meaning", "What it means."),
            text("fix", "What usually helps."),
        ],
    ),
    table(
        "docs",
        "examples",
        "Questions and the statements that answer them.",
        &[
            text("question", "What one wants to know.").key(),
            text("statement", "The SELECT that answers it."),
            text("schema_name", "Schema it is mostly about."),
            text("table_name", "Table it is mostly about."),
        ],
    ),
];
