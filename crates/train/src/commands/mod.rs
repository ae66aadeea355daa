//! The commands: what each line of the command line does.

mod bench;
mod blueprint;
mod check;
mod compare;
mod convert;
mod dense;
mod describe;
mod eval;
mod exercise;
mod features;
mod fetch;
mod interrupt;
mod list;
mod measure;
mod network;
mod pack;
mod parity;
mod predict;
mod preview;
mod price;
mod report;
mod reproduce;
mod run;
mod stats;
mod study;
mod sweep;
mod verify;
mod views;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use serde::Serialize;

use crate::cli::{Cli, Command, DataArgs};
use crate::datasets;
use crate::error::Error;
use crate::processes;
use crate::streams::print_line;

/// Does what the command line says. The code is what the process exits with.
///
/// # Errors
///
/// Whatever went wrong, with the exit code of its kind.
pub fn run(cli: Cli) -> Result<ExitCode, Error> {
    check_processes(&cli)?;
    match (cli.command, cli.run) {
        (Some(Command::Eval(arguments)), _) => eval::run(&arguments),
        (Some(Command::Predict(arguments)), _) => predict::run(&arguments),
        (Some(Command::Features(arguments)), _) => features::run(&arguments),
        (Some(Command::Convert(arguments)), _) => convert::run(&arguments),
        (Some(Command::List(arguments)), _) => list::run(&arguments),
        (Some(Command::Describe(arguments)), _) => describe::run(&arguments),
        (Some(Command::Bench(arguments)), _) => bench::run(&arguments),
        (Some(Command::Parity(arguments)), _) => parity::run(&arguments),
        (Some(Command::Check(arguments)), _) => check::run(&arguments),
        (Some(Command::Fetch(arguments)), _) => fetch::run(&arguments),
        (Some(Command::Stats(arguments)), _) => stats::run(&arguments),
        (Some(Command::Verify(arguments)), _) => verify::run(&arguments),
        (Some(Command::Pack(arguments)), _) => return pack::run(&arguments),
        (Some(Command::Report(arguments)), _) => report::run(&arguments),
        (Some(Command::Reproduce(arguments)), _) => return reproduce::run(&arguments),
        (Some(Command::Study(arguments)), _) => return study::run(&arguments),
        (None, Some(arguments)) => return run::run(&arguments),
        (None, None) => {
            Err(Error::usage("nothing to do")
                .with_hint("name a recipe: `--config quickstart.toml`"))
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Checks that no two processes are to write the same files.
fn check_processes(cli: &Cli) -> Result<(), Error> {
    let count = processes::launched().unwrap_or(1);
    let has_a_part_for_each = match &cli.command {
        Some(Command::Reproduce(arguments)) => arguments.sweep.shard.is_some(),
        Some(Command::Study(arguments)) => arguments.sweep.shard.is_some(),
        Some(Command::Pack(_)) => false,
        _ => true,
    };
    if count == 1 || has_a_part_for_each {
        return Ok(());
    }
    Err(Error::usage(format!(
        "this command was started {count} times, and all would write the same files"
    ))
    .with_hint(
        "start it once; of `reproduce` and `study`, each may do its part, as in `--shard 1/4`",
    ))
}

fn data_dir(arguments: &DataArgs) -> PathBuf {
    arguments
        .data_dir
        .clone()
        .unwrap_or_else(datasets::default_dir)
}

/// Makes the pool of threads that compute, and returns its size.
fn start_threads(wanted: Option<usize>) -> usize {
    let threads = wanted.unwrap_or_else(cores);
    // The pool can be made once a process, by the first that computes; what there is, is returned.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    rayon::current_num_threads()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print_line(serde_json::to_string(value).expect("what is printed is plain data"))
}
