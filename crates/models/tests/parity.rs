//! Networks with given weights give PyTorch's logits.
//!
//! `tests/goldens/forward.py` wrote the logits; the rule that both sides fill tensors by is in its
//! documentation.

mod support;

use burn::tensor::Device;
use models::registry::Entry;
use serde::Deserialize;
use support::{Options, build, entries, filled, images};

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
    #[serde(default)]
    options: Options,
    images: [usize; 4],
    /// Of the norms' weights.
    gain: f64,
    logits: Vec<Vec<f32>>,
}

fn logits(entry: &Entry, case: &Case) -> Vec<f32> {
    let device = Device::flex();
    let architecture = entry.architecture.with_classes(case.logits[0].len());
    let architecture = case.options.of(architecture);
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
