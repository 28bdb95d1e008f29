//! What procedures need of the process around the engine.

use std::sync::Arc;

use async_trait::async_trait;
use skep_catalog::control::{MetastoreOptions, State};
use skep_catalog::fault::{Code, Fault};
pub use skep_catalog::mirror::Extent;

/// A setting that calls can change.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownSetting {
    /// As in `runtime.settings`.
    pub name: String,
    /// What it is when no call has set it, as text.
    pub value: Option<String>,
    /// `default` or `config`.
    pub origin: &'static str,
}

/// What happens once a call is recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The state of the journal has changed: the process is to be as it says.
    Settle,
    /// Something is to be read again.
    Refresh {
        /// By its name.
        metastore: String,
        /// How much of it.
        extent: Extent,
    },
    /// The catalog and the journal are to be copied to this folder.
    Backup(String),
    /// The store is to be rebuilt.
    Compact,
}

/// The process around the engine. Nothing but [`Host::perform`] has an effect.
#[async_trait]
pub trait Host: Send + Sync {
    /// The setting of this name.
    ///
    /// Errors: `CALL_INVALID` with the nearest name, or for one that cannot change while skep runs.
    fn setting(&self, name: &str) -> Result<KnownSetting, Fault>;
    /// A value as it is kept and shown, when it is one that the setting can have.
    ///
    /// Errors: `CALL_INVALID` with the bounds.
    fn check_setting(&self, name: &str, value: &str) -> Result<String, Fault>;
    /// Names of the metastores of the config file.
    fn configured(&self) -> Vec<String>;
    /// Checks options of a metastore that is put beside those of the file and of `state`.
    ///
    /// Errors: `CALL_INVALID`.
    fn check_metastore(&self, name: &str, options: &MetastoreOptions, state: &State) -> Result<(), Fault>;
    /// The folder that a backup is to be made in, when it can be.
    ///
    /// Errors: `CALL_INVALID`, `CALL_NOT_HERE`.
    fn check_backup(&self, path: &str) -> Result<String, Fault>;
    /// Whether metastores are followed in this process.
    fn follows(&self) -> bool;
    /// Does what was recorded; says what it came to.
    ///
    /// Errors: it could not; what was recorded stays, and what it decided is done at the next start.
    async fn perform(self: Arc<Self>, effect: Effect) -> Result<String, Fault>;
}

/// A process that has neither settings nor metastores of its own: what a call changes is recorded,
/// and takes effect in a process that has.
pub struct NoHost;

#[async_trait]
impl Host for NoHost {
    fn setting(&self, name: &str) -> Result<KnownSetting, Fault> {
        Err(Fault::new(Code::CALL_INVALID, "CALL", format!("there is no setting {name}")))
    }
    fn check_setting(&self, _: &str, value: &str) -> Result<String, Fault> {
        Ok(value.to_owned())
    }
    fn configured(&self) -> Vec<String> {
        Vec::new()
    }
    fn check_metastore(&self, _: &str, _: &MetastoreOptions, _: &State) -> Result<(), Fault> {
        Ok(())
    }
    fn check_backup(&self, path: &str) -> Result<String, Fault> {
        Ok(path.to_owned())
    }
    fn follows(&self) -> bool {
        false
    }
    async fn perform(self: Arc<Self>, _: Effect) -> Result<String, Fault> {
        Ok(String::new())
    }
}
