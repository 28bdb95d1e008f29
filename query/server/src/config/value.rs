//! What an option can hold: how it is read from TOML, checked and shown.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// What a value must fulfil beyond its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Any value of the type.
    Any,
    /// A number within these bounds.
    Within(RangeInclusive<u64>),
    /// A number within these bounds, whose default is made from the machine.
    OfMachine(RangeInclusive<u64>),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// No default: must be given. With the value that the example shows.
    Required(&'static str),
    /// No default: may be left out. With the value that the example shows, commented out.
    Optional(&'static str),
}

/// The type of an option.
pub trait Value: Sized {
    /// What must be written, for messages: "a whole number".
    const WORD: &'static str;
    /// The value, or `None` when `value` has another type.
    fn read(value: &DeValue<'_>) -> Option<Self>;
    /// As TOML text; `None` when not set.
    fn show(&self) -> Option<String>;
    /// As plain text, without quotes and groups of digits; `None` when not set.
    fn text(&self) -> Option<String> {
        self.show()
    }
    /// The value that a plain text stands for, or `None` when it stands for none.
    fn of_text(text: &str) -> Option<Self> {
        let document = format!("v = {text}");
        let parsed = DeTable::parse(&document).ok()?;
        let table = Some(parsed.get_ref()).filter(|table| table.len() == 1)?;
        Self::read(table.get("v")?.get_ref())
    }
    /// Why the value breaks `rule`, if it does.
    fn check(&self, _rule: &Rule) -> Option<String> {
        None
    }
    /// Makes relative paths relative to `folder`.
    fn resolve(&mut self, _folder: &Path) {}
}

impl Value for u64 {
    const WORD: &'static str = "a whole number";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        let number = value.as_integer()?;
        // A number below 0 or above 2^63 is a number all the same: its bounds refuse it.
        let number = i128::from_str_radix(number.as_str(), number.radix()).ok()?;
        Some(u64::try_from(number).unwrap_or(if number < 0 { 0 } else { u64::MAX }))
    }
    fn show(&self) -> Option<String> {
        Some(grouped(*self))
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn check(&self, rule: &Rule) -> Option<String> {
        match rule {
            Rule::Within(range) | Rule::OfMachine(range) if !range.contains(self) => Some(format!(
                "the value must be between {} and {}",
                grouped(*range.start()),
                grouped(*range.end())
            )),
            _ => None,
        }
    }
}

impl Value for bool {
    const WORD: &'static str = "true or false";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for String {
    const WORD: &'static str = "a text in quotes";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn check(&self, rule: &Rule) -> Option<String> {
        match rule {
            Rule::OneOf(words) if !words.contains(&self.as_str()) => {
                Some(format!("\"{self}\" is none of {}", words.join(", ")))
            }
            _ if self.trim().is_empty() => Some("the value must not be empty".to_owned()),
            _ => None,
        }
    }
}

impl Value for PathBuf {
    const WORD: &'static str = "a path in quotes";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(PathBuf::from)
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
    fn text(&self) -> Option<String> {
        Some(self.to_string_lossy().into_owned())
    }
    fn of_text(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }
    fn check(&self, _rule: &Rule) -> Option<String> {
        self.as_os_str().is_empty().then(|| "the value must not be empty".to_owned())
    }
    fn resolve(&mut self, folder: &Path) {
        *self = folder.join(&self);
    }
}

impl Value for Vec<String> {
    const WORD: &'static str = "a list of texts in quotes";
    fn read(value: &DeValue<'_>) -> Option<Self> {
        value.as_array()?.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
    }
    fn show(&self) -> Option<String> {
        Some(format!("[{}]", self.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")))
    }
    fn check(&self, _rule: &Rule) -> Option<String> {
        self.is_empty().then(|| "the list must not be empty".to_owned())
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// Texts that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(pub Vec<String>);

/// What is shown instead.
const HIDDEN: &str = "***";

impl Value for Secret {
    const WORD: &'static str = String::WORD;
    fn read(value: &DeValue<'_>) -> Option<Self> {
        String::read(value).map(Self)
    }
    fn show(&self) -> Option<String> {
        Some(quoted(HIDDEN))
    }
    fn check(&self, rule: &Rule) -> Option<String> {
        self.0.check(rule)
    }
}

impl Value for Secrets {
    const WORD: &'static str = <Vec<String>>::WORD;
    fn read(value: &DeValue<'_>) -> Option<Self> {
        <Vec<String>>::read(value).map(Self)
    }
    fn show(&self) -> Option<String> {
        self.0.iter().map(|_| HIDDEN.to_owned()).collect::<Vec<_>>().show()
    }
    fn check(&self, rule: &Rule) -> Option<String> {
        self.0.check(rule)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl<T: Value> Value for Option<T> {
    const WORD: &'static str = T::WORD;
    fn read(value: &DeValue<'_>) -> Option<Self> {
        T::read(value).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(T::text)
    }
    fn of_text(text: &str) -> Option<Self> {
        T::of_text(text).map(Some)
    }
    fn check(&self, rule: &Rule) -> Option<String> {
        self.as_ref().and_then(|value| value.check(rule))
    }
    fn resolve(&mut self, folder: &Path) {
        if let Some(value) = self {
            value.resolve(folder);
        }
    }
}

impl fmt::Display for Rule {
    /// The bounds as the example shows them; nothing when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any | Self::Optional(_) => Ok(()),
            Self::Within(range) | Self::OfMachine(range) => {
                write!(f, "{} to {}", grouped(*range.start()), grouped(*range.end()))
            }
            Self::OneOf(words) => f.write_str(&words.join(", ")),
            Self::Required(_) => f.write_str("must be given"),
        }
    }
}

/// Digits in groups of three, as TOML allows them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
