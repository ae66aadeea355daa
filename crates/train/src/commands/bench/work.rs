//! What is measured: steps on images and labels that are drawn once, beforehand.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor};
use models::layer_names;

use super::clock::Clock;
use crate::commands::blueprint::Blueprint;
use crate::commands::exercise::{self, Computing, Exercise};
use crate::error::Error;

/// A step that can be made again and again, and tells the clock where its parts end.
pub type Step = Box<dyn FnMut(&mut Clock<'_>) -> Result<(), Error>>;

/// The steps of a network.
pub struct Work {
    /// One of them.
    pub step: Step,
    /// The names of the network's layers, by their parameters.
    pub names: HashMap<u64, String>,
}

/// An update: forward pass; loss, backward pass and collecting the gradients; update of the weights.
pub fn training(
    blueprint: &Blueprint,
    batch: usize,
    computing: Computing,
    device: &Device,
) -> Work {
    let mut exercise = Exercise::new(blueprint, batch, computing, device);
    let names = layer_names(&exercise.model);
    let step: Step = Box::new(move |clock| {
        let scores = exercise.scores();
        clock.part()?;
        let (_, gradients) = exercise.gradients(scores);
        clock.part()?;
        exercise.update(gradients);
        clock.part()
    });
    Work { step, names }
}

/// The scores of images.
pub fn inference(blueprint: &Blueprint, batch: usize, device: &Device) -> Work {
    let images = exercise::images(blueprint, batch, device, &mut exercise::stream());
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
    let mut rng = exercise::stream();
    let [left, right]: [Tensor<2>; 2] =
        [(); 2].map(|()| exercise::values([side, side], device, &mut rng));
    Box::new(move |clock| {
        let product = left.clone().matmul(right.clone());
        clock.part()?;
        drop(product);
        Ok(())
    })
}
