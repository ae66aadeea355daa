//! The laboratory: published tables and studies, as many ordinary runs.

pub mod cost;
pub mod effect;
pub mod results;
pub mod runs;
pub mod statistics;
pub mod study;
pub mod table;
pub mod targets;
