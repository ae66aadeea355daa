//! Kiln's recipes, plans, training loop and commands: everything behind the `train` program.

#![warn(clippy::unwrap_used)]

mod average;
mod bounds;
mod chart;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod configs;
pub mod datasets;
mod decode;
pub mod device;
pub mod document;
pub mod duration;
pub mod error;
pub mod evaluate;
pub mod fault;
pub mod files;
pub mod heatmap;
pub mod journal;
pub mod lab;
mod lookahead;
mod loss;
mod loss_scale;
pub mod metrics;
pub mod network;
mod optimizer;
mod overrides;
pub mod plan;
pub mod preprocess;
pub mod processes;
pub mod progress;
pub mod recipe;
pub mod record;
pub mod report;
pub mod schedule;
mod sheet;
mod start;
pub mod streams;
pub mod suggest;
pub mod tensorboard;
pub mod train;
pub mod upload;
