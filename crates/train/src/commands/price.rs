//! What runs would take here, foretold by a few steps of each network.

use std::collections::HashMap;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::run::cropped;
use super::sweep::{multiply_adds, planned};
use super::{cores, print_json};
use crate::cli::{SweepArgs, TableFormat};
use crate::error::Error;
use crate::lab::cost::Cost;
use crate::lab::runs::{self, Job};
use crate::plan::Plan;
use crate::progress::grouped;
use crate::streams::print_line;

/// Steps that tell how fast a network trains here.
const MEASURED_STEPS: usize = 3;
/// Values of a batch that is measured: that of 512 CIFAR images.
const MEASURED_VALUES: usize = 512 * 3 * 32 * 32;

/// What a run would take here.
#[derive(Serialize)]
struct Price {
    run: String,
    steps: u64,
    #[serde(flatten)]
    cost: Cost,
}

/// Prints what is missing, with the hours that a few steps of each network foretell.
pub fn print(missing: &[Job], arguments: &SweepArgs, format: TableFormat) -> Result<(), Error> {
    let mut speeds: HashMap<String, f64> = HashMap::new();
    let mut prices = Vec::with_capacity(missing.len());
    for job in missing {
        let plan = planned(job)?.ok_or_else(|| unpriced(job))?;
        let facts = &plan.dataset.facts;
        let images = plan.images(plan.steps);
        let speed = match speeds.get(&plan.model.name) {
            Some(speed) => *speed,
            None => images_per_second(&plan, arguments)?,
        };
        speeds.insert(plan.model.name.clone(), speed);
        let hours = images as f64 / speed / 3600.0;
        prices.push(Price {
            run: job.name(),
            steps: plan.steps,
            cost: Cost::of(images, multiply_adds(job, facts)?, hours),
        });
    }
    match format {
        TableFormat::Json => print_json(&prices),
        _ => print_prices(&prices),
    }
}

fn unpriced(job: &Job) -> Error {
    let recipe = &job.experiment.recipe;
    Error::usage(format!(
        "recipe `{recipe}` has no dataset that can be priced"
    ))
}

/// Of a few training steps in a process of their own.
fn images_per_second(plan: &Plan, arguments: &SweepArgs) -> Result<f64, Error> {
    #[derive(Deserialize)]
    struct Measured {
        images_per_second: f64,
    }
    let unmeasured = || Error::failure(format!("cannot measure `{}`", plan.model.name));
    let [channels, height, width] = plan.dataset.facts.size;
    let [side, _] = cropped(&plan.augment.train, [height, width]);
    let batch = (MEASURED_VALUES / (channels * side * side)).clamp(1, plan.batch);
    let program = runs::program().map_err(|error| unmeasured().because(error))?;
    let mut bench = Command::new(program);
    bench.args(["bench", "--format", "json", "--model", &plan.model.name]);
    for (flag, value) in [
        ("--batch", batch),
        ("--size", side),
        ("--channels", channels),
        ("--classes", plan.dataset.facts.classes),
        ("--steps", MEASURED_STEPS),
        ("--threads", arguments.machine.threads.unwrap_or_else(cores)),
    ] {
        bench.args([flag, &value.to_string()]);
    }
    bench.args(["--device", &arguments.machine.device]);
    let output = bench
        .output()
        .map_err(|error| unmeasured().because(error))?;
    let measured: Measured = serde_json::from_slice(&output.stdout).map_err(|_| {
        unmeasured().because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    })?;
    Ok(measured.images_per_second)
}

fn print_prices(prices: &[Price]) -> Result<(), Error> {
    print_line(format_args!(
        "{:<24} {:>9} {:>14} {:>10} {:>9}",
        "run", "steps", "images", "PFLOP", "hours"
    ))?;
    let row = |name: &str, steps: u64, cost: Cost| {
        print_line(format_args!(
            "{name:<24} {:>9} {:>14} {:>10.3} {:>9.2}",
            grouped(steps),
            grouped(cost.images),
            cost.petaflop,
            cost.hours
        ))
    };
    for price in prices {
        row(&price.run, price.steps, price.cost)?;
    }
    let all = (prices.iter()).fold(Cost::default(), |sum, price| sum.plus(price.cost));
    row("all", prices.iter().map(|price| price.steps).sum(), all)?;
    print_line(format_args!(
        "hours: by {MEASURED_STEPS} training steps of each network here, one run after the other, without evaluation"
    ))
}
