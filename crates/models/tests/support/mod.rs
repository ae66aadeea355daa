//! What the tests that go through the registry share.

#![allow(
    dead_code,
    reason = "each test program uses its own part of this module"
)]

use burn::tensor::{Device, Tensor, TensorData};
use models::layers::{Manipulation, NormKind, RectifierKind};
use models::parameters::{self, Parameter};
use models::registry::{Entry, MODELS};
use models::weights::{HostTensor, Weights};
use models::{Architecture, Description, Init, Model};
use serde::Deserialize;

const COUNTS: &[u8] = include_bytes!("../../../../tests/goldens/counts.csv");

/// A row of `counts.csv`, whose script says what the columns are.
#[derive(Deserialize)]
pub struct Counts {
    pub model: String,
    pub source: String,
    pub image: usize,
    pub parameters: usize,
    pub auxiliary_parameters: usize,
    pub multiply_adds: u64,
    pub activations: u64,
}

/// What the reference models cost.
pub fn counts() -> Vec<Counts> {
    let rows = csv::Reader::from_reader(COUNTS).into_deserialize();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Options of a recipe's `[model]`, in place of the registry's choices.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Options {
    activation: Option<RectifierKind>,
    manipulation: Option<Manipulation>,
    normalization: Option<NormKind>,
}

impl Options {
    /// The network with these options.
    pub fn of(&self, mut architecture: Architecture) -> Architecture {
        if let Some(activation) = self.activation {
            architecture = architecture.with_activation(activation).unwrap();
        }
        if let Some(manipulation) = self.manipulation {
            architecture = architecture.with_manipulation(manipulation).unwrap();
        }
        if let Some(normalization) = self.normalization {
            architecture = architecture.with_normalization(normalization).unwrap();
        }
        architecture
    }
}

/// Networks with more parameters are tested on demand.
const LARGE: usize = 40_000_000;

/// A network on `device` as its paper draws it.
pub fn build(architecture: &Architecture, device: &Device) -> Model {
    architecture.init(&mut Init::new(device, architecture.initialization(), 0))
}

/// What a network costs for images of `[channels, height, width]`.
pub fn describe(architecture: &Architecture, input: [usize; 3]) -> Description {
    Description::of(&build(architecture, &Device::flex()), input)
}

/// The entries that are tested always, or on demand.
pub fn entries(large: bool) -> impl Iterator<Item = &'static Entry> {
    MODELS.iter().filter(move |entry| {
        let model = build(&entry.architecture, &Device::flex());
        (models::parameters::count(&model) > LARGE) == large
    })
}

/// The least height and width of square images that the network takes.
pub fn least_size(entry: &Entry) -> usize {
    (1..=entry.image_size)
        .find(|size| entry.architecture.check([*size; 2]).is_ok())
        .unwrap_or_else(|| panic!("{} does not take its own images", entry.name))
}

/// The rule by which both Kiln's tests and PyTorch's scripts fill a tensor: uniform in [0, 1).
pub fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> {
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

/// Values from -2 to 2.
pub fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values: Vec<f32> = uniform("images", shape.iter().product())
        .map(|u| (4.0 * u - 2.0) as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
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

/// The model with weights by the rule, those of its norms times `gain`.
pub fn filled(model: Model, gain: f64) -> Model {
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
