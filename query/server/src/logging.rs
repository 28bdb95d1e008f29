//! The log: standard error, text or JSON, with a level that can change while skep runs.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Changes the level of the running log.
#[derive(Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// From now on, `level`.
    pub fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

/// Begins to log. `RUST_LOG`, when set, wins over `level`. A second call changes nothing.
pub fn start(level: &str, format: &str) -> LevelHandle {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(level));
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
    LevelHandle(handle)
}

/// Other crates speak up only when something is wrong.
fn filter(level: &str) -> EnvFilter {
    let ours = ["skep", "skep_catalog", "skep_hms", "skep_query", "skep_sample"];
    let others = if level == "error" { "error" } else { "warn" };
    let mut text = others.to_owned();
    for name in ours {
        text.push_str(&format!(",{name}={level}"));
    }
    EnvFilter::new(text)
}
