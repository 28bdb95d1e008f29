//! What of the metastores somebody may see: patterns of names of metastores and databases.

use std::sync::{Arc, LazyLock};

use crate::model::DEFAULT_CATALOG;

/// Patterns in one list: more would be a list of names, kept elsewhere.
pub const PATTERNS_MAX: usize = 1_000;

/// A set of databases. Everything below a database belongs to it; what belongs to a metastore as a
/// whole is visible with the metastore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all.
    metastores: Option<Vec<String>>,
    /// `None`: all.
    databases: Option<Vec<String>>,
}

impl Scope {
    /// Everything.
    pub fn everything() -> Arc<Self> {
        static EVERYTHING: LazyLock<Arc<Scope>> = LazyLock::new(Arc::default);
        Arc::clone(&EVERYTHING)
    }

    /// Databases whose metastore and name both fit one of the patterns; `None` fits all.
    ///
    /// In a pattern `*` stands for any text, also none. Databases are written as Hive does: `sales`
    /// is one in any catalog, `@spark#sales` one in catalog spark, `@spark#*` all of them.
    pub fn new(metastores: Option<Vec<String>>, databases: Option<Vec<String>>) -> Self {
        Self { metastores, databases }
    }

    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        self.metastores.is_none() && self.databases.is_none()
    }

    /// Whether it leaves no database of a metastore out that it has.
    pub fn has_all_databases(&self) -> bool {
        self.databases.is_none()
    }

    /// Whether anything of the metastore is in it.
    pub fn has_metastore(&self, metastore: &str) -> bool {
        self.metastores.as_ref().is_none_or(|patterns| patterns.iter().any(|p| fits(p, metastore)))
    }

    /// Whether a database of a metastore that is in it is in it too.
    pub fn has_database(&self, catalog: &str, database: &str) -> bool {
        let fits_name = |pattern: &String| match pattern.strip_prefix('@') {
            None => fits(pattern, database),
            Some(rest) => match rest.split_once('#') {
                Some((of_catalog, of_database)) => fits(of_catalog, catalog) && fits(of_database, database),
                None => false,
            },
        };
        self.databases.as_ref().is_none_or(|patterns| patterns.iter().any(fits_name))
    }

    /// Why a pattern of databases fits nothing, whatever there is.
    pub fn check_database_pattern(pattern: &str) -> Result<(), String> {
        match pattern.strip_prefix('@').map(|rest| rest.split_once('#')) {
            Some(None) => Err(format!(
                "\"{pattern}\" names a catalog only: write \"{pattern}#*\" for all its databases, \
                 \"@{DEFAULT_CATALOG}#...\" for metastores without catalogs"
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a text fits a pattern. Takes at most the product of their lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // The last star, and how much of the text it stood for.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((star_at, stood_for)) => {
                    star = Some((star_at, stood_for + 1));
                    at = star_at + 1;
                    seen = stood_for + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        for (pattern, text, expected) in [
            ("sales", "sales", true),
            ("sales", "sales2", false),
            ("sales", "Sales", false),
            ("*", "", true),
            ("*", "sales", true),
            ("prod_*", "prod_", true),
            ("prod_*", "prod", false),
            ("*_eu", "sales_eu", true),
            ("*_eu", "sales_eu_old", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "", true),
            ("", "a", false),
            ("a.b", "axb", false),
            ("?", "a", false),
            ("*ü*", "grün", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        // Quadratic at most.
        assert!(!fits(&"*a".repeat(1_000), &"a".repeat(999)));
    }

    #[test]
    fn both_the_metastore_and_the_database_must_fit() {
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        assert!(Scope::everything().is_everything());
        assert!(Scope::everything().has_metastore("dc1") && Scope::everything().has_database("hive", "a"));
        let scope = Scope::new(texts(&["prod_*"]), texts(&["sales*", "@spark#risk", "@lake#*"]));
        assert!(!scope.is_everything() && !scope.has_all_databases());
        assert!(scope.has_metastore("prod_eu") && !scope.has_metastore("dev"));
        for (catalog, database, expected) in [
            ("hive", "sales_eu", true),
            ("spark", "sales", true),
            ("spark", "risk", true),
            ("hive", "risk", false),
            ("lake", "anything", true),
            ("hive", "anything", false),
        ] {
            assert_eq!(scope.has_database(catalog, database), expected, "{catalog} {database}");
        }
        let nothing = Scope::new(None, Some(Vec::new()));
        assert!(!nothing.is_everything() && !nothing.has_database("hive", "a"));
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_told() {
        assert!(Scope::check_database_pattern("@spark").is_err());
        for pattern in ["sales", "@spark#*", "*"] {
            assert_eq!(Scope::check_database_pattern(pattern), Ok(()));
        }
    }
}
