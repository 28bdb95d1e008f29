//! `skep sql`: the shell on the local catalog in this process, or on a running service.

use std::path::Path;

use arrow::array::AsArray;
use skep_catalog::fault::{Code, Fault};
use skep_catalog::snapshot::Snapshot;
use skep_catalog::store::Catalog;
use skep_flight::client::Client;
use skep_query::describe::Names;
use tokio::runtime::Runtime;

use super::runtime;
use crate::config::Config;
use crate::config::flight::FlightConfig;
use crate::exit::Exit;
use crate::login::LoginOptions;
use crate::process::Process;
use crate::shell::{Ask, Asked, Shell};
use crate::{console, logging, wire};

/// Runs the command. Nothing is read from any metastore, and nothing in the catalog changes.
pub fn run(config: &Config, ask: &Ask, login: &LoginOptions) -> Result<Exit, Fault> {
    logging::start("warn", &config.log.format);
    let folder = &config.root.data_dir;
    if !Catalog::is_at(folder) {
        let what = format!("store {}: open", folder.display());
        return Err(Fault::new(Code::STORE_IO, what, "nothing is mirrored there yet")
            .with_fix(format!("Check data_dir, or run: skep sync --config {}", config.file.display())));
    }
    let script = ask.script()?;
    let runtime = runtime()?;
    let catalog = match wire::open_catalog(config) {
        Err(fault) if fault.code == Code::STORE_LOCKED => {
            return on_holder(config, fault, ask, login, &runtime, script.as_deref());
        }
        opened => opened?,
    };
    let engine = wire::engine(&catalog, config, "sql", &[])?;
    let control = wire::open_control(config)?;
    // Nothing is followed here: calls about metastores take effect when the service runs again.
    let _process = Process::new(config.clone(), control, &engine, None, None, runtime.handle().clone());
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
    let exit = Shell::new(Asked::Engine(engine), ask.output).run(&runtime, script.as_deref(), &banner);
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

/// Asks the service that holds the catalog, if the config tells where it is and it answers.
fn on_holder(
    config: &Config,
    locked: Fault,
    ask: &Ask,
    login: &LoginOptions,
    runtime: &Runtime,
    script: Option<&str>,
) -> Result<Exit, Fault> {
    let Some(uri) = config.flight.as_ref().map(FlightConfig::uri) else {
        return Err(locked);
    };
    let client = match runtime.block_on(Client::connect(&uri, &login.resolve(&uri)?)) {
        Ok(client) => client,
        Err(fault) if matches!(fault.code, Code::UNAUTHENTICATED | Code::LOGIN_BUSY) => return Err(fault),
        // Without an answer from there the lock is the news.
        Err(_) => return Err(locked),
    };
    let (held, wanted) = (runtime.block_on(catalog_of(&client))?, &config.root.data_dir);
    if wanted.canonicalize().is_ok_and(|wanted| wanted != Path::new(&held)) {
        let why = format!("{}, and the service at {uri} is of another catalog, {held}", locked.why);
        return Err(Fault { why, ..locked });
    }
    console::note(format_args!("A service holds {}: asking it at {uri}\n", config.root.data_dir.display()));
    on_service(client, ask, runtime, script)
}

/// The folder of a service's catalog.
///
/// Errors: those of the service.
async fn catalog_of(client: &Client) -> Result<String, Fault> {
    let mut answer = client.query("SELECT path FROM runtime.store").await?;
    while let Some(batch) = answer.next().await {
        let batch = batch?;
        if let Some(path) =
            batch.column(0).as_string_opt::<i32>().and_then(|paths| paths.iter().flatten().next())
        {
            return Ok(path.to_owned());
        }
    }
    Ok(String::new())
}

/// Runs the command on the service at `uri`.
pub fn run_connected(uri: &str, ask: &Ask, login: &LoginOptions) -> Result<Exit, Fault> {
    logging::start("warn", "text");
    let script = ask.script()?;
    let runtime = runtime()?;
    let client = runtime.block_on(Client::connect(uri, &login.resolve(uri)?))?;
    let exit = on_service(client, ask, &runtime, script.as_deref());
    runtime.shutdown_background();
    exit
}

fn on_service(client: Client, ask: &Ask, runtime: &Runtime, script: Option<&str>) -> Result<Exit, Fault> {
    let banner = format!(
        "skep {} on {}: \\? for help, \\examples for questions\n",
        env!("CARGO_PKG_VERSION"),
        client.uri()
    );
    let asked = match script {
        // Nothing is completed.
        Some(_) => Asked::connected(client, Names::default()),
        None => runtime.block_on(Asked::service(client)),
    };
    Ok(Shell::new(asked, ask.output).run(runtime, script, &banner))
}
