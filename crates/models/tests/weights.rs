//! Weights go out and come back, and are read as PyTorch wrote them.
//!
//! `tests/goldens/weights.py` wrote the files.

mod support;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use models::registry;
use models::weights::{HostTensor, Weights};
use models::{Architecture, Init};
use support::build;

/// A network of each way of naming, and of layers that the others lack.
const NETWORKS: &[&str] = &[
    "lenet5",
    "nin",
    "highway19",
    "resnet20",
    "preact_resnet110",
    "se_resnet110",
    "squeezenet1_0",
    "densenet_bc100_12",
    "efficientnet_b0",
    "googlenet",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens/weights")
        .join(name)
}

/// The layer that the script has, as it was saved.
fn layer() -> [(&'static str, HostTensor); 2] {
    let tensor = |shape: &[usize], values: &[f32]| HostTensor {
        shape: shape.to_vec(),
        values: values.to_vec(),
    };
    let weight = tensor(&[2, 3], &[-0.5, -0.25, 0.0, 0.25, 0.5, 0.75]);
    [("weight", weight), ("bias", tensor(&[2], &[0.25, -1.0]))]
}

fn assert_layer(weights: &Weights, prefix: &str) {
    for (name, expected) in layer() {
        let name = format!("{prefix}{name}");
        assert_eq!(weights.tensors.get(&name), Some(&expected), "{name}");
    }
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    let device = Device::flex();
    for name in NETWORKS {
        let architecture: &Architecture = &registry::find(name).unwrap().architecture;
        let weights = Weights::of(&build(architecture, &device));
        let bytes = weights.to_safetensors();
        let read = Weights::from_safetensors(&bytes, Path::new("written")).unwrap();
        assert!(read == weights, "{name}: read something else");
        let other = Init::new(&device, architecture.initialization(), 1);
        let loaded = read.load_into(architecture.init(&mut { other })).unwrap();
        assert!(
            Weights::of(&loaded) == weights,
            "{name}: loaded something else"
        );
    }
}

#[test]
fn every_layout_of_pytorch_is_read() {
    for name in ["layer.pth", "legacy.pth"] {
        let weights = Weights::read(&file(name)).unwrap();
        assert_layer(&weights, "fc.");
        assert_eq!(
            weights.tensors.len(),
            2,
            "{name}: what BatchNorm counts is left out"
        );
        assert!(weights.converted.is_empty(), "{name}");
    }
    assert_layer(&Weights::read(&file("wrapped.pth")).unwrap(), "module.fc.");
}

#[test]
fn other_floating_point_types_are_converted_and_counted() {
    let weights = Weights::read(&file("types.pth")).unwrap();
    for prefix in ["a.", "b.", "c."] {
        assert_layer(&weights, prefix);
    }
    let converted: Vec<_> = weights.converted.into_iter().collect();
    assert_eq!(converted, [("bfloat16", 2), ("float16", 2), ("float64", 2)]);
}
