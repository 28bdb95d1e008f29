//! `skep sql`: the shell on the local catalog, in this process.

use skep_catalog::fault::{Code, Fault};
use skep_catalog::snapshot::Snapshot;
use skep_catalog::store::Catalog;

use super::runtime;
use crate::config::Config;
use crate::exit::Exit;
use crate::shell::{Ask, Shell};
use crate::{console, logging, wire};

/// Runs the command. Nothing is read from any metastore, and nothing in the catalog changes.
pub fn run(config: &Config, ask: &Ask) -> Result<Exit, Fault> {
    logging::start("warn", &config.log.format);
    let folder = &config.root.data_dir;
    if !Catalog::is_at(folder) {
        let what = format!("store {}: open", folder.display());
        return Err(Fault::new(Code::STORE_IO, what, "nothing is mirrored there yet")
            .with_fix(format!("Check data_dir, or run: skep sync --config {}", config.file.display())));
    }
    let script = ask.script()?;
    let runtime = runtime()?;
    let catalog = wire::open_catalog(config)?;
    let engine = wire::engine(&catalog, config, "sql")?;
    let snapshot = catalog.snapshot();
    let partial = lacking(&snapshot, config);
    if !partial.is_empty() {
        console::note(format_args!(
            "Not mirrored completely yet, so that answers lack what they have: {}. skep sync --config {} mirrors them; federation.metastores says more of those that it tried.\n",
            partial.join(", "),
            config.file.display()
        ));
    }
    drop(snapshot);
    let banner = format!(
        "skep {} on {}: \\? for help, \\examples for questions\n",
        env!("CARGO_PKG_VERSION"),
        folder.display()
    );
    let exit = Shell::new(engine, ask.output).run(&runtime, script.as_deref(), &banner);
    runtime.shutdown_background();
    Ok(exit)
}

/// Metastores of which there is nothing in the catalog, or not everything.
fn lacking<'a>(snapshot: &'a Snapshot, config: &'a Config) -> Vec<&'a str> {
    let partial = snapshot.metastores.iter().filter(|metastore| metastore.mirrored_at.is_none());
    let is_known = |name: &str| snapshot.metastores.iter().any(|metastore| metastore.name.as_ref() == name);
    let named = config.metastores.iter().map(|metastore| metastore.options.name.as_str());
    let unknown = named.filter(|name| !is_known(name));
    partial.map(|metastore| metastore.name.as_ref()).chain(unknown).collect()
}
