//! What runs would take here, foretold by a few steps of each network.

use std::collections::HashMap;

use serde::Serialize;

use super::measure::{Request, measure};
use super::print_json;
use super::sweep::{multiply_adds, planned};
use crate::cli::{SweepArgs, TableFormat};
use crate::error::Error;
use crate::lab::cost::Cost;
use crate::lab::runs::Job;
use crate::plan::{self, Plan};
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
    let size = plan::input(&plan.augment.train, plan.dataset.facts.size)?;
    let request = Request {
        model: &plan.model.name,
        mode: "train",
        input: [size.channels, size.height, size.width],
        classes: plan.dataset.facts.classes,
        batch: (MEASURED_VALUES / size.values()).clamp(1, plan.batch),
        steps: MEASURED_STEPS,
    };
    Ok(measure(&request, &arguments.machine)?.images_per_second)
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
