//! The Java clients of `tests/java`: an independent reader, and a hand that changes things.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::canonical::{self, Node};
use super::process::Guarded;

/// One object as Hive's own generated client read it.
#[derive(Clone, Debug)]
pub struct Dumped {
    /// `catalog`, `database`, `table`, `partition`, `function`, `column_statistic`, `privilege`,
    /// or the class of a constraint.
    pub kind: String,
    /// Catalog, `hive` where the server has none.
    pub catalog: String,
    /// Database, empty above it.
    pub database: String,
    /// Table, empty above it.
    pub table: String,
    /// Name within its parent; of a partition its values with NUL between.
    pub name: String,
    /// Every field that is set, by name.
    pub fields: Value,
    /// The struct written again by Hive's client, in canonical form.
    pub canonical: Node,
}

impl Dumped {
    /// Runs `command` and reads what it prints.
    pub fn read(command: &mut Command) -> Vec<Self> {
        let output = command.stdin(Stdio::null()).output().expect("Java was seen to run");
        let text = String::from_utf8(output.stdout).expect("Dump prints UTF-8");
        assert!(
            output.status.success() && text.trim_end().ends_with("{\"kind\":\"end\"}"),
            "Dump failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text.lines().filter(|line| !line.contains("\"kind\":\"end\"")).map(Self::parse).collect()
    }

    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(line).expect("Dump prints JSON");
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let bytes = canonical::from_base64(&text("bytes"));
        Self {
            kind: text("kind"),
            catalog: text("catalog"),
            database: text("database"),
            table: text("table"),
            name: text("name"),
            fields: value["fields"].clone(),
            canonical: canonical::decode(&bytes).expect("Hive's client writes valid structs"),
        }
    }
}

/// A running client that changes a metastore, one command at a time.
pub struct Ddl {
    _process: Guarded,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Ddl {
    pub(super) fn start(command: &mut Command) -> Self {
        let mut process =
            Guarded::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let input = process.child().stdin.take().expect("stdin was asked for");
        let output = BufReader::new(process.child().stdout.take().expect("stdout was asked for"));
        let mut ddl = Self { _process: process, input, output };
        assert_eq!(ddl.line(), "ready", "the Ddl client starts");
        ddl
    }

    /// Runs one command of `tests/java/common/Ddl.java`; panics when the metastore refuses it.
    pub fn run(&mut self, command: &str) {
        writeln!(self.input, "{command}").expect("the Ddl client reads commands");
        let answer = self.line();
        assert_eq!(answer, "ok", "{command}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the Ddl client answers");
        line.trim_end().to_owned()
    }
}
