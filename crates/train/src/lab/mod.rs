//! The laboratory: published tables and studies, as many ordinary runs.

pub mod cost;
pub mod runs;
pub mod statistics;
pub mod table;
pub mod targets;
