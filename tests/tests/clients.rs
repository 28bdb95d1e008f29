//! Real clients of the SQL door, against a real `skep serve`.
#![allow(clippy::unwrap_used)]

#[path = "clients/adbc.rs"]
mod adbc;
#[path = "clients/jdbc.rs"]
mod jdbc;
#[path = "clients/login.rs"]
mod login;
