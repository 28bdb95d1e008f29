//! The binary `skep`: reads the config, wires the rooms, runs one command.
//!
//! Map of the crate: [`cli`] reads the command line and calls one of [`commands`]; [`config`]
//! gives plain option values; [`wire`] turns them into the other rooms' options; [`settings`] knows which
//! of them calls can change; [`process`] makes the process what config and calls say; [`follow`] runs
//! the mirrors; [`unfinished`] tells what a former process had promised; [`shell`] asks the engine and
//! [`output`] prints; [`console`] writes notes; [`exit`] ends the process; [`login`] and [`secret`] tell
//! a service who asks.
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
pub mod login;
pub mod output;
pub mod process;
mod secret;
pub mod settings;
pub mod shell;
pub mod unfinished;
pub mod wire;
