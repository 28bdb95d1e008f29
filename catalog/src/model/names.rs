//! How objects are named and numbered.

use std::fmt;

/// The catalog that a metastore without catalogs (before Hive 3) is taken to have.
pub const DEFAULT_CATALOG: &str = "hive";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// Number of a metastore in this catalog; never reused.
    MetastoreId(u32), "m"
);
id!(
    /// Number of a catalog (Hive 3 and later) in this catalog; never reused.
    CatalogId(u32), "c"
);
id!(
    /// Number of a database; stays the same over a rename, new after drop and create.
    DatabaseId(u32), "d"
);
id!(
    /// Number of a table or view; stays the same over a rename, new after drop and create.
    TableId(u64), "t"
);

/// A database by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DatabaseName {
    /// Catalog of the metastore, [`DEFAULT_CATALOG`] where the server has none.
    pub catalog: String,
    /// Database, as the metastore spells it.
    pub database: String,
}

impl DatabaseName {
    /// A name in `catalog`.
    pub fn new(catalog: impl Into<String>, database: impl Into<String>) -> Self {
        Self { catalog: catalog.into(), database: database.into() }
    }

    /// The table `table` in this database.
    pub fn table(&self, table: impl Into<String>) -> TableName {
        TableName { database: self.clone(), table: table.into() }
    }
}

impl fmt::Display for DatabaseName {
    /// `sales` in catalog hive, `@spark#sales` in another: Hive's own notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.catalog == DEFAULT_CATALOG {
            f.write_str(&self.database)
        } else {
            write!(f, "@{}#{}", self.catalog, self.database)
        }
    }
}

/// A table or view by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TableName {
    /// The database that holds it.
    pub database: DatabaseName,
    /// Table, as the metastore spells it.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// The partition name as Hive writes it: `key=value` joined by `/`, special characters escaped
/// as `%XX`, null or empty values as `__HIVE_DEFAULT_PARTITION__`
/// (Hive 2.3 `FileUtils.makePartName`).
pub fn partition_name(keys: &[impl AsRef<str>], values: &[impl AsRef<str>]) -> String {
    let mut name = String::new();
    for (index, value) in values.iter().enumerate() {
        if index != 0 {
            name.push('/');
        }
        // A partition with more values than its table has keys is the metastore's damage; it
        // still needs a name of its own.
        match keys.get(index) {
            Some(key) => escape_into(&mut name, &key.as_ref().to_lowercase()),
            None => name.push_str(&format!("_{index}")),
        }
        name.push('=');
        if value.as_ref().is_empty() {
            name.push_str("__HIVE_DEFAULT_PARTITION__");
        } else {
            escape_into(&mut name, value.as_ref());
        }
    }
    name
}

fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        let escaped = (c as u32) < 0x20
            || matches!(
                c,
                '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '\x7F' | '{' | '[' | ']' | '^'
            );
        if escaped {
            out.push_str(&format!("%{:02X}", c as u32));
        } else {
            out.push(c);
        }
    }
}

/// The values in a partition name, unescaped (Hive 2.3
/// `Warehouse.makeSpecFromName`): the reverse of [`partition_name`].
pub fn partition_values(name: &str) -> Vec<String> {
    name.split('/').map(|part| unescape(part.split_once('=').map_or(part, |(_, value)| value))).collect()
}

fn unescape(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low, after))
            }
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_names_are_escaped_as_hive_does() {
        assert_eq!(partition_name(&["Ds", "h"], &["2024-01-01", "a/b=c%"]), "ds=2024-01-01/h=a%2Fb%3Dc%25");
        assert_eq!(partition_name(&["ds"], &[""]), "ds=__HIVE_DEFAULT_PARTITION__");
    }

    #[test]
    fn partition_values_are_what_the_name_was_made_of() {
        for values in [vec!["2024-01-01", "a/b=c%"], vec!["ü %41", "é"], vec!["x"]] {
            let name = partition_name(&["ds", "h"][..values.len()], &values);
            assert_eq!(partition_values(&name), values);
        }
        assert_eq!(partition_values("a=%+1%2"), ["%+1%2"]);
    }
}
