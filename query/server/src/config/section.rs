//! Declares options: one line per option gives key, type, default, bounds and documentation, and
//! everything else (parsing, checks, the example file, `runtime.settings`) is made from it.

use std::path::Path;

use skep_catalog::fault::Fault;
use skep_query::Subject;

use super::reader::TableReader;
use super::value::Rule;

/// One option, as declared.
#[derive(Clone, Debug)]
pub struct OptionSpec {
    /// Key within its section.
    pub key: &'static str,
    /// What it does and in which unit.
    pub doc: String,
    /// What must be written: "a whole number".
    pub type_word: &'static str,
    /// Bounds.
    pub rule: Rule,
    /// Default as TOML text; `None` without one.
    pub default: Option<String>,
}

/// One option with the value in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Dotted key, such as `sql.statement_timeout_ms`.
    pub key: String,
    /// Value as plain text; `None` when not set.
    pub value: Option<String>,
    /// Default as plain text; `None` without one.
    pub default: Option<String>,
    /// What it does and in which unit.
    pub doc: String,
    /// What it is about, when not the whole process.
    pub subject: Option<Subject>,
}

/// The settings of one of several of a kind: its name is put behind `prefix`.
pub fn of_subject<'s>(
    settings: Vec<Setting>,
    prefix: &'s str,
    name: &'s str,
    subject: &'s Subject,
) -> impl Iterator<Item = Setting> + 's {
    settings.into_iter().map(move |setting| Setting {
        key: setting.key.replacen(prefix, &format!("{prefix}{name}."), 1),
        subject: Some(subject.clone()),
        ..setting
    })
}

/// Options of a door that is not open.
pub fn closed(settings: Vec<Setting>) -> Vec<Setting> {
    settings.into_iter().map(|setting| Setting { value: None, default: None, ..setting }).collect()
}

/// A table of the file.
pub trait Section: Sized {
    /// Dotted path; empty for the top of the file.
    const PATH: &'static str;
    /// What the section is for.
    fn doc() -> String;
    /// Its options, in the order of the declaration.
    fn options() -> Vec<OptionSpec>;
    /// Reads and checks every option; absent ones get their defaults.
    fn read(reader: &mut TableReader<'_, '_>, folder: &Path) -> Result<Self, Fault>;
    /// The values in effect.
    fn settings(&self) -> Vec<Setting>;
    /// Gives an option the value that a plain text stands for.
    ///
    /// Errors: why not, in words.
    fn set(&mut self, key: &str, text: &str) -> Result<(), String>;
}

/// The dotted key of an option.
pub fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The lines of a doc comment as one text.
pub fn doc_text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")
}

/// Declares a section: `key: type = default, rule;` with a doc comment each.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        struct $name:ident in $path:literal {
            $( $(#[doc = $field_doc:literal])* $field:ident: $type:ty = $default:expr, $rule:expr; )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $( $(#[doc = $field_doc])* pub $field: $type, )* }

        impl Default for $name {
            fn default() -> Self { Self { $($field: $default,)* } }
        }

        impl $crate::config::section::Section for $name {
            const PATH: &'static str = $path;

            fn doc() -> String { $crate::config::section::doc_text(&[$($doc),*]) }

            fn options() -> Vec<$crate::config::section::OptionSpec> {
                let defaults = Self::default();
                vec![$( $crate::config::section::OptionSpec {
                    key: stringify!($field),
                    doc: $crate::config::section::doc_text(&[$($field_doc),*]),
                    type_word: <$type as $crate::config::value::Value>::WORD,
                    rule: $rule,
                    default: match $rule {
                        $crate::config::value::Rule::Required(_) => None,
                        _ => $crate::config::value::Value::show(&defaults.$field),
                    },
                } ),*]
            }

            fn read(
                reader: &mut $crate::config::reader::TableReader<'_, '_>,
                folder: &std::path::Path,
            ) -> Result<Self, skep_catalog::fault::Fault> {
                reader.refuse_unknown::<Self>()?;
                let mut section = Self::default();
                $(
                    reader.option::<Self, _>(stringify!($field), &$rule, &mut section.$field)?;
                    $crate::config::value::Value::resolve(&mut section.$field, folder);
                )*
                Ok(section)
            }

            fn settings(&self) -> Vec<$crate::config::section::Setting> {
                let defaults = Self::default();
                let options = Self::options();
                let values = [$( (
                    $crate::config::value::Value::text(&self.$field),
                    $crate::config::value::Value::text(&defaults.$field),
                ) ),*];
                options.into_iter().zip(values).map(|(option, (value, default))| {
                    $crate::config::section::Setting {
                        key: $crate::config::section::dotted(Self::PATH, option.key),
                        value,
                        default: option.default.and(default),
                        doc: option.doc,
                        subject: None,
                    }
                }).collect()
            }

            fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $( stringify!($field) => {
                        let word = <$type as $crate::config::value::Value>::WORD;
                        let value = <$type as $crate::config::value::Value>::of_text(text);
                        let value = value.ok_or_else(|| format!("must be {word}"))?;
                        if let Some(why) = $crate::config::value::Value::check(&value, &$rule) {
                            return Err(why);
                        }
                        self.$field = value;
                        Ok(())
                    } )*
                    other => Err(format!("there is no option {other}")),
                }
            }
        }
    };
}

pub(crate) use section;
