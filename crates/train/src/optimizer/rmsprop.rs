//! `RMSProp`, as TensorFlow and PyTorch compute it.

use burn::tensor::Tensor;

use super::{Slots, decayed};
use crate::recipe::{Rmsprop, RmspropVariant};

/// The weight after an update.
pub(super) fn update(
    settings: &Rmsprop,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    [mean_square, velocity]: &mut Slots,
    rate: f64,
    weight_decay: f64,
) -> Tensor<1> {
    let gradient = match weight_decay {
        0.0 => gradient,
        decay => gradient + weight.clone() * decay,
    };
    let before = mean_square
        .take()
        .unwrap_or_else(|| match settings.variant {
            RmspropVariant::TensorFlow => weight.ones_like(),
            RmspropVariant::PyTorch => weight.zeros_like(),
        });
    let square = decayed(before, gradient.clone().powi_scalar(2), settings.decay);
    *mean_square = Some(square.clone());
    let (step, rate_behind) = match settings.variant {
        RmspropVariant::TensorFlow => (gradient * rate / (square + settings.epsilon).sqrt(), 1.0),
        RmspropVariant::PyTorch => (gradient / (square.sqrt() + settings.epsilon), rate),
    };
    let step = match (settings.momentum, velocity.take()) {
        (0.0, _) | (_, None) => step,
        (momentum, Some(velocity)) => velocity * momentum + step,
    };
    if settings.momentum > 0.0 {
        *velocity = Some(step.clone());
    }
    weight - step * rate_behind
}
