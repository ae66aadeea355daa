//! Runs of the program follow PyTorch, step by step.
//!
//! `tests/goldens/training.py` trained by the same recipes, from the same weights, on the same
//! images.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use models::registry;
use models::weights::Weights;
use serde::Deserialize;

#[path = "../../models/tests/support/mod.rs"]
mod reference;
#[path = "../../../tests/support/mod.rs"]
mod support;

/// Relative, of a loss. Where the initial weights are moved by a few units in the last place,
/// PyTorch's own in single precision are up to 2e-4 away from the goldens.
const LOSS_TOLERANCE: f64 = 1e-3;

/// Of a tensor's largest value among those that the golden holds; PyTorch's own, as above, are up
/// to 3e-3 away.
const WEIGHT_TOLERANCE: f64 = 1e-2;

const REGENERATE: &str =
    "to make the goldens again: `python tests/goldens/training.py` (tests/goldens/README.md)";

#[derive(Deserialize)]
struct Golden {
    torch: String,
    losses: Vec<f64>,
    rates: Vec<f64>,
    weights: BTreeMap<String, Vec<f64>>,
}

/// A line of the journal, of which only those of steps have a loss and a rate.
#[derive(Deserialize)]
struct Line {
    event: String,
    loss: Option<f64>,
    lr: Option<f64>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn golden(name: &str) -> Golden {
    let path = root().join(format!("tests/goldens/training/{name}.json"));
    let text = fs::read_to_string(&path).expect("a golden for each recipe");
    serde_json::from_str(&text).expect("a golden as training.py writes it")
}

fn train(name: &str, run: &Path, set: &[String]) {
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .current_dir(root())
        .arg("--config")
        .arg(format!("tests/goldens/training/{name}.toml"))
        .args(["--device", "cpu", "--run-dir"])
        .arg(run)
        .args(set.iter().flat_map(|set| ["--set", set]))
        .output()
        .expect("the program was built for this test");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{name}` failed:\n{stderr}");
}

/// The steps of a run, each with its loss and its learning rate.
fn steps(run: &Path) -> Vec<(f64, f64)> {
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a run leaves a journal");
    journal
        .lines()
        .map(|line| serde_json::from_str::<Line>(line).expect("a line of JSON"))
        .filter(|line| line.event == "step")
        .map(|line| {
            line.loss
                .zip(line.lr)
                .expect("a step has a loss and a rate")
        })
        .collect()
}

/// Trains by `tests/goldens/training/NAME.toml` and compares losses, learning rates and weights.
fn follows_pytorch(name: &str) {
    follows_pytorch_with(name, &[]);
}

/// The same with these keys of the recipe.
fn follows_pytorch_with(name: &str, set: &[String]) {
    let golden = golden(name);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(name, &run, set);

    let steps = steps(&run);
    assert_eq!(steps.len(), golden.losses.len(), "steps of `{name}`");
    for (step, (loss, rate)) in steps.into_iter().enumerate() {
        let expected = golden.losses[step];
        let error = (loss / expected - 1.0).abs();
        assert!(
            error < LOSS_TOLERANCE,
            "loss of step {step} of `{name}`: PyTorch {} has {expected}, found {loss}, {error:.1e} \
             away\n{REGENERATE}",
            golden.torch
        );
        let expected = golden.rates[step];
        assert!(
            (rate / expected - 1.0).abs() < 1e-9,
            "learning rate of step {step} of `{name}`: PyTorch {} has {expected}, found {rate}\n\
             {REGENERATE}",
            golden.torch
        );
    }
    compare_weights(name, &golden, &run);
}

fn compare_weights(name: &str, golden: &Golden, run: &Path) {
    let found = Weights::read(&run.join("model.safetensors")).expect("a run leaves its weights");
    let names: Vec<&String> = found.tensors.keys().collect();
    assert_eq!(names, golden.weights.keys().collect::<Vec<_>>());
    for (tensor, expected) in &golden.weights {
        let largest = expected.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
        for (found, expected) in found.tensors[tensor].values.iter().zip(expected) {
            let error = (f64::from(*found) - expected).abs() / largest;
            assert!(
                error < WEIGHT_TOLERANCE,
                "`{tensor}` after `{name}`: PyTorch {} has {expected}, found {found}, {error:.1e} \
                 of the largest value away\n{REGENERATE}",
                golden.torch
            );
        }
    }
}

/// Momentum, weight decay, batch normalisation.
#[test]
fn sgd() {
    follows_pytorch("sgd");
}

/// Nesterov's momentum, label smoothing, clipping, decay of weights alone.
#[test]
fn nesterov() {
    follows_pytorch("nesterov");
}

/// Linear warm-up, half a cosine, a short last batch.
#[test]
fn cosine() {
    follows_pytorch("cosine");
}

/// Gradient accumulation, dampening.
#[test]
fn accumulate() {
    follows_pytorch("accumulate");
}

/// Milestones, biases, mean pooling.
#[test]
fn lenet5() {
    follows_pytorch("lenet5");
}

/// Whitening, slow weights, a rate of its own for normalisations, GELU. Weights and images are those of `forward.py`'s rule.
#[test]
fn airbench94() {
    let place = support::Place::new();
    let (device, shape) = (Device::flex(), [24, 3, 25, 25]);
    let architecture = &registry::find("airbench94").unwrap().architecture;
    let network = reference::filled(reference::build(architecture, &device), 1.0);
    let pixels: Vec<f32> = reference::images(shape, &device)
        .into_data()
        .try_to_vec()
        .unwrap();
    let labels: Vec<i64> = (0..24).map(|image| image % 10).collect();
    place.write(
        "images.safetensors",
        support::images_and_labels(shape, &pixels, &labels),
    );
    place.write(
        "weights.safetensors",
        Weights::of(&network).to_safetensors(),
    );
    let set = [("init", "weights"), ("dataset.tensors", "images")].map(|(key, name)| {
        format!(
            "{key}={}",
            place.path(format!("{name}.safetensors")).display()
        )
    });
    follows_pytorch_with("airbench94", &set);
}
