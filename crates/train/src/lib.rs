//! The `train` crate of Kiln.

pub mod files;
pub mod journal;
pub mod metrics;
pub mod progress;
pub mod record;
pub mod report;
pub mod tensorboard;
