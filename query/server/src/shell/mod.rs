//! The SQL shell, over an engine in this process or a service: `-c`, `-f`, standard input, or a prompt.
//!
//! Standard output carries results only; everything else goes to standard error.

mod asked;
mod complete;
mod meta;
mod prompt;
mod split;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use skep_catalog::fault::{Code, Fault};
use skep_query::describe::describe;
use skep_query::spec::examples::EXAMPLES;
use skep_query::spec::{DEFAULT_SCHEMA, SCHEMAS, TABLES};

use crate::console;
use crate::exit::{Exit, report};
use crate::output::{Format, PrintError, Printer, TableStyle, grouped};
pub use asked::Asked;
use meta::Meta;

/// Rows of a table on a terminal.
const TERMINAL_ROWS_MAX: usize = 200;
/// Bytes of a file of statements: many statements, each bounded by the engine.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// `\l`: short names, so that it fits 80 characters while nothing is wrong.
const METASTORES: &str = "SELECT metastore_name AS name, hive_version AS hive, state, \
     database_count AS databases, table_count AS tables, partition_count AS partitions, lag_ms, \
     error_message AS error FROM federation.metastores ORDER BY metastore_name";

/// What is asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Ask {
    /// Run these statements and exit.
    #[arg(short = 'c', long = "command", value_name = "SQL", conflicts_with = "file")]
    pub command: Option<String>,
    /// Run the statements of this file (- is standard input) and exit.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Option<Format>,
}

impl Ask {
    /// The statements to run; `None` when there will be a prompt. Reads file or standard input
    /// to the end.
    ///
    /// Errors: `SQL_FAILED`.
    pub fn script(&self) -> Result<Option<String>, Fault> {
        if let Some(command) = &self.command {
            return Ok(Some(command.clone()));
        }
        match &self.file {
            Some(file) if file.as_os_str() != "-" => {
                let unreadable = |error: std::io::Error| {
                    Fault::new(Code::SQL_FAILED, format!("file {}", file.display()), error.to_string())
                        .with_fix("Check path and permissions.")
                };
                read_bounded(std::fs::File::open(file).map_err(unreadable)?).map(Some)
            }
            Some(_) => read_bounded(std::io::stdin()).map(Some),
            None if !std::io::stdin().is_terminal() => read_bounded(std::io::stdin()).map(Some),
            None => Ok(None),
        }
    }
}

fn read_bounded(from: impl std::io::Read) -> Result<String, Fault> {
    let failed = |why: String| Fault::new(Code::SQL_FAILED, "statements cannot be read", why);
    let mut text = String::new();
    let mut from = from.take(FILE_BYTES_MAX + 1);
    std::io::Read::read_to_string(&mut from, &mut text).map_err(|error| failed(error.to_string()))?;
    if FILE_BYTES_MAX < text.len() as u64 {
        return Err(failed(format!("they are longer than {} bytes", grouped(FILE_BYTES_MAX))));
    }
    Ok(text)
}

/// The line of `text` in which `part`, which lies in it, begins.
fn line_of(part: &str, text: &str) -> usize {
    let before = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    1 + text.bytes().take(before).filter(|byte| *byte == b'\n').count()
}

/// Whether the shell goes on after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Quit,
}

/// A shell.
pub struct Shell {
    asked: Arc<Asked>,
    /// Of tables that are named without one.
    schema: &'static str,
    format: Format,
    is_expanded: bool,
    shows_timing: bool,
}

impl Shell {
    /// A shell that asks this one.
    pub fn new(asked: Asked, format: Option<Format>) -> Self {
        let shows_timing = std::io::stderr().is_terminal();
        Self {
            asked: Arc::new(asked),
            schema: DEFAULT_SCHEMA,
            format: format.unwrap_or(Format::Table),
            is_expanded: false,
            shows_timing,
        }
    }

    /// Runs the script (see [`Ask::script`]), or a prompt after `banner`.
    ///
    /// Blocks; statements run on `runtime`. Without a prompt the first fault ends it, and so does
    /// a standard output that nobody reads any more, as [`Exit::Done`].
    pub fn run(mut self, runtime: &tokio::runtime::Runtime, script: Option<&str>, banner: &str) -> Exit {
        match script {
            Some(text) => self.run_script(runtime, text),
            None => {
                console::note(format_args!("{banner}"));
                self.prompt(runtime)
            }
        }
    }

    fn run_script(&mut self, runtime: &tokio::runtime::Runtime, text: &str) -> Exit {
        let split = split::split(text);
        let rest = Some(split.rest).filter(|rest| !rest.is_empty());
        for statement in split.statements.into_iter().chain(rest) {
            match runtime.block_on(self.run_one(statement)) {
                Ok(Next::GoOn) => {}
                Ok(Next::Quit) => break,
                Err(mut fault) => {
                    // Places that the parser names are counted from where the statement begins.
                    if text.trim_end().contains('\n') {
                        fault.what = format!("line {}, {}", line_of(statement, text), fault.what);
                    }
                    report(&fault);
                    return Exit::of(&fault);
                }
            }
        }
        Exit::Done
    }

    /// Runs one statement or shell command. Ctrl-C cancels it.
    async fn run_one(&mut self, text: &str) -> Result<Next, Fault> {
        if text.starts_with('\\') {
            let wrong =
                |why| Fault::new(Code::SQL_INVALID, "shell command", why).with_fix("\\? lists the commands.");
            return self.run_meta(Meta::parse(text).map_err(wrong)?).await;
        }
        if let Some(name) = meta::used_schema(text) {
            return self.use_schema(&name).await;
        }
        tokio::select! {
            result = self.run_sql(text) => result,
            _ = tokio::signal::ctrl_c() => {
                Err(Fault::new(Code::SQL_CANCELLED, "statement ended", "Ctrl-C was pressed"))
            }
        }
    }

    async fn use_schema(&mut self, name: &str) -> Result<Next, Fault> {
        let Some(schema) = SCHEMAS.iter().map(|schema| schema.name).find(|known| *known == name) else {
            let names: Vec<&str> = SCHEMAS.iter().map(|schema| schema.name).collect();
            let why = format!("there is no schema {name}, only {}", names.join(", "));
            return Err(Fault::new(Code::SQL_INVALID, "USE", why)
                .with_fix("Databases of the metastores are rows of catalog.databases."));
        };
        self.asked.use_schema(schema).await?;
        self.schema = schema;
        Ok(Next::GoOn)
    }

    async fn run_sql(&self, sql: &str) -> Result<Next, Fault> {
        let started = Instant::now();
        self.end(self.print_sql(sql).await, Some(started))
    }

    async fn print_sql(&self, sql: &str) -> Result<(u64, Option<String>), PrintError> {
        let mut result = self.asked.query(sql, self.schema).await?;
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let mut printer = Printer::new(self.format, self.style(), result.schema(), &mut out)?;
        while let Some(batch) = result.next().await {
            printer.batch(&batch?)?;
        }
        printer.end()
    }

    /// Notes what was printed: rows, and what was left out.
    fn end(
        &self,
        printed: Result<(u64, Option<String>), PrintError>,
        started: Option<Instant>,
    ) -> Result<Next, Fault> {
        match printed {
            Ok((rows, left_out)) => self.note(rows, left_out, started),
            Err(error) if error.is_reader_gone() => return Ok(Next::Quit),
            Err(error) => return Err(error.into()),
        }
        Ok(Next::GoOn)
    }

    async fn run_meta(&mut self, command: Meta) -> Result<Next, Fault> {
        match command {
            Meta::Quit => return Ok(Next::Quit),
            Meta::Help => console::note(format_args!("{}", meta::HELP)),
            Meta::Timing => {
                self.shows_timing = !self.shows_timing;
                console::note(format_args!("timing is {}\n", if self.shows_timing { "on" } else { "off" }));
            }
            Meta::Expanded => {
                self.is_expanded = !self.is_expanded;
                console::note(format_args!(
                    "each row as lines of its own is {}\n",
                    if self.is_expanded { "on" } else { "off" }
                ));
            }
            Meta::Output(format) => {
                self.format = format;
                console::note(format_args!("output is {}\n", format.as_str()));
            }
            Meta::Examples => {
                for (index, example) in EXAMPLES.iter().enumerate() {
                    console::note(format_args!(
                        "{:>3}  {}\n     {};\n",
                        index + 1,
                        example.question,
                        example.statement
                    ));
                }
            }
            Meta::Example(number) => {
                let example = number.checked_sub(1).and_then(|index| EXAMPLES.get(index));
                let Some(example) = example else {
                    let why = format!("there is no example {number}, only 1 to {}", EXAMPLES.len());
                    return Err(Fault::new(Code::SQL_INVALID, "shell command", why)
                        .with_fix("\\examples lists them."));
                };
                console::note(format_args!("-- {}\n{};\n", example.question, example.statement));
                return self.run_sql(example.statement).await;
            }
            Meta::Metastores => return self.run_sql(METASTORES).await,
            Meta::Schemas => {
                return self.show(&[
                    ("schema_name", texts(SCHEMAS.iter().map(|schema| schema.name))),
                    ("comment", texts(SCHEMAS.iter().map(|schema| schema.comment))),
                ]);
            }
            Meta::Tables(schema) => {
                let names: Vec<&str> = SCHEMAS.iter().map(|schema| schema.name).collect();
                if let Some(unknown) = schema.as_deref().filter(|schema| !names.contains(schema)) {
                    let why = format!("there is no schema {unknown}, only {}", names.join(", "));
                    return Err(Fault::new(Code::SQL_INVALID, "shell command", why)
                        .with_fix("\\dn lists them; \\d TABLE shows a table."));
                }
                let tables =
                    || TABLES.iter().filter(|table| schema.as_deref().is_none_or(|s| s == table.schema));
                return self.show(&[
                    ("table_name", texts(tables().map(|table| table.full_name()))),
                    (
                        "kind",
                        texts(tables().map(|table| if table.view.is_some() { "view" } else { "table" })),
                    ),
                    ("comment", texts(tables().map(|table| table.comment))),
                ]);
            }
            Meta::Columns(table) => {
                let table = describe(&table)?;
                let columns = || table.columns.iter();
                console::note(format_args!("{}: {}\n", table.full_name(), table.comment));
                let positions: Int64Array = (1..).take(table.columns.len()).map(Some).collect();
                let keys: BooleanArray = columns().map(|column| Some(column.is_key)).collect();
                return self.show(&[
                    ("n", Arc::new(positions)),
                    ("column_name", texts(columns().map(|column| column.name))),
                    ("data_type", texts(columns().map(|column| column.kind.sql_name()))),
                    ("is_key", Arc::new(keys)),
                    ("comment", texts(columns().map(|column| column.comment))),
                ]);
            }
        }
        Ok(Next::GoOn)
    }

    /// Prints columns that are there already.
    fn show(&self, columns: &[(&str, ArrayRef)]) -> Result<Next, Fault> {
        let batch =
            RecordBatch::try_from_iter(columns.iter().map(|(name, values)| (*name, Arc::clone(values))))
                .map_err(|error| Fault::internal("shell command", error.to_string()))?;
        let print = || {
            let mut out = std::io::stdout().lock();
            let mut printer = Printer::new(self.format, self.style(), &batch.schema(), &mut out)?;
            printer.batch(&batch)?;
            printer.end()
        };
        self.end(print(), None)
    }

    fn style(&self) -> TableStyle {
        let is_expanded = self.is_expanded;
        if !std::io::stdout().is_terminal() {
            return TableStyle { is_expanded, ..TableStyle::PLAIN };
        }
        // A terminal that does not know its width says 0.
        let width = comfy_table::Table::new().width().map(usize::from).filter(|width| *width != 0);
        TableStyle { rows_max: TERMINAL_ROWS_MAX, width, is_expanded }
    }

    fn note(&self, rows: u64, left_out: Option<String>, started: Option<Instant>) {
        // What is left out is always said; counts and times on request.
        let mut parts = Vec::new();
        if self.shows_timing {
            parts.push(format!("{} {}", grouped(rows), if rows == 1 { "row" } else { "rows" }));
            parts.extend(started.map(|started| format!("{:.1} ms", started.elapsed().as_secs_f64() * 1e3)));
        }
        parts.extend(left_out);
        if !parts.is_empty() {
            console::note(format_args!("({})\n", parts.join(", ")));
        }
    }
}

fn texts(values: impl Iterator<Item = impl Into<String>>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values.map(Into::<String>::into)))
}
