//! `train bench`: how fast a network trains or classifies here.
//!
//! A training step is what a run does with a batch: scores, loss, gradients, one update by SGD with momentum and
//! weight decay. The images and labels are drawn beforehand. The first steps are not counted: they draw the weights
//! and fill the memory.

mod clock;
mod layers;
mod peak;
mod work;

use models::Description;
use serde::Serialize;

use self::clock::{Clock, Lap, median};
use self::layers::Layer;
use self::work::Work;
use super::blueprint::{Blueprint, MOST_VALUES, by_sides, check_bounds};
use super::exercise::Computing;
use super::{print_json, start_threads};
use crate::cli::{BenchArgs, Format, Mode};
use crate::device::{self, Choice};
use crate::error::Error;
use crate::progress::grouped;
use crate::recipe::Precision;
use crate::streams::print_line;

/// Steps before the clock starts.
const WARM_UP: usize = 3;
/// Values of the layers' outputs, many times what a machine holds.
const MOST_ACTIVATIONS: usize = 1 << 34;
const MOST_STEPS: usize = 1_000_000;
/// Matrix products, the fastest of which counts.
const PRODUCTS: usize = 10;

/// What was measured. Where a key of the JSON has no value, it is null.
#[derive(Serialize)]
struct Figures {
    model: &'static str,
    batch: usize,
    size: usize,
    classes: usize,
    mode: Mode,
    precision: Precision,
    threads: usize,
    device: String,
    steps: usize,
    /// By the median step.
    images_per_second: f64,
    step_seconds: Spread,
    forward_seconds: f64,
    /// Loss, backward pass, and collecting the gradients.
    backward_seconds: Option<f64>,
    update_seconds: Option<f64>,
    /// Of the process in the host's memory, before the matrix product; known on Linux.
    peak_memory_bytes: Option<u64>,
    /// An image, in evaluation.
    multiply_adds: u64,
    /// By [`operations`] and the median step.
    gflops: f64,
    /// Of Burn's own product of two square matrices in f32, on the same device and threads.
    matrix_gflops: f64,
    /// Where the time of a step goes, in the order of the forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

#[derive(Serialize)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

/// Measures, and prints the figures.
pub fn run(arguments: &BenchArgs) -> Result<(), Error> {
    // Before anything computes: a pool that is there already keeps its threads.
    let threads = start_threads(arguments.machine.threads);
    let blueprint = Blueprint::new(&arguments.model, &arguments.shape)?;
    let described = blueprint.describe();
    check_size(arguments, &described)?;
    let device = device::choose(&arguments.machine.device)?;
    device.check_precision(arguments.precision)?;
    if arguments.layers && !device.is_cpu {
        let what = format!(
            "cannot measure the layers on `{}`, which runs ahead",
            device.name
        );
        return Err(Error::usage(what).with_hint("use `--device cpu`"));
    }
    check_blocks(arguments, &described)?;
    let timings = Timings::take(arguments, &blueprint, &device)?;
    let peak_memory_bytes = peak::memory();
    let step_seconds = Spread::of(&timings.whole);
    let images_per_second = arguments.batch as f64 / step_seconds.median;
    let [_, size, _] = blueprint.input;
    let figures = Figures {
        model: blueprint.entry.name,
        batch: arguments.batch,
        size,
        classes: blueprint.classes,
        mode: arguments.mode,
        precision: arguments.precision,
        threads,
        steps: arguments.steps,
        images_per_second,
        step_seconds,
        forward_seconds: timings.part(0).expect("a step begins with a forward pass"),
        backward_seconds: timings.part(1),
        update_seconds: timings.part(2),
        peak_memory_bytes,
        multiply_adds: described.multiply_adds,
        gflops: operations(arguments.mode) * described.multiply_adds as f64 * images_per_second
            / 1e9,
        matrix_gflops: matrix_gflops(&device)?,
        device: device.name,
        layers: timings.layers,
    };
    match arguments.format {
        Format::Json => print_json(&figures),
        Format::Text => print_table(&figures, &by_sides(&blueprint.input)),
    }
}

/// Refuses what would fill the memory, or never end.
fn check_size(arguments: &BenchArgs, described: &Description) -> Result<(), Error> {
    let values = described.input.iter().product::<usize>();
    let activations = described.activations as usize;
    let of_batch = |values: usize| values.saturating_mul(arguments.batch);
    check_bounds([
        ("values of a batch", of_batch(values), MOST_VALUES),
        (
            "activations of a batch",
            of_batch(activations),
            MOST_ACTIVATIONS,
        ),
        ("steps", arguments.steps, MOST_STEPS),
    ])
}

fn check_blocks(arguments: &BenchArgs, described: &Description) -> Result<(), Error> {
    if !arguments.gradient_checkpointing || described.blocks > 0 {
        return Ok(());
    }
    let what = format!("model `{}` has no blocks to compute again", arguments.model);
    Err(Error::usage(what))
}

/// Operations that a multiply-add counts for: two, and in training twice as many again for the gradients of the input
/// and of the weight. What is not a multiply-add counts for nothing.
fn operations(mode: Mode) -> f64 {
    match mode {
        Mode::Train => 6.0,
        Mode::Infer => 2.0,
    }
}

/// The steps, as wholes and by their parts.
struct Timings {
    whole: Vec<Lap>,
    parts: Vec<Lap>,
    layers: Option<Vec<Layer>>,
}

impl Timings {
    /// Measures after a warm-up. A GPU is behind the program, and waiting for each part would slow the whole down, so
    /// there the parts are measured in steps of their own.
    fn take(arguments: &BenchArgs, blueprint: &Blueprint, device: &Choice) -> Result<Self, Error> {
        let batch = arguments.batch;
        let Work { mut step, names } = match arguments.mode {
            Mode::Train => {
                let computing = Computing {
                    precision: arguments.precision,
                    checkpoints: arguments.gradient_checkpointing,
                };
                work::training(blueprint, batch, computing, &device.device)
            }
            Mode::Infer => work::inference(blueprint, batch, &device.device),
        };
        let mut laps = |count: usize, waits: bool| -> Result<Vec<Lap>, Error> {
            (0..count)
                .map(|_| Clock::time(&device.device, waits, &mut step))
                .collect()
        };
        laps(WARM_UP, false)?;
        let whole = laps(arguments.steps, device.is_cpu)?;
        let parts = if device.is_cpu {
            whole.clone()
        } else {
            laps(arguments.steps, true)?
        };
        let layers = (arguments.layers)
            .then(|| layers::measure(arguments.steps, &names, || laps(1, false)))
            .transpose()?;
        Ok(Self {
            whole,
            parts,
            layers,
        })
    }

    /// The median of a part, where the steps have one of that number.
    fn part(&self, index: usize) -> Option<f64> {
        let seconds = self.parts.iter().map(|lap| lap.parts.get(index).copied());
        let seconds: Option<Vec<f64>> = seconds.collect();
        seconds.map(|seconds| median(&seconds))
    }
}

fn matrix_gflops(device: &Choice) -> Result<f64, Error> {
    let side = matrix_side(device);
    let mut product = work::product(side, &device.device);
    let mut fastest = f64::INFINITY;
    for _ in 0..PRODUCTS {
        let lap = Clock::time(&device.device, true, &mut product)?;
        fastest = fastest.min(lap.seconds);
    }
    Ok(2.0 * (side as f64).powi(3) / fastest / 1e9)
}

/// What is large enough for the caches of a CPU, or the many cores of a GPU.
fn matrix_side(device: &Choice) -> usize {
    if device.is_cpu { 1024 } else { 4096 }
}

impl Spread {
    fn of(laps: &[Lap]) -> Self {
        let seconds: Vec<f64> = laps.iter().map(|lap| lap.seconds).collect();
        Self {
            median: median(&seconds),
            min: seconds.iter().copied().fold(f64::INFINITY, f64::min),
            max: seconds.iter().copied().fold(0.0, f64::max),
        }
    }
}

fn print_table(figures: &Figures, image: &str) -> Result<(), Error> {
    let Figures {
        model,
        batch,
        classes,
        threads,
        device,
        steps,
        step_seconds,
        ..
    } = figures;
    let what = match figures.mode {
        Mode::Train => "training",
        Mode::Infer => "inference",
    };
    print_line(format_args!(
        "{model}: {what}, batches of {batch} x {image}, {classes} classes, {device}, {threads} threads, {steps} steps"
    ))?;
    print_row("images/s", format!("{:.1}", figures.images_per_second))?;
    print_row(
        "step",
        format!(
            "{} ({} to {})",
            milliseconds(step_seconds.median),
            milliseconds(step_seconds.min),
            milliseconds(step_seconds.max)
        ),
    )?;
    for (name, seconds) in [
        ("  forward", Some(figures.forward_seconds)),
        ("  backward", figures.backward_seconds),
        ("  update", figures.update_seconds),
    ] {
        if let Some(seconds) = seconds {
            print_row(name, milliseconds(seconds))?;
        }
    }
    if let Some(bytes) = figures.peak_memory_bytes {
        print_row("peak memory", format!("{} MiB", grouped(bytes >> 20)))?;
    }
    print_row(
        "multiply-adds",
        format!("{} an image", grouped(figures.multiply_adds)),
    )?;
    print_row(
        "rate",
        format!(
            "{:.1} GFLOP/s, at {} operations a multiply-add",
            figures.gflops,
            operations(figures.mode)
        ),
    )?;
    print_row(
        "of the machine",
        format!(
            "{:.1} % of {:.1} GFLOP/s, Burn's product of large f32 matrices",
            100.0 * figures.gflops / figures.matrix_gflops,
            figures.matrix_gflops
        ),
    )?;
    match &figures.layers {
        Some(layers) => layers::print(layers, step_seconds.median, figures.matrix_gflops),
        None => Ok(()),
    }
}

fn print_row(name: &str, value: String) -> Result<(), Error> {
    print_line(format_args!("{name:<14}  {value}"))
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2} ms", 1000.0 * seconds)
}
