//! Real metastores of three generations, real clients, real Spark.
#![allow(clippy::unwrap_used)]

#[path = "real/equal.rs"]
mod equal;
#[path = "real/following.rs"]
mod following;
#[path = "real/mirror.rs"]
mod mirror;
#[path = "real/parts.rs"]
mod parts;
