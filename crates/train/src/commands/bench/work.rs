//! What is measured: steps on images and labels that are drawn once, beforehand.

use std::collections::HashMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::random::ChaCha8Rng;
use models::{gradient_checkpointing, layer_names, parameters};
use rand::{RngExt, SeedableRng};

use super::clock::Clock;
use crate::commands::blueprint::Blueprint;
use crate::error::Error;
use crate::loss;
use crate::optimizer::Optimizer;
use crate::recipe::{self, Loss};

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

/// A step that can be made again and again, and tells the clock where its parts end.
pub type Step = Box<dyn FnMut(&mut Clock<'_>) -> Result<(), Error>>;

/// The steps of a network.
pub struct Work {
    /// One of them.
    pub step: Step,
    /// The names of the network's layers, by their parameters.
    pub names: HashMap<u64, String>,
}

/// An update as [`Trainer`](crate::train::Trainer) makes it: forward pass; loss, backward pass and collecting the
/// gradients; update of the weights.
pub fn training(blueprint: &Blueprint, batch: usize, checkpoints: bool, device: &Device) -> Work {
    let device = device.clone().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let images = images(blueprint, batch, &device, &mut rng);
    let labels = labels(blueprint, batch, &device, &mut rng);
    let mut model = blueprint.build(&device);
    let names = layer_names(&model);
    let mut optimizer = Optimizer::new(recipe::Optimizer::Sgd(SGD));
    let step: Step = Box::new(move |clock| {
        let scores =
            gradient_checkpointing::run(checkpoints, || model.forward_train(images.clone()));
        clock.part()?;
        let mut found =
            loss::of_scores(scores, &labels.clone().into(), &Loss::default()).backward();
        let gradients = parameters::take_gradients(&model, &mut found);
        drop(found);
        clock.part()?;
        model = optimizer.step(model.clone(), gradients, RATE, 0);
        clock.part()
    });
    Work { step, names }
}

/// The scores of images.
pub fn inference(blueprint: &Blueprint, batch: usize, device: &Device) -> Work {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let images = images(blueprint, batch, device, &mut rng);
    let model = blueprint.build(device);
    let names = layer_names(&model);
    let step: Step = Box::new(move |clock| {
        let scores = model.forward(images.clone());
        clock.part()?;
        drop(scores);
        Ok(())
    });
    Work { step, names }
}

/// The product of two square matrices.
pub fn product(side: usize, device: &Device) -> Step {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let [left, right]: [Tensor<2>; 2] = [(); 2].map(|()| values([side, side], device, &mut rng));
    Box::new(move |clock| {
        let product = left.clone().matmul(right.clone());
        clock.part()?;
        drop(product);
        Ok(())
    })
}

fn images(blueprint: &Blueprint, batch: usize, device: &Device, rng: &mut ChaCha8Rng) -> Tensor<4> {
    let [channels, height, width] = blueprint.input;
    values([batch, channels, height, width], device, rng)
}

/// Values from -1 to 1, about those of normalised images.
fn values<const D: usize>(shape: [usize; D], device: &Device, rng: &mut ChaCha8Rng) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn labels(
    blueprint: &Blueprint,
    batch: usize,
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Tensor<1, Int> {
    let classes = blueprint.classes as i64;
    let labels: Vec<i64> = (0..batch).map(|_| rng.random_range(0..classes)).collect();
    Tensor::from_data(TensorData::new(labels, [batch]), device)
}
