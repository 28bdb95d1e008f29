//! Metastores that misbehave, statements that would eat the machine, configs that are wrong: the
//! others are served as before, and everything that goes wrong is said in one sentence.
#![allow(clippy::unwrap_used)]

#[path = "faults/bombs.rs"]
mod bombs;
#[path = "faults/config.rs"]
mod config;
#[path = "faults/metastores.rs"]
mod metastores;
