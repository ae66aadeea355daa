//! Networks with given weights give PyTorch's logits.
//!
//! `tests/goldens/forward.py` wrote the logits; the rule that both sides fill tensors by is in its
//! documentation.

use burn::tensor::{Device, Tensor, TensorData};
use models::weights::{HostTensor, Weights};
use models::{Init, Model, registry};
use serde::Deserialize;

const GOLDENS: &str = include_str!("../../../tests/goldens/forward.json");

/// Of the largest logit; Kiln and PyTorch in single precision are both within 5e-7.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Goldens {
    torch: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    images: [usize; 4],
    logits: Vec<Vec<f32>>,
}

/// Uniform in [0, 1).
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let seed = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (0..count as u32).map(move |index| {
        let mut hash = seed.wrapping_add(index.wrapping_mul(0x9e37_79b9));
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x21f0_aaad);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x735a_2d97);
        f64::from((hash ^ (hash >> 15)) >> 8) / f64::from(1 << 24)
    })
}

fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let bound = (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
    let value = |u: f64| match shape.len() {
        _ if name == "images" => 4.0 * u - 2.0,
        2.. => (2.0 * u - 1.0) * bound,
        _ if name.ends_with("running_var") => 0.5 + u,
        _ if name.ends_with(".weight") => 0.5 + 0.5 * u,
        _ => u - 0.5,
    };
    uniform(name, shape.iter().product())
        .map(|u| value(u) as f32)
        .collect()
}

fn filled(model: Model) -> Model {
    let mut weights = Weights::of(&model);
    for (name, HostTensor { shape, values: old }) in &mut weights.tensors {
        *old = values(name, shape);
    }
    weights.load_into(model).expect("the model's own names")
}

fn logits(case: &Case, device: &Device) -> Vec<f32> {
    let entry = registry::find(&case.model).expect("a name in the registry");
    let architecture = entry.architecture.with_classes(case.logits[0].len());
    let mut init = Init::new(device, architecture.initialization(), 0);
    let model = filled(architecture.init(&mut init));
    let images = TensorData::new(values("images", &case.images), case.images);
    let logits = model.forward(Tensor::from_data(images, device));
    logits.into_data().try_to_vec().expect("logits in f32")
}

fn check(name: &str) {
    let goldens: Goldens = serde_json::from_str(GOLDENS).unwrap();
    let case = goldens.cases.iter().find(|case| case.model == name);
    let case = case.unwrap_or_else(|| panic!("forward.json has no `{name}`"));
    let expected = case.logits.concat();
    let found = logits(case, &Device::flex());

    let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (found - expected).abs() / largest;
        assert!(
            error < TOLERANCE,
            "logit {index} of `{name}`: PyTorch {} has {expected}, found {found}, {error:e} of the \
             largest logit away\nto make the goldens again: `python tests/goldens/forward.py` \
             (tests/goldens/README.md)",
            goldens.torch
        );
    }
}

#[test]
fn lenet5() {
    check("lenet5");
}

#[test]
fn plain8() {
    check("plain8");
}

/// Option A.
#[test]
fn resnet20() {
    check("resnet20");
}

/// torchvision's ResNet-18, but for the stem.
#[test]
fn resnet18_cifar() {
    check("resnet18_cifar");
}

/// torchvision's.
#[test]
fn resnet18() {
    check("resnet18");
}

/// torchvision's, with the stride on the 3x3 convolution.
#[test]
fn resnet50() {
    check("resnet50");
}
