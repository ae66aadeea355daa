//! The update of stochastic gradient descent, in one pass.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::{contiguous, tensor_of};
use crate::SgdOptions;

/// Values that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// The weight and the velocity after a step; a velocity that is not there starts as the gradient.
pub(crate) fn update(
    weight: FlexTensor,
    gradient: FlexTensor,
    velocity: Option<FlexTensor>,
    options: SgdOptions,
) -> (FlexTensor, FlexTensor) {
    let count = weight.layout().num_elements();
    let weight = contiguous(weight);
    let moves = velocity.is_some();
    let mut velocity = match velocity {
        Some(velocity) => own(velocity),
        None => tensor_of(Buffer::zeros(count), &[count]),
    };
    // Nobody wants the gradient afterwards: the new weight takes its place.
    let mut updated = own(gradient);
    let constants = Constants::new(options, moves);
    updated.storage_mut()[..count]
        .par_chunks_mut(BLOCK)
        .zip(weight.storage()[..count].par_chunks(BLOCK))
        .zip(velocity.storage_mut()[..count].par_chunks_mut(BLOCK))
        .for_each(|((updated, weight), velocity)| {
            vectorized(
                #[inline(always)]
                || match options.nesterov {
                    true => constants.step::<true>(updated, weight, velocity),
                    false => constants.step::<false>(updated, weight, velocity),
                },
            );
        });
    (updated, velocity)
}

/// The same values, contiguous, in memory that nobody else holds.
fn own(tensor: FlexTensor) -> FlexTensor {
    let tensor = contiguous(tensor);
    if tensor.is_unique() {
        return tensor;
    }
    let count = tensor.layout().num_elements();
    let mut values = Buffer::new(count);
    values.copy_from_slice(&tensor.storage()[..count]);
    tensor_of(values, &[count])
}

#[derive(Clone, Copy)]
struct Constants {
    rate: f32,
    decay: f32,
    momentum: f32,
    /// Of the velocity, what is kept, and of the gradient, what is added.
    shares: [f32; 2],
}

impl Constants {
    fn new(options: SgdOptions, moves: bool) -> Self {
        let momentum = options.momentum as f32;
        Self {
            rate: options.rate as f32,
            decay: options.weight_decay as f32,
            momentum,
            shares: match moves {
                true => [momentum, (1.0 - options.dampening) as f32],
                false => [0.0, 1.0],
            },
        }
    }

    /// Makes the gradient in `updated` the updated weight.
    #[inline(always)]
    fn step<const NESTEROV: bool>(self, updated: &mut [f32], weight: &[f32], velocity: &mut [f32]) {
        for ((updated, weight), velocity) in updated.iter_mut().zip(weight).zip(velocity) {
            let gradient = *updated + self.decay * weight;
            *velocity = self.shares[0] * *velocity + self.shares[1] * gradient;
            let direction = if NESTEROV {
                gradient + self.momentum * *velocity
            } else {
                *velocity
            };
            *updated = weight - self.rate * direction;
        }
    }
}
