//! Networks with given weights give PyTorch's logits.
//!
//! `tests/goldens/forward.py` wrote the logits; the rule that both sides fill tensors by is in its
//! documentation.

mod support;

use burn::tensor::Device;
use models::Model;
use models::layers::RectifierKind;
use models::parameters::{self, Parameter};
use models::registry::Entry;
use models::weights::{HostTensor, Weights};
use serde::Deserialize;
use support::{build, entries, images, uniform};

const GOLDENS: &str = include_str!("../../../tests/goldens/forward.json");

/// Of the largest logit; Kiln and PyTorch in single precision are both within 5e-7.
const TOLERANCE: f32 = 1e-4;

const AGAIN: &str = "to make the goldens again: `python tests/goldens/forward.py` \
                     (tests/goldens/README.md)";

#[derive(Deserialize)]
struct Goldens {
    torch: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    /// In place of the registry's.
    activation: Option<RectifierKind>,
    images: [usize; 4],
    /// Of the norms' weights.
    gain: f64,
    logits: Vec<Vec<f32>>,
}

fn values(name: &str, shape: &[usize], gain: f64) -> Vec<f32> {
    let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
    let value = |u: f64| match shape.len() {
        2.. => (2.0 * u - 1.0) * bound,
        _ if name.ends_with("running_var") => 0.5 + u,
        _ if name.ends_with(".weight") => gain * (0.5 + 0.5 * u),
        _ => u - 0.5,
    };
    uniform(name, shape.iter().product())
        .map(|u| value(u) as f32)
        .collect()
}

fn filled(model: Model, gain: f64) -> Model {
    let tensor = |parameter: Parameter| {
        let name = model.pytorch_name(&parameter.path);
        let values = values(&name, &parameter.shape, gain);
        let shape = parameter.shape;
        (name, HostTensor { shape, values })
    };
    let weights = Weights {
        tensors: parameters::of(&model).into_iter().map(tensor).collect(),
        ..Weights::default()
    };
    weights.load_into(model).expect("the model's own names")
}

fn logits(entry: &Entry, case: &Case) -> Vec<f32> {
    let device = Device::flex();
    let mut architecture = entry.architecture.with_classes(case.logits[0].len());
    if let Some(activation) = case.activation {
        architecture = architecture.with_activation(activation).unwrap();
    }
    let model = filled(build(&architecture, &device), case.gain);
    let logits = model.forward(images(case.images, &device));
    logits.into_data().try_to_vec().expect("logits in f32")
}

/// Checks the cases of a network, of which there is one at least: with what options it has, too.
fn check(entry: &Entry, goldens: &Goldens) {
    let cases = goldens.cases.iter().filter(|case| case.model == entry.name);
    assert!(
        cases.clone().count() > 0,
        "forward.json has no `{}`\n{AGAIN}",
        entry.name
    );
    cases.for_each(|case| check_case(entry, case, &goldens.torch));
}

fn check_case(entry: &Entry, case: &Case, torch: &str) {
    let name = entry.name;
    let expected = case.logits.concat();
    let found = logits(entry, case);

    let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (found - expected).abs() / largest;
        assert!(
            error < TOLERANCE,
            "logit {index} of `{name}`: PyTorch {torch} has {expected}, found {found}, {error:e} of the \
             largest logit away\n{AGAIN}"
        );
    }
}

fn check_all(entries: impl Iterator<Item = &'static Entry>) {
    let goldens: Goldens = serde_json::from_str(GOLDENS).unwrap();
    for entry in entries {
        check(entry, &goldens);
    }
}

#[test]
fn logits_are_pytorchs() {
    check_all(entries(false));
}

#[test]
#[ignore = "fills gigabytes of weights"]
fn logits_of_large_networks_are_pytorchs() {
    check_all(entries(true));
}
