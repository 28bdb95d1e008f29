//! The log: standard error, text or JSON, with a level that can change while skep runs.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Changes the level of the running log.
#[derive(Clone)]
pub struct LevelHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    is_overruled: bool,
}

impl LevelHandle {
    /// From now on, `level`; unless `RUST_LOG` overrules it, which is said.
    pub fn set(&self, level: &str) {
        if self.is_overruled {
            tracing::warn!(level, "log level not changed, RUST_LOG overrules it");
            return;
        }
        if let Err(error) = self.filter.reload(filter(level)) {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

/// Begins to log. `RUST_LOG`, when it is set and valid, overrules `level` for as long as the
/// process runs. A second call changes nothing.
pub fn start(level: &str, format: &str) -> LevelHandle {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.trim().is_empty());
    let overruling = wanted.as_deref().map(EnvFilter::try_new);
    let is_overruled = matches!(overruling, Some(Ok(_)));
    let invalid = overruling.as_ref().and_then(|parsed| parsed.as_ref().err().map(ToString::to_string));
    let filter = overruling.and_then(Result::ok).unwrap_or_else(|| filter(level));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let has_colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // An error says that somebody else (a test) logs already.
    let _ = match format {
        "json" => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        _ => registry
            .with(fmt::layer().with_ansi(has_colour).with_target(false).with_writer(std::io::stderr))
            .try_init(),
    };
    if let Some(error) = invalid {
        tracing::warn!(error, "RUST_LOG is not valid, the level of the config is used");
    }
    LevelHandle { filter: handle, is_overruled }
}

/// Other crates speak up only when something is wrong.
fn filter(level: &str) -> EnvFilter {
    let others = if level == "error" { "error" } else { "warn" };
    // The name of every crate of skep begins so.
    EnvFilter::new(format!("{others},skep={level}"))
}
