//! Real metastores of three generations, real clients, real Spark.
#![allow(clippy::unwrap_used)]

#[path = "real/parts.rs"]
mod parts;
