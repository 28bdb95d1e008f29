//! Settings: the options of the config file, and those of them that calls can change while skep runs.
//!
//! A setting has the name of its section and key; those of `[sql]`, which are what most people
//! look for, have their key alone.

use skep_catalog::control::State;
use skep_catalog::fault::{Code, Fault};
use skep_query::Setting as Row;
use skep_query::procedures::KnownSetting;

use crate::config::Config;
use crate::config::reader::nearest;
use crate::config::section::{Section, Setting};

/// Keys of the options that calls can change.
const DYNAMIC: [&str; 5] = [
    "log.level",
    "sql.memory_pool_bytes",
    "sql.statement_timeout_ms",
    "sql.planning_timeout_ms",
    "sql.result_rows_max",
];

fn name_of(key: &str) -> &str {
    key.strip_prefix("sql.").unwrap_or(key)
}

/// The key of a dynamic option; what it is called in the file is understood too.
fn dynamic_key(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    DYNAMIC.into_iter().find(|key| *key == name || name_of(key) == name)
}

/// Whether an option of the file can change while skep runs.
pub fn is_dynamic(key: &str) -> bool {
    DYNAMIC.contains(&key)
}

/// `old` with what of `new` can change while skep runs.
pub fn with_dynamic(old: &Config, new: &Config) -> Config {
    let mut config = old.clone();
    for setting in new.settings().into_iter().filter(|setting| is_dynamic(&setting.key)) {
        // It is as it was read: within its bounds.
        let _ = set(&mut config, &setting.key, setting.value.as_deref().unwrap_or_default());
    }
    config
}

/// The unit that the name of a setting ends with.
fn unit_of(key: &str) -> Option<&'static str> {
    let key = key.rsplit('.').next().unwrap_or(key);
    let units = [
        ("_ms", "ms"),
        ("_bytes", "bytes"),
        ("_bytes_min", "bytes"),
        ("_rows_max", "rows"),
        ("_per_second_max", "1/s"),
    ];
    units.into_iter().find(|(end, _)| key.ends_with(end)).map(|(_, unit)| unit)
}

/// The config with what calls have set.
pub fn with_calls(config: &Config, state: &State) -> Config {
    let mut config = config.clone();
    for (name, setting) in &state.settings {
        if let Err(why) = set(&mut config, name, &setting.value) {
            // Its bounds were others when it was set.
            tracing::warn!(setting = %name, why, "what a call has set is not used any more");
        }
    }
    config
}

fn set(config: &mut Config, name: &str, text: &str) -> Result<(), String> {
    match dynamic_key(name).and_then(|key| key.split_once('.')) {
        Some(("log", key)) => config.log.set(key, text),
        Some(("sql", key)) => config.sql.set(key, text),
        _ => Err("no call can set it".to_owned()),
    }
}

/// Rows of `runtime.settings`.
pub fn rows(config: &Config, state: &State) -> Vec<Row> {
    let is_set = |key: &str| state.settings.contains_key(name_of(key));
    let row = |setting: Setting| Row {
        origin: match () {
            () if is_set(&setting.key) => "procedure",
            () if setting.value == setting.default => "default",
            () => "config",
        },
        name: name_of(&setting.key).to_owned(),
        unit: unit_of(&setting.key),
        value: setting.value,
        default_value: setting.default,
        subject: setting.subject,
        comment: setting.doc.replace('\n', " "),
    };
    with_calls(config, state).settings().into_iter().map(row).collect()
}

/// The setting of this name, as the config file has it.
///
/// Errors: `CALL_INVALID` with the nearest name, or for one that cannot change while skep runs.
pub fn known(config: &Config, name: &str) -> Result<KnownSetting, Fault> {
    let invalid = |why: &str| Fault::new(Code::CALL_INVALID, format!("setting {name}"), why);
    let settings = config.settings();
    let Some(key) = dynamic_key(name) else {
        let is_fixed = settings.iter().any(|setting| setting.key == name || name_of(&setting.key) == name);
        if is_fixed {
            return Err(invalid("it cannot change while skep runs")
                .with_fix("Change it in the config file, and start skep again."));
        }
        let names = DYNAMIC.map(name_of);
        let meant = nearest(name, &names).map(|near| format!("Did you mean {near}? ")).unwrap_or_default();
        return Err(invalid("there is no such setting")
            .with_fix(format!("{meant}Calls can change {}.", names.join(", "))));
    };
    let setting = settings.into_iter().find(|setting| setting.key == key);
    let setting = setting.ok_or_else(|| Fault::internal("settings", format!("{key} is no option")))?;
    Ok(KnownSetting {
        name: name_of(key).to_owned(),
        origin: if setting.value == setting.default { "default" } else { "config" },
        value: setting.value,
    })
}

/// A value as it is kept and shown.
///
/// Errors: `CALL_INVALID` with the bounds.
pub fn check(config: &Config, name: &str, text: &str) -> Result<String, Fault> {
    let mut config = config.clone();
    let checked = set(&mut config, name, text.trim());
    checked.map_err(|why| Fault::new(Code::CALL_INVALID, format!("setting {name}"), why))?;
    let setting =
        config.settings().into_iter().find(|setting| Some(setting.key.as_str()) == dynamic_key(name));
    setting.and_then(|setting| setting.value).ok_or_else(|| Fault::internal("settings", "it has no value"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use skep_catalog::control::Versioned;

    use super::*;
    use crate::config::example::example;

    fn config() -> Config {
        Config::parse(&example(), Path::new("skep.toml")).unwrap()
    }

    #[test]
    fn every_dynamic_setting_is_an_option_with_a_name_of_its_own() {
        let settings = config().settings();
        let names: std::collections::BTreeSet<&str> = settings.iter().map(|s| name_of(&s.key)).collect();
        assert_eq!(names.len(), settings.len());
        for key in DYNAMIC {
            assert!(settings.iter().any(|setting| setting.key == key), "{key}");
        }
    }

    #[test]
    fn values_are_held_to_the_bounds_of_the_file() {
        let config = config();
        assert_eq!(check(&config, "statement_timeout_ms", " 60_000 ").unwrap(), "60000");
        assert_eq!(check(&config, "log.level", "debug").unwrap(), "debug");
        for (name, text, told) in [
            ("statement_timeout_ms", "0", "between 1 and 3_600_000"),
            ("statement_timeout_ms", "3600001", "between 1 and 3_600_000"),
            ("statement_timeout_ms", "soon", "must be a whole number"),
            ("statement_timeout_ms", "1\nx = 2", "must be a whole number"),
            ("memory_pool_bytes", "-5", "between 16_777_216"),
            ("log.level", "loud", "\"loud\" is none of error, warn"),
        ] {
            let fault = check(&config, name, text).unwrap_err();
            assert_eq!(fault.code, Code::CALL_INVALID);
            assert!(fault.why.contains(told), "{fault}");
        }
    }

    #[test]
    fn names_are_known_or_the_nearest_is_told() {
        let config = config();
        let known_name = known(&config, "sql.statement_timeout_ms").unwrap();
        assert_eq!(known_name, known(&config, "Statement_Timeout_ms").unwrap());
        assert_eq!((known_name.value.as_deref(), known_name.origin), (Some("30000"), "default"));
        let fault = known(&config, "statement_timeout").unwrap_err();
        assert!(
            fault.fix().starts_with("Did you mean statement_timeout_ms? Calls can change log.level,"),
            "{fault}"
        );
        for fixed in ["data_dir", "store.cache_bytes", "cache_bytes", "flight.listen"] {
            assert!(known(&config, fixed).unwrap_err().why.contains("cannot change while"), "{fixed}");
        }
    }

    #[test]
    fn what_calls_set_wins_until_it_is_not_valid_any_more() {
        let mut state = State::default();
        let set = |value: &str| Versioned { value: value.to_owned(), version: 1 };
        state.settings.insert("statement_timeout_ms".to_owned(), set("5"));
        state.settings.insert("result_rows_max".to_owned(), set("0"));
        state.settings.insert("gone".to_owned(), set("x"));
        let config = with_calls(&config(), &state);
        assert_eq!(config.sql.statement_timeout_ms, 5);
        assert_eq!(config.sql.result_rows_max, 10_000_000);
        let rows = rows(&config, &state);
        let row = rows.iter().find(|row| row.name == "statement_timeout_ms").unwrap();
        assert_eq!((row.value.as_deref(), row.unit, row.origin), (Some("5"), Some("ms"), "procedure"));
        assert_eq!(row.default_value.as_deref(), Some("30000"));
    }
}
