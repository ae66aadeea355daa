//! Kiln's recipes, plans and commands: everything behind the `train` program.

mod bounds;
pub mod cli;
pub mod commands;
pub mod configs;
mod decode;
pub mod document;
pub mod duration;
pub mod error;
pub mod fault;
mod overrides;
pub mod plan;
pub mod recipe;
pub mod schedule;
pub mod suggest;
