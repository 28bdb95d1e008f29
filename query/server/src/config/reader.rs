//! Reads tables of the file and says clearly what is wrong in them: file, line, key, reason.

use std::path::{Path, PathBuf};

use skep_catalog::fault::{Code, Fault};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options;
use super::section::{Section, dotted};
use super::value::{Rule, Value};

/// The text of a config file, for messages.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    /// Where it was read.
    pub file: &'s Path,
    /// What it holds.
    pub text: &'s str,
}

impl Source<'_> {
    /// A fault at the place of byte `offset`.
    pub fn invalid(&self, offset: usize, key: &str, why: impl Into<String>) -> Fault {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let subject = if key.is_empty() { String::new() } else { format!(", {key}") };
        Fault::new(Code::CONFIG_INVALID, format!("{} line {line}{subject}", self.file.display()), why)
    }

    /// A fault about something that is not there.
    pub fn lacks(&self, why: impl Into<String>) -> Fault {
        Fault::new(Code::CONFIG_INVALID, self.file.display().to_string(), why)
    }
}

/// One table of the file while it is read.
pub struct TableReader<'t, 'i> {
    /// The file that it is in.
    pub source: Source<'t>,
    /// Where it begins.
    pub offset: usize,
    /// What it holds.
    pub table: &'t DeTable<'i>,
    /// Tables within this one, which are read apart.
    pub tables_within: &'static [&'static str],
}

impl<'t, 'i> TableReader<'t, 'i> {
    /// The item `key` and where its key is.
    pub fn get(&self, key: &str) -> Option<(usize, &'t Spanned<DeValue<'i>>)> {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(name, value)| (name.span().start, value))
    }

    /// Refuses the first key that is none of the section's options, and names the nearest.
    pub fn refuse_unknown<S: Section>(&self) -> Result<(), Fault> {
        let known: Vec<&str> =
            S::options().iter().map(|option| option.key).chain(self.tables_within.iter().copied()).collect();
        let unknown = self
            .table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        let Some(key) = unknown else { return Ok(()) };
        let name = key.get_ref().as_ref();
        let full = dotted(S::PATH, name);
        let help = match (options::home_of(name), nearest(name, &known)) {
            (Some(home), _) => format!("unknown key here; it belongs in {home}"),
            (None, Some(near)) => format!("unknown key; did you mean {near}?"),
            (None, None) => format!("unknown key; known ones here are {}", known.join(", ")),
        };
        Err(self.source.invalid(key.span().start, &full, help))
    }

    /// Reads an option into `value`, which holds its default.
    pub fn option<S: Section, V: Value>(
        &self,
        key: &'static str,
        rule: &Rule,
        value: &mut V,
    ) -> Result<(), Fault> {
        let fault = |offset, why: String| Err(self.source.invalid(offset, &dotted(S::PATH, key), why));
        match self.get(key) {
            None if matches!(rule, Rule::Required(_)) => fault(self.offset, "the key is missing".to_owned()),
            None => Ok(()),
            Some((offset, item)) => {
                let Some(read) = V::read(item.get_ref()) else {
                    let found = item.get_ref().type_str();
                    return fault(offset, format!("must be {}, not a TOML {found}", V::WORD));
                };
                if let Some(why) = read.check(rule) {
                    return fault(offset, why);
                }
                *value = read;
                Ok(())
            }
        }
    }
}

/// A section with where it begins and what reads the tables within it.
type Read<'t, 'i, S> = (usize, TableReader<'t, 'i>, S);

/// Reads `[S::PATH]` (the part after the last dot) below `parent`; `None` when it is not there.
pub fn read_section_with<'t, 'i, S: Section>(
    parent: &TableReader<'t, 'i>,
    folder: &Path,
    tables_within: &'static [&'static str],
) -> Result<Option<Read<'t, 'i, S>>, Fault> {
    let source = parent.source;
    let name = S::PATH.rsplit('.').next().unwrap_or(S::PATH);
    let Some((offset, item)) = parent.get(name) else { return Ok(None) };
    let Some(table) = item.get_ref().as_table() else {
        return Err(source.invalid(offset, S::PATH, format!("must be a section, written [{}]", S::PATH)));
    };
    let mut reader = TableReader { source, offset, table, tables_within };
    let section = S::read(&mut reader, folder)?;
    Ok(Some((offset, reader, section)))
}

/// The tables written `[[path]]`, once for each: where they begin, and what reads them.
pub fn read_array<'t, 'i>(
    parent: &TableReader<'t, 'i>,
    name: &str,
    path: &str,
) -> Result<Vec<(usize, TableReader<'t, 'i>)>, Fault> {
    let Some((offset, item)) = parent.get(name) else { return Ok(Vec::new()) };
    let source = parent.source;
    let reader = |entry: &'t Spanned<DeValue<'i>>| {
        let offset = entry.span().start;
        let table = entry.get_ref().as_table()?;
        Some((offset, TableReader { source, offset, table, tables_within: &[] }))
    };
    let entries = item.get_ref().as_array().and_then(|entries| entries.iter().map(reader).collect());
    entries.ok_or_else(|| source.invalid(offset, path, format!("must be written [[{path}]], once for each")))
}

/// Files must be readable now, not when they are needed first. Errors: the key, and why.
pub fn check_readable(files: &[(&'static str, &Option<PathBuf>)]) -> Result<(), (&'static str, String)> {
    for (key, file) in files {
        if let Some(file) = file {
            std::fs::File::open(file).map_err(|error| (*key, format!("{}: {error}", file.display())))?;
        }
    }
    Ok(())
}

/// The name that was probably meant.
pub fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let near = known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .max_by(|left, right| left.0.total_cmp(&right.0))?;
    (0.75 <= near.0).then_some(near.1)
}
