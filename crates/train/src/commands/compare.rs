//! `train study compare`: what the accuracy of networks costs here.

use std::collections::BTreeMap;

use super::blueprint::Blueprint;
use super::measure::{Request, measure};
use crate::cli::{MachineArgs, ShapeArgs};
use crate::error::Error;
use crate::lab::results::Results;
use crate::lab::runs::Entry;
use crate::lab::study::Study;
use crate::lab::study::compare::{BATCHES, Candidate, Speed};
use crate::plan::{self, Plan};
use crate::recipe::Model;
use crate::streams::say;

/// Batches of a measurement.
const STEPS: usize = 5;

/// The networks of a comparison, measured.
///
/// # Errors
///
/// With exit code 1, where one cannot be measured.
pub fn candidates(
    study: &Study,
    entries: &[Entry],
    machine: &MachineArgs,
) -> Result<Vec<Candidate>, Error> {
    let mut candidates = Vec::new();
    for name in &study.models {
        let blueprint = Blueprint::new(name, &ShapeArgs::default())?;
        let result = blueprint.entry.result;
        let accuracy = result.map(|result| (result.top1, result.conditions.to_owned()));
        candidates.push(candidate(name, &blueprint, accuracy, machine)?);
    }
    let plans: BTreeMap<&str, &Plan> = (entries.iter())
        .map(|entry| (entry.experiment.as_str(), &entry.run.plan))
        .collect();
    for experiment in &study.experiment {
        let Some(plan) = plans.get(experiment.name.as_str()) else {
            continue;
        };
        check_published(&experiment.name, plan)?;
        let input = plan::input(&plan.augment.train, plan.dataset.facts.size)?;
        let shape = ShapeArgs {
            classes: Some(plan.dataset.facts.classes),
            size: Some(input.height),
            channels: Some(input.channels),
        };
        let blueprint = Blueprint::new(&plan.model.name, &shape)?;
        let results = Results::of(&experiment.name, entries, &mut Vec::new());
        let accuracy = results.test().map(|errors| {
            let source = format!("{} of ours on {}", errors.n, plan.dataset.facts.name);
            (100.0 - errors.mean, source)
        });
        candidates.push(candidate(&experiment.name, &blueprint, accuracy, machine)?);
    }
    Ok(candidates)
}

/// Refuses a network that is not as it was published: by its name alone, another one would be measured.
///
/// # Errors
///
/// With exit code 2.
pub fn check_published(experiment: &str, plan: &Plan) -> Result<(), Error> {
    let name = &plan.model.name;
    if plan.model == Model::from(name.clone()) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{experiment}` is a variant of `{name}`, which a comparison cannot measure"
    ))
    .with_hint(format!("compare `{name}` as it was published")))
}

fn candidate(
    name: &str,
    blueprint: &Blueprint,
    accuracy: Option<(f64, String)>,
    machine: &MachineArgs,
) -> Result<Candidate, Error> {
    say(format_args!("measuring {name}"));
    let described = blueprint.describe();
    let speed = |batch: usize| {
        let request = Request {
            model: blueprint.entry.name,
            mode: "infer",
            input: blueprint.input,
            classes: blueprint.classes,
            batch,
            steps: STEPS,
        };
        let figures = measure(&request, machine)?;
        Ok::<_, Error>(Speed {
            images_per_second: figures.images_per_second,
            peak_memory_bytes: figures.peak_memory_bytes,
        })
    };
    let [alone, together] = BATCHES;
    Ok(Candidate {
        name: name.to_owned(),
        input: blueprint.input,
        accuracy,
        parameters: described.parameters,
        multiply_adds: described.multiply_adds,
        activations: described.activations,
        speed: [speed(alone)?, speed(together)?],
    })
}
