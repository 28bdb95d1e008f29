//! Names, ids and objects of metastores, free of any wire format.

mod names;
mod objects;

pub use names::*;
pub use objects::*;
