//! Studies: questions about networks, put to runs of them and to what these trained.

mod figure;
mod file;
mod findings;
mod page;
pub mod training;

pub use figure::{Figure, Series};
pub use file::{Kind, Study};
pub use findings::{Cell, Findings, Grid};
