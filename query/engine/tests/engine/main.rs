//! The promises of the SQL engine, on a small catalog. One binary: linking DataFusion is slow.

#![allow(clippy::unwrap_used)]

mod bounds;
mod calls;
mod conflicts;
mod errors;
mod examples;
mod fixture;
mod freshness;
mod hot;
mod patterns;
mod prepared;
mod rollup;
mod scope;
mod tables;
