//! Commands of the shell itself, which begin with `\`.

use crate::output::Format;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meta {
    /// `\?`
    Help,
    /// `\q`
    Quit,
    /// `\examples`
    Examples,
    /// `\e N`: runs an example.
    Example(usize),
    /// `\dn`: schemas.
    Schemas,
    /// `\dt [SCHEMA]`: tables.
    Tables(Option<String>),
    /// `\d TABLE`: columns.
    Columns(String),
    /// `\l`: metastores.
    Metastores,
    /// `\timing`
    Timing,
    /// `\x`
    Expanded,
    /// `\output FORMAT`
    Output(Format),
}

/// What `\?` prints.
pub const HELP: &str = "\
\\d [TABLE]         columns of a table of skep; without a name, all tables
\\dt [SCHEMA]       tables of skep
\\dn                schemas of skep
\\l                 metastores
\\examples          questions and their statements; \\e N runs one
\\timing            show or hide row counts and times
\\output FORMAT     table, csv, json or markdown
\\x                 each row as lines of its own, on or off
\\q                 leave (also Ctrl-D)
USE SCHEMA         tables without a schema are looked up in this one
Statements end with ; and may span lines. Tab completes, Ctrl-C cancels.
Hive tables are rows: SELECT * FROM catalog.tables WHERE table_name = 'orders';
";

/// The schema that a statement USE names, the last part of the name; `None` for other statements.
pub fn used_schema(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    let rest = match rest.split_once(char::is_whitespace) {
        Some((word, name)) if word.eq_ignore_ascii_case("schema") => name.trim(),
        _ => rest,
    };
    let is_name = !rest.is_empty() && rest.chars().all(|c| c.is_alphanumeric() || "_.\"".contains(c));
    let name = rest.rsplit('.').next().unwrap_or(rest).trim_matches('"').to_lowercase();
    (word.eq_ignore_ascii_case("use") && is_name).then_some(name)
}

/// The command that a word alone on its line means to those who come from other shells.
pub fn of_word(line: &str) -> Option<&'static str> {
    match line.trim().trim_end_matches(';').to_lowercase().as_str() {
        "exit" | "quit" => Some("\\q"),
        "help" => Some("\\?"),
        _ => None,
    }
}

impl Meta {
    /// Reads a line that begins with `\`.
    /// Errors: one sentence.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line = line.trim().trim_end_matches(';').trim();
        let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = Some(argument.trim()).filter(|argument| !argument.is_empty());
        match (name, argument) {
            ("\\?" | "\\h" | "\\help", _) => Ok(Self::Help),
            ("\\q" | "\\quit", None) => Ok(Self::Quit),
            ("\\examples", None) => Ok(Self::Examples),
            ("\\e", Some(number)) => match number.parse() {
                Ok(number) => Ok(Self::Example(number)),
                Err(_) => Err(format!("{number} is no number of an example; \\examples lists them")),
            },
            ("\\e", None) => Err("\\e needs the number of an example; \\examples lists them".to_owned()),
            ("\\dn", None) => Ok(Self::Schemas),
            ("\\dt", schema) => Ok(Self::Tables(schema.map(str::to_owned))),
            ("\\d", None) => Ok(Self::Tables(None)),
            ("\\d", Some(table)) => Ok(Self::Columns(table.to_owned())),
            ("\\l", None) => Ok(Self::Metastores),
            ("\\timing", None) => Ok(Self::Timing),
            ("\\x", None) => Ok(Self::Expanded),
            ("\\output", Some(format)) => Format::from_name(format).map(Self::Output).ok_or_else(|| {
                let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
                format!("{format} is no output format; there are {}", known.join(", "))
            }),
            ("\\output", None) => Err("\\output needs a format: table, csv, json or markdown".to_owned()),
            (_, Some(_)) if Self::parse(name).is_ok() => Err(format!("{name} takes no argument")),
            (_, _) => Err(format!("{name} is no command; \\? lists them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_names_a_schema() {
        for text in ["USE sync", "use schema skep.Sync;", " Use \"sync\" ; "] {
            assert_eq!(used_schema(text).as_deref(), Some("sync"), "{text}");
        }
        for text in ["SELECT use FROM t", "USE", "USE a b", "USER x", "use (SELECT 1)"] {
            assert_eq!(used_schema(text), None, "{text}");
        }
    }

    #[test]
    fn commands_are_read_and_mistakes_named() {
        assert_eq!(Meta::parse("\\d catalog.tables;"), Ok(Meta::Columns("catalog.tables".to_owned())));
        assert_eq!(Meta::parse("\\output csv"), Ok(Meta::Output(Format::Csv)));
        assert_eq!(
            Meta::parse("\\output xml"),
            Err("xml is no output format; there are table, csv, json, markdown".to_owned())
        );
        assert_eq!(Meta::parse("\\x on"), Err("\\x takes no argument".to_owned()));
        assert_eq!(of_word(" Exit; ").map(Meta::parse), Some(Ok(Meta::Quit)));
        assert_eq!(of_word("help").map(Meta::parse), Some(Ok(Meta::Help)));
        assert_eq!(of_word("SELECT 1"), None);
        assert_eq!(Meta::parse("\\zap"), Err("\\zap is no command; \\? lists them".to_owned()));
    }
}
