//! The `data` crate of Kiln.

pub mod fetch;
