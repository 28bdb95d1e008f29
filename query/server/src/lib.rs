//! The binary `skep`: reads the config, wires the rooms, runs one command.
//!
//! Map of the crate: [`cli`] reads the command line and calls one of [`commands`]; [`config`]
//! gives plain option values; [`wire`] turns them into the other rooms' options; [`follow`] runs
//! the mirrors; [`shell`] asks the engine and [`output`] prints; [`console`] writes notes; [`exit`] ends
//! the process.
//!
//! Deliberately absent: rules about metastores or SQL. Nothing here decides what is mirrored or
//! answered.

pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod exit;
pub mod follow;
pub mod logging;
pub mod output;
pub mod shell;
pub mod wire;
