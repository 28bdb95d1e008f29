//! The binary's parts: config, wiring, commands, shell.
pub mod config;
