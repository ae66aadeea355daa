//! The `train` program.

use std::process::ExitCode;

use clap::Parser;
use train::cli::Cli;

fn main() -> ExitCode {
    match train::commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            train::streams::say(error.report());
            ExitCode::from(error.exit_code())
        }
    }
}
