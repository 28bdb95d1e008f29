//! The process as its config and the calls say: settings in effect, metastores followed.
//!
//! Both can change while it runs: the config by SIGHUP, the state of the journal by calls.
//! [`Process::settle`] makes the process what both say together; it is the only place that does.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use skep_catalog::control::{Control, MetastoreOptions, State};
use skep_catalog::fault::{Code, Fault};
use skep_catalog::journal::Folder;
use skep_query::procedures::{Effect, Extent, Host, KnownSetting};
use skep_query::{Engine, Procedures};
use tokio::runtime::Handle;

use crate::config::{Config, MetastoreConfig};
use crate::follow::{Followers, Reloaded};
use crate::logging::LevelHandle;
use crate::unfinished::unfinished;
use crate::wire::JOURNAL_FOLDER;
use crate::{settings, wire};

/// See the head of this file.
pub struct Process {
    /// As in the file, without what calls have set.
    config: ArcSwap<Config>,
    control: Arc<Control>,
    engine: Weak<Engine>,
    level: Option<LevelHandle>,
    /// `None` in a process that follows no metastore.
    followers: Option<tokio::sync::Mutex<Option<Followers>>>,
    /// The level that was set last. Held while settings are put into effect.
    logged_level: Mutex<String>,
    runtime: Handle,
}

impl Process {
    /// A process with this config and these calls, on whose engine calls are taken from now on. The
    /// settings are in effect when it returns; metastores are followed from [`Process::settle`] on.
    pub fn new(
        config: Config,
        control: Arc<Control>,
        engine: &Arc<Engine>,
        level: Option<LevelHandle>,
        followers: Option<Followers>,
        runtime: Handle,
    ) -> Arc<Self> {
        let logged_level = config.log.level.clone();
        let process = Arc::new(Self {
            config: ArcSwap::from_pointee(config),
            control: Arc::clone(&control),
            engine: Arc::downgrade(engine),
            level,
            followers: followers.map(|followers| tokio::sync::Mutex::new(Some(followers))),
            logged_level: Mutex::new(logged_level),
            runtime,
        });
        process.put_settings();
        engine.set_procedures(Procedures { control, host: Arc::clone(&process) as _ });
        process
    }

    /// The config in effect, without what calls have set.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Another config is in effect from the next [`Process::settle`] on.
    pub fn set_config(&self, config: Config) {
        self.config.store(Arc::new(config));
    }

    fn put_settings(&self) {
        let Some(engine) = self.engine.upgrade() else { return };
        let mut logged_level = self.logged_level.lock();
        let (config, state) = (self.config(), self.control.state());
        let effective = settings::with_calls(&config, &state);
        engine.set_bounds(&wire::engine_options(&effective));
        engine.set_settings(settings::rows(&config, &state));
        if let Some(level) = self.level.as_ref().filter(|_| *logged_level != effective.log.level) {
            level.set(&effective.log.level);
            *logged_level = effective.log.level;
        }
    }

    /// Makes the process what its config and the calls say.
    ///
    /// Errors: `CONFIG_*` for certificates, `STORE_*`; what was followed is followed on then.
    pub async fn settle(&self) -> Result<Reloaded, Fault> {
        self.put_settings();
        let Some(followers) = &self.followers else { return Ok(Reloaded::default()) };
        let mut followers = followers.lock().await;
        let Some(followers) = followers.as_mut() else { return Ok(Reloaded::default()) };
        // Looked at under the lock: the last one that gets it sees everything.
        let state = self.control.state();
        let paused: BTreeSet<String> = state.paused.keys().cloned().collect();
        followers.set(&metastores(&self.config(), &state), &paused).await
    }

    /// Asks again for what a former process had accepted to read and did not.
    pub async fn ask_again(&self) {
        let Some(engine) = self.engine.upgrade() else { return };
        for (metastore, extent) in unfinished(self.control.state().calls.iter(), engine.catalog()) {
            // One that is paused meanwhile is asked when somebody asks again.
            if self.refresh(&metastore, extent).await.is_ok() {
                tracing::info!(%metastore, "what a call asked for before the start is read now");
            }
        }
    }

    /// Does something with the followers, when there are any.
    pub async fn with_followers<T>(&self, work: impl FnOnce(&Followers) -> T) -> Option<T> {
        let followers = self.followers.as_ref()?.lock().await;
        followers.as_ref().map(work)
    }

    /// Ends all followers; none begins later.
    pub async fn stop(&self) {
        let Some(followers) = &self.followers else { return };
        let followers = followers.lock().await.take();
        if let Some(followers) = followers {
            followers.stop().await;
        }
    }

    fn engine(&self) -> Result<Arc<Engine>, Fault> {
        let ended = || Fault::new(Code::SQL_CANCELLED, "what a call asked for", "the process is ending");
        self.engine.upgrade().ok_or_else(ended)
    }

    /// Gives the space of what was overwritten back.
    async fn compact(&self) -> Result<String, Fault> {
        let catalog = Arc::clone(self.engine()?.catalog());
        let rebuild = blocking(move || catalog.rebuild()).await?;
        Ok(format!("{} bytes instead of {}", rebuild.after_bytes, rebuild.before_bytes))
    }

    /// Makes a folder that can be a data_dir. What was copied of it goes away when it fails.
    async fn backup(&self, path: PathBuf) -> Result<String, Fault> {
        let (catalog, control) = (Arc::clone(self.engine()?.catalog()), Arc::clone(&self.control));
        blocking(move || {
            let io = |error: std::io::Error| {
                Fault::new(Code::STORE_IO, format!("backup to {}", path.display()), error.to_string())
            };
            DirBuilder::new().mode(0o700).create(&path).map_err(io)?;
            let copied = catalog.backup(&path).and_then(|()| {
                // After the catalog: what was decided is never older than what came of it.
                control.copy(&Folder::open(path.join(JOURNAL_FOLDER)).map_err(io)?)?;
                sync_folder(&path).map_err(io)
            });
            match copied {
                Ok(()) => Ok(format!("{} can be a data_dir", path.display())),
                Err(fault) => {
                    // Nobody is to take it for one.
                    let _ = std::fs::remove_dir_all(&path);
                    Err(fault)
                }
            }
        })
        .await
    }

    async fn refresh(&self, metastore: &str, extent: Extent) -> Result<(), Fault> {
        let asked = self.with_followers(|followers| followers.refresh(metastore, extent)).await;
        match asked {
            Some(true) => Ok(()),
            _ => Err(Fault::new(Code::METASTORE_UNKNOWN, "refresh", format!("{metastore} is not followed"))),
        }
    }
}

/// All metastores: those of the file, and those that were added by calls. A name or an address
/// that the file has too is the file's.
pub fn metastores(config: &Config, state: &State) -> Vec<MetastoreConfig> {
    let mut all = config.metastores.clone();
    for (name, options) in &state.metastores {
        if all.iter().any(|metastore| metastore.options.name == *name) {
            tracing::warn!(metastore = %name, "added by a call, and in the config file since: the file is followed");
            continue;
        }
        match MetastoreConfig::of_texts(name, &options.value, &all) {
            Ok(metastore) => all.push(metastore),
            Err(why) => tracing::warn!(metastore = %name, why, "added by a call, and not followed any more"),
        }
    }
    all
}

/// Does what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let work = tokio::task::spawn_blocking(work).await;
    work.map_err(|error| Fault::internal("what a call asked for", error.to_string()))?
}

/// Names in a folder, and its own, last after this.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[async_trait]
impl Host for Process {
    fn setting(&self, name: &str) -> Result<KnownSetting, Fault> {
        settings::known(&self.config(), name)
    }

    fn check_setting(&self, name: &str, value: &str) -> Result<String, Fault> {
        settings::check(&self.config(), name, value)
    }

    fn configured(&self) -> Vec<String> {
        self.config().metastores.iter().map(|metastore| metastore.options.name.clone()).collect()
    }

    fn check_metastore(&self, name: &str, options: &MetastoreOptions, state: &State) -> Result<(), Fault> {
        let mut others = metastores(&self.config(), state);
        others.retain(|other| other.options.name != name);
        let invalid = |why| Fault::new(Code::CALL_INVALID, format!("metastore {name}"), why);
        MetastoreConfig::of_texts(name, options, &others).map(|_| ()).map_err(invalid)
    }

    fn check_backup(&self, path: &str) -> Result<String, Fault> {
        let folder = self.config().file.parent().map(Path::to_owned).unwrap_or_default();
        let path = std::path::absolute(folder.join(path));
        let invalid = |why: String| Fault::new(Code::CALL_INVALID, "path of a backup", why);
        let path = path.map_err(|error| invalid(error.to_string()))?;
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(invalid(format!("{} exists already", path.display())));
        }
        if !path.parent().is_some_and(Path::is_dir) {
            return Err(invalid(format!("there is no folder above {}", path.display())));
        }
        let data_dir = std::path::absolute(&self.config().root.data_dir).unwrap_or_default();
        if path.starts_with(&data_dir) {
            return Err(invalid(format!("{} is inside data_dir", path.display())));
        }
        Ok(path.to_string_lossy().into_owned())
    }

    fn follows(&self) -> bool {
        self.followers.is_some()
    }

    async fn perform(self: Arc<Self>, effect: Effect) -> Result<String, Fault> {
        let process = Arc::clone(&self);
        // Followers are to run on the threads of the process, not on those of the engine.
        let work = self.runtime.spawn(async move {
            match effect {
                Effect::Settle => process.settle().await.map(|_| String::new()),
                Effect::Refresh { metastore, extent } => {
                    process.refresh(&metastore, extent).await.map(|()| String::new())
                }
                Effect::Backup(path) => process.backup(PathBuf::from(path)).await,
                Effect::Compact => process.compact().await,
            }
        });
        work.await.map_err(|error| Fault::internal("what a call asked for", error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use skep_query::procedures::spec::find;

    use crate::config::options::MetastoreOptions;
    use crate::config::section::Section;

    #[test]
    fn every_option_of_a_metastore_is_an_argument_of_the_calls_about_it() {
        let options: BTreeSet<&str> = MetastoreOptions::options().iter().map(|option| option.key).collect();
        for name in ["add_metastore", "alter_metastore"] {
            let arguments = find(name).map_or(&[][..], |procedure| procedure.arguments);
            let arguments: BTreeSet<&str> = arguments.iter().map(|argument| argument.name).collect();
            assert_eq!(arguments, options, "{name}");
        }
    }
}
