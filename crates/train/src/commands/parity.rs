//! `train parity`: does a device compute what the CPU does?
//!
//! Kernels of a GPU are chosen and compiled where they run, so that no test elsewhere says what a machine at hand
//! computes. Networks with the same weights see the same images on both, in evaluation and in a few steps of training.

use std::collections::HashSet;
use std::mem;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use models::parameters;
use models::registry::{self, MODELS};
use serde::Serialize;

use super::blueprint::{Blueprint, MOST_VALUES, check_bounds};
use super::exercise::{self, Computing, Exercise};
use super::{print_json, start_threads};
use crate::cli::{Format, ParityArgs, ShapeArgs};
use crate::device::{self, Choice};
use crate::error::Error;
use crate::recipe::Precision;
use crate::streams::print_line;

const MOST_STEPS: usize = 1_000;

/// How far a device is from the CPU: the norm of the difference over that of the CPU's values.
#[derive(Serialize)]
struct Row {
    model: &'static str,
    /// Of the scores in evaluation.
    scores: f64,
    /// Of the gradients of the first step, all parameters together.
    gradients: f64,
    /// Of the losses of the steps.
    losses: f64,
    /// Of what the steps changed in weights and running statistics.
    changes: f64,
    /// On the device, with the time in which its kernels are compiled and chosen.
    seconds: f64,
}

#[derive(Serialize)]
struct Table<'a> {
    device: &'a str,
    steps: usize,
    tolerance: f64,
    rows: &'a [Row],
}

/// Compares, and prints a row a network as it is done.
pub fn run(arguments: &ParityArgs) -> Result<(), Error> {
    start_threads(arguments.machine.threads);
    let blueprints = blueprints(arguments)?;
    let chosen = device::choose(&arguments.machine.device)?;
    if chosen.device == Device::flex() {
        return Err(
            Error::usage("cannot compare the CPU with itself").with_hint(
                "name another device: `--device vulkan`; a build has those of its features",
            ),
        );
    }
    chosen.check_precision(arguments.precision)?;
    if arguments.format == Format::Text {
        print_head(&chosen)?;
    }
    let mut rows = Vec::with_capacity(blueprints.len());
    for blueprint in &blueprints {
        let row = compare(blueprint, arguments, &chosen.device)?;
        if arguments.format == Format::Text {
            print_row(&row)?;
        }
        rows.push(row);
    }
    if arguments.format == Format::Json {
        print_json(&Table {
            device: &chosen.name,
            steps: arguments.steps,
            tolerance: arguments.tolerance,
            rows: &rows,
        })?;
    }
    judge(&rows, arguments.tolerance, &chosen)
}

/// The networks that are named, or of each family the first one of the registry.
fn blueprints(arguments: &ParityArgs) -> Result<Vec<Blueprint>, Error> {
    let names = match arguments.models.as_slice() {
        [] => first_of_each_family(),
        named => named.iter().map(String::as_str).collect(),
    };
    let shape = ShapeArgs {
        size: arguments.size,
        ..ShapeArgs::default()
    };
    let blueprints: Result<Vec<_>, _> = (names.into_iter())
        .map(|name| Blueprint::new(name, &shape))
        .collect();
    let blueprints = blueprints?;
    for blueprint in &blueprints {
        let values: usize = blueprint.input.iter().product();
        check_bounds([
            (
                "values of a batch",
                values.saturating_mul(arguments.batch),
                MOST_VALUES,
            ),
            ("steps", arguments.steps, MOST_STEPS),
        ])?;
    }
    Ok(blueprints)
}

fn first_of_each_family() -> Vec<&'static str> {
    let mut seen = HashSet::new();
    let is_new = |entry: &&registry::Entry| seen.insert(mem::discriminant(&entry.architecture));
    MODELS
        .iter()
        .filter(is_new)
        .map(|entry| entry.name)
        .collect()
}

fn compare(blueprint: &Blueprint, arguments: &ParityArgs, device: &Device) -> Result<Row, Error> {
    let ours = Computed::on(&Device::flex(), Precision::F32, blueprint, arguments)?;
    let started = Instant::now();
    let theirs = Computed::on(device, arguments.precision, blueprint, arguments)?;
    Ok(Row {
        model: blueprint.entry.name,
        scores: distance(&theirs.scores, &ours.scores),
        gradients: distance(&theirs.gradients, &ours.gradients),
        losses: distance(&theirs.losses, &ours.losses),
        changes: distance(&theirs.changes, &ours.changes),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What a device makes of a network.
struct Computed {
    scores: Vec<f32>,
    gradients: Vec<f32>,
    losses: Vec<f32>,
    changes: Vec<f32>,
}

impl Computed {
    fn on(
        device: &Device,
        precision: Precision,
        blueprint: &Blueprint,
        arguments: &ParityArgs,
    ) -> Result<Self, Error> {
        let batch = arguments.batch;
        let computing = Computing {
            precision,
            checkpoints: false,
        };
        let images = exercise::images(blueprint, batch, device, &mut exercise::stream());
        let mut exercise = Exercise::new(blueprint, batch, computing, device);
        let mut computed = Self {
            scores: read(exercise.model.valid().forward(images).flatten(0, 1))?,
            gradients: Vec::new(),
            losses: Vec::new(),
            changes: Vec::new(),
        };
        let before = parameters::values(&exercise.model);
        for step in 0..arguments.steps {
            let (loss, gradients) = exercise.gradients(exercise.scores());
            computed.losses.extend(read(loss)?);
            if step == 0 {
                for gradient in gradients.iter().flatten() {
                    computed.gradients.extend(read(gradient.clone())?);
                }
            }
            exercise.update(gradients);
        }
        for (before, after) in before.into_iter().zip(parameters::values(&exercise.model)) {
            computed.changes.extend(read(after - before)?);
        }
        Ok(computed)
    }
}

fn read(values: Tensor<1>) -> Result<Vec<f32>, Error> {
    let failed = |error: String| Error::failure("the device failed").because(error);
    let data = (values.try_into_data()).map_err(|error| failed(format!("{error:?}")))?;
    data.try_to_vec()
        .map_err(|error| failed(format!("{error:?}")))
}

/// The norm of the difference over that of `ours`, or of the difference alone where that is zero. What is not a number is
/// infinitely far.
fn distance(theirs: &[f32], ours: &[f32]) -> f64 {
    let norm = |squares: f64| squares.sqrt();
    let square = |value: f32| f64::from(value).powi(2);
    let apart = (theirs.iter().zip(ours)).map(|(theirs, ours)| square(theirs - ours));
    let (apart, whole): (f64, f64) = (apart.sum(), ours.iter().copied().map(square).sum());
    match norm(apart) {
        distance if distance.is_nan() => f64::INFINITY,
        distance if whole == 0.0 => distance,
        distance => distance / norm(whole),
    }
}

fn judge(rows: &[Row], tolerance: f64, chosen: &Choice) -> Result<(), Error> {
    let far = |row: &&Row| {
        let distances = [row.scores, row.gradients, row.losses, row.changes];
        !distances.iter().all(|distance| *distance <= tolerance)
    };
    let far: Vec<&str> = rows.iter().filter(far).map(|row| row.model).collect();
    if far.is_empty() {
        return Ok(());
    }
    let what = format!(
        "`{}` is further than {tolerance:e} from the CPU on {}",
        chosen.name,
        far.join(", ")
    );
    Err(Error::failure(what))
}

fn print_head(chosen: &Choice) -> Result<(), Error> {
    print_line(format_args!(
        "norm of the difference of `{}` to the CPU, over the norm of the CPU's values",
        chosen.name
    ))?;
    print_line(format_args!(
        "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "model", "scores", "gradients", "losses", "changes", "seconds"
    ))
}

fn print_row(row: &Row) -> Result<(), Error> {
    print_line(format_args!(
        "{:<20} {:>9.1e} {:>9.1e} {:>9.1e} {:>9.1e} {:>9.1}",
        row.model, row.scores, row.gradients, row.losses, row.changes, row.seconds
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_relative_and_sees_what_is_no_number() {
        assert_eq!(distance(&[3.0, 4.0], &[3.0, 4.0]), 0.0);
        assert_eq!(distance(&[3.0, 4.5], &[3.0, 4.0]), 0.1);
        assert_eq!(distance(&[0.5], &[0.0]), 0.5);
        assert_eq!(distance(&[f32::NAN, 4.0], &[3.0, 4.0]), f64::INFINITY);
        assert_eq!(distance(&[f32::INFINITY, 4.0], &[3.0, 4.0]), f64::INFINITY);
    }

    #[test]
    fn each_family_is_compared_once() {
        let names = first_of_each_family();
        assert!(names.starts_with(&["lenet5", "alexnet2012"]));
        let families: HashSet<_> = (MODELS.iter())
            .map(|entry| mem::discriminant(&entry.architecture))
            .collect();
        assert_eq!(names.len(), families.len());
    }
}
