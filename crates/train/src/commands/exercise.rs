//! A network at work on images and labels that are drawn, for what looks at speed or rounding and not at accuracy.

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::random::ChaCha8Rng;
use models::{Model, Scores, gradient_checkpointing, noise, parameters};
use rand::{RngExt, SeedableRng};

use super::blueprint::Blueprint;
use crate::loss;
use crate::optimizer::{Gradients, Optimizer};
use crate::recipe::{self, Loss, Precision};

/// As in the recipes of deep residual networks.
const SGD: recipe::Sgd = recipe::Sgd {
    momentum: 0.9,
    weight_decay: 1e-4,
    dampening: 0.0,
    nesterov: false,
    decay_exclude: Vec::new(),
    norm: None,
};
/// Low, since random labels leave nothing to learn.
const RATE: f64 = 1e-3;
/// Of all that is drawn.
const SEED: u64 = 0;

/// What of a recipe decides how a step is computed.
#[derive(Clone, Copy, Debug)]
pub struct Computing {
    /// Its `precision`.
    pub precision: Precision,
    /// Its `gradient_checkpointing`.
    pub checkpoints: bool,
}

/// A training that makes the same updates as [`Trainer`](crate::train::Trainer), of the same batch each time, but for the loss,
/// which is not scaled.
pub struct Exercise {
    /// The network, on a device with autodiff.
    pub model: Model,
    computing: Computing,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    optimizer: Optimizer,
    steps: u64,
}

impl Exercise {
    /// One on `device` with batches of `batch` images.
    pub fn new(blueprint: &Blueprint, batch: usize, computing: Computing, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let mut rng = stream();
        Self {
            images: images(blueprint, batch, &device, &mut rng),
            labels: labels(blueprint, batch, &device, &mut rng),
            model: blueprint.build(&device),
            computing,
            optimizer: Optimizer::new(recipe::Optimizer::Sgd(SGD)),
            steps: 0,
        }
    }

    /// The forward pass of a step.
    pub fn scores(&self) -> Scores {
        noise::start(SEED, self.steps, 0);
        let images = self.images.clone().cast(self.computing.precision.dtype());
        gradient_checkpointing::run(self.computing.checkpoints, || {
            self.model.forward_train(images)
        })
    }

    /// The loss of scores, `[1]`, and its gradients.
    pub fn gradients(&self, scores: Scores) -> (Tensor<1>, Gradients) {
        let loss = loss::of_scores(scores, &self.labels.clone().into(), &Loss::default());
        let mut found = loss.backward();
        let gradients = parameters::take_gradients(&self.model, &mut found);
        (loss.inner(), gradients)
    }

    /// The update of a step.
    pub fn update(&mut self, gradients: Gradients) {
        let model = self.model.clone();
        self.model = self.optimizer.step(model, gradients, RATE);
        self.steps += 1;
    }
}

/// The random numbers that everything is drawn from.
pub fn stream() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(SEED)
}

/// Images for a network, shape `[count, channels, height, width]`.
pub fn images(
    blueprint: &Blueprint,
    count: usize,
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Tensor<4> {
    let [channels, height, width] = blueprint.input;
    values([count, channels, height, width], device, rng)
}

/// Values from -1 to 1, about those of normalised images.
pub fn values<const D: usize>(
    shape: [usize; D],
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn labels(
    blueprint: &Blueprint,
    count: usize,
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Tensor<1, Int> {
    let classes = blueprint.classes as i64;
    let labels: Vec<i64> = (0..count).map(|_| rng.random_range(0..classes)).collect();
    Tensor::from_data(TensorData::new(labels, [count]), device)
}
