//! `skep sql`: the shell on the local catalog, in this process.

use skep_catalog::fault::Fault;

use super::runtime;
use crate::config::Config;
use crate::exit::Exit;
use crate::shell::{Ask, Shell};
use crate::{logging, wire};

/// Runs the command. Nothing is read from any metastore, and nothing in the catalog changes.
pub fn run(config: &Config, ask: &Ask) -> Result<Exit, Fault> {
    logging::start("warn", &config.log.format);
    let runtime = runtime()?;
    let catalog = wire::open_catalog(config)?;
    let engine = wire::engine(&catalog, config, "sql")?;
    if !catalog.snapshot().metastores.iter().any(|metastore| metastore.mirrored_at.is_some()) {
        eprintln!("No metastore is mirrored completely yet: skep sync --config {}", config.file.display());
    }
    let banner = format!(
        "skep {} on {}: \\? for help, \\examples for questions\n",
        env!("CARGO_PKG_VERSION"),
        config.root.data_dir.display()
    );
    let exit = Shell::new(engine, ask.output).run(&runtime, ask, &banner);
    runtime.shutdown_background();
    Ok(exit)
}
