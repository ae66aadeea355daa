//! `train bench` in a process of its own, for what wants to know how fast a network is here.

use std::process::Command;

use serde::Deserialize;

use super::cores;
use crate::cli::MachineArgs;
use crate::error::Error;
use crate::lab::runs;

/// What is measured.
pub struct Request<'a> {
    /// The network's name.
    pub model: &'a str,
    /// `train` or `infer`.
    pub mode: &'static str,
    /// `[channels, height, width]` of its images.
    pub input: [usize; 3],
    /// Its scores.
    pub classes: usize,
    /// Images at a time.
    pub batch: usize,
    /// Batches.
    pub steps: usize,
}

/// What was measured.
#[derive(Deserialize)]
pub struct Figures {
    /// The median over the batches.
    pub images_per_second: f64,
    /// The most memory that the process held.
    pub peak_memory_bytes: Option<u64>,
}

/// Measures.
///
/// # Errors
///
/// With exit code 1, where the process does not come to its end.
pub fn measure(request: &Request<'_>, machine: &MachineArgs) -> Result<Figures, Error> {
    let unmeasured = || Error::failure(format!("cannot measure `{}`", request.model));
    let program = runs::program().map_err(|error| unmeasured().because(error))?;
    let mut bench = Command::new(program);
    bench.args(["bench", "--format", "json", "--model", request.model]);
    bench.args(["--mode", request.mode, "--device", &machine.device]);
    let [channels, side, _] = request.input;
    for (flag, value) in [
        ("--batch", request.batch),
        ("--size", side),
        ("--channels", channels),
        ("--classes", request.classes),
        ("--steps", request.steps),
        ("--threads", machine.threads.unwrap_or_else(cores)),
    ] {
        bench.args([flag, &value.to_string()]);
    }
    let output = bench
        .output()
        .map_err(|error| unmeasured().because(error))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        unmeasured().because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    })
}
