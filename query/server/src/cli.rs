//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use skep_catalog::fault::Fault;

use crate::commands;
use crate::config::Config;
use crate::config::example::example;
use crate::console;
use crate::exit::{Exit, report};
use crate::login::LoginOptions;
use crate::shell::Ask;

/// One SQL door to every Hive Metastore.
#[derive(Parser)]
#[command(name = "skep", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 done, 1 the answer is \"no\" or \"different\", \
    2 could not do it (or not all of it), 64 wrong usage or config.";

#[derive(Subcommand)]
enum Command {
    /// Try skep: sample metastores on this machine, mirrored, and a SQL prompt.
    Demo(Ask),
    /// Read the config, try every metastore, say what was found and what to fix.
    Check(WithConfig),
    /// Mirror everything once; say what was read and what is missing.
    Sync(WithConfig),
    /// Follow the metastores until SIGTERM; SIGHUP reads the config again.
    Serve(WithConfig),
    /// SQL prompt on the local catalog, or on a running service.
    Sql(Sql),
    /// Read a password from standard input, print its hash for the config.
    HashPassword,
    /// Make a token: print it, and its hash for the config.
    Token,
    /// About the config file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(clap::Args)]
struct WithConfig {
    /// The config file.
    #[arg(long, value_name = "FILE", env = "SKEP_CONFIG")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct Sql {
    /// The config file.
    #[arg(long, value_name = "FILE", env = "SKEP_CONFIG", required_unless_present = "connect")]
    config: Option<PathBuf>,
    /// A running service: grpc://HOST:PORT or grpc+tls://HOST:PORT, as its log tells.
    #[arg(long, value_name = "URI", conflicts_with = "config")]
    connect: Option<String>,
    #[command(flatten)]
    ask: Ask,
    #[command(flatten)]
    login: LoginOptions,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the documented config file with every option and its default.
    Example,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not mistakes. A closed output is nobody's loss.
            let _ = error.print();
            let is_mistake = error.use_stderr();
            return if is_mistake { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match dispatch(cli.command) {
        Ok(exit) => exit,
        Err(fault) => {
            report(&fault);
            Exit::of(&fault)
        }
    }
    .into()
}

fn dispatch(command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Demo(ask) => commands::demo::run(&ask),
        Command::Check(with) => commands::check::run(&Config::load(&with.config)?),
        Command::Sync(with) => commands::sync::run(&Config::load(&with.config)?),
        Command::Serve(with) => commands::serve::run(Config::load(&with.config)?),
        Command::Sql(Sql { connect: Some(uri), ask, login, .. }) => {
            commands::sql::run_connected(&uri, &ask, &login)
        }
        Command::Sql(Sql { config, ask, login, .. }) => {
            let Some(file) = config else {
                return Err(Fault::internal("skep sql", "neither --config nor --connect"));
            };
            commands::sql::run(&Config::load(&file)?, &ask, &login)
        }
        Command::HashPassword => commands::secrets::hash_password(),
        Command::Token => commands::secrets::token(),
        Command::Config(ConfigCommand::Example) => {
            console::print(example())?;
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
            console::print(String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
