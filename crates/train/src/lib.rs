//! Kiln's recipes, plans, training loop and commands: everything behind the `train` program.

mod bounds;
pub mod cli;
pub mod commands;
pub mod configs;
mod decode;
pub mod device;
pub mod document;
pub mod duration;
mod ema;
pub mod error;
pub mod evaluate;
pub mod fault;
pub mod files;
pub mod journal;
mod loss;
pub mod metrics;
mod overrides;
pub mod plan;
pub mod progress;
pub mod recipe;
pub mod record;
pub mod report;
pub mod schedule;
mod sgd;
pub mod suggest;
pub mod tensorboard;
